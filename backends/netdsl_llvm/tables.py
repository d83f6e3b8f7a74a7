"""The kernels of this backend by op."""

from __future__ import annotations

from netdsl.ir.graph import Node
from netdsl.plan.layout import canonical
from netdsl.record import record
from netdsl_llvm.conv_lowerings import LOWERINGS as CONVOLUTIONS
from netdsl_llvm.registry import ELEMENTWISE, Lowering, register
from netdsl_llvm.scratch import FLAT_PARTS, partial_sums
from netdsl_llvm.target import Target


@record
class Summing(Lowering):
    """A kernel that leaves `sums` partial sums over operand 0."""

    sums: int = 1

    def scratch(self, target: Target, node: Node, batch: int, threads: int) -> int:
        return partial_sums(node.inputs[0].type, batch, target.lanes, self.sums)


@record
class SummingFlat(Summing):
    """A kernel that leaves partial sums over an operand of either kind of layout."""

    def scratch(self, target: Target, node: Node, batch: int, threads: int) -> int:
        return max(super().scratch(target, node, batch, threads), FLAT_PARTS * target.lanes)


@record
class NormGrad(Summing):
    """The gradient of batch normalization: over `g`, if what was normalized was made by a convolution of single pixels.

    The gradients of other convolutions want borders, which `g`, and what that lies over, would then have as well.
    """

    def in_place(self, target: Target, node: Node) -> tuple[int, ...]:
        source = node.inputs[1].node
        single = source.op == "conv" and tuple(source.attrs["kernel"]) == (1, 1)
        return self.overwrites if single else ()


register("map", ELEMENTWISE)
register("mean_grad", Lowering("elementwise", "emit_mean_grad", overwrites=(1, 2)))
for optimizer in ("sgd", "adam", "adamw", "rmsprop"):
    register(optimizer, Lowering("elementwise", "emit_optimizer"))
register("sum_to", Summing("reduce", "emit_sum_to"))
register("square_sum", SummingFlat("flat_sum"))
for loss in ("mse", "bce", "bce_logits", "likelihood"):
    register(loss, Summing("reduce", "emit_mean_loss"))
for end in ("begin", "end"):
    register(f"rank_sum_{end}", Lowering("rank_sum", f"emit_{end}", overwrites=(0,)))
register("bn_train", Summing("norm", "emit_train", sums=2))
register("bn_apply", Lowering("norm", "emit_apply", overwrites=(0,)))
register("bn_train_grad", NormGrad("norm", "emit_grad", sums=2, overwrites=(0,)))
for op, lowering in CONVOLUTIONS.items():
    register(op, lowering)
for name in ("softmax", "log_softmax"):
    register(name, Lowering("softmax", overwrites=(0,)))
    register(f"{name}_grad", Lowering("softmax", "emit_grad", overwrites=(0, 1)))


@record
class RowTotals(Lowering):
    """A kernel that leaves some numbers for every row of positions of its last operand's neighbour, the logits."""

    logits: int = 0
    numbers: int = 2

    def scratch(self, target: Target, node: Node, batch: int, threads: int) -> int:
        kind = node.inputs[self.logits].type
        needed = self.logits == 0 or node.attrs.get("ignore") is not None
        return self.numbers * (batch if kind.batched else 1) * canonical(kind.shape)[1] if needed else 0


register("cross_entropy", RowTotals("loss"))
register("cross_entropy_grad", RowTotals("loss", "emit_grad", overwrites=(1,), logits=1, numbers=1))
register("dropout_apply", Lowering("dropout", overwrites=(0,)))
register("lrn", Lowering("lrn", overwrites=(0,)))
register("lrn_grad", Lowering("lrn", "emit_grad", overwrites=(0, 1)))
register("maxpool", Lowering("pool"))
register("avgpool", Lowering("pool"))
register("maxpool_grad", Lowering("pool_grad", "emit_max"))
register("avgpool_grad", Lowering("pool_grad", "emit_average"))
register("distance", Lowering("distance"))
register("local", Lowering("local"))
register("local_grad_input", Lowering("local", "emit_grad_input"))
register("local_grad_weight", Lowering("local", "emit_grad_weight"))
register("upsample", Lowering("upsample"))
register("upsample_grad", Lowering("upsample", "emit_grad"))
for name in ("concat", "slice", "pad_channels", "crop", "pad"):
    register(name, Lowering("arrange", f"emit_{name}"))
register("identity", Lowering("arrange", "emit_copy", overwrites=(0,)))


@record
class Flatten(Lowering):
    """A map of one channel that is stored as it comes is flat already."""

    def narrow(self, target: Target, node: Node, operand: int) -> bool:
        return node.inputs[0].type.shape[0] == 1


register("flatten", Flatten("reshape"))
register("reshape", Lowering("reshape"))
