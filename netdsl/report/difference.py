"""What changed between two networks, layer by layer. Layers are the same where their names are, as for checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netdsl.analysis.cost import LayerCost, layer_costs, totals
from netdsl.elaborate import Model
from netdsl.report.summary import arguments


@dataclass(frozen=True)
class Change:
    """One layer: what is said of it before and after, each None where there is no such layer.

    ``before`` and ``after`` hold the same keys, those that differ; or all of them for a layer of one net only.
    """

    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class Difference:
    """``totals`` are pairs (before, after) of params, macs and flops of one sample."""

    before: str
    after: str
    changes: tuple[Change, ...]
    totals: dict[str, tuple[int, int]]

    @property
    def empty(self) -> bool:
        return not self.changes


def difference(before: Model, after: Model) -> Difference:
    """Compare two networks; layers in the order of the second, then those that are gone."""
    old = {cost.node.name: cost for cost in layer_costs(before.graph)}
    new = {cost.node.name: cost for cost in layer_costs(after.graph)}
    first, second = totals(old.values()), totals(new.values())
    sums = {key: (getattr(first, key), getattr(second, key)) for key in ("params", "macs", "flops")}
    return Difference(before.name, after.name, tuple(_changes(old, new)), sums)


def _changes(old: dict[str, LayerCost], new: dict[str, LayerCost]) -> Iterator[Change]:
    for name in (*new, *(name for name in old if name not in new)):
        before = _facts(old[name]) if name in old else None
        after = _facts(new[name]) if name in new else None
        if before is not None and after is not None:
            keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
            before = {key: before.get(key) for key in keys}
            after = {key: after.get(key) for key in keys}
        if before != after:
            yield Change(name, before, after)


def _facts(cost: LayerCost) -> dict[str, Any]:
    node = cost.node
    return {
        "op": node.op,
        **arguments(node),
        "reads": ", ".join(value.name for value in node.inputs if value.node.op != "param"),
        "output_shape": list(node.types[0].shape),
        "params": cost.params,
        "macs": cost.macs,
        "flops": cost.flops,
    }


def difference_text(found: Difference) -> str:
    """One line a layer: ``-`` is gone, ``+`` is new, ``~`` has changed; then the totals."""
    lines = [f"{found.before} -> {found.after}", ""]
    for change in found.changes:
        if change.before is None or change.after is None:
            facts = change.after or change.before or {}
            shape = _text(facts["output_shape"])
            sign = "+" if change.before is None else "-"
            lines.append(f"{sign} {change.name}: {facts['op']} {shape}, {facts['params']:,} params")
        else:
            pairs = [f"{key} {_text(change.before[key])} -> {_text(change.after[key])}" for key in change.after]
            lines.append(f"~ {change.name}: {'; '.join(pairs)}")
    if found.empty:
        lines.append("no layer differs")
    lines.append("")
    for key, (before, after) in found.totals.items():
        lines.append(f"{key:<7} {before:,} -> {after:,} ({after - before:+,})")
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
