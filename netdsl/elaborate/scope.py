"""Names of values: where they are bound, and whether anybody reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from netdsl.elaborate.values import Known
from netdsl.record import record
from netdsl.source import Span

Bound = TypeVar("Bound")


@dataclass(slots=True)
class Binding:
    """A name's value. ``what`` is "value", "argument", "input", "layer", "loop" or "constant"."""

    value: Known
    span: Span
    what: str


@record(frozen=False, eq=False)
class Nested(Generic[Bound]):
    """The names bound in one pair of braces. ``inner`` ones (``for``, ``if``) may bind the names of those around them
    again, up to the body of the net or block."""

    parent: Nested[Bound] | None = None
    inner: bool = False
    bindings: dict[str, Bound] = field(default_factory=dict)

    def find(self, name: str) -> Bound | None:
        scope: Nested[Bound] | None = self
        while scope is not None:
            binding = scope.bindings.get(name)
            if binding is not None:
                return binding
            scope = scope.parent
        return None

    def rebindable(self, name: str) -> Bound | None:
        """The binding of an outer name that this inner scope may bind again."""
        scope: Nested[Bound] = self
        while scope.inner and scope.parent is not None:
            scope = scope.parent
            binding = scope.bindings.get(name)
            if binding is not None:
                return binding
        return None

    def names(self) -> Iterator[str]:
        scope: Nested[Bound] | None = self
        while scope is not None:
            yield from scope.bindings
            scope = scope.parent


class Scope(Nested[Binding]):
    """The values of names."""


@record(frozen=False)
class Usage:
    """What was bound where, over all instances of a block, and which of it was read."""

    bound: dict[Span, tuple[str, str]] = field(default_factory=dict)
    read: set[Span] = field(default_factory=set)

    def bind(self, name: str, span: Span, what: str) -> None:
        self.bound.setdefault(span, (name, what))

    def unread(self) -> list[tuple[Span, str, str]]:
        """(span, name, what) of names nobody reads; names that begin with ``_`` are meant to be so."""
        return [
            (span, name, what)
            for span, (name, what) in self.bound.items()
            if span not in self.read and not name.startswith("_")
        ]
