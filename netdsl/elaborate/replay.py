"""Repeating an elaboration on shapes alone, at other sizes of the inputs.

A :class:`Trace` holds every use of an op, in order, by the numbers of the values that go in. Repeating it asks the ops'
own rules again. Where the file calculates with a size (``crop((H // 8, W // 8))``), the trace has the formula; where it
decides by one (``if height(x) > 64``), a replay notices that it would decide otherwise, and says that only an
elaboration can tell.

Networks repeat themselves, so a trace is condensed before it is used often: values of equal shapes at a few sizes form
a class, and of the uses of one op on the same classes one is kept. That is exact, too: a condensed replay checks that
whatever gives a class gives the same shape, and otherwise the whole trace is repeated.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import Enum
from typing import Any

from netdsl.diagnostics import Code
from netdsl.elaborate import limits
from netdsl.elaborate.sized import Axis, Formula, Shape, Sizes, evaluate, renumbered, replaced, settled
from netdsl.ir.types import DType, TensorType
from netdsl.ops import base as ops
from netdsl.record import record


class Verdict(Enum):
    FITS = "every op takes its operands"
    REFUSED = "an op refuses its operands"
    TOO_LARGE = "a tensor would have more elements than the limit"
    UNDECIDED = "only an elaboration can tell"


@record
class Outcome:
    """What a network does at one size. ``progress`` grows the further an elaboration comes before it is refused.

    ``weights``: shapes of all weights, equal for sizes that can share a checkpoint.
    """

    verdict: Verdict
    progress: tuple[int, int] = (0, 0)
    weights: tuple[object, ...] = ()


UNDECIDED, TOO_LARGE = Outcome(Verdict.UNDECIDED), Outcome(Verdict.TOO_LARGE)


# -- steps -----------------------------------------------------------------------------------------


@record
class Source:
    """An input: its axes are numbers, axes whose size is asked about, or formulas."""

    axes: tuple[int | Axis | Formula, ...]
    results: int = 1

    def shape(self, shapes: Sequence[Any], sizes: Sizes) -> Shape:
        return tuple([sizes[axis] if isinstance(axis, Axis) else evaluate(axis, shapes, sizes) for axis in self.axes])

    def settled(self, names: Collection[str]) -> Source:
        return Source(tuple([axis if isinstance(axis, Axis) else settled(axis, names) for axis in self.axes]))

    def renumbered(self, numbers: Sequence[int]) -> Source:
        return Source(tuple([axis if isinstance(axis, Axis) else renumbered(axis, numbers) for axis in self.axes]))


@record
class Decision:
    """The file compared two numbers that follow from sizes, and went on by the outcome."""

    sign: str
    left: Formula | int
    right: Formula | int
    outcome: bool
    results: int = 0

    def still(self, shapes: Sequence[Any], sizes: Sizes) -> bool:
        """Whether the outcome would be the same."""
        left, right = evaluate(self.left, shapes, sizes), evaluate(self.right, shapes, sizes)
        return _COMPARISONS[self.sign](left, right) is self.outcome

    def settled(self, names: Collection[str]) -> Decision | None:
        """None where no size changes the outcome."""
        left, right = settled(self.left, names), settled(self.right, names)
        is_fixed = isinstance(left, int) and isinstance(right, int)
        return None if is_fixed else Decision(self.sign, left, right, self.outcome)

    def renumbered(self, numbers: Sequence[int]) -> Decision:
        return replace(self, left=renumbered(self.left, numbers), right=renumbered(self.right, numbers))


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@record
class Answer:
    """What an op says to operands of certain shapes."""

    results: tuple[Shape, ...] = ()
    weights: tuple[Shape, ...] = ()
    refused: bool = False
    too_large: bool = False


@record(frozen=False, eq=False)
class Answers:
    """What ops said, for all traces of a file: uses of one op with the same arguments share a table by shapes."""

    tables: dict[object, dict[tuple[Shape, ...], Answer]] = field(default_factory=dict)
    asked: int = 0

    def table(self, definition: ops.OpDef, attrs: Mapping[str, Any], kinds: object) -> dict[tuple[Shape, ...], Answer]:
        """The one for these arguments."""
        key: object = (definition.name, tuple(sorted(attrs.items(), key=lambda item: item[0])), kinds)
        try:
            hash(key)
        except TypeError:
            key = object()
        return self.tables.setdefault(key, {})


OPEN = object()
"""Stands for an argument that follows from sizes where arguments are compared."""


@record(frozen=False, eq=False)
class Use:
    """One use of an op; ``operands`` are numbers of values, and ``weights`` full names.

    ``formulas`` are those of the numbers in ``attrs`` that follow from sizes, and ``answers`` what the op said to the
    same arguments, both once the use is settled.
    """

    definition: ops.OpDef
    attrs: Mapping[str, Any]
    operands: tuple[int, ...]
    kinds: tuple[tuple[bool, DType], ...]
    memory: Answers
    formulas: tuple[Formula | int, ...] = ()
    results: int = 0
    weights: tuple[str, ...] = ()
    answers: dict[tuple[Shape, ...], Answer] = field(default_factory=dict)

    def settled(self, names: Collection[str]) -> Use:
        found = [settled(formula, names) for formula in self.formulas]
        numbers = iter([item if isinstance(item, int) else OPEN for item in found])
        attrs = {name: replaced(value, numbers) for name, value in self.attrs.items()} if found else self.attrs
        answers = self.memory.table(self.definition, attrs, self.kinds)
        if all(isinstance(item, int) for item in found):
            return replace(self, attrs=attrs, formulas=(), answers=answers)
        return replace(self, formulas=tuple(found), answers=answers)

    def answer(self, operands: tuple[Shape, ...], shapes: Sequence[Any], sizes: Sizes) -> Answer:
        """What the op says to operands of these shapes, and to arguments that follow from ``shapes`` and ``sizes``."""
        if not self.formulas:
            return self.answers.get(operands) or self._ask(operands, operands, ())
        numbers = tuple([evaluate(formula, shapes, sizes) for formula in self.formulas])
        key = (*operands, numbers)
        return self.answers.get(key) or self._ask(key, operands, numbers)

    def _ask(self, key: tuple[Shape, ...], operands: tuple[Shape, ...], numbers: tuple[int, ...]) -> Answer:
        self.memory.asked += 1
        attrs = self.attrs
        if numbers:
            following = iter(numbers)
            attrs = {name: replaced(value, following) for name, value in attrs.items()}
        allowed = not numbers or all(_is_allowed(arg, attrs.get(arg.name)) for arg in self.definition.args)
        found = self.answers[key] = self._asked(attrs, operands) if allowed else Answer(refused=True)
        return found

    def _asked(self, attrs: Mapping[str, Any], shapes: tuple[Shape, ...]) -> Answer:
        types = [TensorType(shape, *kind) for shape, kind in zip(shapes, self.kinds, strict=True)]
        try:
            resolved = self.definition.resolve(attrs, types)
            if self.definition.shape_operands:
                types = types[: len(self.definition.operands)]
            weights = [spec.shape for spec in self.definition.parameters(resolved, types)]
            operands = types + [TensorType(shape, False) for shape in weights]
            results = self.definition.infer(resolved, operands)
        except ops.ShapeError as error:
            return Answer(refused=error.code is not Code.LIMIT_SIZE, too_large=error.code is Code.LIMIT_SIZE)
        too_large = any(type.elements > limits.MAX_ELEMENTS for type in (*operands, *results))
        return Answer(tuple(type.shape for type in results), tuple(weights), too_large=too_large)


def _is_allowed(arg: ops.Arg, value: Any) -> bool:
    """Whether the numbers of an argument are within its bounds."""
    numbers = [item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, int)]
    low, high = arg.minimum, arg.maximum
    return all((low is None or item >= low) and (high is None or item <= high) for item in numbers)


Step = Source | Decision | Use


# -- traces ----------------------------------------------------------------------------------------


@record(frozen=False, eq=False)
class Trace:
    """The steps of one elaboration. ``complete``: it found no error, so a replay that fits is the whole answer."""

    steps: list[Step] = field(default_factory=list)
    complete: bool = False
    shared: frozenset[str] = frozenset()
    """Weights that several uses of a layer share."""
    condensed: Condensed | None = None

    @property
    def length(self) -> int:
        """Steps of one replay."""
        return len(self.condensed.steps if self.condensed else self.steps)

    def replay(self, sizes: Mapping[Axis, int]) -> Outcome:
        """What the elaboration would do with these sizes of the inputs."""
        if self.condensed is not None:
            found = self.condensed.replay(sizes, self.shared)
            if found is not None:
                return found
        found = self.replay_whole(sizes, [])
        return found if self.condensed is None else self.condensed.comparable(found)

    def replay_whole(self, sizes: Mapping[Axis, int], shapes: list[Shape]) -> Outcome:
        """All steps; ``shapes`` takes the shapes of all values that are reached."""
        weights: list[object] = []
        shared: dict[str, Shape] = {}
        for number, step in enumerate(self.steps):
            if isinstance(step, Use):
                operands = tuple([shapes[index] for index in step.operands])
                answer = step.answer(operands, shapes, sizes)
                if answer.too_large:
                    return TOO_LARGE
                if answer.refused or (self.shared and not _shareable(step, answer, self.shared, shared)):
                    return Outcome(Verdict.REFUSED, (number, -_differing(operands)))
                if not step.results:
                    continue  # refused when it was recorded, and taken now: nothing is known of what follows
                shapes.extend(answer.results)
                if answer.weights:
                    weights.append(answer.weights)
            elif isinstance(step, Source):
                shapes.append(step.shape(shapes, sizes))
                if (refusal := _source_refused(shapes[-1], number)) is not None:
                    return refusal
            elif not step.still(shapes, sizes):
                return UNDECIDED
        return Outcome(Verdict.FITS, weights=tuple(weights)) if self.complete else UNDECIDED

    def settle(self, axes: Iterable[Axis]) -> None:
        """The elaboration is over, and no other axes than these will have other sizes: the rest is worked out."""
        names = {axis.name for axis in axes if axis.literal is None}
        self.steps = [found for step in self.steps if (found := step.settled(names)) is not None]

    def condense(self, points: Sequence[Mapping[Axis, int]]) -> None:
        """Make later replays cheaper; of ``points``, those that fit tell which values have equal shapes."""
        if not self.complete:
            return
        columns = []
        for sizes in points:
            shapes: list[Shape] = []
            if self.replay_whole(sizes, shapes).verdict is Verdict.FITS:
                columns.append(shapes)
        if columns:
            self.condensed = Condensed.of(self.steps, list(zip(*columns, strict=True)), self.shared)


@record(frozen=False, eq=False)
class Condensed:
    """One of the steps that do the same to values of the same classes: (its number, it, classes in, classes out)."""

    steps: list[tuple[int, Step, tuple[int, ...], tuple[int, ...]]]
    classes: int
    weighted: list[int]
    """For every use with weights, which of ``steps`` stands for it."""

    @staticmethod
    def of(steps: Sequence[Step], signatures: Sequence[object], shared: frozenset[str]) -> Condensed:
        """``signatures``: for every value what values of its class have in common."""
        numbers: dict[object, int] = {}
        class_of = [numbers.setdefault(signature, len(numbers)) for signature in signatures]
        kept: dict[object, tuple[int, Step, tuple[int, ...], tuple[int, ...]]] = {}
        position: dict[object, int] = {}
        weighted = []
        made = 0
        for number, step in enumerate(steps):
            results = tuple(class_of[made : made + step.results])
            made += step.results
            if isinstance(step, Use):
                operands = tuple([class_of[index] for index in step.operands])
                own = shared.intersection(step.weights)
                if step.formulas:
                    step = replace(step, formulas=tuple([renumbered(item, class_of) for item in step.formulas]))
                key: object = number if own else (id(step.answers), operands, step.formulas)
            else:
                operands, step = (), step.renumbered(class_of)
                key = step if isinstance(step, Decision) else number
            kept.setdefault(key, (number, step, operands, results))
            if isinstance(step, Use) and step.weights:
                weighted.append(position.setdefault(key, len(kept) - 1))
        return Condensed(list(kept.values()), len(numbers), weighted)

    def replay(self, sizes: Mapping[Axis, int], shared_names: frozenset[str]) -> Outcome | None:
        """As that of the trace; None where values of one class turn out to differ."""
        shapes: list[Shape | None] = [None] * self.classes
        weights: list[object] = [()] * len(self.steps)
        shared: dict[str, Shape] = {}
        for position, (number, step, inputs, outputs) in enumerate(self.steps):
            operands: Any = tuple([shapes[index] for index in inputs])
            if isinstance(step, Use):
                answer = step.answer(operands, shapes, sizes)
                if answer.too_large:
                    return TOO_LARGE
                if answer.refused or (shared_names and not _shareable(step, answer, shared_names, shared)):
                    return Outcome(Verdict.REFUSED, (number, -_differing(operands)))
                results, weights[position] = answer.results, answer.weights
            elif isinstance(step, Source):
                results = (step.shape(shapes, sizes),)
                if (refusal := _source_refused(results[0], number)) is not None:
                    return refusal
            elif not step.still(shapes, sizes):
                return UNDECIDED
            else:
                continue
            for index, shape in zip(outputs, results, strict=True):
                if shapes[index] is None:
                    shapes[index] = shape
                elif shapes[index] != shape:
                    return None
        return Outcome(Verdict.FITS, weights=tuple(weights))

    def comparable(self, whole: Outcome) -> Outcome:
        """What a whole replay found, with the weights of the steps kept here where those stand for all others."""
        weights: list[object] = [()] * len(self.steps)
        for position, own in zip(self.weighted, whole.weights, strict=False):
            if weights[position] not in ((), own):
                return whole
            weights[position] = own
        return replace(whole, weights=tuple(weights))


def _source_refused(shape: Shape, number: int) -> Outcome | None:
    """What is wrong with the shape of an input, if anything."""
    if min(shape, default=1) < 1:
        return Outcome(Verdict.REFUSED, (number, 0))
    return TOO_LARGE if TensorType(shape).elements > limits.MAX_ELEMENTS else None


def _shareable(use: Use, answer: Answer, shared: frozenset[str], seen: dict[str, Shape]) -> bool:
    """Whether weights that several uses share have one shape in all of them."""
    for name, shape in zip(use.weights, answer.weights, strict=False):
        if name in shared and seen.setdefault(name, shape) != shape:
            return False
    return True


def _differing(operands: tuple[Shape, ...]) -> int:
    """How many sizes behind the channels differ from those of the first operand: less is nearer to a join that fits."""
    if len(operands) < 2:
        return 0
    first = operands[0]
    return sum(a != b for other in operands[1:] for a, b in zip(first[1:], other[1:], strict=False))
