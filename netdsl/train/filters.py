"""A layer's filters as a picture: what the first layer looks for, and what later ones take from each channel.

Filters that see the picture itself are shown as small pictures, in colour where it has colours. A fully connected layer
on the picture has them too: a template a unit. Of all other layers a filter is a row, a grey tile a channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, ResourceLimit, UserError, did_you_mean
from netdsl.ir.graph import Graph, Node
from netdsl.train.answer_pictures import png_file

MOST_SIDE = 16_384
"""Pixels of a picture's longer side."""
_SIDE, _TILE, _GAP = 1_600, 64, 2
"""Pixels are enlarged while the picture stays within this side, and a filter within that."""
_MOVES = ("flatten", "identity", "dropout")


@dataclass(frozen=True)
class Filters:
    """``values`` [filters, channels, height, width] of ``layer``. ``seen``: they look at the picture itself."""

    layer: str
    values: NDArray[np.float32]
    seen: bool

    @property
    def coloured(self) -> bool:
        """Whether the channels are red, green and blue."""
        return self.seen and self.values.shape[1] == 3


def layer_filters(graph: Graph, parameters: Mapping[str, NDArray[Any]], layer: str | None = None) -> Filters:
    """The filters of ``layer``, without it of the first layer that has any. Raises UserError for names that are none,
    and for layers without filters."""
    node = _first(graph) if layer is None else _named(graph, layer)
    weight = parameters[node.inputs[1].node.name]
    source = _source(node)
    seen = source.op == "input"
    if node.op == "fc":
        weight = weight.reshape(len(weight), *source.output.type.shape)
    return Filters(node.name, np.asarray(weight, dtype=np.float32), seen)


def filters_picture(filters: Filters, first: int | None = None) -> bytes:
    """A PNG file of all filters, or the ``first`` so many: each scaled from its smallest number (black) to its largest
    (white), its channels together; one whose numbers are all equal is grey. Raises ResourceLimit beyond `MOST_SIDE`."""
    from PIL import Image

    values = filters.values[:first]
    count, channels, height, width = values.shape
    pictures = filters.coloured or channels == 1
    columns = math.ceil(math.sqrt(count)) if pictures else channels
    rows = -(-count // columns) if pictures else count
    scale = _scale(filters.layer, (rows, columns), (height, width))
    tiles = _scaled(values)
    tiles = tiles.transpose(0, 2, 3, 1) if pictures else tiles.reshape(-1, height, width, 1)
    across, down = width * scale + _GAP, height * scale + _GAP
    sheet = np.full((rows * down + _GAP, columns * across + _GAP, 3), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        pixels = tile.repeat(scale, axis=0).repeat(scale, axis=1)
        top, left = _GAP + row * down, _GAP + column * across
        sheet[top : top + height * scale, left : left + width * scale] = pixels
    return png_file(Image.fromarray(sheet))


def _named(graph: Graph, layer: str) -> Node:
    with_filters = [node.name for node in graph.layers if _has_filters(node)]
    if layer in with_filters:
        return graph.node(layer)
    known = [node.op for node in graph.layers if node.name == layer]
    raise UserError.of(
        Code.BAD_OPTION,
        f"`{layer}` is a layer of `{known[0]}`: it has no filters" if known else f"no layer is named `{layer}`",
        notes=(f"convolutions have them: {_listed(with_filters)}",) if with_filters else (),
        help=None if known else did_you_mean(layer, with_filters),
    )


def _first(graph: Graph) -> Node:
    for node in graph.layers:
        if _has_filters(node):
            return node
    raise UserError.of(Code.BAD_OPTION, f"`{graph.name}` has no layer with filters")


def _has_filters(node: Node) -> bool:
    """Whether it is a convolution, or fully connected to the picture."""
    if node.op not in ("conv", "fc") or node.inputs[1].node.op != "param":
        return False
    source = _source(node)
    return node.op == "conv" or (source.op == "input" and len(source.output.type.shape) == 3)


def _source(node: Node) -> Node:
    """Where a layer's operand comes from, past what keeps its numbers and their order."""
    source = node.inputs[0].node
    while source.op in _MOVES:
        source = source.inputs[0].node
    return source


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f", ... ({len(names)})" if len(names) > 12 else "")


def _scaled(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Each filter from 0, its smallest number, to 255; what is not finite is grey."""
    exact = values.astype(np.float64)
    low, high = (end(exact, axis=(1, 2, 3), keepdims=True) for end in (np.min, np.max))
    with np.errstate(invalid="ignore"):
        shares = (exact - low) / np.where(high > low, high - low, 1)
        shares = np.where((high > low) & np.isfinite(shares), shares, 0.5)
    grey: NDArray[np.uint8] = np.rint(255 * shares).astype(np.uint8)
    return grey


def _scale(layer: str, counts: tuple[int, int], tile: tuple[int, int]) -> int:
    """How many times pixels are enlarged."""

    def side(scale: int) -> int:
        return max(count * (size * scale + _GAP) + _GAP for count, size in zip(counts, tile, strict=True))

    if side(1) > MOST_SIDE:
        raise ResourceLimit.of(
            Code.LIMIT_SIZE,
            f"the filters of `{layer}` take a picture of {side(1)} pixels",
            notes=(f"at most {MOST_SIDE} are drawn",),
            help="show fewer: `--first 256`",
        )
    most = max(1, _TILE // max(tile))
    return max(scale for scale in range(1, most + 1) if scale == 1 or side(scale) <= _SIDE)
