"""Watching an elaboration, to learn what it would do at other sizes of the inputs.

Nothing symbolic enters the graph: a :class:`Probe` takes the axes of the inputs for given numbers and records the uses
of ops as a :class:`~netdsl.elaborate.replay.Trace`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Code, Diagnostic
from netdsl.elaborate.replay import Answers, Decision, Source, Trace, Use
from netdsl.elaborate.sized import Axis, Formula, OfName, OfValue, Sized, plain, sized_in
from netdsl.ir.graph import Value
from netdsl.ops import base as ops
from netdsl.record import record
from netdsl.source import Span
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.values import Tensor

AXIS_WORDS = ("height", "width")
STAND_IN = 224
"""What an unbound size is taken for first; it can be halved five times."""


@record(frozen=False, eq=False)
class Probe:
    """Watches one elaboration, in which the axes have the sizes ``sizes``.

    Axes without one have that of the file or the caller; unbound names are taken for ``stand_in``. ``literal`` sizes
    are asked about too, and then only the net is built: what a ``train`` block says of sizes does not follow them.
    """

    sizes: Mapping[Axis, int] = field(default_factory=dict)
    stand_in: int = STAND_IN
    literal: bool = False
    memory: Answers = field(default_factory=Answers)
    found: dict[Axis, int] = field(default_factory=dict)
    """The axes that were met, and what they were taken for."""
    trace: Trace = field(default_factory=Trace)
    steps: int = 0
    """How long the elaboration was."""
    refusals: set[tuple[Code, Span | None]] = field(default_factory=set)
    _values: dict[Value, int] = field(default_factory=dict)
    _named_axes: dict[str, Axis] = field(default_factory=dict)
    _axes_at: dict[Span, Axis] = field(default_factory=dict)
    _formulas_at: dict[Span, Formula] = field(default_factory=dict)
    _weights: set[str] = field(default_factory=set)
    _named: set[str] = field(default_factory=set)
    _measured: bool = False
    _count: int = 0

    @property
    def reads(self) -> bool:
        """Whether the file reads a height or width, so that some other size may put right whatever is wrong."""
        return self._measured or not self._named.isdisjoint(self._named_axes)

    # -- axes of inputs ------------------------------------------------------------------------

    def unbound(self, name: tree.Name, number: int, given: int | None) -> int:
        """The size of a name that the file does not bind; ``given`` is what the caller says."""
        axis = self._known(name.text) or Axis(name.text, number == 1)
        return self._meet(axis, name.span, self.sizes.get(axis, self.stand_in if given is None else given))

    def bound(self, name: str, span: Span, number: int, value: int) -> int:
        """The size of a name that the caller or an argument of the net gives."""
        axis = self._known(name) or Axis(name, number == 1)
        return self._meet(axis, span, self.sizes.get(axis, int(value)))

    def written(self, span: Span, number: int, value: int) -> int:
        """The size of an axis that is a number in the file."""
        if not self.literal:
            return value
        axis = Axis(AXIS_WORDS[number - 1], number == 1, value)
        return self._meet(axis, span, self.sizes.get(axis, value))

    def arguments(self, names: Collection[str]) -> dict[str, int]:
        """The sizes asked about that are arguments of the net."""
        return {axis.name: size for axis, size in self.sizes.items() if axis.literal is None and axis.name in names}

    def _known(self, name: str) -> Axis | None:
        return self._named_axes.get(name)

    def _meet(self, axis: Axis, span: Span, value: int) -> int:
        self.found[axis] = value
        if axis.literal is None:
            self._named_axes.setdefault(axis.name, axis)
        self._axes_at[span] = axis
        return value

    # -- what happens --------------------------------------------------------------------------

    def source(self, value: Value, axes: Sequence[tree.Expr]) -> None:
        """An input of the net, or a target of its training."""
        shape = value.type.shape
        named = [self._place(item.span, size) for item, size in zip(axes, shape, strict=True)]
        self._number([value])
        self.trace.steps.append(Source(tuple(named)))

    def _place(self, span: Span, size: int) -> Axis | Formula | int:
        axis = self._axes_at.get(span)
        return axis if axis is not None else self._formulas_at.get(span, size)

    def calculated(self, span: Span, value: Any) -> Any:
        """An axis that is an expression: its number, whose formula is kept."""
        if isinstance(value, Sized):
            self._formulas_at[span] = value.formula
            return int(value)
        return value

    def use(self, definition: ops.OpDef, attrs: Mapping[str, Any], operands: Sequence[Tensor]) -> Use:
        """An op is about to be asked; :meth:`made` tells how it went."""
        numbers = tuple([self._values[item.value] for item in operands])
        kinds = tuple([(item.type.batched, item.type.dtype) for item in operands])
        formulas = tuple([item.formula for value in attrs.values() for item in sized_in(value)])
        use = Use(definition, attrs, numbers, kinds, self.memory, formulas)
        self.trace.steps.append(use)
        return use

    def refused(self, code: Code, span: Span) -> None:
        """The op of the last use was refused, which is reported so."""
        self.refusals.add((code, span))

    def weighted(self, use: Use, names: tuple[str, ...]) -> None:
        """The full names of the weights of a use."""
        use.weights = names
        again = self._weights.intersection(names)
        if again:
            self.trace.shared |= again
        self._weights.update(names)

    def made(self, use: Use, values: Sequence[Value]) -> None:
        """The results of a use, now in the graph."""
        use.results = len(values)
        self._number(values)

    def _number(self, values: Sequence[Value]) -> None:
        for value in values:
            self._values[value] = self._count
            self._count += 1

    def copied(self, table: Mapping[Value, Value]) -> None:
        """The graph was copied: values of the copy are those they were made from."""
        for old, new in table.items():
            if old in self._values:
                self._values[new] = self._values[old]

    def measured(self, value: Value, axis: int, number: int) -> int:
        """The size of a value, as the file reads it."""
        self._measured = self._measured or axis > 0
        return Sized.of(number, OfValue(self._values[value], axis), self)

    def named(self, name: str, found: Any) -> Any:
        """What a name stands for, that is or may be that of an axis."""
        self._named.add(name)
        found = plain(found)
        is_whole = isinstance(found, int) and not isinstance(found, bool)
        return Sized.of(found, OfName(name, found), self) if is_whole else found

    def decided(self, sign: str, left: Formula | int, right: Formula | int, outcome: bool) -> None:
        """The file went on by a comparison of numbers that follow from sizes."""
        self.trace.steps.append(Decision(sign, left, right, outcome))

    def explains(self, item: Diagnostic) -> bool:
        """Whether a finding is an op's refusal of its operands."""
        return (item.code, item.primary.span if item.primary else None) in self.refusals
