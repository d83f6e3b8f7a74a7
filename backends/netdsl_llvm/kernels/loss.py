"""Cross-entropy of class numbers, and its gradient.

One work item is a row of positions of one sample; it leaves the sum of its terms and how many counted, which are
added up in order behind a barrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netdsl.ir.types import TensorType
from netdsl.plan.plan import Step, View
from netdsl_llvm import vmath
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import FLOAT, I32, Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked
from netdsl_llvm.kernels.channels import Pixels
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.reduce import store_number


@dataclass(frozen=True)
class Labels:
    """Class numbers `[]` or `[H, W]`; the latter are blocked along H, which is their channel axis."""

    access: Access
    blocks_rows: bool
    ignore: int | None

    @staticmethod
    def of(view: View, kind: TensorType, ignore: int | None, lanes: int) -> Labels:
        layout = blocked(view, lanes)
        access = Access(layout.n_stride, layout.cb_stride, layout.row_stride, layout.block)
        return Labels(access, len(kind.shape) > 0, ignore)

    def at(self, k: Kernel, n: Index, h: Index, w: Index) -> Value:
        """The label of a position, an i32."""
        cb, lane = k.split(h, k.lanes) if self.blocks_rows else (0, 0)
        offset = k.add(self.access.offset(k, n, cb, 0, w), lane)
        return k.b.load(k.at(k.arg("label"), offset), typ=I32, align=4)

    def counts(self, k: Kernel, label: Value) -> Value:
        """Whether the position counts, an i1."""
        if self.ignore is None:
            return k.compare("==", 0, 0)
        return k.b.icmp_signed("!=", label, I32(self.ignore))


def emit(run: RunBuilder, step: Step) -> None:
    """(logits, label) -> the mean of -log softmax(logits)[label] over the positions that count."""
    labels = Labels.of(step.inputs[1], step.input_types[1], step.attrs.get("ignore"), run.target.lanes)
    pixels = Pixels.of({"logits": step.inputs[0]}, run.target.lanes)
    pointers: dict[str, Any] = {"logits": step.inputs[0], "label": step.inputs[1], "partial": step.scratch}
    smooth = float(step.attrs.get("smooth", 0.0))
    key, arguments = digest((pixels.key, labels, smooth)), pixels.space.arguments()
    run.call(f"cross_entropy_{key}", lambda k: _rows(k, pixels.bound(k), labels, smooth), pointers, arguments)
    run.barrier()
    results: dict[str, Any] = {"partial": step.scratch, "y": step.outputs[0]}
    rows = pixels.space.batch * pixels.space.height
    run.call("cross_entropy_total", _total, results, {"rows": rows})


def emit_grad(run: RunBuilder, step: Step) -> None:
    """(g, logits, label) -> dlogits."""
    labels = Labels.of(step.inputs[2], step.input_types[2], step.attrs.get("ignore"), run.target.lanes)
    views = {"logits": step.inputs[1], "dx": step.outputs[0]}
    pixels = Pixels.of(views, run.target.lanes)
    pointers: dict[str, Any] = views | {"g": step.inputs[0], "label": step.inputs[2]}
    pointers["partial"] = step.scratch or step.inputs[0]
    arguments = pixels.space.arguments()
    key = digest((pixels.key, labels))
    if labels.ignore is not None:
        run.call(f"cross_entropy_count_{key}", lambda k: _count_rows(k, pixels.bound(k), labels), pointers, arguments)
        run.barrier()
    smooth = float(step.attrs.get("smooth", 0.0))
    key = digest((key, smooth))
    run.call(f"cross_entropy_grad_{key}", lambda k: _grad(k, pixels.bound(k), labels, smooth), pointers, arguments)


def _log_sum(k: Kernel, pixels: Pixels, n: Index, h: Index, w: Index) -> tuple[Value, Value]:
    """The largest logit and the sum of exp(logit - largest), each in every lane."""
    largest = pixels.largest(k, lambda cb: pixels.load(k, "logits", n, cb, h, w))

    def power(cb: Index) -> Value:
        shifted = k.b.fsub(pixels.load(k, "logits", n, cb, h, w), largest)
        return pixels.keep(k, vmath.exp(k, shifted), cb)

    return largest, pixels.sum(k, power)


def _is_channel(k: Kernel, pixels: Pixels, label: Value) -> Value:
    return k.b.icmp_unsigned("<", label, I32(pixels.channels))


def _rows(k: Kernel, pixels: Pixels, labels: Labels, smooth: float) -> None:
    space = pixels.space
    begin, end = k.share(k.mul(space.batch, space.height))
    with k.loop(begin, end) as row:
        n, h = k.split(row, space.height)
        with k.carried_loop(0, space.width, [k.f(0.0), k.f(0.0)]) as loop:
            total, counted = loop.carried
            label = labels.at(k, n, h, loop.index)
            counts = labels.counts(k, label)
            term = k.b.select(counts, _term(k, pixels, (n, h, loop.index), label, smooth), k.f(0.0))
            one = k.b.select(counts, k.f(1.0), k.f(0.0))
            loop.carry([k.b.fadd(total, term), k.b.fadd(counted, one)])
        for index, value in enumerate(loop.results):
            k.store(value, k.arg("partial"), k.add(k.mul(row, 2), index))


def _term(k: Kernel, pixels: Pixels, place: tuple[Index, Index, Index], label: Value, smooth: float) -> Value:
    n, h, w = place
    largest, total = _log_sum(k, pixels, n, h, w)
    valid = _is_channel(k, pixels, label)
    safe = k.b.zext(k.b.select(valid, label, I32(0)), k.i(0).type)
    cb, lane = k.split(safe, k.lanes)
    offset = k.add(pixels.space.accesses["logits"].offset(k, n, cb, h, w), lane)
    chosen = k.load_float(k.arg("logits"), offset)
    found = k.b.fsub(chosen, k.lane(largest, 0))
    if smooth:
        shifted = pixels.sum(k, lambda cb: pixels.keep(k, k.b.fsub(pixels.load(k, "logits", n, cb, h, w), largest), cb))
        share = k.b.fmul(k.lane(shifted, 0), k.f(smooth / pixels.channels))
        found = k.b.fadd(k.b.fmul(found, k.f(1.0 - smooth)), share)
    term = k.b.fsub(k.lane(vmath.log(k, total), 0), found)
    return k.b.select(valid, term, k.f(float("nan")))


def _sum_rows(k: Kernel, rows: Index, parts: int, stride: int) -> list[Value]:
    """The first `parts` of each row's `stride` numbers, added up in order."""
    with k.carried_loop(0, rows, [k.f(0.0)] * parts) as loop:
        values = [k.load_float(k.arg("partial"), k.add(k.mul(loop.index, stride), part)) for part in range(parts)]
        loop.carry([k.b.fadd(total, value) for total, value in zip(loop.carried, values, strict=True)])
    return loop.results


def _total(k: Kernel) -> None:
    with k.when(k.compare("==", k.arg("thread"), 0)):
        total, counted = _sum_rows(k, k.arg("rows"), 2, 2)
        store_number(k, k.b.fdiv(total, counted), k.arg("y"))


def _count_rows(k: Kernel, pixels: Pixels, labels: Labels) -> None:
    space = pixels.space
    begin, end = k.share(k.mul(space.batch, space.height))
    with k.loop(begin, end) as row:
        n, h = k.split(row, space.height)
        with k.carried_loop(0, space.width, [k.f(0.0)]) as loop:
            counts = labels.counts(k, labels.at(k, n, h, loop.index))
            loop.carry([k.b.fadd(loop.carried[0], k.b.select(counts, k.f(1.0), k.f(0.0)))])
        k.store(loop.results[0], k.arg("partial"), row)


def _positions(k: Kernel, pixels: Pixels, labels: Labels) -> Value:
    """How many positions count, at least 1."""
    space = pixels.space
    rows = k.mul(space.batch, space.height)
    if labels.ignore is None:
        return k.b.sitofp(k.mul(rows, space.width), FLOAT)
    (counted,) = _sum_rows(k, rows, 1, 1)
    return k.b.select(k.b.fcmp_ordered("<", counted, k.f(1.0)), k.f(1.0), counted)


def _grad(k: Kernel, pixels: Pixels, labels: Labels, smooth: float) -> None:
    factor = k.splat(k.b.fdiv(k.load_float(k.arg("g")), _positions(k, pixels, labels)))
    share = smooth / pixels.channels
    target = k.v(1.0 - smooth + share), k.v(share)

    def pixel(n: Index, h: Index, w: Index) -> None:
        label = labels.at(k, n, h, w)
        largest, total = _log_sum(k, pixels, n, h, w)
        counts, valid = labels.counts(k, label), _is_channel(k, pixels, label)
        scale = k.splat(k.b.select(valid, k.lane(factor, 0), k.f(float("nan"))))
        with k.loop(0, pixels.space.blocks) as cb:
            power = vmath.exp(k, k.b.fsub(pixels.load(k, "logits", n, cb, h, w), largest))
            first = k.b.trunc(k.i(k.mul(cb, k.lanes)), I32)
            numbers = k.b.add(k.iota(), k.splat(first))
            hit = k.b.icmp_signed("==", numbers, k.splat(label))
            difference = k.b.fsub(k.b.fdiv(power, total), k.b.select(hit, *target))
            result = k.b.select(counts, k.b.fmul(difference, scale), k.v(0.0))
            pixels.store(k, "dx", pixels.keep(k, result, cb), n, cb, h, w)

    pixels.each(k, pixel)
