"""Targets: what their objects may contain, and code for machines that are not here."""

from __future__ import annotations

import re

import pytest

from netdsl.backend import find_backend, find_device
from netdsl.diagnostics import DeviceMissing
from netdsl.ir.graph import Graph
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.plan.planner import plan_graph
from netdsl_llvm.target import Target


def small_graph() -> Graph:
    graph = Graph("small")
    b = builder(graph)
    x = b.input("x", TensorType((20, 9, 9)))
    pool = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1, 1, 1), "round": "floor"}
    graph.outputs["y"] = b.op("softmax", b.op("maxpool", b.op("tanh", [x]).outputs, pool).outputs).output
    return graph


def code(device: str, stage: str) -> str | bytes:
    found = find_device(f"cpu:{device}")
    return found.emit(plan_graph(small_graph(), found.plan_target, batch=1), stage)


ALLOWED = {"avx512": {"x", "y", "z"}, "avx2": {"x", "y"}, "sse4": {"x"}}


@pytest.mark.parametrize("device", ALLOWED)
def test_only_registers_of_the_target(device: str) -> None:
    listing = code(device, "asm")
    assert isinstance(listing, str)
    assert set(re.findall(r"%([xyz])mm\d", listing)) - {"x"} <= ALLOWED[device]
    assert (re.search(r"%xmm(1[6-9]|[23]\d)|\{%k\d\}", listing) is None) or device == "avx512"
    assert ("vfmadd" in listing) == Target.named(device).has_fma


@pytest.mark.parametrize("device", ["avx512", "avx2", "sse4", "neon"])
def test_the_same_plan_gives_the_same_bytes(device: str) -> None:
    assert code(device, "llvm") == code(device, "llvm")
    assert code(device, "obj") == code(device, "obj")


def test_code_for_another_machine_is_made_but_not_run() -> None:
    other = next(name for name in ("neon", "avx512") if not Target.named(name).runs_here)
    listing = code(other, "asm")
    assert isinstance(listing, str)
    assert re.search(r"\bv\d+\.4s\b" if other == "neon" else r"%zmm", listing)
    device = find_device(f"cpu:{other}")
    graph = small_graph()
    with pytest.raises(DeviceMissing):
        device.compile(graph, plan_graph(graph, device.plan_target, batch=1), {})


def test_the_doctor_gets_facts() -> None:
    facts = find_backend("cpu").describe()
    assert facts["vector_floats"] == Target.host().lanes
    assert {"cpu", "llvm", "llvmlite", "cache"} <= set(facts)


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="avx2, avx512, neon, sse4"):
        Target.named("mmx")


def test_every_op_that_runs_has_a_kernel() -> None:
    from netdsl.ops.base import all_ops
    from netdsl.ops.pointwise import Pointwise
    from netdsl.ops.weight_ops import WeightOp
    from netdsl_llvm import registry

    registry._load_tables()
    running = {name for name, op in all_ops().items() if not isinstance(op, WeightOp | Pointwise)}
    assert running <= registry._TABLE.keys()
