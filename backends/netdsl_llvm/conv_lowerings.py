"""How convolutions, fully connected layers and their gradients run, and what they ask of the plan."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.ir.graph import Node
from netdsl.ops.base import Call
from netdsl.plan.layout import NO_HALO, Halo, WeightLayout
from netdsl.record import record
from netdsl_llvm.conv_windows import conv_halo, grad_weight_halo, transposed_conv_halo
from netdsl_llvm.filters import (
    conv_filter,
    deconv_filter,
    fc_filter,
    fc_grad_input_filter,
    fc_grad_weight_filter,
    grad_input_filter,
    grad_weight_filter,
)
from netdsl_llvm.layouts import FilterLayout, GroupedFilter
from netdsl_llvm.pixel_lanes import fuses_pool
from netdsl_llvm.registry import JointEmitter, Lowering
from netdsl_llvm.target import Target

FilterRule = Callable[[Target, Call, int], FilterLayout]
HaloRule = Callable[[Call], Halo]


@record
class Filtered(Lowering):
    """Operand 1 is a packed filter that operand 0 is correlated with; result 0 may overwrite a fused operand."""

    filter: FilterRule = conv_filter
    border: HaloRule | None = None

    def operand_layout(self, target: Target, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return self.filter(target, Call.of(node), batch) if operand == 1 else None

    def halo(self, target: Target, node: Node, operand: int) -> Halo:
        return self.border(Call.of(node)) if self.border is not None and operand == 0 else NO_HALO

    def narrow(self, target: Target, node: Node, operand: int) -> bool:
        if operand != 0 or self.border is None:
            return False
        # the grouped kernel reads whole registers of channels
        return not isinstance(self.filter(target, Call.of(node), 1), GroupedFilter)

    def in_place(self, target: Target, node: Node) -> tuple[int, ...]:
        first = len(node.main_inputs)
        return tuple(i for i in range(first, len(node.inputs)) if node.inputs[i].type == node.types[0])


@record
class Convolution(Filtered):
    """conv(x, w[, bias]), which may run with a pool behind it."""

    def joins(self, target: Target, node: Node, reader: Node) -> bool:
        return fuses_pool(target, node, reader)

    def joint_emitter(self) -> JointEmitter:
        from netdsl_llvm.kernels.conv import emit_pooled

        return emit_pooled


@record
class FilterGradient(Lowering):
    """The result is a packed filter, from the gradient (operand 0) and the layer's input (operand 1)."""

    filter: FilterRule = grad_weight_filter
    border: HaloRule | None = None

    def result_layout(self, target: Target, node: Node, result: int, batch: int) -> WeightLayout | None:
        return self.filter(target, Call.of(node), batch)

    def halo(self, target: Target, node: Node, operand: int) -> Halo:
        return self.border(Call.of(node)) if self.border is not None and operand == 1 else NO_HALO

    def narrow(self, target: Target, node: Node, operand: int) -> bool:
        return operand == 1 and self.border is not None


LOWERINGS: dict[str, Lowering] = {
    "conv": Convolution("conv", "emit_conv", filter=conv_filter, border=conv_halo),
    "deconv": Filtered("conv", "emit_transposed", filter=deconv_filter, border=transposed_conv_halo),
    "conv_grad_input": Filtered("conv", "emit_transposed", filter=grad_input_filter, border=transposed_conv_halo),
    "conv_grad_weight": FilterGradient("conv_grad_weight", filter=grad_weight_filter, border=grad_weight_halo),
    "fc": Filtered("conv", "emit_matrix", filter=fc_filter),
    "fc_grad_input": Filtered("conv", "emit_matrix", filter=fc_grad_input_filter),
    "fc_grad_weight": FilterGradient("conv_grad_weight", "emit_matrix", filter=fc_grad_weight_filter),
}
