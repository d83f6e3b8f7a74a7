"""The benchmark compares like with like: its ONNX and PyTorch networks compute what the graph computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.ir.graph import Graph
from netdsl.reference import Interpreter
from tests.bench.nets import Array, parameters_for
from tests.bench.timing import Timing, interleave
from tests.passes.test_zoo import small

NETS = ["lenet5", "se_resnet50", "densenet121"]


@pytest.fixture(params=NETS)
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Graph:
    return small(request.param, tmp_path)


def inputs_for(graph: Graph) -> dict[str, Array]:
    shape = graph.inputs[0].types[0].full_shape(1)
    return {graph.inputs[0].name: np.random.default_rng(0).normal(size=shape).astype(np.float32)}


def assert_close(graph: Graph, found: list[Array]) -> None:
    run = Interpreter(graph).run(inputs_for(graph), parameters_for(graph, 0))
    for expected, output in zip(run.outputs.values(), found, strict=True):
        assert np.abs(output - expected).max() <= 1e-4 * np.abs(expected).max()


def test_onnx_model(graph: Graph) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tests.bench.onnx_model import to_onnx

    model = to_onnx(graph, parameters_for(graph, 0), 1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    assert_close(graph, session.run(None, inputs_for(graph)))


def test_torch_model(graph: Graph) -> None:
    torch = pytest.importorskip("torch")
    from tests.bench.torch_model import TorchNet

    torch.set_num_threads(1)
    with torch.inference_mode():
        found = TorchNet(graph, parameters_for(graph, 0))(*map(torch.from_numpy, inputs_for(graph).values()))
    assert_close(graph, [tensor.numpy() for tensor in found])


def test_programs_take_turns() -> None:
    calls: list[str] = []
    timings = interleave({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=3, warmups=1)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert list(timings) == ["a", "b", "c"]
    assert all(timing.low <= timing.median <= timing.high and timing.rounds == 3 for timing in timings.values())


def test_a_timing_is_in_milliseconds() -> None:
    assert Timing.of([0.001, 0.002, 0.003]).median == pytest.approx(2.0)
    with pytest.raises(ValueError, match="two rounds"):
        Timing.of([0.001])
