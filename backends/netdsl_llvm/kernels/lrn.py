"""Local response normalization across channels, and its gradient.

A few pixels at a time, what a window sums over is laid out in channel order with zeros at both ends; a window's sum
is then a sum of unaligned vectors, whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netdsl.diagnostics import Unsupported
from netdsl.plan.plan import Step
from netdsl_llvm import vmath
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.channels import Pixels
from netdsl_llvm.kernels.expression import digest

MOST_PIXELS = 8
STRIP_FLOATS = 1 << 13
LIMIT_FLOATS = 1 << 18
UNROLLED = 16


@dataclass(frozen=True)
class Window:
    """The op's constants, and the strip of channels around a pixel."""

    size: int
    alpha: float
    beta: float
    constant: float
    blocks: int
    lanes: int

    @staticmethod
    def of(step: Step, pixels: Pixels) -> Window:
        size, alpha, beta, constant = (step.attrs[name] for name in ("size", "alpha", "beta", "k"))
        window = Window(int(size), float(alpha), float(beta), float(constant), pixels.blocks, pixels.lanes)
        if window.strip > LIMIT_FLOATS:
            raise Unsupported(
                step.op, "cpu", f"a window of {size} over {pixels.channels} channels is too large", step.spans
            )
        return window

    @property
    def lead(self) -> int:
        """Zeros before channel 0."""
        return self.size

    @property
    def strip(self) -> int:
        """Floats of one pixel's channels and the zeros around them."""
        return self.lead + self.blocks * self.lanes + self.size + self.lanes

    @property
    def pixels(self) -> int:
        """Pixels worked on together."""
        return max(1, min(MOST_PIXELS, STRIP_FLOATS // self.strip))


class Strips:
    """Scratch memory for some pixels' channels in order."""

    def __init__(self, k: Kernel, window: Window) -> None:
        self.k, self.window = k, window
        count = window.strip * window.pixels
        self.memory = k.scratch(count)
        with k.loop(0, count) as i:
            k.store(k.f(0.0), self.memory, i)

    def _at(self, pixel: Index, cb: Index, shift: Index) -> Index:
        window, k = self.window, self.k
        return k.add(k.mul(pixel, window.strip), k.mul(cb, window.lanes), shift, window.lead)

    def store(self, pixel: Index, cb: Index, value: Value) -> None:
        self.k.store(value, self.memory, self._at(pixel, cb, 0))

    def load(self, pixel: Index, cb: Index) -> Value:
        return self.k.load(self.memory, self._at(pixel, cb, 0))

    def sum(self, pixel: Index, cb: Index, before: int, after: int) -> Value:
        """For every channel of a block, the sum over `before` channels below it to `after` above."""
        k = self.k
        if before + after < UNROLLED:
            total = k.load(self.memory, self._at(pixel, cb, -before))
            for shift in range(1 - before, after + 1):
                total = k.b.fadd(total, k.load(self.memory, self._at(pixel, cb, shift)))
            return total
        with k.carried_loop(0, before + after + 1, [k.v(0.0)]) as loop:
            part = k.load(self.memory, self._at(pixel, cb, k.sub(loop.index, before)))
            loop.carry([k.b.fadd(loop.carried[0], part)])
        return loop.results[0]


def emit(run: RunBuilder, step: Step) -> None:
    """x -> x * base^-beta."""
    views = {"x": step.inputs[0], "y": step.outputs[0]}
    pixels = Pixels.of(views, run.target.lanes)
    window = Window.of(step, pixels)
    key = f"lrn_{digest((pixels.key, window))}"
    run.call(key, lambda k: _forward(k, pixels.bound(k), window), views, pixels.space.arguments())


def emit_grad(run: RunBuilder, step: Step) -> None:
    """(g, x) -> dx."""
    views = {"g": step.inputs[0], "x": step.inputs[1], "y": step.outputs[0]}
    pixels = Pixels.of(views, run.target.lanes)
    window = Window.of(step, pixels)
    key = f"lrn_grad_{digest((pixels.key, window))}"
    run.call(key, lambda k: _backward(k, pixels.bound(k), window), views, pixels.space.arguments())


Place = tuple[Index, Index, Index, Index]
Body = Callable[[Index, Place], None]


def _groups(k: Kernel, pixels: Pixels, window: Window, work: Callable[[Callable[[Body], None]], None]) -> None:
    """Run `work(over)` for this thread's groups of pixels; `over(body)` runs `body(pixel of the group, place)`."""
    space = pixels.space
    pieces = k.div(k.add(space.width, window.pixels - 1), window.pixels)
    begin, end = k.share(k.mul(space.batch, space.height, pieces))
    with k.loop(begin, end) as item:
        n, h, piece = k.split(item, space.height, pieces)
        first = k.mul(piece, window.pixels)
        count = k.min(k.sub(space.width, first), window.pixels)

        def over(body: Body) -> None:
            with k.loop(0, count) as pixel, k.loop(0, space.blocks) as cb:
                body(pixel, (n, cb, h, k.add(first, pixel)))

        work(over)


def _base(k: Kernel, window: Window, squares: Strips, pixel: Index, cb: Index) -> Value:
    size = window.size
    total = squares.sum(pixel, cb, size // 2, (size - 1) // 2)
    return k.fma(total, k.v(window.alpha / size), k.v(window.constant))


def _power(k: Kernel, base: Value, beta: float) -> Value:
    """base^-beta."""
    if beta == 0.75:
        root = vmath.sqrt(k, base)
        return k.b.fdiv(k.v(1.0), k.b.fmul(root, vmath.sqrt(k, root)))
    return vmath.exp(k, k.b.fmul(k.v(-beta), vmath.log(k, base)))


def _keep_squares(k: Kernel, pixels: Pixels, squares: Strips) -> Body:
    def body(pixel: Index, place: Place) -> None:
        x = pixels.load(k, "x", *place)
        squares.store(pixel, place[1], k.b.fmul(x, x))

    return body


def _forward(k: Kernel, pixels: Pixels, window: Window) -> None:
    squares = Strips(k, window)

    def result(pixel: Index, place: Place) -> None:
        power = _power(k, _base(k, window, squares, pixel, place[1]), window.beta)
        value = k.b.fmul(pixels.load(k, "x", *place), power)
        pixels.store(k, "y", pixels.keep(k, value, place[1]), *place)

    def work(over: Callable[[Body], None]) -> None:
        over(_keep_squares(k, pixels, squares))
        over(result)

    _groups(k, pixels, window, work)


def _backward(k: Kernel, pixels: Pixels, window: Window) -> None:
    squares, shared, direct = Strips(k, window), Strips(k, window), Strips(k, window)
    size = window.size

    def terms(pixel: Index, place: Place) -> None:
        """What each channel's response spreads to its window, and what comes back directly."""
        base = _base(k, window, squares, pixel, place[1])
        scaled = k.b.fmul(pixels.load(k, "g", *place), _power(k, base, window.beta))
        direct.store(pixel, place[1], scaled)
        spread = k.b.fdiv(k.b.fmul(scaled, pixels.load(k, "x", *place)), base)
        shared.store(pixel, place[1], pixels.keep(k, spread, place[1]))

    def result(pixel: Index, place: Place) -> None:
        total = shared.sum(pixel, place[1], (size - 1) // 2, size // 2)
        slope = k.b.fmul(pixels.load(k, "x", *place), k.v(-2 * window.alpha * window.beta / size))
        value = k.fma(slope, total, direct.load(pixel, place[1]))
        pixels.store(k, "y", pixels.keep(k, value, place[1]), *place)

    def work(over: Callable[[Body], None]) -> None:
        over(_keep_squares(k, pixels, squares))
        over(terms)
        over(result)

    _groups(k, pixels, window, work)
