"""What ``check`` lets pass, ``compile`` turns into code: for inference, and for a step of training."""

from __future__ import annotations

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
]  # fmt: skip
VECTORS = [*STEM[:-1], "fc(7)", "fc(3, bias=no)", "softmax", "log_softmax", "distance(4)", "x + x", "(x, x) -> concat",
           "x / 3"]  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A net of random layers over maps, then over vectors, with a loss. Most have shapes that fit."""
    size = f"[{draw(st.integers(1, 5))}, {draw(st.integers(3, 9))}, {draw(st.integers(3, 9))}]"
    chosen = [*draw(st.lists(st.sampled_from(MAPS), max_size=5)), "flatten"]
    chosen += [*draw(st.lists(st.sampled_from(VECTORS), max_size=3)), "fc(4)"]
    lines = [
        re.sub(r"\bx\b", f"x{n}", item if re.search(r"\bx\b", item) else f"x -> {item}")
        for n, item in enumerate(chosen)
    ]
    body = "\n    ".join(f"x{n + 1} = {line}" for n, line in enumerate(lines))
    last = f"x{len(chosen)}"
    momentum = draw(st.sampled_from(["", ", momentum = 0.9", ", momentum = 0.9, nesterov = yes, weight_decay = 0.01"]))
    return (
        f"net A {{\n    input image: {size}\n    x0 = image + 0\n    {body}\n    output y = {last}\n}}\n"
        f"train A {{\n    target label: class\n    loss cross_entropy({last}, label)\n    sgd(lr = 0.1{momentum})\n"
        "    batch 2\n    epochs 1\n}\n"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def compiles(path: Path, text: str) -> bool:
    """Whether ``text`` is a sound file; if so, it is compiled in both modes (anything raised fails the test)."""
    path.write_text(text, encoding="utf-8")
    try:
        model = load(Origin(str(path)))
    except UserError:
        return False
    for training in (False, *([True] if model.train is not None else [])):
        made = emit(Origin(str(path)), Build(batch=2, threads=2, training=training, verify=True), "obj")
        assert len(made.content) > 0
    return True


QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@QUICK
@given(text=programs())
def test_random_layers(folder: Path, text: str) -> None:
    compiles(folder / "layers.net", text)


@QUICK
@given(seed=st.integers(0, 10**9))
def test_random_programs(folder: Path, seed: int) -> None:
    compiles(folder / "program.net", Writer(seed, 0.0).program())


def test_most_of_the_random_layers_fit() -> None:
    """Otherwise the tests above would hold of nothing."""
    found: list[bool] = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(text=programs())
    def count(text: str) -> None:
        try:
            elaborate(load_program(Source("layers.net", text)))
        except UserError:
            found.append(False)
        else:
            found.append(True)

    count()
    assert sum(found) > len(found) / 2
