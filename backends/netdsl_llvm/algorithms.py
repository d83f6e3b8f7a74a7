"""Which algorithm runs a convolution: direct, or Winograd's over transformed filters.

The choice rests on shapes and fixed costs alone: never on the number of threads or on what was measured on the machine,
for it changes the last bits of results.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from netdsl.ir.graph import Node
from netdsl.ops.base import Call
from netdsl.plan.layout import NO_HALO, Halo, WeightLayout
from netdsl.record import record
from netdsl_llvm.conv_lowerings import Filtered, FilterGradient
from netdsl_llvm.conv_windows import conv_axes, grad_weight_axes, transposed_conv_axes
from netdsl_llvm.filters import conv_filter, grad_input_home
from netdsl_llvm.registry import Lowering
from netdsl_llvm.target import Target
from netdsl_llvm.winograd import RESULTS, TRAINED_RESULTS
from netdsl_llvm.winograd_costs import MEMORY_BYTES, cheapest
from netdsl_llvm.winograd_filter import WinogradFilter
from netdsl_llvm.winograd_gradient import GradientWork
from netdsl_llvm.winograd_work import Work

EMITTERS = {"conv": "emit_conv", "conv_grad_input": "emit_transposed"}
"""The correlations that have a choice, and what emits them."""
DIRECT_COST, DIRECT_GRADIENT_COST = 1.03, 1.1
"""Of a multiply-add of a direct convolution, and of the gradient of its filter."""
WORTH = 0.9
"""Another algorithm must take less than this part of the direct one's time: it is less exact."""


@record
class Convolution:
    """A correlation of square kernels with stride 1, forward or of a gradient, as an algorithm sees it.

    ``above`` and ``left`` are the rows and columns of padding that the first result sees. With ``resident`` weights the
    filter is transformed at load, otherwise in every run.
    """

    inputs: int
    outputs: int
    kernel: int
    groups: int
    transposed: bool
    batch: int
    input_size: tuple[int, int]
    height: int
    width: int
    above: int
    left: int
    resident: bool

    @staticmethod
    def of(op: str, call: Call, batch: int, resident: bool) -> Convolution | None:
        """None where the op or its arguments leave no choice."""
        if op not in EMITTERS:
            return None
        attrs, (inputs, *size), (outputs, height, width) = call.attrs, call.inputs[0].shape, call.outputs[0].shape
        transposed, (kernel, other) = op == "conv_grad_input", attrs["kernel"]
        if kernel != other or kernel not in RESULTS or not tuple(attrs["stride"]) == tuple(attrs["dilation"]) == (1, 1):
            return None
        if transposed:
            (rows,), (cols,) = transposed_conv_axes(call)
        else:
            rows, cols = conv_axes(call)
        start = -rows.lowest, -cols.lowest
        return Convolution(
            inputs, outputs, kernel, attrs["groups"], transposed, batch, (size[0], size[1]), height, width, *start,
            resident,
        )  # fmt: skip

    def halo(self, work: Work) -> Halo:
        """The border read around the input: the padding, and beyond the map as far as its last tiles reach."""
        reach, more = work.results, self.kernel - 1
        below = work.rows * reach + more - self.above - self.input_size[0]
        right = work.cols * reach + more - self.left - self.input_size[1]
        return max(self.above, 0), max(below, 0), max(self.left, 0), max(right, 0)

    def work(self, target: Target, filter: WinogradFilter, threads: int) -> Work:
        """How it is done with this filter."""
        return self._cheapest(target, filter, threads)[0]

    def cost(self, target: Target, filter: WinogradFilter) -> float:
        """With this filter on one thread, in multiply-adds of registers."""
        return self._cheapest(target, filter, 1)[1]

    def _cheapest(self, target: Target, filter: WinogradFilter, threads: int) -> tuple[Work, float]:
        size = self.batch, self.height, self.width
        return cheapest(filter, target.registers, *size, threads, not self.resident)

    def direct_cost(self, target: Target) -> float:
        """Of the direct convolution on one thread, in multiply-adds of registers."""
        weights = self.inputs // self.groups * self.kernel**2 * -(-self.outputs // target.lanes)
        return max(
            DIRECT_COST * weights * self.batch * self.height * self.width, 4 * weights * target.lanes / MEMORY_BYTES
        )

    def filters(self, target: Target, threads: int) -> Iterator[WinogradFilter]:
        """One for each transform that applies, with as many registers in a tile as suit it and the threads."""
        inputs, outputs, groups = self.inputs, self.outputs, self.groups
        whole = inputs // groups % target.lanes == outputs // groups % target.lanes == 0 and not self.transposed
        if inputs < target.lanes or (groups > 1 and not whole) or (not self.resident and groups > 1):
            return
        if self.transposed and outputs < target.lanes:
            return
        per_group = -(-outputs // groups // target.lanes)
        fewest = min(2, per_group) if groups == 1 else 1
        for results in (RESULTS if self.resident else TRAINED_RESULTS)[self.kernel]:
            filters = [
                WinogradFilter(outputs, inputs, self.kernel, groups, target.lanes, vectors, results, self.transposed)
                for vectors in range(fewest, min(4, per_group) + 1)
                if groups == 1 or per_group % vectors == 0
            ]
            yield min(filters, key=lambda f: self._cheapest(target, f, threads)[1])


@record(kw_only=True)
class WinogradConv(Lowering):
    """conv(x, w[, bias]) or conv_grad_input(g, w) with a transformed filter: weights that change live in the layout of
    the direct convolution, where the optimizer works on them, and are transformed while they are used."""

    convolution: Convolution
    filter: WinogradFilter
    work: Work

    def operand_layout(self, target: Target, node: Node, operand: int, batch: int) -> WeightLayout | None:
        if operand != 1:
            return None
        if self.convolution.resident:
            return self.filter
        home = grad_input_home if self.convolution.transposed else conv_filter
        return home(target, Call.of(node), batch)

    def home_layout(self, target: Target, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return None if self.convolution.transposed else self.operand_layout(target, node, operand, batch)

    def halo(self, target: Target, node: Node, operand: int) -> Halo:
        return self.convolution.halo(self.work) if operand == 0 else NO_HALO

    def in_place(self, target: Target, node: Node) -> tuple[int, ...]:
        return Filtered("conv").in_place(target, node)

    def scratch(self, target: Target, node: Node, batch: int, threads: int) -> int:
        return self.work.scratch(self.filter)


@record(kw_only=True)
class WinogradGradient(FilterGradient):
    """conv_grad_weight(g, x) by way of transformed gradients and inputs."""

    work: GradientWork

    def halo(self, target: Target, node: Node, operand: int) -> Halo:
        """Around x as the convolution itself; g is read as zero where its last tiles reach beyond it."""
        call, work = Call.of(node), self.work
        if operand == 0:
            _, height, width = call.inputs[0].shape
            return 0, work.rows * work.results - height, 0, work.cols * work.results - width
        rows, cols = grad_weight_axes(call)
        _, height, width = call.inputs[1].shape
        below = work.rows * work.results + work.kernel - 1 + rows.lowest - height
        right = work.cols * work.results + work.kernel - 1 + cols.lowest - width
        return max(-rows.lowest, 0), max(below, 0), max(-cols.lowest, 0), max(right, 0)

    def narrow(self, target: Target, node: Node, operand: int) -> bool:
        return False

    def scratch(self, target: Target, node: Node, batch: int, threads: int) -> int:
        return self.work.scratch


def chosen_lowering(target: Target, node: Node, batch: int, threads: int, *, resident: bool) -> Lowering | None:
    """What runs a node better than its direct kernels, if anything does; ``resident``: its weights stay as they are."""
    if node.op in EMITTERS:
        return best_lowering(target, node, batch, threads, resident=resident)
    if node.op == "conv_grad_weight":
        work = best_gradient(target, Call.of(node), batch)
        return WinogradGradient(module="conv_grad_weight", work=work) if work is not None else None
    return None


def best_gradient(target: Target, call: Call, batch: int) -> GradientWork | None:
    """How the gradient of a filter is computed in less time than directly, if it can be."""
    attrs, (outputs, height, width), (inputs, *_) = call.attrs, call.inputs[0].shape, call.inputs[1].shape
    kernel, other = attrs["kernel"]
    plain = kernel == other and tuple(attrs["stride"]) == tuple(attrs["dilation"]) == (1, 1) and attrs["groups"] == 1
    if not plain or kernel not in TRAINED_RESULTS or inputs < target.lanes:
        return None
    blocks, vectors = (-(-channels // target.lanes) for channels in (inputs, outputs))
    ways = [
        GradientWork(m, kernel, batch, -(-height // m), -(-width // m), blocks, vectors, target.lanes)
        for m in TRAINED_RESULTS[kernel]
    ]
    best = min(ways, key=lambda way: way.cost, default=None)
    direct = DIRECT_GRADIENT_COST * batch * height * width * kernel**2 * inputs * vectors
    return best if best is not None and best.cost < WORTH * direct else None


def best_lowering(target: Target, node: Node, batch: int, threads: int, *, resident: bool) -> WinogradConv | None:
    """What runs a convolution better than the direct kernels, if anything does; ``resident``: its weights stay."""
    convolution = Convolution.of(node.op, Call.of(node), batch, resident)
    best = best_filter(target, convolution, threads) if convolution is not None else None
    if convolution is None or best is None:
        return None
    work = convolution.work(target, best, threads)
    return WinogradConv(module="conv", function=EMITTERS[node.op], convolution=convolution, filter=best, work=work)


def changing_filter(target: Target, op: str, call: Call, batch: int, threads: int) -> WinogradFilter | None:
    """What weights that change become while they are used, None where the direct convolution is as good."""
    convolution = Convolution.of(op, call, batch, resident=False)
    return best_filter(target, convolution, threads) if convolution is not None else None


@cache
def best_filter(target: Target, convolution: Convolution, threads: int) -> WinogradFilter | None:
    """The filter of least cost, None where the direct convolution is as good. Networks repeat their layers."""
    costs = {filter: convolution.cost(target, filter) for filter in convolution.filters(target, 1)}
    best = min(costs, key=lambda filter: costs[filter], default=None)
    if best is None or costs[best] >= WORTH * convolution.direct_cost(target):
        return None
    # as many registers as suit the threads change no bits, another transform would
    return next(filter for filter in convolution.filters(target, threads) if filter.results == best.results)
