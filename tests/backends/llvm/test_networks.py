"""Whole networks, as planned and fused, against the oracle: inference and training, on every width, on any threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.driver import Build, Origin, load, make_executor, training_step
from netdsl.ir.graph import Graph
from netdsl.ir.types import DType
from netdsl.plan.executor import Array
from netdsl.reference import Interpreter, ReferenceStep
from tests.backends.llvm.harness import TARGETS, random_arrays

NET = """
net Small(classes: int = 10) {
    input image: [3, 12, 14]
    a = image -> conv(19, 3x3, pad=1, bias=no) -> bn -> relu
    b = a -> conv(19, 3x3, pad=1, bias=no) -> bn
    c = add(a, b) -> relu -> avgpool(3x3, stride=2, pad=1)
    d = concat(c, c -> conv(13, 1x1) -> sigmoid, crop(image -> maxpool(2), 0)) -> dropout(0.3)
    e = d -> lrn(5) -> prelu
    gate = e -> avgpool(global) -> conv(35, 1x1) -> sigmoid
    f = mul(e, gate) -> deconv(20, 2x2, stride=2) -> leaky_relu -> upsample(2, mode=bilinear, coords=half_pixel)
    g = f -> conv(24, 3x3, stride=2, groups=4) -> tanh -> avgpool(2) -> flatten -> fc(40) -> reshape([8, 1, 5])
    logits = g -> pad(1) -> flatten -> fc(classes)
    output probs = softmax(logits)
}
train Small {
    target label: class
    loss cross_entropy(logits, label)
    sgd(lr = 0.05, momentum = 0.9, weight_decay = 1e-4, nesterov = yes)
    batch 3
    epochs 1
}
"""
BATCH = 3


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    path: Path = tmp_path_factory.mktemp("nets") / "small.net"
    path.write_text(NET)
    return Origin(str(path))


def parameters(graph: Graph, seed: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    values = {}
    for node in graph.params:
        shape = node.output.type.shape
        fan = max(1, int(np.prod(shape[1:])))
        value = rng.standard_normal(shape) * np.sqrt(2 / fan) if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
        values[node.name] = np.zeros(shape) if node.name.endswith(".momentum") else value
    return {name: value.astype(np.float32) for name, value in values.items()}


def step_inputs(graph: Graph, step: int) -> dict[str, Array]:
    kinds = [node.output.type for node in graph.inputs]
    arrays = random_arrays(kinds, BATCH, seed=step)
    values = {}
    for node, kind, array in zip(graph.inputs, kinds, arrays, strict=True):
        if not kind.batched:
            array = np.asarray(step if kind.dtype is DType.I32 else 0.02, array.dtype)
        values[node.name] = array
    return values


def close(got: Array, exact: Array, tolerance: float) -> bool:
    return bool(np.abs(got - exact).max() <= tolerance * np.abs(exact).max())


@pytest.mark.parametrize("target", TARGETS)
def test_inference(origin: Origin, target: str) -> None:
    graph = load(origin).graph
    values, inputs = parameters(graph), step_inputs(graph, 0)
    exact = Interpreter(graph).run(inputs, values).outputs["probs"]
    results = [
        make_executor(graph, values, Build(f"cpu:{target}", BATCH, threads)).step(inputs)["probs"]
        for threads in (1, 2, 3)
    ]
    assert close(results[0], exact, 1e-5)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize("target", TARGETS)
def test_training(origin: Origin, target: str) -> None:
    graph = training_step(load(origin))
    values = parameters(graph)
    exact = ReferenceStep(graph, values)
    runs = [make_executor(graph, values, Build(f"cpu:{target}", BATCH, n, training=True)) for n in (1, 2)]
    for step in range(3):
        inputs = step_inputs(graph, step)
        wanted = exact.step(inputs)
        one, two = (run.step(inputs) for run in runs)
        assert all(np.array_equal(one[name], two[name]) for name in one)
        assert close(one["loss"], wanted["loss"], 1e-5)
    wanted = exact.get_parameters()
    one, two = (run.get_parameters() for run in runs)
    assert set(one) == set(wanted)
    for name, value in wanted.items():
        assert np.array_equal(one[name], two[name]), name
        assert close(one[name], value, 2e-4), name


def test_parameters_can_be_replaced(origin: Origin) -> None:
    graph = load(origin).graph
    first, second, inputs = parameters(graph, 1), parameters(graph, 2), step_inputs(graph, 0)
    run = make_executor(graph, first, Build(f"cpu:{TARGETS[0]}", BATCH, 1))
    before = run.step(inputs)["probs"]
    run.set_parameters(second)
    exact = Interpreter(graph).run(inputs, second).outputs["probs"]
    assert close(run.step(inputs)["probs"], exact, 1e-5)
    run.set_parameters(first)
    assert np.array_equal(run.step(inputs)["probs"], before)
    with pytest.raises(ValueError, match="the graph has"):
        run.set_parameters({"fc1.weight": np.zeros(3, np.float32)})


def test_an_input_of_the_wrong_shape_is_named(origin: Origin) -> None:
    graph = load(origin).graph
    run = make_executor(graph, parameters(graph), Build(f"cpu:{TARGETS[0]}", BATCH, 1))
    with pytest.raises(ValueError, match="input 'image' must be float32"):
        run.step({"image": np.zeros((1, 3, 12, 14), np.float32)})
