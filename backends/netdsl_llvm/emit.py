"""Building LLVM IR for kernels: vectors, memory, integers and counted loops, over llvmlite's builder.

An index is a Python int where it is known and an i64 where it is not; arithmetic on known ones is done
here, so that generators need not care, and a loop of one known round is no loop at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from netdsl_llvm import constants
from netdsl_llvm.indexing import I64, Index, IndexBuilder, Value
from netdsl_llvm.target import Target

__all__ = [
    "FLOAT",
    "I1",
    "I32",
    "I64",
    "POINTER",
    "VOID",
    "CarriedLoop",
    "Index",
    "Kernel",
    "ModuleBuilder",
    "Value",
]

FLOAT = constants.FLOAT
I32 = constants.I32
I1 = ir.IntType(1)
POINTER = ir.PointerType()
VOID = ir.VoidType()


class ModuleBuilder:
    """One LLVM module for one target; kernels are functions in it, made once a key. `alone`: for one thread only."""

    def __init__(self, target: Target, name: str = "netdsl", *, alone: bool = False) -> None:
        self.target, self.alone = target, alone
        self.ir = ir.Module(name)
        self.ir.triple = target.object_triple()
        self._kernels: dict[str, Any] = {}

    def kernel(
        self,
        key: str,
        pointers: Sequence[str],
        build: Callable[[Kernel], None],
        *,
        noalias: Iterable[str] = (),
        integers: Sequence[str] = (),
    ) -> Any:
        """The internal function `key(thread, threads, pointers..., integers...)`, built when first asked for.

        `key` must say everything the code depends on. `noalias` names pointers whose memory is reached
        through no other argument.
        """
        function = self._kernels.get(key)
        if function is None:
            kind = ir.FunctionType(VOID, [I64, I64] + [POINTER] * len(pointers) + [I64] * len(integers))
            function = self._kernels[key] = ir.Function(self.ir, kind, key)
            function.linkage = "internal"
            function.attributes.add("noinline")
            function.attributes.add("nounwind")
            names = ["thread", "threads", *pointers, *integers]
            for argument, name in zip(function.args, names, strict=True):
                argument.name = name
                if name in noalias:
                    argument.add_attribute("noalias")
            k = Kernel(self, function)
            build(k)
            k.b.ret_void()
        return function

    def job(self, name: str) -> Kernel:
        """The exported function `name(thread, threads, arguments)` that the thread pool calls, still empty."""
        function = ir.Function(self.ir, ir.FunctionType(VOID, [I64, I64, POINTER]), name)
        function.attributes.add("nounwind")
        for argument, title in zip(function.args, ("thread", "threads", "arguments"), strict=True):
            argument.name = title
        return Kernel(self, function)

    def function(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """The function `name` of this module, declared where it is not known yet."""
        known = self.ir.globals.get(name)
        if known is None:
            known = ir.Function(self.ir, ir.FunctionType(result, list(arguments)), name)
        return known

    def intrinsic(self, name: str, kind: Any, arity: int) -> Any:
        """`llvm.<name>` overloaded on `kind`, from `arity` arguments of that type to one."""
        return self.function(f"llvm.{name}.{_suffix(kind)}", kind, [kind] * arity)


def _suffix(kind: Any) -> str:
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_suffix(kind.element)}"
    return {FLOAT: "f32", I32: "i32", I64: "i64"}[kind]


class CarriedLoop:
    """A counted loop with values carried from round to round.

    Read `index` and `carried`, then call `carry` with the next values; after the loop read `results`.
    """

    def __init__(self, index: Index, carried: list[Value]) -> None:
        self.index = index
        self.carried = carried
        self.next: list[Value] | None = None
        self.results: list[Value] = carried

    def carry(self, values: Sequence[Value]) -> None:
        """Give the values the next round starts from; after the loop they are in `results`."""
        self.next = list(values)


class Kernel(IndexBuilder):
    """A function under construction; `b` is the llvmlite builder at the current place.

    `lanes` float32 make a `vector`. Offsets are counted in float32 elements, always.
    """

    def __init__(self, module: ModuleBuilder, function: Any) -> None:
        self.module = module
        self.target = module.target
        self.function = function
        self.b = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes = module.target.lanes
        self.vector = ir.VectorType(FLOAT, self.lanes)
        self.ivector = ir.VectorType(I32, self.lanes)
        self._arguments = {argument.name: argument for argument in function.args}

    def arg(self, name: str) -> Value:
        """The argument called `name`."""
        return self._arguments[name]

    # --- constants --------------------------------------------------------------------------------

    def f(self, x: float) -> Value:
        """A float constant."""
        return constants.float_constant(x)

    def v(self, x: float, lanes: int | None = None) -> Value:
        """A vector of `lanes` times the constant `x`."""
        return constants.float_vector(x, lanes or self.lanes)

    def iv(self, x: int, lanes: int | None = None) -> Value:
        """A vector of i32 constants."""
        return constants.integer_vector(x, lanes or self.lanes)

    def iota(self, lanes: int | None = None) -> Value:
        """The i32 vector 0, 1, 2, ..."""
        n = lanes or self.lanes
        return ir.Constant(ir.VectorType(I32, n), list(range(n)))

    def like(self, value: Value, x: float) -> Value:
        """The constant `x` in the float or vector type of `value`."""
        return self.v(x, value.type.count) if isinstance(value.type, ir.VectorType) else self.f(x)

    def share(self, total: Index) -> tuple[Index, Index]:
        """This thread's part [begin, end) of `total` equal work items."""
        if self.module.alone:
            return 0, total
        thread, threads = self.arg("thread"), self.arg("threads")
        begin = self.div(self.mul(thread, self.i(total)), threads)
        end = self.div(self.mul(self.add(thread, 1), self.i(total)), threads)
        return begin, end

    # --- memory -----------------------------------------------------------------------------------

    def at(self, pointer: Value, offset: Index = 0) -> Value:
        """The address `offset` floats after `pointer`."""
        if isinstance(offset, int) and offset == 0:
            return pointer
        return self.b.gep(pointer, [self.i(offset)], inbounds=True, source_etype=FLOAT)

    def load(self, pointer: Value, offset: Index = 0, lanes: int | None = None, align: int = 4) -> Value:
        """A vector of `lanes` floats from an address that is a multiple of `align` bytes."""
        kind = ir.VectorType(FLOAT, lanes or self.lanes)
        return self.b.load(self.at(pointer, offset), typ=kind, align=align)

    def store(self, value: Value, pointer: Value, offset: Index = 0, align: int = 4) -> None:
        """Store a float or a vector."""
        self.b.store(value, self.at(pointer, offset), align=align)

    def store_past_caches(self, value: Value, pointer: Value, offset: Index = 0) -> None:
        """Store a vector, to an address that is a multiple of its size, without what was there being read first.

        It is read again from memory. Other threads see it behind a fence.
        """
        stored = self.b.store(value, self.at(pointer, offset), align=4 * value.type.count)
        stored.set_metadata("nontemporal", self.module.ir.add_metadata([I32(1)]))

    def load_float(self, pointer: Value, offset: Index = 0) -> Value:
        return self.b.load(self.at(pointer, offset), typ=FLOAT, align=4)

    def load_broadcast(self, pointer: Value, offset: Index = 0, lanes: int | None = None) -> Value:
        """One float from memory in every lane."""
        return self.splat(self.load_float(pointer, offset), lanes)

    def fetch_ahead(self, pointer: Value, offset: Index = 0, level: int = 2) -> None:
        """Ask for the cache line there to be in the cache of this level, 1 or 2, soon. No address is wrong."""
        fetch = self.module.function("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        read, locality, data = I32(0), I32(4 - level), I32(1)
        self.b.call(fetch, [self.b.gep(pointer, [self.i(offset)], source_etype=FLOAT), read, locality, data])

    def lane_mask(self, count: Index, lanes: int | None = None) -> Value:
        """The i1 vector that is true in the first `count` lanes."""
        n = lanes or self.lanes
        if isinstance(count, int):
            return ir.Constant(ir.VectorType(I1, n), [int(lane < count) for lane in range(n)])
        limit = self.splat(self.b.trunc(count, I32), n)
        return self.b.icmp_signed("<", self.iota(n), limit)

    def load_first(self, pointer: Value, offset: Index, count: Index, lanes: int | None = None) -> Value:
        """The first `count` lanes from memory, zero in the others, whose memory is not touched."""
        n = lanes or self.lanes
        if isinstance(count, int) and count >= n:
            return self.load(pointer, offset, n)
        kind = ir.VectorType(FLOAT, n)
        mask = ir.VectorType(I1, n)
        name = f"llvm.masked.load.v{n}f32.p0"
        # the form with the alignment as an operand is read by every LLVM: newer ones upgrade it
        load = self.module.function(name, kind, [POINTER, I32, mask, kind])
        arguments = [self.at(pointer, offset), I32(4), self.lane_mask(count, n), self.v(0.0, n)]
        return self.b.call(load, arguments)

    def store_first(self, value: Value, pointer: Value, offset: Index, count: Index, lanes: int | None = None) -> None:
        """Store the first `count` lanes; the other lanes' memory is not touched."""
        n = lanes or self.lanes
        if isinstance(count, int) and count >= n:
            self.store(value, pointer, offset)
            return
        self.store_masked(value, pointer, offset, self.lane_mask(count, n))

    def store_masked(self, value: Value, pointer: Value, offset: Index, mask: Value) -> None:
        """Store the lanes where `mask` is true; the other lanes' memory is not touched."""
        name = f"llvm.masked.store.v{value.type.count}f32.p0"
        store = self.module.function(name, VOID, [value.type, POINTER, I32, mask.type])
        self.b.call(store, [value, self.at(pointer, offset), I32(4), mask])

    def scratch(self, floats: int, align: int = 64) -> Value:
        """Memory of this call only (a stack slot, allocated at the function's entry)."""
        with self.b.goto_entry_block():
            # ahead of all else: the code generator may split the block, and behind that no slot's place is fixed
            self.b.position_at_start(self.b.block)
            slot = self.b.alloca(ir.ArrayType(FLOAT, floats))
            slot.align = align
            slot.type = POINTER  # llvmlite still gives it a pointer type of its own
            return slot

    # --- vectors ----------------------------------------------------------------------------------

    def splat(self, scalar: Value, lanes: int | None = None) -> Value:
        """`scalar` (float or i32) in every lane."""
        n = lanes or self.lanes
        undefined = constants.undefined(scalar.type, n)
        first = self.b.insert_element(undefined, scalar, I32(0))
        return self.shuffle(first, undefined, [0] * n)

    def lane(self, vector: Value, index: int) -> Value:
        return self.b.extract_element(vector, I32(index))

    def shuffle(self, a: Value, b: Value, picks: Sequence[int]) -> Value:
        """Lanes of `a` (0 ...) and `b` (lanes of a ...) by number."""
        return self.b.shuffle_vector(a, b, constants.picks(tuple(picks)))

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z: rounded once, or as a product and a sum where that would be a library call."""
        if not self.target.has_fma:
            return self.b.fadd(self.b.fmul(x, y), z)
        return self.b.call(self.module.intrinsic("fma", x.type, 3), [x, y, z])

    def maximum(self, x: Value, y: Value) -> Value:
        """The larger; NaN where either is NaN."""
        larger = self.b.select(self.b.fcmp_ordered(">", x, y), x, y)
        return self.b.select(self.b.fcmp_unordered("uno", x, x), x, larger)

    def relu(self, x: Value) -> Value:
        """max(x, 0), NaN kept; one instruction on x86, whose max returns its second operand for NaN."""
        zero = self.like(x, 0.0)
        return self.b.select(self.b.fcmp_ordered(">", zero, x), zero, x)

    def keep_lanes(self, vector: Value, count: Index) -> Value:
        """`vector` with the lanes from `count` on set to zero."""
        if isinstance(count, int) and count >= vector.type.count:
            return vector
        mask = self.lane_mask(count, vector.type.count)
        return self.b.select(mask, vector, self.like(vector, 0.0))

    def fold(self, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """One scalar from all lanes, halving: lane i with lane i + n/2, always in this order."""
        n: int = vector.type.count
        while n > 1:
            n //= 2
            undefined = constants.undefined(vector.type.element, vector.type.count)
            low = self.shuffle(vector, undefined, range(n))
            vector = combine(low, self.shuffle(vector, undefined, range(n, 2 * n)))
        return self.lane(vector, 0)

    def sum_lanes(self, vector: Value) -> Value:
        return self.fold(vector, self.b.fadd)

    # --- control ----------------------------------------------------------------------------------

    @contextmanager
    def loop(self, start: Index, stop: Index, step: int = 1) -> Iterator[Index]:
        """`for index in range(start, stop, step)`, step positive."""
        with self.carried_loop(start, stop, [], step) as loop:
            yield loop.index

    @contextmanager
    def carried_loop(self, start: Index, stop: Index, initial: Sequence[Value], step: int = 1) -> Iterator[CarriedLoop]:
        """A counted loop carrying values (accumulators) in registers; see `CarriedLoop`."""
        static = isinstance(start, int) and isinstance(stop, int)
        if static and start < stop <= start + step:
            loop = CarriedLoop(start, list(initial))
            yield loop
            loop.results = loop.carried if loop.next is None else loop.next
            return
        body, done = self._block("loop"), self._block("done")
        before = self.b.block
        if static and start < stop:
            self.b.branch(body)
        else:
            self.b.cbranch(self.compare("<", start, stop), body, done)
        self.b.position_at_end(body)
        index = self.b.phi(I64)
        carried = [self.b.phi(value.type) for value in initial]
        loop = CarriedLoop(index, carried)
        yield loop
        self._close(loop, before, start, stop, step, initial, body, done)
        if not (static and start < stop):
            loop.results = self._merge(loop.results, initial, before)

    def _close(
        self,
        loop: CarriedLoop,
        before: Any,
        start: Index,
        stop: Index,
        step: int,
        initial: Sequence[Value],
        body: Any,
        done: Any,
    ) -> None:
        following = self.b.add(loop.index, self.i(step))
        ends = loop.carried if loop.next is None else loop.next
        loop.index.add_incoming(self.i(start), before)
        loop.index.add_incoming(following, self.b.block)
        for phi, first, later in zip(loop.carried, initial, ends, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, self.b.block)
        loop.results = list(ends)
        self._last = self.b.block
        self.b.cbranch(self.compare("<", following, stop), body, done)
        self.b.position_at_end(done)

    def _merge(self, values: Sequence[Value], skipped: Sequence[Value], before: Any) -> list[Value]:
        """After a loop that may not run: its results, or the initial values."""
        merged = []
        for value, initial in zip(values, skipped, strict=True):
            phi = self.b.phi(initial.type)
            phi.add_incoming(value, self._last)
            phi.add_incoming(initial, before)
            merged.append(phi)
        return merged

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Run the body only if `condition`."""
        with self.b.if_then(condition):
            yield

    @contextmanager
    def either(self, condition: Value) -> Iterator[tuple[Any, Any]]:
        """`with k.either(c) as (then, otherwise): with then: ...; with otherwise: ...`."""
        with self.b.if_else(condition) as pair:
            yield pair

    def _block(self, name: str) -> Any:
        return self.function.append_basic_block(name)
