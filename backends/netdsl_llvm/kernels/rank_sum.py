"""Where a step hands values over to be added up with those of other ranks, and where it waits for the sums."""

from __future__ import annotations

from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import I64, VOID
from netdsl_llvm.entry import EXCHANGE
from netdsl_llvm.kernels.arrange import emit_copy
from netdsl_llvm.rank_sums import BEGIN, END


def emit_begin(run: RunBuilder, step: Step) -> None:
    """y = x, then one thread tells."""
    if _is_apart(step):
        emit_copy(run, step)
        run.barrier()
    _tell(run, step, BEGIN)


def emit_end(run: RunBuilder, step: Step) -> None:
    """One thread waits; y = x. Who reads y waits for that thread."""
    _tell(run, step, END)
    if _is_apart(step):
        run.barrier()
        emit_copy(run, step)


def _is_apart(step: Step) -> bool:
    x, y = step.inputs[0], step.outputs[0]
    if x.layout != y.layout:
        raise ValueError(f"{step.name} would have to reorder what is being added up")
    return (x.region, x.offset) != (y.region, y.offset)


def _tell(run: RunBuilder, step: Step, which: int) -> None:
    exchange = run.module.function(EXCHANGE, VOID, [I64, I64])
    with run.k.when(run.k.compare("==", run.k.arg("thread"), 0)):
        run.k.b.call(exchange, [I64(which), I64(step.attrs["number"])])
