from __future__ import annotations

from netdsl.analysis.cost import layer_costs, totals
from netdsl.elaborate import elaborate, load_program
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
