from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.graph import Epilogue, Graph
from netdsl.ir.scalar import Var, maximum
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.ops.base import Init
from netdsl.reference import Interpreter, ReferenceStep, evaluate_weights, weight_values

PARAM = {"init": Init("zeros"), "trainable": True, "decay": True}


def small_graph() -> Graph:
    """y = max(tanh(x) * (w + w) + skip, 0), where the last two are an epilogue."""
    graph = Graph("small")
    build = builder(graph)
    x, skip = build.input("x", TensorType((2, 3))), build.input("skip", TensorType((2,)))
    weight = build.param("w", (2,), PARAM)
    doubled = build.op("add", [weight, weight], name="doubled").output
    node = build.op("tanh", [x], name="y")
    node.inputs += [doubled, skip]
    node.epilogue = Epilogue(maximum(Var(0) * Var(1) + Var(2), 0.0), 2)
    graph.outputs = {"y": node.output, "again": node.output}
    return graph


def test_runs_with_epilogue_in_the_precision_asked_for() -> None:
    rng = np.random.default_rng(0)
    x, skip, w = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2)), np.array([0.5, -1.0])
    expected = np.maximum(np.tanh(x) * (2 * w)[None, :, None] + skip[:, :, None], 0)
    graph = small_graph()
    for dtype, rtol in ((np.float64, 1e-14), (np.float32, 1e-5)):
        run = Interpreter(graph).run({"x": x, "skip": skip}, {"w": w}, dtype)
        assert run.outputs["y"].dtype == dtype
        np.testing.assert_allclose(run.outputs["y"], expected, rtol=rtol, atol=1e-6)
        assert run.outputs["again"] is run.outputs["y"]


def test_keeps_only_what_is_asked_for() -> None:
    graph = small_graph()
    feed, params = {"x": np.ones((1, 2, 3)), "skip": np.ones((1, 2))}, {"w": np.ones(2)}
    doubled = graph.node("doubled").output
    assert set(Interpreter(graph).run(feed, params).values) == set(graph.outputs.values())
    kept = Interpreter(graph).run(feed, params, keep=[doubled]).values
    np.testing.assert_array_equal(kept[doubled], [2, 2])


def test_inputs_that_do_not_fit() -> None:
    graph, params = small_graph(), {"w": np.ones(2)}
    with pytest.raises(ValueError, match=r"x is \(1, 3, 2\)"):
        Interpreter(graph).run({"x": np.ones((1, 3, 2)), "skip": np.ones((1, 2))}, params)
    with pytest.raises(KeyError):
        Interpreter(graph).run({"x": np.ones((1, 2, 3))}, params)


def test_weight_expressions_are_known_before_anything_runs() -> None:
    graph = small_graph()
    known = evaluate_weights(graph, {"w": np.array([1.5, 2.5], np.float32)})
    assert set(known) == {"doubled"}
    assert known["doubled"].dtype == np.float64
    np.testing.assert_array_equal(known["doubled"], [3, 5])


def test_only_the_weights_that_are_wanted_are_computed() -> None:
    """Others need not even be there; what was read last is kept no longer."""
    graph = Graph("weights")
    build = builder(graph)
    w, s, other = (build.param(name, (2,), PARAM) for name in ("w", "s", "other"))
    product = build.op("map", [w, s], {"expr": Var(0) * Var(1)}, name="product").output
    shifted = build.op("map", [product, s], {"expr": Var(0) + Var(1)}, name="shifted").output
    build.op("map", [other], {"expr": -Var(0)}, name="unwanted")
    params = {"w": np.array([0.1, 3], np.float32), "s": np.array([2, 4], np.float32)}
    found = list(weight_values(graph, params, {s, shifted}))
    assert [value for value, _ in found] == [s, shifted]
    np.testing.assert_array_equal(found[0][1], [2, 4])
    np.testing.assert_array_equal(found[1][1], params["w"].astype(np.float64) * [2, 4] + [2, 4])
    assert list(weight_values(graph, params, set())) == []


def test_a_step_changes_its_resident_parameters() -> None:
    graph = Graph("step")
    build = builder(graph)
    w, m = build.param("w", (2,), PARAM), build.param("m", (2,), PARAM)
    g, lr = build.input("g", TensorType((2,), False)), build.input("lr", TensorType((), False))
    node = build.op("sgd", [w, g, m, lr], {"momentum": 0.5})
    graph.updates = {"w": node.outputs[0], "m": node.outputs[1]}
    step = ReferenceStep(graph, {"w": np.ones(2), "m": np.zeros(2)})
    for _ in range(2):
        assert step.step({"g": np.array([1.0, 2.0]), "lr": np.array(0.1)}) == {}
    np.testing.assert_allclose(step.get_parameters()["w"], [0.75, 0.5])
    assert step.get_parameters()["m"].dtype == np.float32
    step.set_parameters({"w": np.zeros(2)})
    np.testing.assert_array_equal(step.parameters["w"], [0, 0])
    with pytest.raises(ValueError, match="w is"):
        step.set_parameters({"w": np.zeros(3)})


def test_class_numbers_stay_whole() -> None:
    graph = Graph("labels")
    build = builder(graph)
    graph.outputs = {"label": build.input("label", TensorType((), True, DType.I32))}
    result = Interpreter(graph).run({"label": np.array([3, 16777217])}, {}).outputs["label"]
    assert result.dtype == np.int32 and result[1] == 16777217
