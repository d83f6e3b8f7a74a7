from __future__ import annotations

import pytest

from netdsl.analysis.cost import cost_of, layer_costs, totals
from netdsl.diagnostics import Code, UserError
from netdsl.driver import Build, optimize
from netdsl.elaborate import elaborate, load_program
from netdsl.ops import base
from netdsl.ops.base import Call, Cost, OpDef
from netdsl.ops.elementwise import Relu
from netdsl.source import Source

TEXT = """
net N {
    input x: [4, 8, 8]
    layer shared = conv(4, 3x3, pad=1)
    a = x -> shared -> bn -> relu -> shared
    output y = a -> flatten -> fc(10, bias=no)
}
"""


def test_shared_weights_count_once_and_statistics_never() -> None:
    costs = {cost.node.name: cost for cost in layer_costs(elaborate(load_program(Source("n.net", TEXT))).graph)}
    assert costs["shared"].params == 4 * 4 * 9 + 4
    assert costs["shared@2"].params == 0 and costs["shared@2"].macs == costs["shared"].macs == 64 * 4 * 4 * 9
    assert costs["bn1"].params == 8
    assert (costs["fc1"].params, costs["fc1"].macs, costs["fc1"].flops) == (2560, 2560, 5120)
    whole = totals(costs.values())
    assert whole.params == whole.trainable_params == 148 + 8 + 2560
    assert whole.macs == 2 * 64 * 4 * 4 * 9 + 2560
    assert whole.flops > 2 * whole.macs


class Mystery(Relu):
    """An op from elsewhere that does not say what it costs."""

    name = "mystery"
    cost = OpDef.cost  # type: ignore[assignment]


class Impossible(Relu):
    """Fewer operations than its multiply-accumulates are."""

    name = "impossible"

    def cost(self, call: Call) -> Cost:
        return Cost(10, 10)


@pytest.mark.parametrize("op", [Mystery, Impossible])
def test_what_cannot_be_counted_is_an_error(op: type[Relu], monkeypatch: pytest.MonkeyPatch) -> None:
    graph = elaborate(load_program(Source("n.net", TEXT))).graph
    monkeypatch.setitem(base._REGISTRY, "relu", op())
    with pytest.raises(UserError) as caught:
        layer_costs(graph)
    [found] = caught.value.diagnostics
    assert found.code is Code.UNCOUNTED_OP and found.title == "the work of `relu` cannot be counted"
    assert found.primary is not None and found.primary.span.text == "relu"


def test_what_is_fused_into_a_layer_counts() -> None:
    graph = elaborate(load_program(Source("n.net", TEXT))).graph
    fused, _ = optimize(graph, Build())
    [conv] = [node for node in fused.layers if node.op == "conv" and node.epilogue is not None]
    assert cost_of(conv).flops == 2 * 64 * 4 * 36 + 256 + 3 * 256  # a bias, then scale, shift and relu
