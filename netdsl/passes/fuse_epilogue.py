"""Elementwise layers move to where their operand is stored.

    y = conv(x, w);  z = add(y, s);  r = relu(z)      r = conv(x, w) with epilogue max(y + s, 0), operands (s)
    a = mul(x, g);   b = relu(a)                      b = map(max(x0 * x1, 0))(x, g)

In a training step the same happens to gradients: the sum at a fork and the mask of a relu end whatever
computes the gradient of its input, a convolution's, a batch norm's or a pool's.

A heavy layer (``heavy``) whose result one elementwise layer reads takes that layer's expression as its
epilogue, which is applied in registers before the store. The heavy node moves down to the place of
the elementwise one, so that all operands are there; that is legal because nobody between reads it, and if
an operand depends on the heavy result itself (the gate of squeeze-and-excitation), the result has a
second reader and is refused. Of several heavy operands the one computed last is taken: it moves least.

Elementwise operands that nobody else reads are merged first, in the same way, into one ``map``.

Both keep shapes: an operand must have the type of the result, for a smaller one would be computed anew for
every element it is broadcast to. Weight expressions stay as they are: they are evaluated once, at load.
"""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.graph import Epilogue, Graph, Node
from netdsl.ir.scalar import Var, simplify, size
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.elementwise import Scalar, scalar_of
from netdsl.passes.sweep import Sweep
from netdsl.passes.weights import weight_nodes
from netdsl.record import record


@record
class FuseEpilogue(Pass):
    """See the module. ``max_operands`` and ``max_size`` bound what one store may read and compute."""

    name: ClassVar[str] = "fuse_epilogue"
    heavy: tuple[str, ...] = (
        *("conv", "deconv", "fc", "conv_grad_input", "fc_grad_input", "maxpool", "avgpool"),
        *("bn_train", "bn_train_grad", "maxpool_grad", "avgpool_grad"),
    )
    max_operands: int = 8
    max_size: int = 64

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        weights = set() if log.training else weight_nodes(graph.nodes)
        for node in sweep:
            scalar = None if node in weights else scalar_of(node, log.training)
            if scalar is not None:
                _Fusion(self, sweep, log, weights, node, scalar).run()


class _Fusion:
    """One elementwise node, and the producers that are merged with it."""

    def __init__(
        self, options: FuseEpilogue, sweep: Sweep, log: Log, weights: set[Node], node: Node, scalar: Scalar
    ) -> None:
        self.options, self.sweep, self.log, self.node = options, sweep, log, node
        self.scalar = scalar
        self.merged: list[Node] = []
        producers = {value.node for value in scalar.operands if value.index == 0} - weights
        producers -= {value.node for value in scalar.operands if value.index > 0}
        self.producers = sorted(producers, key=sweep.position)

    def run(self) -> None:
        reasons: list[str] = []
        for producer in self.producers:
            inner = scalar_of(producer, self.log.training)
            if inner is not None:
                reasons.append(self._take(producer, inner))
        heavy = [producer for producer in self.producers if producer.op in self.options.heavy]
        for producer in reversed(heavy):
            reasons.append(self._take(producer, _stored(producer)))
            if not reasons[-1]:
                break
        if self.merged:
            self._rewrite()
        elif reasons:
            self.log.refused(self.node, reasons[-1])

    def _take(self, producer: Node, inner: Scalar) -> str:
        """Merge a producer; the reason why not, or nothing."""
        value, types = producer.output, self.node.types
        if producer.types[0] != types[0]:
            return f"{value.name} {value.type} would be computed anew for each element of {types[0]}"
        if reason := self.sweep.other_reader(value, self.node) or self.sweep.earlier_reader(producer.outputs[1:]):
            return reason
        merged = self.scalar.inline(value, inner)
        if len(merged.operands) > self.options.max_operands or size(merged.expr) > self.options.max_size:
            return f"with {value.name} it would be too long for one store"
        self.scalar = merged
        self.merged.append(producer)
        return ""

    def _rewrite(self) -> None:
        """The last producer taken when it is heavy, otherwise the first, becomes the fused node."""
        sweep, taken = self.sweep, self.merged
        base = taken[-1] if taken[-1].op in self.options.heavy else taken[0]
        kind = "epilogue" if base.op in self.options.heavy else "map"
        expr, operands = simplify(self.scalar.expr), self.scalar.operands
        self.log.rewrote([*taken, self.node], f"{kind} of {base.name}: {expr}")
        base.spans = union_of_spans([*taken, self.node])
        for producer in taken:
            if producer is not base:
                sweep.discard(producer)
        sweep.bring_down(base)
        if kind == "epilogue":
            inputs = [*base.main_inputs, *operands[1:]]
            sweep.rewire(base, inputs, Epilogue(expr, len(operands) - 1))
        else:
            base.op, base.attrs = "map", {"expr": expr}
            sweep.rewire(base, operands)
        sweep.replace(self.node, [base.output])


def _stored(heavy: Node) -> Scalar:
    """What a heavy node stores: its own result is operand 0, then come those of its epilogue."""
    expr = heavy.epilogue.expr if heavy.epilogue else Var(0)
    return Scalar.of(expr, [heavy.output, *heavy.epilogue_inputs])
