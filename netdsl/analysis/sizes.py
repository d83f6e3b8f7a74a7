"""Sets of sizes: a few intervals, and behind them residue classes that go on for ever.

Along one axis of an input, every op's result has a size that is affine in the input's size, rounded; so whether a
network accepts a size is, from some size on, periodic in it. :func:`find_rule` finds that rule from the sizes that
were tried, and :class:`SizeSet` holds and says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from netdsl.record import record

SHOWN_PIECES = 12
"""Intervals and residues said in a text; the rest is counted."""


@record
class SizeSet:
    """Sizes from 1 on: those in ``runs``, and from ``start`` on those with one of ``residues`` modulo ``modulus``.

    ``runs`` are closed intervals below ``start``, ascending and apart. No residues: nothing from ``start`` on.
    ``known_to`` is the largest size that was tried where no rule was found for larger ones, else None.
    """

    runs: tuple[tuple[int, int], ...]
    start: int
    modulus: int = 1
    residues: tuple[int, ...] = ()
    known_to: int | None = None

    def __contains__(self, size: object) -> bool:
        if not isinstance(size, int):
            return False
        if size >= self.start:
            return size % self.modulus in self.residues
        return any(first <= size <= last for first, last in self.runs)

    def __bool__(self) -> bool:
        return bool(self.runs or self.residues)

    @property
    def smallest(self) -> int:
        """ValueError for the empty set."""
        return self.runs[0][0] if self.runs else min(self._from_start(residue) for residue in self.residues)

    def below(self, size: int) -> int | None:
        """The largest member smaller than ``size``."""
        classes = [size - 1 - (size - 1 - residue) % self.modulus for residue in self.residues]
        found = [number for number in classes if number >= self.start]
        found += [min(last, size - 1) for first, last in self.runs if first < size]
        return max(found, default=None)

    def above(self, size: int) -> int | None:
        """The smallest member larger than ``size``."""
        found = [max(first, size + 1) for first, last in self.runs if last > size]
        low = max(self.start, size + 1)
        found += [low + (residue - low) % self.modulus for residue in self.residues]
        return min(found, default=None)

    def nearest(self, size: int) -> list[int]:
        """``size`` itself, or its neighbours on both sides."""
        if size in self:
            return [size]
        return [number for number in (self.below(size), self.above(size)) if number is not None]

    def _from_start(self, residue: int) -> int:
        return self.start + (residue - self.start) % self.modulus

    def including(self, size: int) -> SizeSet:
        """This set and ``size``; where that is news, nothing is claimed of sizes beyond those it was found from."""
        if size in self:
            return self
        members = [number for number in range(1, self.start) if number in self]
        return SizeSet(tuple(_intervals(sorted({*members, size}))), max(self.start, size + 1), known_to=self.start - 1)

    def up_to(self, size: int) -> SizeSet:
        """The members up to ``size``, without a rule for larger ones."""
        members = [number for number in range(1, size + 1) if number in self]
        return SizeSet(tuple(_intervals(members)), size + 1, known_to=size)

    # -- telling -------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        """``H = 0 mod 32, H >= 64``; several pieces are joined by `` or ``."""
        pieces = list(_runs_text(self.runs, name))
        if self.residues:
            pieces.append(self._tail_text(name))
        return _shortened(pieces, "; or ", "pieces") if pieces else f"no {name}"

    def _tail_text(self, name: str) -> str:
        if self.modulus == 1:
            return f"{name} >= {self.start}"
        first_members = min(residue or self.modulus for residue in self.residues)
        classes = f"{name} {_residues_text(self.residues, self.modulus)} mod {self.modulus}"
        return classes if self.start <= first_members else f"{classes}, {name} >= {self.start}"

    def to_json(self, name: str) -> dict[str, Any]:
        """The set as data; ``modulus`` is null where it is finite."""
        endless = bool(self.residues)
        return {
            "text": self.text(name),
            "ranges": [list(run) for run in self.runs],
            "from": self.start if endless else None,
            "modulus": self.modulus if endless else None,
            "residues": list(self.residues),
            "known_to": self.known_to,
        }


def _runs_text(runs: Sequence[tuple[int, int]], name: str) -> Iterator[str]:
    """Intervals as they are, single sizes in one list, or as the progression that they are."""
    singles = [first for first, last in runs if first == last]
    steps = {after - before for before, after in pairwise(singles)}
    if len(singles) > 3 and len(steps) == 1:
        step = steps.pop()
        yield f"{name} = {singles[0] % step} mod {step}, {singles[0]} <= {name} <= {singles[-1]}"
    elif singles:
        yield f"{name} = {listed(singles)}"
    for first, last in runs:
        if first != last:
            yield f"{first} <= {name} <= {last}"


def _residues_text(residues: Sequence[int], modulus: int) -> str:
    """``= 0``, ``= 1 or 3``, ``= 10..31``, or what is left out where that is shorter."""
    left_out = sorted(set(range(modulus)) - set(residues))
    if len(left_out) < min(3, len(residues)):
        return f"not {listed(left_out)}"
    pieces = [str(low) if low == high else f"{low}..{high}" for low, high in _intervals(residues)]
    return f"= {_joined(pieces)}"


def _shortened(pieces: list[str], glue: str, what: str) -> str:
    if len(pieces) <= SHOWN_PIECES:
        return glue.join(pieces)
    return glue.join(pieces[:SHOWN_PIECES]) + f"{glue}{len(pieces) - SHOWN_PIECES} more {what}"


def listed(numbers: Sequence[int]) -> str:
    """``5``, ``5 or 7``, ``5, 7 or 9``; the middle of a long list is counted."""
    return _joined([str(number) for number in numbers])


def _joined(pieces: list[str]) -> str:
    if len(pieces) > SHOWN_PIECES:
        return f"{', '.join(pieces[: SHOWN_PIECES - 1])}, {len(pieces) - SHOWN_PIECES} more or {pieces[-1]}"
    return pieces[0] if len(pieces) == 1 else f"{', '.join(pieces[:-1])} or {pieces[-1]}"


def _intervals(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as closed intervals."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


# -- finding ---------------------------------------------------------------------------------------


def find_rule(legal: Sequence[bool]) -> SizeSet:
    """The set that agrees with ``legal`` (entry i is about size i + 1) and goes on by the shortest period it shows.

    A period counts where it held over the last quarter of what was tried and over three periods. Without any, the
    set ends with what was tried (``known_to``). What it says beyond that is for the caller to verify.
    """
    tried = len(legal)
    for modulus in range(1, tried // 4 + 1):
        start = _periodic_from(legal, modulus)
        if tried - start + 1 >= max(3 * modulus, tried // 4):
            return _with_tail(legal, start, modulus)
    return SizeSet(tuple(_intervals(_members(legal))), tried + 1, known_to=tried)


def _periodic_from(legal: Sequence[bool], modulus: int) -> int:
    """The smallest size from which on every size is as the one a period later."""
    for index in range(len(legal) - modulus - 1, -1, -1):
        if legal[index] != legal[index + modulus]:
            return index + 2
    return 1


def _with_tail(legal: Sequence[bool], start: int, modulus: int) -> SizeSet:
    members = _members(legal)
    residues = tuple(sorted({size % modulus for size in members if size >= start}))
    if residues:
        start = min(size for size in members if size >= start)
    return SizeSet(tuple(_intervals([size for size in members if size < start])), start, modulus, residues)


def _members(legal: Sequence[bool]) -> list[int]:
    return [index + 1 for index, is_legal in enumerate(legal) if is_legal]
