"""What ``check`` lets pass, ``compile`` turns into code: for inference, and for a step of training.

``NETDSL_EXAMPLES=3000`` in the environment makes it a long run.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import UserError
from netdsl.driver import Build, Origin, emit, load
from netdsl.elaborate import elaborate, load_program
from netdsl.source import Source
from tests.elaborate.programs import Writer

STEM = ["relu", "tanh", "sigmoid", "leaky_relu(0.2)", "prelu", "scale", "bn", "dropout(0.3)", "identity", "lrn(3)"]
MAPS = [
    *STEM, "conv(5, 3x3, pad=1)", "conv(8, 1x1, bias=no)", "conv(4, 3x3, pad=same, dilation=2)",
    "conv(6, 3x2, pad=same)",
    "conv(3, 3x3, stride=2, pad=(1, 0, 2, 1))", "deconv(4, 2x2, stride=2)", "deconv(3, 3x3, pad=1)", "local(3, 2x2)",
    "maxpool(2)", "maxpool(3, stride=2, pad=1, round=ceil)", "avgpool(2x1)", "avgpool(to=3x2)", "pad((0, 1, 2, 0))",
    "crop((1, 0, 0, 1))", "upsample(2, mode=nearest, coords=asymmetric)", "softmax", "slice(0, 2)", "(x, x) -> concat",
    "upsample(size=5x7, mode=bilinear, coords=half_pixel)", "x * 0.5 - 1", "x + x", "x * x", "log_softmax",
    "x * (x -> avgpool(global) -> sigmoid)", "concat(x, x -> conv(3, 1x1))",
    "conv(6, 3x3, groups=channels(in), pad=same)", "conv(12, 1x1) -> conv(8, 3x3, groups=4, pad=1)",
    "conv(32, 1x1) -> conv(64, 3x3, groups=2, pad=1, dilation=(1, 2))", "conv(5, 5x1, pad=(4, 0, 0, 2), dilation=2)",
    "conv(16, 1x1) -> conv(16, 3x3, pad=1)", "conv(24, 1x1) -> conv(40, 5x5, pad=2, bias=no) -> bn -> relu",
    "conv(33, 3x3, pad=1) -> relu -> conv(17, 3x3, pad=(2, 0, 1, 1))", "conv(16, 5x5, pad=1) -> conv(20, 3x3, pad=2)",
    "deconv(6, 4x4, stride=2, pad=1)", "deconv(7, 3x2, stride=(2, 3), bias=no)", "conv(8, 7x7, stride=2, pad=3)",
    "local(4, 3x3, stride=2, pad=1)", "local(2, 1x2, bias=no)", "upsample(3, mode=bilinear, coords=align_corners)",
    "concat(x -> conv(3, 1x1), x -> conv(18, 1x1), x -> conv(5, 3x3, pad=1), x)", "avgpool(3, stride=1, pad=1)",
    "concat(x -> conv(16, 1x1), x -> conv(16, 3x3, pad=1)) -> slice(3, 17)", "Residual * 3", "Wide(17) as w",
    "add(x, x -> relu, x -> conv(channels(x), 1x1))", "(conv(9, 3x3, pad=1) -> relu) * 2",
    "if channels(in) > 8 { relu } else { Wide(16) }",
    "avgpool(global)", "reshape([height(in) * channels(in), width(in), 1])", "shared -> shared",
]  # fmt: skip
BLOCKS = """
block Residual { return in + (in -> bn -> relu -> conv(channels(in), 3x3, pad=1, bias=no)) }
block Wide(n: int) {
    y = in -> conv(n, 3x3, pad=1) -> relu
    return concat(y, y -> Residual * 2, in)
}
"""
VECTORS = [*STEM[:-1], "fc(7)", "fc(3, bias=no)", "softmax", "log_softmax", "distance(4)", "x + x", "(x, x) -> concat",
           "x / 3"]  # fmt: skip


SIZES = ["6, 7", "8, 8", "9, 5", "12, 12", "17, 4", "H, W", "H, H"]
OPTIMIZERS = [
    "sgd(lr = 0.1)", "sgd(lr = 0.1, momentum = 0.9)", "adam(lr = 0.01)",
    "sgd(lr = 0.1, momentum = 0.9, nesterov = yes, weight_decay = 0.01)", "adamw(lr = 0.01)", "rmsprop(lr = 0.01)",
]  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A net of random layers over maps, then over vectors, with a loss. Most have shapes that fit."""
    channels = draw(st.sampled_from([1, 3, 4, 5, 16, 19]))
    size = f"[{channels}, {draw(st.sampled_from(SIZES))}]"
    chosen = [*draw(st.lists(st.sampled_from(MAPS), max_size=5)), "flatten"]
    chosen += [*draw(st.lists(st.sampled_from(VECTORS), max_size=3)), "fc(4)"]
    lines = [
        re.sub(r"\bx\b", f"x{n}", item if re.search(r"\bx\b", item) else f"x -> {item}")
        for n, item in enumerate(chosen)
    ]
    body = "\n    ".join(f"x{n + 1} = {line}" for n, line in enumerate(lines))
    last = f"x{len(chosen)}"
    first = draw(st.sampled_from(["image + 0", "image - other", "image * other"]))
    other = {"image + 0": "", "image - other": f"input other: {size}"}.get(first, f"input other: [{channels}]")
    seen = "".join(f"    output z{n} = x{n}\n" for n in sorted(draw(st.sets(st.integers(1, len(chosen)), max_size=2))))
    shared = "layer shared = conv(channels(x0), 3x3, pad=1)" if any("shared" in item for item in chosen) else ""
    # a train block feeds one input, so nets of several are held to compile for inference
    train = (
        ""
        if other
        else (
            f"train A {{\n    target label: class\n    loss cross_entropy({last}, label)\n"
            f"    {draw(st.sampled_from(OPTIMIZERS))}\n    batch 2\n    epochs 1\n}}\n"
        )
    )
    return (
        f"{BLOCKS}net A {{\n    input image: {size}\n    {other}\n"
        f"    x0 = {first}\n    {shared}\n    {body}\n    output y = {last}\n{seen}}}\n{train}"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def open_size(text: str) -> tuple[int, int] | None:
    """What the sizes are bound to that ``text`` leaves open."""
    return (12, 12) if "H, " in text else None


def compiles(path: Path, text: str, target: str) -> bool:
    """Whether ``text`` is a sound file; if so, it is compiled in both modes (anything raised fails the test)."""
    path.write_text(text, encoding="utf-8")
    origin = Origin(str(path), size=open_size(text))
    try:
        model = load(origin)
    except UserError:
        return False
    for training in (False, *([True] if model.train is not None else [])):
        made = emit(origin, Build(target=target, batch=2, threads=2, training=training, verify=True), "obj")
        assert len(made.content) > 0
    return True


TARGETS = st.sampled_from(["cpu", "cpu:avx512", "cpu:avx2", "cpu:sse4", "cpu:neon"])
QUICK = settings(
    max_examples=int(os.environ.get("NETDSL_EXAMPLES", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@QUICK
@given(text=programs(), target=TARGETS)
def test_random_layers(folder: Path, text: str, target: str) -> None:
    compiles(folder / "layers.net", text, target)


@QUICK
@given(seed=st.integers(0, 10**9), target=TARGETS)
def test_random_programs(folder: Path, seed: int, target: str) -> None:
    compiles(folder / "program.net", Writer(seed, 0.0).program(), target)


def test_most_of_the_random_layers_fit() -> None:
    """Otherwise the tests above would hold of nothing."""
    found: list[bool] = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(text=programs())
    def count(text: str) -> None:
        try:
            elaborate(load_program(Source("layers.net", text)), image_size=open_size(text))
        except UserError:
            found.append(False)
        else:
            found.append(True)

    count()
    assert sum(found) > len(found) / 2
