"""Between the caller's row-major arrays and blocked memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step, View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value

_STRIDES = ("batch", "height", "width", "plain_n", "plain_c", "plain_h", "n", "cb", "h")


def emit_load(run: RunBuilder, step: Step) -> None:
    """Row-major (N, C, H, W) to blocked, pad channels zero."""
    move(run, step.inputs[0], step.outputs[0], "load", load_rows)


def emit_store(run: RunBuilder, step: Step) -> None:
    """Blocked to row-major (N, C, H, W)."""
    move(run, step.outputs[0], step.inputs[0], "store", store_rows)


Rows = Callable[[Kernel, Value, Value, int, int], None]


def move(run: RunBuilder, plain_view: View, view: View, name: str, rows: Rows) -> None:
    """Between a row-major view (one of block 1) and a blocked one; `name` is `load` or `store`, `rows` its code."""
    plain, layout = plain_view.layout, view.layout
    assert isinstance(plain, Blocked)
    assert isinstance(layout, Blocked)
    height, width = layout.height, layout.width
    if layout.row_stride == width * layout.block:
        height, width = 1, height * width
    values = (
        layout.batch, height, width, plain.n_stride, plain.cb_stride, width,
        layout.n_stride, layout.cb_stride, layout.row_stride,
    )  # fmt: skip
    pointers = {"plain": plain_view, "blocked": view}
    integers = dict(zip(_STRIDES, values, strict=True))
    channels, block = layout.channels, layout.block
    if height * width == 1 and plain.cb_stride == 1 and block == run.target.lanes:
        key, build = f"{name}_vector_{channels}", lambda k: _vectors(k, name, channels)
    else:
        key, build = f"{name}_{channels}_{block}", lambda k: _items(k, channels, block, rows)
    run.call(key, build, pointers, integers)


def _vectors(k: Kernel, name: str, channels: int) -> None:
    """Values without maps: the channels are contiguous on both sides."""
    blocks = -(-channels // k.lanes)
    begin, end = k.share(k.mul(k.arg("batch"), blocks))
    with k.loop(begin, end) as item:
        n, cb = k.split(item, blocks)
        plain = k.at(k.arg("plain"), k.add(k.mul(n, k.arg("plain_n")), k.mul(cb, k.lanes)))
        blocked = k.at(k.arg("blocked"), k.add(k.mul(n, k.arg("n")), k.mul(cb, k.arg("cb"))))
        count = k.min(k.sub(channels, k.mul(cb, k.lanes)), k.lanes)
        if name == "load":
            k.store(k.load_first(plain, 0, count), blocked)
        else:
            k.store_first(k.load(blocked), plain, 0, count)


def _items(k: Kernel, channels: int, block: int, rows: Rows) -> None:
    """Work items are rows of one channel block; full blocks and the last partial one have code of their own."""
    full, rest = divmod(channels, block)
    blocks = full + (rest > 0)
    begin, end = k.share(k.mul(k.arg("batch"), blocks, k.arg("height")))
    with k.loop(begin, end) as item:
        n, cb, h = k.split(item, blocks, k.arg("height"))
        first = k.mul(cb, block, k.arg("plain_c"))
        plain = k.at(k.arg("plain"), k.add(k.mul(n, k.arg("plain_n")), first, k.mul(h, k.arg("plain_h"))))
        places = k.add(k.mul(n, k.arg("n")), k.mul(cb, k.arg("cb")), k.mul(h, k.arg("h")))
        blocked = k.at(k.arg("blocked"), places)
        if full and rest:
            with k.either(k.compare("<", cb, full)) as (whole, partial):
                with whole:
                    rows(k, plain, blocked, block, block)
                with partial:
                    rows(k, plain, blocked, rest, block)
        else:
            rows(k, plain, blocked, block if full else rest, block)


def load_rows(k: Kernel, plain: Value, blocked: Value, channels: int, block: int) -> None:
    """One row: tiles of `lanes` pixels, transposed in registers; the last pixels go through the stack."""
    tile, width = k.lanes, k.arg("width")
    whole = k.mul(k.div(width, tile), tile)

    def interleaved(w: Index, count: Index) -> list[Value]:
        planes = [k.load_first(plain, k.add(k.mul(c, k.arg("plain_c")), w), count) for c in range(channels)]
        return interleave(k, planes, block)

    with k.loop(0, whole, tile) as w:
        for index, vector in enumerate(interleaved(w, tile)):
            k.store(vector, blocked, k.add(k.mul(w, block), index * tile))
    rest = k.sub(width, whole)
    with k.when(k.compare(">", rest, 0)):
        spare = k.scratch(tile * block)
        for index, vector in enumerate(interleaved(whole, rest)):
            k.store(vector, spare, index * tile)
        with k.loop(0, k.mul(rest, block)) as i:
            k.store(k.load_float(spare, i), blocked, k.add(k.mul(whole, block), i))


def store_rows(k: Kernel, plain: Value, blocked: Value, channels: int, block: int) -> None:
    tile, width = k.lanes, k.arg("width")
    if block != tile:
        raise ValueError("results are blocked by whole vectors")
    whole = k.mul(k.div(width, tile), tile)

    def store(source: Value, w: Index, count: Index) -> None:
        columns = transpose(k, [k.load(source, pixel * block) for pixel in range(tile)])
        for c in range(channels):
            k.store_first(columns[c], plain, k.add(k.mul(c, k.arg("plain_c")), w), count)

    with k.loop(0, whole, tile) as w:
        store(k.at(blocked, k.mul(w, block)), w, tile)
    rest = k.sub(width, whole)
    with k.when(k.compare(">", rest, 0)):
        spare = k.scratch(tile * block)
        with k.loop(0, rest) as i:
            k.store(k.load(blocked, k.mul(k.add(whole, i), block)), spare, k.mul(i, block))
        store(spare, whole, rest)


def interleave(k: Kernel, planes: Sequence[Value], block: int) -> list[Value]:
    """`planes` hold `lanes` pixels of a channel each; the result holds pixel after pixel, `block` channels each."""
    lanes = k.lanes
    if block == lanes:
        return transpose(k, [*planes, *[k.v(0.0)] * (lanes - len(planes))])
    vectors = []
    for start in range(0, lanes * block, lanes):
        vector = planes[0]
        places = [divmod(start + lane, block) for lane in range(lanes)]
        for c, plane in enumerate(planes):
            picks = [lanes + pixel if channel == c else lane for lane, (pixel, channel) in enumerate(places)]
            vector = k.shuffle(vector, plane, picks)
        vectors.append(vector)
    return vectors


def transpose(k: Kernel, rows: Sequence[Value]) -> list[Value]:
    """Lane i of row j to lane j of row i, by interleaving halves log2(lanes) times."""
    lanes, rows = k.lanes, list(rows)
    low = [lane // 2 + lanes * (lane % 2) for lane in range(lanes)]
    high = [lane + lanes // 2 for lane in low]
    for _ in range(lanes.bit_length() - 1):
        half = lanes // 2
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [k.shuffle(a, b, picks) for a, b in pairs for picks in (low, high)]
    return rows
