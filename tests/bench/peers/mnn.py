"""MNN: the ONNX model converted by its own converter, run at high precision (float32) by a session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.bench.nets import Array, Task
from tests.bench.peers import Program

PACKAGES = ("MNN",)


def make(task: Task, threads: int) -> Program:
    import MNN

    from tests.bench.onnx_model import result_name

    interpreter = MNN.Interpreter(str(_converted(task)))
    session = interpreter.createSession({"backend": "CPU", "precision": "high", "numThread": threads})
    graph = task.network.graph()
    inputs = {node.name: interpreter.getSessionInput(session, node.name) for node in graph.inputs}
    results = [interpreter.getSessionOutput(session, result_name(name)) for name in graph.outputs]
    shapes = [value.type.full_shape(task.batch) for value in graph.outputs.values()]

    def host(shape: tuple[int, ...], array: Array) -> object:
        return MNN.Tensor(shape, MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        for name, tensor in inputs.items():
            tensor.copyFrom(host(arrays[name].shape, arrays[name]))
        interpreter.runSession(session)
        outputs = [np.empty(shape, np.float32) for shape in shapes]
        for tensor, output in zip(results, outputs, strict=True):
            received = host(output.shape, output)
            tensor.copyToHostTensor(received)
            output[...] = received.getNumpyData()
        return outputs

    return run


def _converted(task: Task) -> Path:
    path = task.folder / "model.mnn"
    if not path.exists():
        tool = Path(sys.executable).with_name("mnnconvert")
        files = ["--modelFile", str(task.onnx), "--MNNModel", str(path), "--bizCode", "bench"]
        subprocess.run([tool, "-f", "ONNX", *files], check=True, capture_output=True)
    return path


PROGRAMS = {"MNN": make}
