"""ONNX Runtime: all of its graph optimizations, its CPU provider."""

from __future__ import annotations

from tests.bench.nets import Task
from tests.bench.peers import Program

PACKAGES = ("onnxruntime",)


def make(task: Task, threads: int) -> Program:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(task.onnx), options, providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(None, inputs))


PROGRAMS = {"ONNX Runtime": make}
