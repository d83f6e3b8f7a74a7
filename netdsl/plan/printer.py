"""The plan as text, for ``--emit plan`` and golden tests."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Plan, Region, Step, View


def print_plan(plan: Plan) -> str:
    """One line a step: kernel, name, where its operands and results lie; then the resident weights."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"plan {plan.name} for {plan.target}, batch {plan.batch}, threads {plan.threads}"
    yield f"arena {plan.arena_bytes} bytes, weights {plan.weights_bytes} bytes, {len(plan.steps)} steps"
    for index, step in enumerate(plan.steps):
        yield f"{index:4d} {_step(step)}"
    for weight in plan.weights:
        yield f"weight {weight.name} at {weight.offset}: {_layout_text(weight.layout)}"


def _step(step: Step) -> str:
    inputs = ", ".join(map(_view, step.inputs))
    outputs = ", ".join(map(_view, step.outputs))
    text = f"{step.op} {step.name}: {inputs} -> {outputs}"
    if step.times > 1:
        text = f"{step.times} x {text}"
    if step.epilogue is not None:
        text += f" then {step.epilogue}"
    if step.scratch is not None:
        text += f" scratch {_view(step.scratch)}"
    return text


def _view(view: View) -> str:
    if view.region in (Region.INPUT, Region.OUTPUT):
        return f"{view.region.value}[{view.offset}]"
    return f"{view.region.value}+{view.offset}{_layout_text(view.layout)}"


def _layout_text(layout: object) -> str:
    if isinstance(layout, Blocked):
        halo = "" if layout.halo == (0, 0, 0, 0) else " halo " + "/".join(map(str, layout.halo))
        size = f"{layout.batch}x{layout.channels}x{layout.height}x{layout.width}"
        return f"({size} by {layout.block}{halo})"
    return "" if layout is None else f"({layout})"
