"""Block instances and groups of a net, with what their layers come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netdsl.analysis.cost import LayerCost
from netdsl.analysis.receptive import Field
from netdsl.elaborate import Model
from netdsl.ir.graph import Value
from netdsl.source import Span


@dataclass
class Instance:
    """One use of a block, or one group with a name. ``results`` are the values that leave it, in the graph's order;
    ``sizes`` are those that stand for symbolic ones."""

    net: str
    name: str
    span: Span
    sizes: dict[str, int]
    layers: int = 0
    params: int = 0
    macs: int = 0
    results: list[Value] = field(default_factory=list)
    field: Field | None = None


def instances_of(net: str, model: Model, costs: list[LayerCost], fields: Mapping[Value, Field]) -> list[Instance]:
    """Every instance that has layers, outer ones before inner ones."""
    found: dict[str, Instance] = {}
    for cost in costs:
        for name in _around(cost.node.name):
            if name in model.taken:
                instance = found.setdefault(name, Instance(net, name, model.taken[name], model.sizes))
                instance.layers += 1
                instance.params += cost.params
                instance.macs += cost.macs
    outputs = set(model.graph.outputs.values())
    readers = model.graph.uses()
    for cost in costs:
        for value in cost.node.outputs:
            read_by = [reader.name for reader, _ in readers.get(value, [])]
            for name in _around(cost.node.name):
                if name in found and (value in outputs or not all(item.startswith(f"{name}.") for item in read_by)):
                    found[name].results.append(value)
                    found[name].field = fields.get(value)
    return list(found.values())


def _around(name: str) -> Iterator[str]:
    """The names of what may be around a layer: ``a`` and ``a.b`` for ``a.b.c``."""
    end = name.find(".")
    while end >= 0:
        yield name[:end]
        end = name.find(".", end + 1)
