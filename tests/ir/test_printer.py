from __future__ import annotations

import numpy as np

from netdsl.ir.graph import Epilogue, Graph
from netdsl.ir.printer import print_graph
from netdsl.ir.scalar import Var, maximum
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.ops.base import Init

EXPECTED = """\
graph small
image: [4, 2, 2] = input
label: [2, 2]i32 = input
bn.weight: const [4] = param ones undecayed
bn.mean: const [4] = param constant(0.5) fixed
w: const [4] = param xavier(fan_in=3, fan_out=5)
v: const [] = param he(fan_in=9)
half: const [] = const 0.5
table: const [2] = const [1.0, 2.0]
large: const [3, 3] = const 3x3 values, crc32 fd1deb98
lrn: [4, 2, 2] = lrn(image) alpha=0.0001 beta=0.75 k=1 size=5
    then max(mul(x0, x1), 0) where x1 = w
drop: [4, 2, 2] = dropout_apply(lrn, step, seed) first=0 p=0.5 salt=7
loss: const [] = cross_entropy(drop, label) smooth=0
sum: const [4] = sum_to(image) batched=no shape=(4)
sgd: (const [4], const [4]) = sgd(w, sum, w, half) momentum=0.9 nesterov=yes weight_decay=0
output loss = loss
update w = sgd.0
"""


def sample() -> Graph:
    graph = Graph("small")
    build = builder(graph)
    image = build.input("image", TensorType((4, 2, 2)))
    label = build.input("label", TensorType((2, 2), True, DType.I32))
    build.param("bn.weight", (4,), {"init": Init("ones"), "trainable": True, "decay": False})
    build.param("bn.mean", (4,), {"init": Init("constant", 0.5), "trainable": False, "decay": False})
    w = build.param("w", (4,), {"init": Init("xavier", 1.0, 3, 5), "trainable": True, "decay": True})
    build.param("v", (), {"init": Init("he", 1.0, 9), "trainable": True, "decay": True})
    half = build.constant(0.5, name="half")
    build.constant([1, 2], name="table")
    build.constant(np.arange(9).reshape(3, 3), name="large")
    lrn = build.op("lrn", [image])
    lrn.inputs.append(w)
    lrn.epilogue = Epilogue(maximum(Var(0) * Var(1), 0.0), 1)
    other = builder(Graph("other"))
    counters = [other.input(name, TensorType((), False, DType.I32)) for name in ("step", "seed")]
    drop = build.op("dropout_apply", [lrn.output, *counters], {"p": 0.5, "salt": 7}, name="drop")
    loss = build.op("cross_entropy", [drop.output, label], name="loss")
    total = build.op("sum_to", [image], {"shape": (4,), "batched": False}, name="sum")
    sgd = build.op("sgd", [w, total.output, w, half], {"momentum": 0.9, "nesterov": True})
    graph.outputs = {"loss": loss.output}
    graph.updates = {"w": sgd.outputs[0]}
    return graph


def test_every_kind_of_line() -> None:
    assert print_graph(sample()) == EXPECTED


def test_a_copy_prints_the_same() -> None:
    graph = sample()
    graph.remove([graph.node("drop"), graph.node("loss")])
    graph.outputs = {}
    assert print_graph(graph.copy()[0]) == print_graph(graph)
