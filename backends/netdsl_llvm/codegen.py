"""From a plan to one LLVM module: kernels, and the function `netdsl_run` that every thread enters.

`netdsl_run(thread, threads, arguments)` calls the kernels in the plan's order; each takes its thread's share of the
work; `netdsl_run_alone(arguments)` is one thread's way in, for arguments take Python longer than small networks do.
`arguments` is an array of addresses (`entry.py`): arena, weights, barrier state, the times a clock said (in code
that is made to be measured, `timed.py`), then the caller's inputs and outputs.
A barrier stands between two steps only where one reads or writes what the other writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from llvmlite import ir

from netdsl.ops.base import Call
from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Plan, Region, Step, View
from netdsl_llvm.emit import I64, POINTER, VOID, Index, Kernel, ModuleBuilder, Value
from netdsl_llvm.entry import ALONE, ARENA_SLOT, BARRIER_SLOT, ENTRY, FIRST_ARRAY_SLOT, WEIGHTS_SLOT
from netdsl_llvm.registry import lowering_of
from netdsl_llvm.sync import byte_offset, emit_barrier
from netdsl_llvm.target import Target


def module_text(plan: Plan, target: Target) -> str:
    """The LLVM IR of a plan. Raises Unsupported for a step that has no kernel."""
    run = RunBuilder(plan, target)
    run.steps()
    return run.finish()


def call_of(step: Step) -> Call:
    """The op's call without the epilogue's operands."""
    main = len(step.input_types) - step.epilogue_inputs
    return Call(step.attrs, step.input_types[:main], step.output_types)


class RunBuilder:
    """The run function under construction. Kernel emitters call `call` and, inside one step, `barrier`."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan, self.target = plan, target
        self.module = ModuleBuilder(target, plan.name, alone=plan.threads == 1)
        self._barrier = emit_barrier(self.module)
        self.k = self.module.job(ENTRY)
        self._slots: dict[int, Value] = {}
        self._pending = _Pending()
        self.part: Index = 0

    def steps(self) -> None:
        """Emit all steps of the plan."""
        for times, steps in self.plan.loops():
            if times == 1:
                self._in_turn(steps)
            else:
                self.loop(times, steps)

    def loop(self, times: int, steps: list[Step]) -> None:
        """Emit steps that run for one part of the batch after the other."""
        self.barrier()
        with self.k.loop(0, times) as self.part:
            self._in_turn(steps)
            self.barrier()
        self.part = 0

    def _in_turn(self, steps: list[Step]) -> None:
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if step.joined:
                continue
            self.step(step, following if following is not None and following.joined else None)

    def step(self, step: Step, reader: Step | None = None) -> None:
        """Emit one step, and the one that is joined to it: a barrier where it must wait for earlier ones, its kernels,
        the zero halo of its results.
        """
        whole = step
        if reader is not None:
            whole = replace(step, inputs=step.inputs + reader.inputs, outputs=step.outputs + reader.outputs)
        if self._pending.conflicts(whole):
            self.barrier()
        lowering = lowering_of(step.op)
        if reader is None:
            lowering.emitter()(self, step)
        else:
            lowering.joint_emitter()(self, step, reader)
        for view in (reader or step).outputs:
            self.zero_halo(view)
        self._pending.add(whole)

    def call(
        self,
        key: str,
        build: Callable[[Kernel], None],
        pointers: Mapping[str, View | Value],
        integers: Mapping[str, Index] | None = None,
        noalias: Iterable[str] = (),
    ) -> None:
        """Call the kernel `key` (built by `build` if it is new) with these operands; see `ModuleBuilder.kernel`."""
        integers = integers or {}
        function = self.module.kernel(key, list(pointers), build, noalias=noalias, integers=list(integers))
        addresses = [self.pointer(p) if isinstance(p, View) else p for p in pointers.values()]
        numbers = [self.k.i(n) for n in integers.values()]
        self.k.b.call(function, [self.k.arg("thread"), self.k.arg("threads"), *addresses, *numbers])

    def barrier(self) -> None:
        """Everything emitted before is done by all threads before anything after it starts."""
        if not self.module.alone:
            self.k.b.call(self._barrier, [self.slot(BARRIER_SLOT), self.k.arg("threads")])
        self._pending.clear()

    def pointer(self, view: View) -> Value:
        """The address of a view: its pixel (0, 0), or the start of the caller's array, for the part that runs."""
        part = self.k.mul(self.part, view.stride)
        if view.region is Region.INPUT:
            return self.k.at(self.slot(FIRST_ARRAY_SLOT + view.offset), part)
        if view.region is Region.OUTPUT:
            return self.k.at(self.slot(FIRST_ARRAY_SLOT + len(self.plan.inputs) + view.offset), part)
        base = self.slot(ARENA_SLOT if view.region is Region.ARENA else WEIGHTS_SLOT)
        return self.k.at(base, self.k.add(part, view.offset))

    def zero_halo(self, view: View) -> None:
        """Write the zeros around the maps of a result."""
        layout = view.layout
        if isinstance(layout, Blocked) and any(layout.halo) and view.region is not Region.OUTPUT:
            from netdsl_llvm.kernels.halo import emit_zero_halo

            emit_zero_halo(self, view, layout)

    def finish(self) -> str:
        self.k.b.ret_void()
        alone = self.module.function(ALONE, VOID, [POINTER])
        b = ir.IRBuilder(alone.append_basic_block("entry"))
        b.call(self.k.function, [I64(0), I64(1), *alone.args])
        b.ret_void()
        return str(self.module.ir)

    def slot(self, number: int) -> Value:
        """The address that `arguments` holds at this number."""
        if number not in self._slots:
            with self.k.b.goto_entry_block():
                address = byte_offset(self.k.b, self.k.arg("arguments"), 8 * number)
                self._slots[number] = self.k.b.load(address, typ=POINTER)
        return self._slots[number]


Span = tuple[Region, int, int]


@dataclass
class _Pending:
    """Memory the steps since the last barrier read and wrote."""

    reads: list[Span] = field(default_factory=list)
    writes: list[Span] = field(default_factory=list)
    scratch: bool = False

    def conflicts(self, step: Step) -> bool:
        if self.scratch or (step.scratch is not None and (self.reads or self.writes)):
            return True
        reads, writes = _spans(step.inputs), _spans(step.outputs)
        return _overlap(reads, self.writes) or _overlap(writes, self.writes) or _overlap(writes, self.reads)

    def add(self, step: Step) -> None:
        self.reads += _spans(step.inputs)
        self.writes += _spans(step.outputs)
        self.scratch = self.scratch or step.scratch is not None

    def clear(self) -> None:
        self.reads, self.writes, self.scratch = [], [], False


def _spans(views: Iterable[View]) -> list[Span]:
    return [_span(view) for view in views if view.region not in (Region.INPUT, Region.OUTPUT)]


def _span(view: View) -> Span:
    """The elements a view may touch, its halo included."""
    layout = view.layout
    if layout is None:
        raise ValueError("a step's operand needs a layout")
    if isinstance(layout, Blocked):
        start = view.offset - layout.origin
        return view.region, start, start + (layout.batch - 1) * layout.n_stride + layout.blocks * layout.cb_stride
    return view.region, view.offset, view.offset + layout.size


def _overlap(first: list[Span], second: list[Span]) -> bool:
    return any(a[0] is b[0] and a[1] < b[2] and b[1] < a[2] for a in first for b in second)
