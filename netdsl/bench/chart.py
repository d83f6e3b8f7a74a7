"""The roofline of a measured network as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from netdsl.bench.measure import Bench, LayerTime
from netdsl.bench.text import giga, time_text

WIDTH, HEIGHT, MARGIN = 760, 380, 50
LARGEST = 22
"""Radius of the slowest layer's circle."""

FAMILIES = {"conv": "conv", "deconv": "conv", "fc": "fc", "maxpool": "pool", "avgpool": "pool"}


def family(op: str) -> str:
    """The style's class of an op."""
    return FAMILIES.get(op, "other")


@dataclass(frozen=True)
class _Axes:
    """Logarithmic axes over [low, high] of operations a byte and of operations a second."""

    across: tuple[float, float]
    up: tuple[float, float]

    def x(self, intensity: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * _part(intensity, self.across)

    def y(self, rate: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * _part(rate, self.up)


def _part(value: float, ends: tuple[float, float]) -> float:
    low, high = map(math.log, ends)
    return (math.log(value) - low) / (high - low)


def roofline_svg(found: Bench) -> str:
    """Layers that compute, each a circle with its name as a tooltip."""
    layers = [layer for layer in found.layers if layer.work.flops]
    axes = _axes(found, layers)
    longest = max((layer.seconds for layer in layers), default=1.0)
    slowest_last = sorted(layers, key=lambda layer: layer.seconds, reverse=True)
    parts = [*_grid(axes), _roof(found, axes), *(_circle(layer, axes, longest) for layer in slowest_last)]
    head = f'<svg class="roofline" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Roofline of {{}}">'
    return "\n".join([head.format(escape(found.net)), *parts, "</svg>"])


def _axes(found: Bench, layers: list[LayerTime]) -> _Axes:
    """Whole decades around all layers, and around where the machine's two limits meet."""
    roof = found.roof
    across = [roof.ridge, *(layer.work.flops / layer.work.bytes for layer in layers)]
    up = [roof.flops, *(layer.work.flops / layer.seconds for layer in layers)]
    return _Axes(_decades(across), _decades(up))


def _decades(values: list[float]) -> tuple[float, float]:
    low, high = (math.log10(value) for value in (min(values), max(values)))
    return 10.0 ** math.floor(low), 10.0 ** (math.floor(high) + 1)


def _grid(axes: _Axes) -> Iterator[str]:
    left, right, top, bottom = MARGIN, WIDTH - MARGIN, MARGIN, HEIGHT - MARGIN
    for value in _powers(axes.across):
        x = axes.x(value)
        yield f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>'
    for value in _powers(axes.up):
        y = axes.y(value)
        yield f'<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value / 1e9:g}</text>'
    yield f'<text x="{right}" y="{bottom + 36}" text-anchor="end">operations a byte</text>'
    yield f'<text x="{left - 40}" y="{top - 14}">GFLOP/s</text>'


def _powers(ends: tuple[float, float]) -> list[float]:
    first, last = (round(math.log10(end)) for end in ends)
    return [10.0**power for power in range(first, last + 1)]


def _roof(found: Bench, axes: _Axes) -> str:
    """The memory's slope up to the ridge, then the flat peak; cut off at the plot's bottom."""
    roof = found.roof
    start = max(axes.across[0], axes.up[0] / roof.bandwidth)
    corners = [(start, start * roof.bandwidth), (roof.ridge, roof.flops), (axes.across[1], roof.flops)]
    points = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in corners)
    return f'<polyline class="roof" points="{points}"/>'


def _circle(layer: LayerTime, axes: _Axes, longest: float) -> str:
    work, step = layer.work, layer.step
    rate = work.flops / layer.seconds
    place = f'cx="{axes.x(work.flops / work.bytes):.1f}" cy="{axes.y(rate):.1f}"'
    radius = max(2.0, LARGEST * math.sqrt(layer.seconds / longest))
    title = escape(f"{step.name} ({step.op}): {time_text(layer.seconds)}, {giga(rate)} GFLOP/s")
    return f'<circle class="{family(step.op)}" {place} r="{radius:.1f}"><title>{title}</title></circle>'
