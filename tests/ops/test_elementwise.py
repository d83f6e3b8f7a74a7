from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Code
from netdsl.ir.graph import Graph
from netdsl.ir.scalar import Var, exp, select
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.ops.base import Call, ShapeError, get
from tests.ops.support import OneOp, batched, check_differences, check_torch, labels, random_array, weight

SHAPES = [(4,), (3, 2, 5)]


def arrays_for(op: OneOp, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [random_array(rng, type) for type in op.types]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh", "prelu"])
def test_activations(name: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    functions = {
        "relu": functional.relu,
        "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "prelu": functional.prelu,
    }
    types = [batched(*shape), weight(shape[0])] if name == "prelu" else [batched(*shape)]
    op = OneOp(name, types, {"slope": 0.2} if name == "leaky_relu" else {})
    check_torch(op, arrays_for(op), functions[name])
    check_differences(op, arrays_for(op))


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    ones=st.lists(st.booleans(), min_size=3, max_size=3),
    cut=st.integers(0, 3),
    is_weight=st.booleans(),
)
def test_mul_broadcasts_from_the_left(shape: list[int], ones: list[bool], cut: int, is_weight: bool) -> None:
    torch = pytest.importorskip("torch")
    small = tuple(1 if one else size for size, one in zip(shape, ones, strict=False))[: max(0, len(shape) - cut)]
    op = OneOp("mul", [batched(*shape), TensorType(small, not is_weight)], {})

    def function(x: Any, y: Any) -> Any:
        lead = y.unsqueeze(0) if is_weight else y
        return torch.mul(x, lead.reshape(*lead.shape, *[1] * (x.ndim - lead.ndim)))

    check_torch(op, arrays_for(op), function)


def test_mul_and_add_take_any_number_and_repeats() -> None:
    for name, expected in (("mul", 4.0 * 5.0 * 6.0), ("add", 15.0)):
        op = OneOp(name, [batched(2)] * 3, {})
        arrays = [np.full((3, 2), value) for value in (4.0, 5.0, 6.0)]
        np.testing.assert_allclose(op.run(arrays)[0], expected)
        check_differences(op, arrays)
    graph = Graph("twice")
    build = builder(graph)
    x = build.input("x", batched(2))
    assert build.op("add", [x, x]).output.type == batched(2)


@pytest.mark.parametrize("name", ["add", "mul"])
def test_shapes_that_do_not_meet(name: str) -> None:
    with pytest.raises(ShapeError) as caught:
        get(name).infer({}, [batched(64, 28, 28), batched(128, 56, 56)])
    assert caught.value.code is Code.SHAPE_MISMATCH
    assert caught.value.label == "channels 64 ≠ 128, height 28 ≠ 56, width 28 ≠ 56"


def test_add_does_not_broadcast_and_nothing_adds_labels() -> None:
    with pytest.raises(ShapeError, match="equal shapes"):
        get("add").infer({}, [batched(4, 2, 2), batched(4)])
    with pytest.raises(ShapeError, match="equal shapes"):
        get("add").infer({}, [batched(4, 2, 2), batched(4, 1, 1)])
    with pytest.raises(ShapeError) as caught:
        get("relu").infer({}, [labels()])
    assert caught.value.code is Code.WRONG_TYPE


def test_map_of_any_expression() -> None:
    expr = select("gt", Var(0), Var(1), exp(Var(0)) / (Var(1) * Var(1) + 1.0), Var(2) - Var(0) * Var(1))
    op = OneOp("map", [batched(3, 2, 2), weight(3), batched(3)], {"expr": expr})
    check_differences(op, arrays_for(op))


def test_gradient_reads_the_result_instead_of_computing_it_again() -> None:
    for name in ("tanh", "sigmoid", "relu"):
        op = OneOp(name, [batched(2)], {})
        local = next(node for node in op.graph.nodes if node.op == "map" and op.node.output in node.inputs)
        assert op.inputs[0] not in local.inputs


def test_special_values() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, -0.0, 0.0]])

    def apply(name: str, attrs: dict[str, Any] | None = None) -> np.ndarray[Any, Any]:
        return OneOp(name, [batched(5)], attrs or {}).run([x])[0][0]

    np.testing.assert_array_equal(apply("relu"), [np.nan, np.inf, 0, 0, 0])
    np.testing.assert_array_equal(apply("leaky_relu", {"slope": 0.5}), [np.nan, np.inf, -np.inf, 0, 0])
    np.testing.assert_array_equal(apply("sigmoid"), [np.nan, 1, 0, 0.5, 0.5])
    np.testing.assert_array_equal(apply("tanh"), [np.nan, 1, -1, 0, 0])


def test_relu_stops_an_infinite_gradient_where_it_is_flat() -> None:
    graph = Graph("flat")
    build = builder(graph)
    y, g = build.input("y", batched(2)), build.input("g", batched(2))
    node = build.op("relu", [y])
    (grad,) = get("relu").gradient(build, node, [g])
    assert grad is not None
    call = Call.of(grad.node)
    assert [value.name for value in grad.node.inputs] == ["relu", "g"]
    (result,) = get("map").reference(call, [np.array([[0.0, 2.0]]), np.array([[np.inf, 3.0]])])
    np.testing.assert_array_equal(result, [[0.0, 3.0]])


def test_costs_and_parameters() -> None:
    for name, flops in (("relu", 24), ("add", 24), ("bn", 24 * 4 + 2 * 2), ("dropout", 0)):
        types = (batched(2, 3, 4),) * (2 if name == "add" else 1)
        if name == "bn":
            types = (*types, *[weight(2)] * 4)
        cost = get(name).cost(Call({"eps": 1e-5}, types, (batched(2, 3, 4),)))
        assert (cost.macs, cost.flops) == (0, flops)
    (spec,) = get("prelu").parameters({"init": 0.25}, [batched(7, 2, 2)])
    assert (spec.name, spec.shape, spec.init.scale, spec.decay) == ("weight", (7,), 0.25, False)
    with pytest.raises(ShapeError) as caught:
        get("prelu").parameters({"init": 0.25}, [batched()])
    assert caught.value.code is Code.BAD_RANK
