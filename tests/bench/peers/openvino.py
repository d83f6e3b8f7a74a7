"""OpenVINO: float32 (it would take bfloat16 where the processor has it), tuned for the latency of one call."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bench.nets import Array, Task
from tests.bench.peers import Program

PACKAGES = ("openvino",)


def make(task: Task, threads: int) -> Program:
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(task.onnx, "CPU", settings).create_infer_request()

    def run(inputs: Mapping[str, Array]) -> list[Array]:
        results = request.infer(inputs, share_inputs=True, share_outputs=True)
        return [results[index] for index in range(len(results))]

    return run


PROGRAMS = {"OpenVINO": make}
