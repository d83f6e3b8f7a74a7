"""What the server knows of a file, without the protocol: names by scope, renaming that keeps the meaning, no crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Level, UserError
from netdsl.lsp.completion import complete
from netdsl.lsp.document import Document, analyse, shapes_of_lines
from netdsl.lsp.hover import argument_text, hover
from netdsl.lsp.rename import rename
from tests.cli.conftest import Netdsl, netdsl  # noqa: F401  (a fixture)

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "zoo"
FILES = [ZOO / "classification" / "lenet5.net", ZOO / "classification" / "vgg.net", ZOO / "segmentation" / "unet.net"]
PIECES = ["", "->", "(", "}", "in", "x", '"', "\n", "as a"]
SAMPLE = """\
same = 3

block B(x: int, gate: tensor) {
    y = in
    for i in range(x) {
        y = y -> conv(same, 3x3, pad=same) -> head
        z = y
    }
    return y
}

net N(depth: int = 2) {
    input x: [3, 8, 8]
    layer head = conv(3, 3x3, pad=1)
    gate = x -> head
    output y = x -> B(depth, gate=gate) -> head
}

net M = N(depth = 3)

train N {
    target label: [3, 8, 8]
    loss mse(y, label)
    sgd(lr = 0.1)
    batch 1
    epochs 1
}
"""


def mentions(text: str, name: str) -> list[tuple[str, list[int]]]:
    """(kind, lines) of each symbol of a name."""
    found = [item for item in analyse(text, Path("sample.net")).symbols.all if item.name == name]
    return [(item.kind, sorted(span.line for span in item.mentions)) for item in found]


def test_scopes() -> None:
    assert mentions(SAMPLE, "y") == [("value", [4, 6, 6, 7, 9]), ("output", [16, 23])]
    assert mentions(SAMPLE, "x") == [("argument", [3, 5]), ("input", [13, 15, 16])]
    assert mentions(SAMPLE, "z") == [("value", [7])]
    assert mentions(SAMPLE, "head") == [("layer", [14, 15, 16])]
    assert mentions(SAMPLE, "gate") == [("argument", [3, 16]), ("value", [15, 16])]
    assert mentions(SAMPLE, "depth") == [("argument", [12, 16, 19])]
    assert mentions(SAMPLE, "N") == [("net", [12, 19, 21])]
    assert mentions(SAMPLE, "label") == [("target", [22, 23])]


def test_a_word_of_an_op_is_no_mention() -> None:
    assert mentions(SAMPLE, "same") == [("constant", [1, 6])]


def test_names_are_found_in_files_with_other_errors() -> None:
    document = analyse(SAMPLE.replace("range(x)", "rangge(x)"), Path("sample.net"))
    assert document.findings and document.symbols.at(SAMPLE.index("y = in")) is not None


def test_symbolic_sizes_have_stand_ins() -> None:
    text = "net A {\n    input image: [3, H, W]\n    output y = image -> conv(8, 3x3, stride=2, pad=1)\n}\n"
    document = analyse(text, Path("symbolic.net"))
    assert not document.findings
    shown = hover(document, text.index("conv"))
    assert shown is not None and "[8, 112, 112]" in shown[0] and "at H = 224, W = 224" in shown[0]


def test_hover_of_arguments() -> None:
    document = analyse(SAMPLE, Path("sample.net"))
    shown = hover(document, SAMPLE.index("pad=same"))
    assert shown is not None and shown[0].startswith("`pad`: a padding") and shown[1].text == "pad"


def errors(document: Document) -> list[str]:
    return [item.title for item in document.findings if item.level is Level.ERROR]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_renaming_anything_keeps_the_meaning(path: Path) -> None:
    document = analyse(path.read_text(encoding="utf-8"), path)
    macs = [layer.cost.macs for layers in document.layers.values() for layer in layers]
    own = [item for item in document.symbols.all if item.declaration.source is document.source]
    assert macs and own
    for symbol in own:
        text = document.source.text
        for span in reversed(rename(document, symbol.declaration.start, "fresh_name")):
            assert span.text == symbol.name
            text = text[: span.start] + "fresh_name" + text[span.end :]
        again = analyse(text, path)
        assert not errors(again), symbol.name
        assert [layer.cost.macs for layers in again.layers.values() for layer in layers] == macs


def test_a_name_that_would_be_mistaken_is_refused() -> None:
    document = analyse(SAMPLE, Path("sample.net"))
    for old, new in (("gate = x", "x"), ("same = 3", "y"), ("z = y", "i"), ("x: int", "gate")):
        with pytest.raises(UserError):
            rename(document, SAMPLE.index(old), new)
    assert rename(document, SAMPLE.index("z = y"), "label")


def test_argument_text() -> None:
    assert "default 1" in str(argument_text("conv", "stride"))
    assert argument_text("conv", "strides") is None and argument_text("none", "x") is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_crashes_on_damaged_files(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([SAMPLE, *(path.read_text(encoding="utf-8") for path in FILES[:2])]))
    for _ in range(data.draw(st.integers(0, 2))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = (
            text[:start] + data.draw(st.sampled_from(["", "->", "(", "}", "in", "x", '"', "\n", "as a"])) + text[end:]
        )
    document = analyse(text, Path("damaged.net"))
    offset = data.draw(st.integers(0, len(text)))
    hover(document, offset)
    assert all(item.label for item in complete(document, text, offset))


def test_without_pygls(netdsl: Netdsl, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    import sys

    monkeypatch.setitem(sys.modules, "pygls", None)
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    monkeypatch.delitem(sys.modules, "netdsl.lsp.server", raising=False)
    ended = netdsl("lsp")
    assert ended.code == 1 and "pip install 'netdsl[lsp]'" in ended.err


def test_lints_are_findings_unless_allowed() -> None:
    text = "net A {\n    input image: [3, 8, 8]\n    output y = image -> conv(8, 3x3) -> bn\n}\n"
    [found] = analyse(text, Path("lints.net")).findings
    assert found.code.id == "N0307" and found.level is Level.WARNING
    assert not analyse(text.replace("-> bn", "-> bn  # allow N0307"), Path("lints.net")).findings


INSTANCES = """\
block Body(width: int) {
    return in -> conv(width, 3x3, pad=1, bias=no) -> relu
}

net A {
    input image: [3, 8, 8]
    maps = image -> Body(4) -> Body(8) * 2
    output y = maps -> maxpool(2) -> Body(2) as last
}
"""


def test_uses_of_blocks_have_shape_work_and_field() -> None:
    document = analyse(INSTANCES, Path("instances.net"))
    shown = hover(document, INSTANCES.index("Body(4)"))
    assert shown is not None and "| `body1` | [4, 8, 8] | 108 | 6,912 | 3 x 3, stride 1 |" in shown[0]
    assert "block Body(width: int)" in shown[0]
    shown = hover(document, INSTANCES.index("maps ="))
    assert shown is not None and "`body2`" in shown[0] and "| `body3` | [8, 8, 8] | 576 | 36,864 | 7 x 7" in shown[0]
    shown = hover(document, INSTANCES.index("Body(width"))
    assert shown is not None and "|" not in shown[0]
    hints = {span.line: text for span, text in shapes_of_lines(document, 1, 99)}
    assert hints == {2: "[4, 8, 8] [8, 8, 8] ...", 7: "[8, 8, 8]", 8: "[2, 4, 4]"}


def test_values_know_what_makes_them() -> None:
    text = """net A(wide: bool = yes) {
    input x: [3, 8, 8]
    side = if wide { x -> conv(3, 1x1) } else { x }
    both = (side + x) * 2
    output y = (both -> relu) as end
}
"""
    document = analyse(text, Path("values.net"))
    assert not document.findings
    for name, layer in (("side =", "conv1"), ("both =", "mul1"), ("y =", "end")):
        shown = hover(document, text.index(name))
        assert shown is not None and f"| `{layer}" in shown[0], name
        assert "[3, 8, 8]" in shown[0]
