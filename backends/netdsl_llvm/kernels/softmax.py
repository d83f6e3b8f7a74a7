"""Softmax and its logarithm over the channels of each pixel, and their gradients."""

from __future__ import annotations

from netdsl.plan.plan import Step
from netdsl_llvm import vmath
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel
from netdsl_llvm.kernels.channels import Pixels


def emit(run: RunBuilder, step: Step) -> None:
    """`softmax` or `log_softmax`."""
    views = {"x": step.inputs[0], "y": step.outputs[0]}
    pixels = Pixels.of(views, run.target.lanes)
    build = _softmax if step.op == "softmax" else _log_softmax
    run.call(f"{step.op}_{pixels.key}", lambda k: build(k, pixels.bound(k)), views, pixels.space.arguments())


def emit_grad(run: RunBuilder, step: Step) -> None:
    """(g, y) -> dx of `softmax` or `log_softmax`."""
    views = {"g": step.inputs[0], "y": step.inputs[1], "dx": step.outputs[0]}
    pixels = Pixels.of(views, run.target.lanes)
    build = _softmax_grad if step.op == "softmax_grad" else _log_softmax_grad
    run.call(f"{step.op}_{pixels.key}", lambda k: build(k, pixels.bound(k)), views, pixels.space.arguments())


def _softmax(k: Kernel, pixels: Pixels) -> None:
    """Exponentials wait in the result until their sum is known."""

    def pixel(n: Index, h: Index, w: Index) -> None:
        largest = pixels.largest(k, lambda cb: pixels.load(k, "x", n, cb, h, w))
        with k.carried_loop(0, pixels.space.blocks, [k.v(0.0)]) as loop:
            cb = loop.index
            power = vmath.exp(k, k.b.fsub(pixels.load(k, "x", n, cb, h, w), largest))
            power = pixels.keep(k, power, cb)
            pixels.store(k, "y", power, n, cb, h, w)
            loop.carry([k.b.fadd(loop.carried[0], power)])
        total = k.splat(k.sum_lanes(loop.results[0]))
        with k.loop(0, pixels.space.blocks) as cb:
            share = k.b.fdiv(pixels.load(k, "y", n, cb, h, w), total)
            pixels.store(k, "y", pixels.keep(k, share, cb), n, cb, h, w)

    pixels.each(k, pixel)


def _log_softmax(k: Kernel, pixels: Pixels) -> None:
    def pixel(n: Index, h: Index, w: Index) -> None:
        largest = pixels.largest(k, lambda cb: pixels.load(k, "x", n, cb, h, w))

        def power(cb: Index) -> object:
            shifted = k.b.fsub(pixels.load(k, "x", n, cb, h, w), largest)
            return pixels.keep(k, vmath.exp(k, shifted), cb)

        logarithm = vmath.log(k, pixels.sum(k, power))
        with k.loop(0, pixels.space.blocks) as cb:
            shifted = k.b.fsub(pixels.load(k, "x", n, cb, h, w), largest)
            pixels.store(k, "y", pixels.keep(k, k.b.fsub(shifted, logarithm), cb), n, cb, h, w)

    pixels.each(k, pixel)


def _softmax_grad(k: Kernel, pixels: Pixels) -> None:
    def pixel(n: Index, h: Index, w: Index) -> None:
        def product(cb: Index) -> object:
            return k.b.fmul(pixels.load(k, "g", n, cb, h, w), pixels.load(k, "y", n, cb, h, w))

        total = pixels.sum(k, product)
        with k.loop(0, pixels.space.blocks) as cb:
            centred = k.b.fsub(pixels.load(k, "g", n, cb, h, w), total)
            result = k.b.fmul(pixels.load(k, "y", n, cb, h, w), centred)
            pixels.store(k, "dx", pixels.keep(k, result, cb), n, cb, h, w)

    pixels.each(k, pixel)


def _log_softmax_grad(k: Kernel, pixels: Pixels) -> None:
    def pixel(n: Index, h: Index, w: Index) -> None:
        total = pixels.sum(k, lambda cb: pixels.load(k, "g", n, cb, h, w))
        with k.loop(0, pixels.space.blocks) as cb:
            power = vmath.exp(k, pixels.load(k, "y", n, cb, h, w))
            result = k.b.fsub(pixels.load(k, "g", n, cb, h, w), k.b.fmul(power, total))
            pixels.store(k, "dx", pixels.keep(k, result, cb), n, cb, h, w)

    pixels.each(k, pixel)
