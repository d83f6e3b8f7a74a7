"""ncnn: the ONNX model converted by pnnx with float32 weights, all reduced precisions off.

ncnn has no batches: the samples of one are run one after the other, which is also how its authors measure it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.bench.nets import Array, Task
from tests.bench.peers import Program

PACKAGES = ("ncnn", "pnnx")


def make(task: Task, threads: int) -> Program:
    import ncnn

    param, weights = _converted(task)
    net = ncnn.Net()
    net.opt.num_threads = threads
    for reduced in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
        setattr(net.opt, f"use_{reduced}", False)
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise RuntimeError("ncnn cannot load what pnnx made")
    names = [node.name for node in task.network.graph().inputs]

    def sample(arrays: list[Array]) -> list[Array]:
        extractor = net.create_extractor()
        for place, array in zip(net.input_names(), arrays, strict=True):
            extractor.input(place, ncnn.Mat(array))
        return [np.array(extractor.extract(place)[1]) for place in net.output_names()]

    def run(inputs: Mapping[str, Array]) -> list[Array]:
        found = [sample([inputs[name][index] for name in names]) for index in range(task.batch)]
        return [np.stack(outputs) for outputs in zip(*found, strict=True)]

    return run


def _converted(task: Task) -> tuple[Path, Path]:
    """Converted in a folder of its own, for pnnx leaves many files."""
    folder = task.folder / "ncnn"
    param, weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    if not weights.exists():
        folder.mkdir(exist_ok=True)
        model = folder / "model.onnx"
        _at_batch_1(task, model)
        tool = Path(sys.executable).with_name("pnnx")
        subprocess.run([tool, model.name, "fp16=0"], cwd=folder, check=True, capture_output=True)
    return param, weights


def _at_batch_1(task: Task, path: Path) -> None:
    from tests.bench.onnx_model import to_onnx

    path.write_bytes(to_onnx(task.network.graph(), task.parameters(), 1))


PROGRAMS = {"ncnn": make}
