"""Locally connected layers and their gradients. Each weight is read once a sample, so memory is what they wait for.

A weight (O, OH, OW, C, kh, kw) is stored like a map of O channels, OH rows and OW*C*kh*kw pixels: the vector of a
block's channels for one position and one tap is contiguous, taps of a position follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.expression import digest


@dataclass(frozen=True)
class Geometry:
    """Sizes of the layer: maps in and out, kernel, stride, leading padding."""

    batch: int
    channels: int
    height: int
    width: int
    out: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]

    @property
    def taps(self) -> int:
        return self.channels * self.kernel[0] * self.kernel[1]

    def blocks(self, lanes: int) -> int:
        """Blocks of output channels."""
        return -(-self.out[0] // lanes)


def geometry(step: Step, batch: int, x: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    """Of the step, from the shapes of the layer's input and output."""
    top, _, left, _ = step.attrs["pad"]
    out = (y[0], y[1], y[2])
    return Geometry(batch, x[0], x[1], x[2], out, step.attrs["kernel"], step.attrs["stride"], (top, left))


@dataclass(frozen=True)
class _Local:
    """What the three kernels share: places of the input map, of the output map and of the weight."""

    x: Access
    y: Access
    weight: Access
    size: Geometry

    def weight_at(self, k: Kernel, block: Index, i: Index, j: Index, tap: Index) -> Index:
        return self.weight.offset(k, 0, block, i, k.add(k.mul(j, self.size.taps), tap))

    def x_at(self, k: Kernel, n: Index, c: Index, row: Index, column: Index) -> Index:
        """The place of one number of the input map."""
        cb, lane = k.div(c, k.lanes), k.rem(c, k.lanes)
        return k.add(self.x.offset(k, n, cb, row, column), lane)

    def spans(self, k: Kernel, i: Index, j: Index) -> tuple[tuple[Index, Index], tuple[Index, Index]]:
        """Rows and columns of the kernel that meet the image, from and to, at a position of the result."""
        size = self.size
        row, column = self.corner(k, i, j)
        return (
            (k.max(k.sub(0, row), 0), k.min(k.sub(size.height, row), size.kernel[0])),
            (k.max(k.sub(0, column), 0), k.min(k.sub(size.width, column), size.kernel[1])),
        )

    def corner(self, k: Kernel, i: Index, j: Index) -> tuple[Index, Index]:
        """Row and column of the image that the kernel's first tap meets; negative in the padding."""
        stride, pad = self.size.stride, self.size.pad
        return k.sub(k.mul(i, stride[0]), pad[0]), k.sub(k.mul(j, stride[1]), pad[1])

    def tap(self, k: Kernel, c: Index, u: Index, v: Index) -> Index:
        """Number of a tap among those of a position."""
        kh, kw = self.size.kernel
        return k.add(k.mul(c, kh * kw), k.mul(u, kw), v)


def emit(run: RunBuilder, step: Step) -> None:
    """(x, weight[, bias]) -> y."""
    lanes = run.target.lanes
    x, weight, y = (own_access(view, lanes) for view in (*step.inputs[:2], step.outputs[0]))
    bias = own_access(step.inputs[2], lanes) if len(step.inputs) > 2 else None
    batch = blocked(step.outputs[0], lanes).batch
    size = geometry(step, batch, step.input_types[0].shape, step.output_types[0].shape)
    kernel = _Forward(x, y, weight, size, bias)
    names = ("x", "weight", "bias")
    pointers = {**dict(zip(names, step.inputs, strict=False)), "y": step.outputs[0]}
    run.call(f"local_{digest(kernel)}", kernel.build, pointers, noalias=("y",))


@dataclass(frozen=True)
class _Forward(_Local):
    bias: Access | None

    def build(self, k: Kernel) -> None:
        """Work items are rows of one block of channels of one sample."""
        _, rows, columns = self.size.out
        begin, end = k.share(self.size.batch * self.size.blocks(k.lanes) * rows)
        with k.loop(begin, end) as item:
            n, block, i = k.split(item, self.size.blocks(k.lanes), rows)
            with k.loop(0, columns) as j:
                k.store(self._sum(k, n, block, i, j), k.arg("y"), self.y.offset(k, n, block, i, j))

    def _sum(self, k: Kernel, n: Index, block: Index, i: Index, j: Index) -> Value:
        """A position of the result."""
        start = k.v(0.0)
        if self.bias is not None:
            start = k.load(k.arg("bias"), self.bias.offset(k, 0, block, i, j))
        top, left = self.corner(k, i, j)
        rows, columns = self.spans(k, i, j)
        with k.carried_loop(0, self.size.channels, [start]) as c:
            with k.carried_loop(*rows, c.carried) as u:
                with k.carried_loop(*columns, u.carried) as v:
                    at = self.x_at(k, n, c.index, k.add(top, u.index), k.add(left, v.index))
                    tap = self.tap(k, c.index, u.index, v.index)
                    weight = k.load(k.arg("weight"), self.weight_at(k, block, i, j, tap))
                    v.carry([k.fma(k.load_broadcast(k.arg("x"), at), weight, v.carried[0])])
                u.carry(v.results)
            c.carry(u.results)
        total: Value = c.results[0]
        return total


def emit_grad_input(run: RunBuilder, step: Step) -> None:
    """(g, weight) -> dx."""
    lanes = run.target.lanes
    g, weight, dx = (own_access(view, lanes) for view in (*step.inputs, step.outputs[0]))
    batch = blocked(step.outputs[0], lanes).batch
    size = geometry(step, batch, step.output_types[0].shape, step.input_types[0].shape)
    kernel = _GradInput(dx, g, weight, size)
    pointers = {"g": step.inputs[0], "weight": step.inputs[1], "dx": step.outputs[0]}
    run.call(f"local_grad_input_{digest(kernel)}", kernel.build, pointers, noalias=("dx",))


@dataclass(frozen=True)
class _GradInput(_Local):
    def build(self, k: Kernel) -> None:
        """Work items are blocks of input channels of one sample: what windows share is added by one thread."""
        blocks = -(-self.size.channels // k.lanes)
        begin, end = k.share(self.size.batch * blocks)
        with k.loop(begin, end) as item:
            n, cb = k.split(item, blocks)
            with k.loop(0, self.size.height) as h, k.loop(0, self.size.width) as w:
                k.store(k.v(0.0), k.arg("dx"), self.x.offset(k, n, cb, h, w))
            first = k.mul(cb, k.lanes)
            last = k.min(k.add(first, k.lanes), self.size.channels)
            with k.loop(0, self.size.out[1]) as i, k.loop(0, self.size.out[2]) as j, k.loop(first, last) as c:
                top, left = self.corner(k, i, j)
                rows, columns = self.spans(k, i, j)
                with k.loop(*rows) as u, k.loop(*columns) as v:
                    place = self.x_at(k, n, c, k.add(top, u), k.add(left, v))
                    self._add(k, n, (i, j), self.tap(k, c, u, v), place)

    def _add(self, k: Kernel, n: Index, at: tuple[Index, Index], tap: Index, place: Index) -> None:
        with k.carried_loop(0, self.size.blocks(k.lanes), [k.v(0.0)]) as blocks:
            g = k.load(k.arg("g"), self.y.offset(k, n, blocks.index, *at))
            weight = k.load(k.arg("weight"), self.weight_at(k, blocks.index, *at, tap))
            blocks.carry([k.fma(g, weight, blocks.carried[0])])
        total: Value = k.b.fadd(k.load_float(k.arg("dx"), place), k.sum_lanes(blocks.results[0]))
        k.store(total, k.arg("dx"), place)


def emit_grad_weight(run: RunBuilder, step: Step) -> None:
    """(g, x) -> dweight."""
    lanes = run.target.lanes
    g, x, weight = (own_access(view, lanes) for view in (*step.inputs, step.outputs[0]))
    batch = blocked(step.inputs[0], lanes).batch
    size = geometry(step, batch, step.input_types[1].shape, step.input_types[0].shape)
    kernel = _GradWeight(x, g, weight, size)
    pointers = {"g": step.inputs[0], "x": step.inputs[1], "weight": step.outputs[0]}
    run.call(f"local_grad_weight_{digest(kernel)}", kernel.build, pointers, noalias=("weight",))


@dataclass(frozen=True)
class _GradWeight(_Local):
    def build(self, k: Kernel) -> None:
        """Work items are positions of a block of channels; samples are added in order."""
        _, rows, columns = self.size.out
        begin, end = k.share(self.size.blocks(k.lanes) * rows * columns)
        with k.loop(begin, end) as item:
            block, i, j = k.split(item, rows, columns)
            top, left = self.corner(k, i, j)
            with k.loop(0, self.size.taps) as tap:
                k.store(k.v(0.0), k.arg("weight"), self.weight_at(k, block, i, j, tap))
            spans = self.spans(k, i, j)
            with k.loop(0, self.size.channels) as c, k.loop(*spans[0]) as u, k.loop(*spans[1]) as v:
                row, column = k.add(top, u), k.add(left, v)
                with k.carried_loop(0, self.size.batch, [k.v(0.0)]) as n:
                    x = k.load_broadcast(k.arg("x"), self.x_at(k, n.index, c, row, column))
                    g = k.load(k.arg("g"), self.y.offset(k, n.index, block, i, j))
                    n.carry([k.fma(x, g, n.carried[0])])
                k.store(n.results[0], k.arg("weight"), self.weight_at(k, block, i, j, self.tap(k, c, u, v)))
