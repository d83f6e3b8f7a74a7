"""What each construct means."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from netdsl.diagnostics import Code, ResourceLimit, UserError
from netdsl.elaborate import buildable_nets, elaborate, limits, load_program
from netdsl.ir.types import DType, TensorType
from netdsl.reference import Interpreter
from netdsl.source import Source
from tests.elaborate.support import build, codes, layers, net, shape, weights


def known(expression: str) -> int:
    """A whole number, read off as the channels of a conv."""
    return shape(net(f"output y = image -> conv({expression}, 1x1)"), "y")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 ** 5", 32),
        ("64 / 16", 4),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("-3 + 5", 2),
        ("round(2.5)", 3),
        ("floor(2.9) + ceil(2.1)", 5),
        ("[8, 16, 32][1]", 16),
        ("[8, 16, 32][-1]", 32),
        ("[[1, 2], [3, 4]][1][0]", 3),
        ("([1, 2] + [3])[2]", 3),
        ("([7] * 3)[2]", 7),
        ("len(range(2, 10, 3))", 3),
        ("sum([1, 2, 3]) + min(4, 5) + max([6, 7])", 17),
        ("channels(image) + height(image) + width(image)", 35),
        ("if 1 == 2 { 5 } else if not no and yes { 6 } else { 7 }", 6),
        ("if no or 3 >= 3 { 5 } else { 6 }", 5),
    ],
)
def test_known_values(text: str, value: int) -> None:
    assert known(text) == value


def test_logic_stops_where_it_is_decided() -> None:
    assert known("if len([]) > 0 and [][0] == 1 { 1 } else { 2 }") == 2


def test_loops_over_pairs() -> None:
    model = net("x = image\nfor i, n in enumerate([4, 5]) { x = x -> conv(n + i, 1x1) }\noutput x")
    assert shape(model, "x") == (6, 16, 16)


def test_names_bound_in_a_loop_are_new_in_every_round() -> None:
    assert len(layers(net("x = image\nfor i in range(3) { up = x -> relu\n x = up -> tanh }\noutput x"))) == 6


def test_rebinding_in_branches() -> None:
    body = "x = image\nif height(x) == 16 { x = x -> relu } else { x = x -> tanh }\noutput x"
    assert layers(net(body)) == ["relu1"]


def test_several_return_values() -> None:
    block = "block Heads(n: int) { return in -> conv(n, 1x1) as cls, in -> conv(4 * n, 1x1) as box }"
    model = net("a, b = image -> Heads(2)\n(c, d) = Heads(image, 3)\noutput a, b, c, d", block)
    assert [shape(model, name)[0] for name in "abcd"] == [2, 8, 3, 12]


def test_tensor_parameters() -> None:
    block = "block Merge(a, b: tensor, n: int = 1) { return add(a, b) -> conv(n, 1x1) }"
    model = net("x = image -> relu\noutput y = Merge(x, image, 2)\noutput z = Merge(b=x, a=image)", block)
    assert (shape(model, "y")[0], shape(model, "z")[0]) == (2, 1)


def test_a_block_takes_in_and_further_tensors() -> None:
    block = "block Gate(by: tensor) { return mul(in, by -> sigmoid) }"
    model = net("output y = image -> Gate(image)\noutput z = Gate(image, image)", block)
    assert shape(model, "y") == shape(model, "z") == (3, 16, 16)


def test_several_values_piped_at_once() -> None:
    assert shape(net("output y = (image, image -> relu) -> concat"), "y") == (6, 16, 16)


def test_lists_of_tensors() -> None:
    body = "xs = [image]\nfor i in range(3) { xs = xs + [concat(xs) -> conv(2, 1x1)] }\noutput y = concat(xs)"
    assert shape(net(body), "y") == (9, 16, 16)


def test_tensor_arithmetic() -> None:
    model = net("a = image -> relu\noutput y = 0.5 * a + image * a - a / 2 - 1")
    assert layers(model) == ["relu1", "mul1", "mul2", "add1", "div1", "neg1", "add2", "sub1"]
    image = np.arange(768, dtype=np.float64).reshape(1, 3, 16, 16) - 300
    a = np.maximum(image, 0)
    result = Interpreter(model.graph).run({"image": image}, {}).outputs["y"]
    assert np.allclose(result, 0.5 * a + image * a - a / 2 - 1)


def test_a_conditional_stage() -> None:
    assert layers(net("output y = image -> if yes { relu } else { tanh } -> if no { relu }")) == ["relu1"]


def test_repetition_by_zero_passes_through() -> None:
    assert layers(net("output y = image -> relu * 0 -> tanh")) == ["tanh1"]


def test_words_and_sizes_as_block_arguments() -> None:
    block = (
        "block C(n: int, k: size, pad: size = 0, round: word = floor) { return in -> conv(n, k, pad=pad, round=round) }"
    )
    model = net(
        'output y = image -> C(4, 1x3, pad=same)\noutput z = image -> C(4, (3, 1), pad=(1, 0), round="exact")', block
    )
    assert shape(model, "y") == shape(model, "z") == (4, 16, 16)


def test_defaults_may_speak_of_earlier_parameters() -> None:
    assert (
        shape(net("output y = image -> B(3)", "block B(n: int, m: int = 2 * n) { return in -> conv(m, 1x1) }"), "y")[0]
        == 6
    )


def test_constants_of_a_file() -> None:
    assert shape(net("output y = image -> B", "width = 5\nblock B { return in -> conv(width, 1x1) }"), "y")[0] == 5


def test_blocks_do_not_see_the_names_of_their_user() -> None:
    assert codes("block B { return in -> conv(n, 1x1) }\nnet A { input x: [1, 4, 4]\n n = 3\n output y = x -> B }") == [
        "N0403"
    ]


def test_spans_point_at_the_op() -> None:
    model = net("output y = image -> conv(4, 3x3) -> relu")
    spans = [next(iter(node.spans)).text for node in model.graph.layers]
    assert spans == ["conv(4, 3x3)", "relu"]


# -- nets, variants, arguments, sizes ---------------------------------------------------------------

VARIANTS = """
net Base(widths: list, k: size = 3, classes: int = 10, act: bool = yes) {
    input image: [3, 16, 16]
    x = image
    for n in widths { x = x -> conv(n, k) }
    y = if act { x -> relu } else { x }
    output logits = y -> flatten -> fc(classes)
}
net Small = Base([4])
net Large = Base([4, 8], classes = 20)
net LargeFlat = Large(act = no)
train Base { target label: class
 loss cross_entropy(logits, label)
 sgd(lr = 0.1)
 batch 4
 epochs 1
}
"""


def test_variants_fix_arguments() -> None:
    assert weights(build(VARIANTS, "Small")) == ["conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias"]
    flat = build(VARIANTS, "LargeFlat")
    assert flat.arguments == {"widths": [4, 8], "k": 3, "classes": 20, "act": False}
    assert "relu1" not in layers(flat)


def test_variants_are_trained_like_what_they_stand_for() -> None:
    spec = build(VARIANTS, "LargeFlat").train
    assert spec is not None and spec.batch == 4


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [("classes", "37", 37), ("classes", 37, 37), ("k", "1x3", (1, 3)), ("k", (1, 3), (1, 3)), ("act", "no", False)],
)
def test_arguments_from_outside(name: str, given: object, value: object) -> None:
    assert build(VARIANTS, "Small", arguments={name: given}).arguments[name] == value


def test_lists_from_outside() -> None:
    assert build(VARIANTS, "Base", arguments={"widths": "[4, 5]"}).arguments["widths"] == [4, 5]
    assert build(VARIANTS, "Base", arguments={"widths": (4, 5)}).arguments["widths"] == [4, 5]


@pytest.mark.parametrize(
    ("net_name", "arguments", "code"),
    [
        ("Small", {"clases": "3"}, "N0402"),
        ("Small", {"classes": "3.5"}, "N0201"),
        ("Small", {"classes": "3 3"}, "N0101"),
        ("Small", {"classes": "1\nnet B {}"}, "N0007"),
        ("Small", {"widths": "[3]"}, "N0406"),
        ("Base", {}, "N0405"),
        ("Bas", {}, "N0004"),
    ],
)
def test_wrong_arguments_from_outside(net_name: str, arguments: dict[str, str], code: str) -> None:
    assert code in codes(VARIANTS, net_name, arguments=arguments)


def test_the_net_that_is_meant() -> None:
    program = load_program(Source("test.net", VARIANTS))
    assert buildable_nets(program) == ["Small", "Large", "LargeFlat"]
    assert codes(VARIANTS) == ["N0004"]
    assert build("net A { input x: [1]\n output y = x -> relu }").name == "A"


SYMBOLIC = """
net A(k: int = 8) {
    input image: [3, H, W]
    input other: [1, k, k]
    output y = image -> conv(H // 4, 3x3)
    output z = other -> relu
}
"""


def test_symbolic_sizes() -> None:
    assert shape(build(SYMBOLIC, sizes={"H": 8, "W": 10}), "y") == (2, 6, 8)
    assert codes(SYMBOLIC, sizes={"H": 8}) == ["N0206"]
    assert codes(SYMBOLIC, sizes={"H": 8, "W": 8, "D": 3}) == ["N0007"]


def test_image_size_binds_whatever_stands_for_height_and_width() -> None:
    model = build(SYMBOLIC, image_size=(12, 12))
    assert shape(model, "y") == (3, 10, 10) and shape(model, "z") == (1, 12, 12)
    assert "N0007" in codes(SYMBOLIC, image_size=(12, 14))
    assert codes("net A { input x: [1, 4, 4]\n output y = x -> relu }", image_size=(8, 8)) == ["N0007", "N0007"]


# -- use --------------------------------------------------------------------------------------------


def test_use_brings_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "a.net").write_text('use "b.net": Inner\nblock Outer { return in -> Inner }\n')
    (tmp_path / "blocks" / "b.net").write_text(
        "n = 5\nblock Inner { return in -> conv(n, 1x1) }\nblock Other { return in }\n"
    )
    (tmp_path / "main.net").write_text(
        'use "blocks/a.net"\nuse "blocks/b.net": Inner\nnet A { input x: [1, 4, 4]\n output y = x -> Outer -> Inner }\n'
    )
    model = elaborate(load_program(tmp_path / "main.net"))
    assert layers(model) == ["outer1.inner1.conv1", "inner1.conv1"]


@pytest.mark.parametrize(
    ("use", "code"),
    [
        ('use "missing.net"', Code.FILE_NOT_FOUND),
        ('use "folder.net"', Code.FILE_UNREADABLE),
        ('use "binary.net"', Code.FILE_UNREADABLE),
        ('use "pipe.net"', Code.FILE_UNREADABLE),
        ('use "large.net"', Code.LIMIT_FILE),
        ('use "good.net": Bad', Code.UNKNOWN_NAME),
        ('use "broken.net"', Code.SYNTAX),
        ("use zoo.blocks.nothing", Code.FILE_NOT_FOUND),
        ("use elsewhere.blocks", Code.FILE_NOT_FOUND),
        ('use "main.net"', Code.USE_CYCLE),
    ],
)
def test_use_reads_small_regular_files_only(tmp_path: Path, use: str, code: Code) -> None:
    (tmp_path / "folder.net").mkdir()
    (tmp_path / "binary.net").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe.net")
    (tmp_path / "large.net").write_text("#" * (1 << 21))
    (tmp_path / "good.net").write_text("block Good { return in }\n")
    (tmp_path / "broken.net").write_text("block {\n}\n")
    (tmp_path / "main.net").write_text(f"{use}\nnet A {{ input x: [1]\n output y = x -> relu }}\n")
    with pytest.raises(UserError) as caught:
        load_program(tmp_path / "main.net")
    assert caught.value.diagnostics[0].code is code


# -- training ---------------------------------------------------------------------------------------


def test_training_is_data_with_the_loss_in_a_graph_of_its_own() -> None:
    text = """
    net A(classes: int = 10) {
        input image: [1, 8, 8]
        logits = image -> flatten -> fc(classes)
        output probs = softmax(logits)
    }
    train A {
        target label: class
        target soft: [classes]
        rate = 0.1
        loss 0.5 * cross_entropy(logits, label) + mse(probs, soft)
        sgd(lr = rate / 2, momentum = 0.9)
        schedule cosine(warmup = 1)
        augment shift(2), flip
        augment normalize(0.5, [0.25])
        batch 64
        epochs 10
        metric top1(logits, label)
        metric mse(probs, soft)
    }
    """
    model = build(text)
    spec = model.train
    assert spec is not None
    assert [node.name for node in model.graph.inputs] == ["image"]
    assert [node.name for node in spec.graph.inputs] == ["image", "label", "soft"]
    assert spec.loss in [value for node in spec.graph.nodes for value in node.outputs]
    assert spec.loss.type == TensorType((), False)
    assert spec.targets["label"].type == TensorType((), True, DType.I32)
    assert (spec.optimizer.name, spec.optimizer.arguments) == (
        "sgd", {"lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    )  # fmt: skip
    assert [choice.name for choice in spec.augmentations] == ["shift", "flip", "normalize"]
    assert spec.augmentations[2].arguments == {"mean": (0.5,), "std": (0.25,)}
    assert (spec.batch, spec.epochs, spec.schedule.name) == (64, 10, "cosine")
    assert [metric.name for metric in spec.metrics] == ["top1", "mse"]
    assert not model.warnings


# -- limits -----------------------------------------------------------------------------------------


def test_chains_of_blocks_are_bounded_without_a_python_error() -> None:
    blocks = "\n".join(f"block B{i} {{ return (((((((in -> B{i + 1}))))))) }}" for i in range(500))
    text = f"{blocks}\nblock B500 {{ return in }}\nnet A {{ input x: [1]\n output y = x -> B0 }}"
    with pytest.raises(ResourceLimit) as caught:
        build(text)
    assert caught.value.diagnostics[0].code is Code.LIMIT_DEPTH


def test_blocks_that_double_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_STEPS", 10_000)
    blocks = "\n".join(f"block B{i} {{ return in -> B{i + 1} -> B{i + 1} }}" for i in range(40))
    with pytest.raises(ResourceLimit):
        build(f"{blocks}\nblock B40 {{ return in -> relu }}\nnet A {{ input x: [1]\n output y = x -> B0 }}")


def test_errors_in_a_loop_are_reported_once() -> None:
    assert len(codes("net A { input x: [1, 4, 4]\n for i in range(50) { y = x -> relo }\n output z = x }")) == 1


@pytest.mark.parametrize(
    "body",
    [
        "x = image -> relu\noutput y = if no { x } else { image }",
        "x = image -> relu\noutput y = if yes { image } else if height(x) > 2 { x } else { image }",
        "n = 3\nc = yes or n > 2\nif c { _ = 1 }\noutput y = image",
        "x = image -> relu\nfor i in range(0) { _y = add(x, image) }\noutput y = image",
        "n = 3\noutput y = image -> conv(n, 1x1) * 0",
    ],
)
def test_what_another_configuration_would_read_is_not_unused(body: str) -> None:
    assert net(body).warnings == ()
