"""Inference on the CPU against ONNX Runtime and PyTorch: one process, the same weights, rounds interleaved.

    python -m tests.bench.inference                              # zoo:resnet50, batch 1, 1 and 2 threads
    python -m tests.bench.inference --net zoo:vgg_d --threads 1 --rounds 50 --json vgg.json

All programs must give the same outputs before any is timed. Times are wall-clock milliseconds a call: median, and
10th to 90th percentile. ``ratio`` is the median over netdsl's: above 1, netdsl is faster. Each number of threads
has its own process, because thread pools of a finished measurement must not disturb the next.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.driver import Build, Origin, load, make_executor
from netdsl.ir.graph import Graph
from netdsl.weights.initialize import initial_parameters
from tests.bench.timing import Timing, interleave

Array = np.ndarray[Any, Any]
Program = Callable[[Mapping[str, Array]], list[Array]]

TOLERANCE = 1e-4
"""Largest difference of outputs, relative to the largest element."""


class OutputsDiffer(Exception):
    """Two programs compute different things, so their times mean nothing."""


def main() -> None:
    options = _options()
    context = multiprocessing.get_context("spawn")
    results = []
    for threads in options.threads:
        with context.Pool(1) as pool:
            try:
                result = pool.apply(measure, (options.net, options.batch, threads, options.rounds, options.seed))
            except OutputsDiffer as error:
                sys.exit(str(error))
        _print(result)
        results.append(result)
    if options.json:
        options.json.write_text(json.dumps({"machine": _machine(), "results": results}, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="zoo:resnet50", help="a file or zoo:NAME")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of weights and input")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures there")
    return parser.parse_args()


def measure(net: str, batch: int, threads: int, rounds: int, seed: int) -> dict[str, Any]:
    """All programs at one number of threads, as plain JSON."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    graph = load(Origin(net)).graph
    parameters = parameters_for(graph, seed)
    random = np.random.default_rng(seed)
    inputs = {
        node.name: random.normal(size=node.types[0].full_shape(batch)).astype(np.float32) for node in graph.inputs
    }
    programs = {
        "netdsl": _netdsl(graph, parameters, batch, threads),
        "onnxruntime": _onnxruntime(graph, parameters, batch, threads),
        "torch": _torch(graph, parameters, inputs, threads, channels_last=False),
        "torch, channels last": _torch(graph, parameters, inputs, threads, channels_last=True),
    }
    differences = _differences({name: program(inputs) for name, program in programs.items()})
    timings = interleave({name: lambda run=program: run(inputs) for name, program in programs.items()}, rounds)
    return {
        "net": net,
        "batch": batch,
        "threads": threads,
        "milliseconds": {name: asdict(timing) for name, timing in timings.items()},
        "ratio": {name: timing.median / timings["netdsl"].median for name, timing in timings.items()},
        "difference": differences,
    }


def parameters_for(graph: Graph, seed: int) -> dict[str, Array]:
    """Parameters as training starts with them but for batch norm.

    It gets the statistics of a used network, and scales so small that the scores of deep residual networks stay
    small: large ones leave a softmax of zeros and a one, whatever was computed before it.
    """
    parameters: dict[str, Array] = dict(initial_parameters(graph.params, seed))
    random = np.random.default_rng(seed)
    for node in graph.nodes:
        if node.op == "bn":
            _, weight, _, mean, var = (value.name for value in node.inputs)
            shape = parameters[weight].shape
            parameters[weight] = random.uniform(0.1, 0.4, shape).astype(np.float32)
            parameters[mean] = random.normal(0, 0.1, shape).astype(np.float32)
            parameters[var] = random.uniform(0.5, 2, shape).astype(np.float32)
    return parameters


def _netdsl(graph: Graph, parameters: Mapping[str, Array], batch: int, threads: int) -> Program:
    executor = make_executor(graph, parameters, Build(batch=batch, threads=threads))
    names = list(graph.outputs)

    def run(inputs: Mapping[str, Array]) -> list[Array]:
        outputs = executor.step(inputs)
        return [outputs[name] for name in names]

    return run


def _onnxruntime(graph: Graph, parameters: Mapping[str, Array], batch: int, threads: int) -> Program:
    import onnxruntime

    from tests.bench.onnx_model import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = to_onnx(graph, parameters, batch)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(None, dict(inputs)))


def _torch(
    graph: Graph, parameters: Mapping[str, Array], inputs: Mapping[str, Array], threads: int, *, channels_last: bool
) -> Program:
    import torch

    from tests.bench.torch_model import TorchNet, optimized

    torch.set_num_threads(threads)
    names = [node.name for node in graph.inputs]
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def tensors(arrays: Mapping[str, Array]) -> list[torch.Tensor]:
        given = [torch.from_numpy(arrays[name]) for name in names]
        return [tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor for tensor in given]

    net = optimized(TorchNet(graph, parameters), tensors(inputs), channels_last)

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        with torch.inference_mode():
            return [tensor.numpy() for tensor in net(*tensors(arrays))]

    return run


def _differences(outputs: Mapping[str, list[Array]]) -> dict[str, float]:
    """Largest relative difference of each program's outputs to netdsl's. Raises OutputsDiffer when one is too large."""
    result = {}
    for name, found in outputs.items():
        pairs = zip(outputs["netdsl"], found, strict=True)
        result[name] = max(float(np.abs(ours - theirs).max() / np.abs(ours).max()) for ours, theirs in pairs)
        if not result[name] <= TOLERANCE:
            raise OutputsDiffer(f"{name} differs from netdsl by {result[name]:.2e}: nothing was timed")
    return result


def _print(result: dict[str, Any]) -> None:
    threads = "1 thread" if result["threads"] == 1 else f"{result['threads']} threads"
    print(f"{result['net']}, batch {result['batch']}, {threads}")
    print(f"  {'':22}{'median ms':>10}{'10-90 %':>18}{'ratio':>8}{'difference':>13}")
    for name, timing in result["milliseconds"].items():
        t = Timing(**timing)
        spread = f"{t.low:.2f} - {t.high:.2f}"
        ratio, difference = result["ratio"][name], result["difference"][name]
        print(f"  {name:22}{t.median:10.2f}{spread:>18}{ratio:8.2f}{difference:13.1e}")


def _machine() -> dict[str, Any]:
    import onnxruntime
    import torch

    versions = {"numpy": np.__version__, "onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
    return {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "versions": versions}


if __name__ == "__main__":
    main()
