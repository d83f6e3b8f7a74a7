"""Ops x devices: every pair gives the reference's numbers, and the same bits with one thread and two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netdsl.backend import Device, backend_names, find_backend, find_device
from netdsl.diagnostics import DeviceMissing
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import DType
from netdsl.ops import builder
from netdsl.ops.base import Init, get
from netdsl.plan.planner import plan_graph
from netdsl.reference import Interpreter
from tests.ops.cases import BATCH, CASES, Case

Array = np.ndarray[Any, Any]
DEVICES = [f"{name}:{device}" for name in backend_names() for device in find_backend(name).devices]


def one_op(case: Case) -> Graph:
    """The op over inputs; weights are parameters, except an optimizer's, which an earlier step would compute."""
    graph = Graph("one")
    build = builder(graph)
    values = [
        build.param(f"x{i}", type.shape, {"init": Init("zeros")})
        if type.shape and not type.batched and not get(case.op).flat
        else build.input(f"x{i}", type)
        for i, type in enumerate(case.types)
    ]
    node: Node = build.op(case.op, values, case.attrs, name="op")
    graph.outputs = {f"y{value.index}": value for value in node.outputs}
    return graph


def arrays_of(case: Case) -> dict[str, Array]:
    floats = [type.dtype is DType.F32 for type in case.types]
    arrays = [a.astype(np.float32) if f else a for a, f in zip(case.arrays(), floats, strict=True)]
    return {f"x{i}": array for i, array in enumerate(arrays)}


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_op(case: Case, name: str) -> None:
    """A machine that isn't here has its code generated and checked, as far as the assembler."""
    graph, arrays = one_op(case), arrays_of(case)
    device = find_device(name)
    try:
        first, second = (run(graph, arrays, device, threads) for threads in (1, 2))
    except DeviceMissing:
        plan = plan_graph(graph, device.plan_target, batch=BATCH)
        assert device.emit(plan, device.stages[-1])
        return
    for key, wanted in Interpreter(graph).run(arrays, arrays).outputs.items():
        # Sums of a few hundred products in float32, and elementary functions good to a few units in the last place.
        scale = np.nanmax(np.abs(wanted), initial=1e-3)
        np.testing.assert_allclose(first[key], wanted, rtol=2e-5, atol=2e-6 * scale, err_msg=key)
        np.testing.assert_array_equal(first[key], second[key], err_msg=f"{key} depends on the number of threads")


def run(graph: Graph, arrays: dict[str, Array], device: Device, threads: int) -> dict[str, Array]:
    plan = plan_graph(graph, device.plan_target, batch=BATCH, threads=threads)
    executor = device.compile(graph, plan, {node.name: arrays[node.name] for node in graph.params})
    return executor.step({node.name: arrays[node.name] for node in graph.inputs})
