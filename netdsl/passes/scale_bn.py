"""A batch norm that no layer took up becomes one multiply and one add.

    y = bn(x)          y = map(x * s + t)          s = gamma / sqrt(var + eps), t = beta - mean * s

so what is left of it at inference is elementwise, and can become an epilogue like any activation.
"""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.graph import Graph
from netdsl.ir.scalar import Var
from netdsl.passes.base import Log, Pass
from netdsl.passes.sweep import Sweep
from netdsl.passes.weights import scale_and_shift
from netdsl.record import record


@record
class ScaleBn(Pass):
    """See the module."""

    name: ClassVar[str] = "scale_bn"

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        for bn in sweep:
            if bn.op != "bn":
                continue
            if log.training:
                log.refused(bn, "training graph: the batch sets the statistics")
                continue
            log.rewrote([bn], "statistics became one multiply and one add")
            sweep.build.spans = bn.spans
            scale, shift = scale_and_shift(sweep.build, bn)
            sweep.rewire(bn, [bn.inputs[0], scale, shift])
            bn.op, bn.attrs = "map", {"expr": Var(0) * Var(1) + Var(2)}
