"""What a pass is, and the record of what passes did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from enum import Enum
from typing import ClassVar

from netdsl.ir.graph import Graph, Node
from netdsl.record import record
from netdsl.source import Span


class Mode(Enum):
    """What the graph will be used for; some rewrites hold for inference only."""

    INFERENCE = "inference"
    TRAINING = "training"


@record
class Rewritten:
    """``nodes`` (their names before) became something else; ``text`` says what."""

    pass_name: str
    nodes: tuple[str, ...]
    text: str
    spans: frozenset[Span] = frozenset()


@record
class Refused:
    """A pattern was there but rewriting it would be wrong or would not pay."""

    pass_name: str
    node: str
    reason: str
    spans: frozenset[Span] = frozenset()


@record(frozen=False)
class PassReport:
    """Everything the passes did, in the order they did it."""

    passes: list[str] = field(default_factory=list)
    entries: list[Rewritten | Refused] = field(default_factory=list)

    @property
    def rewritten(self) -> list[Rewritten]:
        return [entry for entry in self.entries if isinstance(entry, Rewritten)]

    @property
    def refused(self) -> list[Refused]:
        return [entry for entry in self.entries if isinstance(entry, Refused)]


class Log:
    """Where one pass writes its entries; also tells it the mode."""

    def __init__(self, pass_name: str, mode: Mode, report: PassReport) -> None:
        self._pass_name, self._report = pass_name, report
        self.training = mode is Mode.TRAINING

    def rewrote(self, nodes: Sequence[Node], text: str) -> None:
        names = tuple(node.name for node in nodes)
        self._report.entries.append(Rewritten(self._pass_name, names, text, union_of_spans(nodes)))

    def refused(self, node: Node, reason: str) -> None:
        self._report.entries.append(Refused(self._pass_name, node.name, reason, node.spans))


@record
class Pass:
    """A graph rewrite. Subclasses are frozen dataclasses whose fields are their options."""

    name: ClassVar[str]

    def run(self, graph: Graph, log: Log) -> None:
        """Rewrite ``graph`` in place. Its function and the types of its outputs stay the same."""
        raise NotImplementedError(self.name)


def union_of_spans(nodes: Iterable[Node]) -> frozenset[Span]:
    """Where in the source all these nodes came from."""
    spans: frozenset[Span] = frozenset()
    return spans.union(*(node.spans for node in nodes))
