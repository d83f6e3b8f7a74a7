"""Which kernel runs which op, and what it asks of the plan. Nothing here loads a code generator."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Unsupported
from netdsl.ir.graph import Node
from netdsl.ir.scalar import Expr
from netdsl.ops.base import Call, get
from netdsl.ops.pointwise import Pointwise
from netdsl.plan.layout import NO_HALO, Halo, WeightLayout
from netdsl.record import record
from netdsl_llvm.target import Target

if TYPE_CHECKING:
    from netdsl_llvm.codegen import RunBuilder

Emitter = Callable[["RunBuilder", Any], None]
JointEmitter = Callable[["RunBuilder", Any, Any], None]


@record
class Lowering:
    """How the backend runs an op: `emit(run, step)` of the module `kernels.<module>`, imported when code is made.

    Subclasses override the questions of `netdsl.plan.target.PlanTarget` where they want other than plain blocked
    operands; `node` may carry an epilogue.
    """

    module: str
    function: str = "emit"
    overwrites: tuple[int, ...] = ()
    """Operands result 0 may overwrite: the kernel reads an element before it writes it, in the same thread."""

    def operand_layout(self, target: Target, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return None

    def home_layout(self, target: Target, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return self.operand_layout(target, node, operand, batch)

    def result_layout(self, target: Target, node: Node, result: int, batch: int) -> WeightLayout | None:
        return None

    def halo(self, target: Target, node: Node, operand: int) -> Halo:
        return NO_HALO

    def narrow(self, target: Target, node: Node, operand: int) -> bool:
        return False

    def in_place(self, target: Target, node: Node) -> tuple[int, ...]:
        return self.overwrites

    def scratch(self, target: Target, node: Node, batch: int, threads: int) -> int:
        return 0

    def joins(self, target: Target, node: Node, reader: Node) -> bool:
        """Whether the node can run in one step with the node that alone reads its result."""
        return False

    def emitter(self) -> Emitter:
        """The function that emits the step's kernels and their calls."""
        found: Emitter = getattr(import_module(f"netdsl_llvm.kernels.{self.module}"), self.function)
        return found

    def joint_emitter(self) -> JointEmitter:
        """The function that emits the kernels of a step and of the reader that `joins` said yes to."""
        raise ValueError(f"{self.module} runs alone")


@record
class Elementwise(Lowering):
    """Any op that is one scalar expression."""

    def in_place(self, target: Target, node: Node) -> tuple[int, ...]:
        return tuple(i for i, value in enumerate(node.inputs) if value.type == node.types[0])


ELEMENTWISE = Elementwise("elementwise")
MOVES = {
    "load_input": Lowering("relayout", "emit_load"),
    "store_output": Lowering("relayout", "emit_store"),
    "relayout": Lowering("repack"),
}
_TABLE: dict[str, Lowering] = {}


def register(op: str, lowering: Lowering) -> None:
    """Give an op its kernel."""
    if op in _TABLE:
        raise ValueError(f"op {op!r} has two kernels")
    _TABLE[op] = lowering


def lowering_of(op: str) -> Lowering:
    """The kernel of an op. Raises Unsupported where there is none."""
    found = find_lowering(op)
    if found is None:
        raise Unsupported(op, "cpu", f"the CPU backend has no kernel for {op}", ())
    return found


def find_lowering(op: str) -> Lowering | None:
    """The kernel of an op, None where there is none."""
    _load_tables()
    found = MOVES.get(op) or _TABLE.get(op)
    return ELEMENTWISE if found is None and isinstance(get(op), Pointwise) else found


def scalar_expression(op: str, call: Call) -> Expr | None:
    """The expression of an elementwise op over its operands."""
    return get(op).scalar(call)


def _load_tables() -> None:
    import netdsl_llvm.tables  # noqa: F401  (importing it registers every kernel)
