"""What an op is: one class, in one place, that every stage asks.

A family file subclasses :class:`OpDef` and registers one instance. The class docstring is the op's
manual entry. Shapes exclude the batch axis; run-time arrays of batched values have a leading N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.scalar import Expr
from netdsl.ir.types import DType, TensorType
from netdsl.record import record, struct

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

Array: TypeAlias = "np.ndarray[Any, Any]"
Attrs = Mapping[str, Any]


class Kind(Enum):
    """What a compile-time argument may be, in the words an error message uses."""

    INT = "a whole number"
    FLOAT = "a number"
    BOOL = "yes or no"
    WORD = "a word"
    SIZE = "a size such as 3 or 3x3"
    PAD = "a padding: a number, (vertical, horizontal), (top, bottom, left, right) or same"
    SHAPE = "a shape such as [16, 5, 5]"
    INTS = "a list of whole numbers"
    FLOATS = "a number or a list of numbers"
    TEXT = "a text in quotes"


REQUIRED = object()


@record
class Arg:
    """One compile-time argument of an op.

    ``words`` are the words it accepts beside (or, for ``Kind.WORD``, as) its values; ``minimum`` and
    ``maximum`` bound numbers (each element of sizes and lists); ``doc`` is one line of the manual.
    Values reach the op in canonical form: SIZE as (height, width), PAD as (top, bottom, left, right)
    or its word, SHAPE and INTS as tuples, BOOL as bool.
    """

    name: str
    kind: Kind
    default: Any = REQUIRED
    words: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    doc: str = ""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


class ShapeError(Exception):
    """Operands or arguments that don't fit; the elaborator attaches the source spans.

    ``operand_notes`` says something about operand ``i`` beside its inferred shape; ``notes`` show the
    arithmetic; ``help`` is an edit that is likely right.
    """

    def __init__(
        self,
        code: Code,
        title: str,
        *,
        label: str = "",
        operand_notes: Mapping[int, str] | None = None,
        notes: Sequence[str] = (),
        help: str | None = None,
    ) -> None:
        super().__init__(title)
        self.code, self.title, self.label = code, title, label
        self.operand_notes = dict(operand_notes or {})
        self.notes, self.help = tuple(notes), help


@record
class OpWarning:
    """A legal but suspicious use (dropped pixels, ...); located like a ShapeError."""

    code: Code
    title: str
    label: str = ""
    notes: tuple[str, ...] = ()
    help: str | None = None


@record
class Cost:
    """Work for one sample: multiply-accumulates, and floating-point operations of any kind.

    A multiply-accumulate is two operations. An addition, product, quotient, comparison, maximum, choice, power,
    exponential, logarithm, root, tanh or logistic function is one; moving a number or integer arithmetic is none. A
    window is counted whole, taps on padding included. What is the same for all positions of a channel is counted once
    a channel, and what is done once for a whole batch is not counted.
    """

    macs: int = 0
    flops: int = 0


@record
class Traffic:
    """Elements that a use of an op reads of each operand and writes of each result, each once, for one sample."""

    reads: tuple[int, ...]
    writes: tuple[int, ...]


@struct
class Init:
    """How a parameter starts: zeros, ones, constant, normal, uniform, he, xavier or lecun.

    ``scale`` is the constant, the standard deviation or the bound; the variance-scaling kinds use the fans.
    """

    kind: str
    scale: float = 1.0
    fan_in: int = 1
    fan_out: int = 1


@struct
class ParamSpec:
    """A parameter an op owns; becomes one more operand, after those given in the file."""

    name: str
    shape: tuple[int, ...]
    init: Init
    trainable: bool = True
    decay: bool = True


@struct
class AxisMap:
    """Which input indices an output index depends on along one axis.

    Output index ``o`` reads the closed interval ``[scale*o + low, scale*o + high]`` of the input.
    """

    scale: Fraction
    low: Fraction
    high: Fraction

    @staticmethod
    def identity() -> AxisMap:
        return AxisMap(Fraction(1), Fraction(0), Fraction(0))

    @staticmethod
    @lru_cache(maxsize=1024)
    def window(kernel: int, stride: int, pad: int, dilation: int = 1) -> AxisMap:
        """A sliding window with ``pad`` leading zeros; of equal windows mostly the same object."""
        return AxisMap(Fraction(stride), Fraction(-pad), Fraction(dilation * (kernel - 1) - pad))

    def after(self, inner: AxisMap) -> AxisMap:
        """This map's input seen through ``inner`` (inner is nearer to the image)."""
        return AxisMap(
            self.scale * inner.scale,
            inner.scale * self.low + inner.low,
            inner.scale * self.high + inner.high,
        )


ReceptiveRule = tuple[AxisMap, AxisMap]
POINTWISE: ReceptiveRule = (AxisMap.identity(), AxisMap.identity())


@struct
class Call:
    """One use of an op: its arguments (resolved) and the types around it."""

    attrs: Attrs
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...] = ()

    @staticmethod
    def of(node: Node) -> Call:
        return Call(node.attrs, tuple([value.type for value in node.main_inputs]), node.types)


@record
class Again:
    """A computation that gives the first result of another node a second time, bit for bit."""

    op: str
    operands: tuple[Value, ...]
    attrs: Attrs


@record(frozen=False)
class TrainingContext:
    """What a training-mode rewrite may need beside its operands. ``first`` is the number of the batch's first sample,
    where the batch is a part of a larger one; ``shared`` are all samples that statistics are to be of, where those are
    more than the batch."""

    step: Value
    seed: Value
    updates: dict[str, Value] = field(default_factory=dict)
    first: int = 0
    shared: int = 0


class OpDef:
    """Base of all ops. Everything a subclass doesn't override has the meaning of a pointwise op without parameters."""

    name: ClassVar[str]
    args: ClassVar[tuple[Arg, ...]] = ()
    operands: ClassVar[tuple[str, ...]] = ("x",)
    variadic: ClassVar[bool] = False
    """The last operand may be given any number of times (concat, add)."""
    shape_operands: ClassVar[tuple[str, ...]] = ()
    """Optional tensors that only lend their shape (``crop(x, like = y)``): given by name, ``resolve`` sees their types
    behind those of the operands and turns them into numbers; they are no part of the graph."""
    internal: ClassVar[bool] = False
    """Made by the compiler only; can't be written in a file."""
    differentiable: ClassVar[bool] = True
    flat: ClassVar[bool] = False
    """Works element by element on operands of one shape (or scalars) without a scalar expression (optimizers)."""
    late: ClassVar[bool] = False
    """Waits for something outside of the graph: never runs earlier than where it stands."""

    @property
    def manual(self) -> str:
        """The manual entry."""
        return (self.__doc__ or "").strip()

    # -- typing ----------------------------------------------------------------------------

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Arguments with words such as ``same`` and ``global`` turned into numbers. Raises ShapeError."""
        return dict(attrs)

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        """Parameters of a fresh instance (attrs resolved, inputs are those given in the file)."""
        return []

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        """Result types from resolved attrs and all operands, parameters included. Raises ShapeError."""
        raise NotImplementedError(self.name)

    def warnings(self, call: Call) -> list[OpWarning]:
        return []

    # -- analysis --------------------------------------------------------------------------

    def cost(self, call: Call) -> Cost:
        """Work for one sample, as ``Cost`` counts. There is no default: an op that doesn't say cannot be reported."""
        raise NotImplementedError(self.name)

    def traffic(self, call: Call) -> Traffic:
        """Every operand and every result whole; ops that touch less, or nothing, say so."""
        return Traffic(tuple(type.elements for type in call.inputs), tuple(type.elements for type in call.outputs))

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        """How result positions map to positions of this operand; None when there is no spatial relation."""
        return POINTWISE

    def scalar(self, call: Call) -> Expr | None:
        """The expression of an elementwise op over its operands; None for all others."""
        return None

    def shares_type(self, call: Call, operand: int) -> TensorType | None:
        """The type of shares of classes, where ``operand`` are class numbers and could be shares instead: what
        `with_shares` takes. None for all else."""
        return None

    # -- meaning ---------------------------------------------------------------------------

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        """The op on NumPy arrays, plain and in their own precision: the oracle."""
        raise NotImplementedError(self.name)

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        """Gradient of each operand as ordinary graph values (None: no gradient flows there).

        ``grads`` has one entry a result; None where nothing downstream depends on it.
        """
        raise NotImplementedError(self.name)

    def with_shares(self, builder: GraphBuilder, node: Node, inputs: Sequence[Value]) -> Value:
        """The result where ``inputs`` has shares of classes in the place of class numbers."""
        raise NotImplementedError(self.name)

    def training(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[Value], context: TrainingContext
    ) -> Sequence[Value] | None:
        """Results of the op's training-time form (batch statistics, dropout); None: the same as at inference."""
        return None

    def again(self, node: Node) -> Again:
        """How to compute the node's first result again, without its epilogue: the op itself, or one that needs less
        where the node's other results are still there."""
        return Again(node.op, tuple(node.main_inputs), node.attrs)


class StepOp(OpDef):
    """An op that only training steps and passes make: it has no gradient of its own, and no place of an image."""

    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return None


_REGISTRY: dict[str, OpDef] = {}


def register(cls: type[OpDef]) -> type[OpDef]:
    """Class decorator: one instance of the op enters the registry."""
    if cls.name in _REGISTRY:
        raise ValueError(f"op {cls.name!r} is registered twice")
    _REGISTRY[cls.name] = cls()
    return cls


def get(name: str) -> OpDef:
    """The op of this name; KeyError if there is none."""
    if name not in _REGISTRY:
        _load_families()
    return _REGISTRY[name]


def all_ops() -> dict[str, OpDef]:
    """All ops by name, in a fixed order."""
    _load_families()
    return dict(sorted(_REGISTRY.items()))


def _load_families() -> None:
    import netdsl.ops  # noqa: F401  (importing the package registers every family)


F32, I32 = DType.F32, DType.I32
