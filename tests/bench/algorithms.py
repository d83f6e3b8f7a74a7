"""Whether the cost model chooses the fastest algorithm for a convolution: every one measured beside what it expects.

    python -m tests.bench.algorithms            # 3x3 and 5x5 layers of well-known networks, batch 1, one thread
    python -m tests.bench.algorithms --batch 4

Weights are dropped from the caches before each run, as between two runs of a whole network. Milliseconds are those of
the thread itself. `expected` is the model's cost at this machine's multiply-add peak. The last column is what the
choice loses against the fastest.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np

from netdsl.ir.types import TensorType
from netdsl.ops import Call, infer_types
from netdsl.plan.layout import Blocked, Halo, WeightLayout
from netdsl_llvm.algorithms import WORTH, Convolution
from netdsl_llvm.conv_windows import conv_halo
from netdsl_llvm.filters import conv_filter
from netdsl_llvm.kernels.conv import emit_conv
from netdsl_llvm.target import Target
from tests.backends.llvm.step_harness import Compiled, Operand, compile_step
from tests.bench.convolutions import peak

SHAPES = [  # inputs, outputs, size, kernel
    (64, 64, 224, 3), (128, 128, 112, 3), (256, 256, 56, 3), (512, 512, 28, 3), (512, 512, 14, 3),
    (64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3), (512, 512, 7, 3),
    (128, 32, 56, 3), (128, 32, 28, 3), (128, 32, 14, 3), (128, 32, 7, 3),
    (96, 128, 28, 3), (16, 32, 28, 3), (160, 320, 14, 3), (192, 384, 7, 3), (16, 32, 28, 5), (32, 128, 14, 5),
    (48, 128, 7, 5), (1024, 1024, 14, 3), (16, 16, 32, 3), (16, 10, 16, 3), (256, 384, 13, 3), (64, 192, 27, 5),
]  # fmt: skip
EVICTION_BYTES = 96 << 20
ROUNDS = 7


@dataclass(frozen=True)
class Layer:
    """A square convolution that keeps the size of its map."""

    inputs: int
    outputs: int
    size: int
    kernel: int

    @property
    def call(self) -> Call:
        attrs = {
            "kernel": (self.kernel,) * 2, "stride": (1, 1), "pad": (self.kernel // 2,) * 4, "dilation": (1, 1),
            "groups": 1,
        }  # fmt: skip
        x = TensorType((self.inputs, self.size, self.size))
        weight = TensorType((self.outputs, self.inputs, self.kernel, self.kernel), False)
        layer = {**attrs, "channels": self.outputs, "bias": False, "round": "floor"}
        return Call(attrs, (x, weight), (infer_types("conv", layer, [x, weight])[1][0],))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    batch, target = parser.parse_args().batch, Target.host()
    rate, evict, lost = 1e9 * peak(target) / (2 * target.lanes), np.zeros(EVICTION_BYTES // 4, np.float32), []
    print(
        f"{'inputs, outputs, size, kernel':30s}  algorithm: milliseconds (expected), the chosen one marked", flush=True
    )
    for shape in SHAPES:
        times, costs = _measured(Layer(*shape), target, batch, evict)
        chosen = min(costs, key=lambda name: costs[name] / (1 if name == "direct" else WORTH))
        lost.append(times[chosen] / min(times.values()))
        cells = [
            f"{'*' if name == chosen else ' '}{name} {1e3 * times[name]:8.3f} ({1e3 * costs[name] / rate:7.3f})"
            for name in times
        ]
        print(f"{shape!s:30s}  {'  '.join(cells)}   {100 * (lost[-1] - 1):4.0f} %", flush=True)
    print(f"geometric mean of what is lost: {100 * (math.prod(lost) ** (1 / len(lost)) - 1):.1f} %")


def _measured(
    layer: Layer, target: Target, batch: int, evict: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds and expected costs by algorithm."""
    steps = {"direct": _direct(layer, target, batch)}
    convolution = Convolution.of("conv", layer.call, batch, resident=True)
    assert convolution is not None
    costs = {"direct": convolution.direct_cost(target)}
    for filter in convolution.filters(target, 1):
        name, work = f"F({filter.results})", convolution.work(target, filter, 1)
        steps[name] = _step(layer, target, batch, filter, convolution.halo(work), work.scratch(filter))
        costs[name] = convolution.cost(target, filter)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            evict += 1
            start = time.thread_time()
            step.run()
            times[name].append(time.thread_time() - start)
    return {name: min(found) for name, found in times.items()}, costs


def _direct(layer: Layer, target: Target, batch: int) -> Compiled:
    return _step(layer, target, batch, conv_filter(target, layer.call, batch), conv_halo(layer.call), 0)


def _step(layer: Layer, target: Target, batch: int, filter: WeightLayout, halo: Halo, scratch: int) -> Compiled:
    call, random = layer.call, np.random.default_rng(0)
    x, weight = (
        random.standard_normal(kind.full_shape(batch) if kind.batched else kind.shape, np.float32)
        for kind in call.inputs
    )
    y = call.outputs[0]
    operands = [
        Operand(x, call.inputs[0], Blocked.of(call.inputs[0], batch, target.lanes, halo)),
        Operand(weight, call.inputs[1], filter),
    ]
    result = Operand(np.zeros(y.full_shape(batch), np.float32), y, Blocked.of(y, batch, target.lanes))
    return compile_step(target, emit_conv, "conv", dict(call.attrs), operands, result, scratch=scratch, threads=1)


if __name__ == "__main__":
    main()
