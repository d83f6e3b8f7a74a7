"""The naming rule: how nodes and weights are called.

A full name is the dotted path of the names around a thing, and its own. The own name is what ``as`` says;
in a named group or repetition it is the position (0, 1, ...); otherwise the kind and its ordinal among all
of that kind in the same scope (``conv1``, ``bn2``), so that naming one layer renames no other.
"""

from __future__ import annotations

from dataclasses import field

from netdsl.record import record, struct


@record(frozen=False)
class NameScope:
    """The inside of a net, a block instance or a named group.

    ``prefix`` leads the names of nodes, ``weights`` those of parameters; they differ only where a shared
    layer is used again.
    """

    prefix: str = ""
    weights: str = ""
    shared: bool = False
    _counts: dict[str, int] = field(default_factory=dict)

    def ordinal(self, kind: str) -> str:
        """Count one more of ``kind``: ``conv1``, ``conv2``, ..."""
        number = self._counts.get(kind, 0) + 1
        self._counts[kind] = number
        return f"{kind}{number}"

    def inside(self, name: str) -> NameScope:
        return NameScope(f"{self.prefix}{name}.", f"{self.weights}{name}.", self.shared)


@record(frozen=False)
class Numbering:
    """Positions in a named group."""

    position: int = 0

    def take(self) -> str:
        self.position += 1
        return str(self.position - 1)


@struct
class Spot:
    """Where the next thing made gets its name: said by ``as``, by a position, or by its kind."""

    scope: NameScope
    name: str | None = None
    numbering: Numbering | None = None

    def take(self, kind: str) -> str:
        """The own name of a thing of this kind; every call is one more thing."""
        ordinal = self.scope.ordinal(kind)
        if self.name is not None:
            return self.name
        if self.numbering is not None:
            return self.numbering.take()
        return ordinal

    def named(self, name: str) -> Spot:
        """The spot below ``as name``; in a group it still takes up a position."""
        if self.numbering is not None:
            self.numbering.take()
        return Spot(self.scope, name)
