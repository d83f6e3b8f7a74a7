"""Convolutions of ResNet-50 and their gradients against this machine's multiply-add peak, measured in the same run.

    python -m tests.bench.convolutions                 # forward, batch 1
    python -m tests.bench.convolutions --batch 4 --gradients

Seconds are those of the thread itself, so that other work on the machine disturbs little. One thread.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from netdsl.ir.types import TensorType
from netdsl.ops import Call, infer_types
from netdsl.plan.layout import NO_HALO, Blocked
from netdsl_llvm.compile import load, object_code
from netdsl_llvm.conv_lowerings import LOWERINGS, Filtered, FilterGradient
from netdsl_llvm.emit import Kernel, ModuleBuilder
from netdsl_llvm.target import Target
from tests.backends.llvm.step_harness import Compiled, Operand, compile_step

SHAPES = [  # inputs, outputs, size, kernel, stride
    (3, 64, 224, 7, 2), (64, 64, 56, 1, 1), (64, 64, 56, 3, 1), (64, 256, 56, 1, 1), (256, 64, 56, 1, 1),
    (256, 128, 56, 1, 1), (128, 128, 56, 3, 2), (128, 512, 28, 1, 1), (256, 512, 56, 1, 2), (512, 128, 28, 1, 1),
    (128, 128, 28, 3, 1), (512, 256, 28, 1, 1), (256, 256, 28, 3, 2), (256, 1024, 14, 1, 1), (1024, 256, 14, 1, 1),
    (256, 256, 14, 3, 1), (1024, 512, 14, 1, 1), (512, 512, 14, 3, 2), (512, 2048, 7, 1, 1), (2048, 512, 7, 1, 1),
    (512, 512, 7, 3, 1),
]  # fmt: skip
CHAINS = 24
ROUNDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--gradients", action="store_true", help="also those of inputs and weights")
    options = parser.parse_args()
    target = Target.host()
    ops = ("conv", "conv_grad_input", "conv_grad_weight") if options.gradients else ("conv",)
    print(f"{'inputs, outputs, size, kernel, stride':38s}" + "".join(f"{op:>24s}" for op in ops))
    for shape in SHAPES:
        cells = [_cell(target, op, shape, options.batch) for op in ops]
        print(f"{shape!s:38s}" + "".join(f"{cell:>24s}" for cell in cells), flush=True)


def _cell(target: Target, op: str, shape: tuple[int, int, int, int, int], batch: int) -> str:
    step, operations = compile_one(target, op, shape, batch)
    rate = operations / best_seconds(step.run) / 1e9
    return f"{rate:.0f} GFLOP/s {100 * rate / peak(target):.0f}%"


def compile_one(target: Target, op: str, shape: tuple[int, int, int, int, int], batch: int) -> tuple[Compiled, int]:
    """One step over random operands in the layouts it asks for, and its floating-point operations."""
    inputs, outputs, size, kernel, stride = shape
    attrs = {
        "kernel": (kernel,) * 2,
        "stride": (stride,) * 2,
        "pad": (kernel // 2,) * 4,
        "dilation": (1, 1),
        "groups": 1,
    }
    layer = {**attrs, "channels": outputs, "bias": False, "round": "floor"}
    x, weight = TensorType((inputs, size, size)), TensorType((outputs, inputs, kernel, kernel), False)
    y = infer_types("conv", layer, [x, weight])[1][0]
    kinds = {"conv": (x, weight, y), "conv_grad_input": (y, weight, x), "conv_grad_weight": (y, x, weight)}[op]
    call, lowering = Call(attrs, kinds[:2], kinds[2:]), LOWERINGS[op]
    assert isinstance(lowering, Filtered | FilterGradient)
    assert lowering.border is not None
    packed, read = lowering.filter(target, call, batch), 0 if isinstance(lowering, Filtered) else 1
    random = np.random.default_rng(0)
    operands = []
    for index, kind in enumerate(kinds):
        array = random.standard_normal(kind.full_shape(batch), np.float32)
        halo = lowering.border(call) if index == read else NO_HALO
        block = min(target.lanes, kind.shape[0]) if kind is x and op != "conv_grad_input" else target.lanes
        layout = packed if not kind.batched else Blocked.of(kind, batch, block, halo)
        operands.append(Operand(array, kind, layout))
    step = compile_step(target, lowering.emitter(), op, attrs, operands[:2], operands[2])
    return step, 2 * batch * y.elements * inputs * kernel * kernel


def best_seconds(run: Callable[[], None], rounds: int = 7) -> float:
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return min(times)


def peak(target: Target) -> float:
    """GFLOP/s of independent multiply-adds in registers."""
    module = ModuleBuilder(target)
    function = module.kernel("peak", ["y"], _peak_body, integers=["count"])
    function.linkage = "external"
    loaded = load(object_code(str(module.ir), target), ["peak"])
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2, ctypes.c_void_p, ctypes.c_int64)
    entry: Any = prototype(loaded.address("peak"))
    result = np.zeros(CHAINS * target.lanes + 64, np.float32)
    count = 200_000
    seconds = best_seconds(lambda: entry(0, 1, result.ctypes.data, count))
    return 2 * count * ROUNDS * _chains(target) * target.lanes / seconds / 1e9


def _chains(target: Target) -> int:
    return CHAINS if target.registers == 32 else CHAINS // 2


def _peak_body(k: Kernel) -> None:
    factor = k.v(0.5)
    with k.carried_loop(0, k.arg("count"), [k.v(float(i)) for i in range(_chains(k.target))]) as loop:
        sums = loop.carried
        for _ in range(ROUNDS):
            sums = [k.fma(value, factor, factor) for value in sums]
        loop.carry(sums)
    for i, value in enumerate(loop.results):
        k.store(value, k.arg("y"), i * k.lanes)


if __name__ == "__main__":
    main()
