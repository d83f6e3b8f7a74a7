"""Everything that is known of one version of one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from netdsl.analysis.cost import LayerCost, layer_costs
from netdsl.analysis.receptive import Field, number_text, receptive_fields
from netdsl.diagnostics import Code, Diagnostic, Diagnostics, UserError
from netdsl.elaborate import Model, Module, buildable_nets, elaborate
from netdsl.elaborate.files import load_open
from netdsl.ir.graph import Node
from netdsl.lsp.instances import Instance, instances_of
from netdsl.lsp.symbols import Symbols, find_symbols
from netdsl.report.findings import warnings_of
from netdsl.source import Source, Span
from netdsl.syntax import tree
from netdsl.syntax.parser import parse

STAND_IN = 224
"""What a symbolic size is taken for; an editor has no ``--size``, and 224 can be halved five times."""


@dataclass(frozen=True)
class Layer:
    """One layer of one net, where the text made it; ``sizes`` are those that stand for symbolic ones."""

    net: str
    sizes: dict[str, int]
    node: Node
    cost: LayerCost
    field: Field | None


@dataclass
class Document:
    """A file as it was analysed. ``symbols`` and ``layers`` are empty where the text does not parse, or build."""

    source: Source
    path: Path
    findings: list[Diagnostic] = field(default_factory=list)
    program: tree.Program | None = None
    module: Module | None = None
    symbols: Symbols = field(default_factory=Symbols)
    layers: dict[tuple[int, int], list[Layer]] = field(default_factory=dict)
    """By the characters of this file that made them."""
    instances: dict[tuple[int, int], list[Instance]] = field(default_factory=dict)
    """Uses of blocks, likewise."""

    def layers_at(self, offset: int) -> list[Layer]:
        """The layers of the shortest piece of text around an offset."""
        around = [key for key in self.layers if key[0] <= offset <= key[1]]
        return self.layers[min(around, key=lambda key: key[1] - key[0])] if around else []


def analyse(text: str, path: Path) -> Document:
    """Parse, resolve, and build every net whose arguments all have values. Never raises for what users write."""
    source = Source(str(path), text)
    document = Document(source, path)
    found = Diagnostics()
    try:
        document.program = parse(source)
        document.symbols = find_symbols(document.program, {})
        module = document.module = load_open(source, path)
        used = {name: block for name, (block, owner) in module.blocks.items() if owner is not module}
        document.program = module.program
        document.symbols = find_symbols(module.program, used)
        for name in buildable_nets(module):
            _build(document, module, name, found)
    except UserError as error:
        _keep(found, error.diagnostics)
    document.findings = list(found)
    return document


def _build(document: Document, module: Module, name: str, found: Diagnostics) -> None:
    try:
        model = _elaborated(module, name)
    except UserError as error:
        _keep(found, error.diagnostics)
        return
    _keep(found, warnings_of(model))
    receptive = receptive_fields(model.graph)
    costs = list(layer_costs(model.graph))
    for instance in instances_of(name, model, costs, receptive.fields):
        if instance.span.source is module.source:
            document.instances.setdefault((instance.span.start, instance.span.end), []).append(instance)
    for cost in costs:
        layer = Layer(name, model.sizes, cost.node, cost, receptive.fields.get(cost.node.output))
        for span in cost.node.spans:
            if span.source is module.source:
                document.layers.setdefault((span.start, span.end), []).append(layer)


def _elaborated(module: Module, name: str) -> Model:
    """The net, with stand-ins for symbolic sizes. Raises UserError."""
    try:
        return elaborate(module, name)
    except UserError as error:
        open_sizes = {
            item.primary.span.text: STAND_IN
            for item in error.diagnostics
            if item.code is Code.UNBOUND_SIZE and item.primary is not None
        }
        if not open_sizes:
            raise
    return elaborate(module, name, sizes=open_sizes)


def _keep(found: Diagnostics, items: tuple[Diagnostic, ...]) -> None:
    for item in items:
        found.add(item)


# -- what is said of layers ----------------------------------------------------------------------------


def shape_text(layer: Layer | Instance) -> str:
    """``[64, 112, 112]``; those of all results of a block."""
    types = [layer.node.types[0]] if isinstance(layer, Layer) else [value.type for value in layer.results]
    return ", ".join(str(list(type.shape)) for type in types)


def receptive_text(layer: Layer | Instance) -> str:
    """``7 x 7, stride 2``; empty where there is no spatial relation to an input."""
    if layer.field is None:
        return ""
    sizes = [number_text(extent.size) for extent in (layer.field.height, layer.field.width)]
    jumps = [number_text(extent.jump) for extent in (layer.field.height, layer.field.width)]
    steps = jumps[0] if jumps[0] == jumps[1] else " x ".join(jumps)
    return f"{' x '.join(sizes)}, stride {steps}"


def shapes_of_lines(document: Document, first: int, last: int) -> Iterator[tuple[Span, str]]:
    """For each line (from 1) with layers or uses of blocks: the text of the last of them, and the shapes it gives."""
    by_line: dict[int, tuple[int, int]] = {}
    for key in (*document.layers, *document.instances):
        line = document.source.line_of(max(key[0], key[1] - 1))
        if first <= line <= last and (line not in by_line or key[1] > by_line[line][1]):
            by_line[line] = key
    for _, key in sorted(by_line.items()):
        made: list[Layer | Instance] = [*document.layers.get(key, ()), *document.instances.get(key, ())]
        shapes = list(dict.fromkeys(map(shape_text, made)))
        text = " ".join(shapes[:2]) + (" ..." if len(shapes) > 2 else "")
        yield document.source.span(*key), text
