"""``netdsl lsp`` as an editor sees it, over pipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls", reason="pygls, which the extra `lsp` installs, is not there")

from tests.lsp.client import Client

NET = """\
use "blocks.net": Stem

block Residual(width: int) {
    body = in -> conv(width, 3x3, pad=1) -> relu
    return add(in, body)
}

net A(classes: int = 10) {
    input image: [3, 32, 32]
    # \N{GRINNING FACE} a character of two UTF-16 units
    features = image -> Stem(16) -> Residual(width=16) * 2
    logits = features -> avgpool(global) -> flatten -> fc(classes)  # allow N0310
    output probs = softmax(logits)
}
"""
BLOCKS = "block Stem(width: int) {\n    return in -> conv(width, 3x3, stride=2, pad=1) -> relu\n}\n"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    found = Client()
    yield found
    assert found.close() == 0


class File:
    """One open document."""

    def __init__(self, client: Client, folder: Path, text: str) -> None:
        self.client, self.text, self.version = client, text, 1
        self.uri = (folder / "net.net").as_uri()
        client.open(self.uri, text)

    def change(self, text: str) -> None:
        self.text, self.version = text, self.version + 1
        self.client.change(self.uri, self.version, text)

    def findings(self) -> list[dict[str, Any]]:
        return self.client.diagnostics(self.uri, self.version)

    def position(self, before: str, inside: str = "") -> dict[str, int]:
        """Where ``inside`` begins in the first ``before`` (all of it: where that ends)."""
        start = self.text.index(before)
        offset = start + (before.index(inside) if inside else len(before))
        line = self.text.count("\n", 0, offset)
        column = offset - (self.text.rfind("\n", 0, offset) + 1)
        return {"line": line, "character": column}

    def ask(self, method: str, position: dict[str, int], **more: Any) -> Any:
        return self.client.answer(f"textDocument/{method}", self._params(position, more)).get("result")

    def refusal(self, method: str, position: dict[str, int], **more: Any) -> str:
        return str(self.client.answer(f"textDocument/{method}", self._params(position, more))["error"]["message"])

    def _params(self, position: dict[str, int], more: dict[str, Any]) -> dict[str, Any]:
        return {"textDocument": {"uri": self.uri}, "position": position, **more}

    def at(self, where: dict[str, Any]) -> str:
        """The text of a range on one line (of a line without odd characters)."""
        line = self.text.splitlines()[where["start"]["line"]]
        return line[where["start"]["character"] : where["end"]["character"]]


@pytest.fixture
def file(client: Client, tmp_path: Path) -> Iterator[File]:
    (tmp_path / "blocks.net").write_text(BLOCKS)
    found = File(client, tmp_path, NET)
    assert found.findings() == []
    yield found
    client.notify("textDocument/didClose", {"textDocument": {"uri": found.uri}})


def test_findings_as_one_types(file: File) -> None:
    file.change(NET.replace("fc(classes)", "fcc(classes)"))
    [finding] = file.findings()
    assert (finding["code"], finding["severity"], finding["source"]) == ("N0401", 1, "netdsl")
    assert file.at(finding["range"]) == "fcc" and "did you mean `fc`?" in finding["message"]
    file.change(NET.replace("softmax(logits)", "softmax(logits"))
    assert [item["code"] for item in file.findings()] == ["N0104"]
    file.change(NET.replace("    logits =", "    unread = features -> relu\n    logits ="))
    [warning] = file.findings()
    assert (warning["code"], warning["severity"]) == ("N0301", 2)
    file.change(NET.replace("  # allow N0310", ""))
    [lint] = file.findings()
    assert (lint["code"], lint["severity"]) == ("N0310", 2) and file.at(lint["range"]) == "avgpool(global)"
    file.change(NET)
    assert file.findings() == []


def test_only_the_last_of_quick_changes_is_analysed(file: File) -> None:
    for number in range(20):
        file.change(NET.replace("classes: int = 10", f"classes: int = {number + 1}"))
    file.change(NET.replace("Residual(width=16)", "Residual(width=8)"))
    versions = []
    while not versions or versions[-1] < file.version:
        note = file.client.notes.get(timeout=30)
        if note["method"] == "textDocument/publishDiagnostics" and note["params"]["uri"] == file.uri:
            versions.append(note["params"]["version"])
            codes = [item["code"] for item in note["params"]["diagnostics"]]
    assert codes == ["N0203"]
    assert versions == sorted(versions) and len(versions) <= 3


def test_a_finding_in_a_used_file(file: File, tmp_path: Path) -> None:
    (tmp_path / "blocks.net").write_text(BLOCKS.replace("relu", "rellu"))
    file.client.notify("textDocument/didSave", {"textDocument": {"uri": file.uri}})
    [finding] = file.findings()
    assert finding["code"] == "N0401" and finding["range"]["start"] == {"line": 0, "character": 0}
    places = [item["location"]["uri"] for item in finding["relatedInformation"]]
    assert places[0].endswith("blocks.net") and file.uri in places


def test_hover(file: File) -> None:
    text = file.ask("hover", file.position("avgpool(global)", "avgpool"))["contents"]["value"]
    assert "`avgpool1` | [16, 1, 1] | 0 | 0 |" in text and "avgpool(kernel=" in text
    text = file.ask("hover", file.position("conv(width", "conv"))["contents"]["value"]
    assert "`residual1.conv1` | [16, 16, 16] | 2,320 | 589,824 | 7 x 7, stride 2 |" in text
    assert "residual2.conv1" in text and "LeCun" in text
    text = file.ask("hover", file.position("= features ->", "features"))["contents"]["value"]
    assert text.startswith("**features** (value)")
    text = file.ask("hover", file.position("-> Residual", "Residual"))["contents"]["value"]
    assert "block Residual(width: int)" in text
    text = file.ask("hover", file.position("softmax(logits)", "logits"))["contents"]["value"]
    assert "`fc1` | [10] | 170 | 160" in text
    assert file.ask("hover", {"line": 6, "character": 0}) is None


def test_definition(file: File, tmp_path: Path) -> None:
    found = file.ask("definition", file.position("softmax(logits)", "logits"))
    assert found["uri"] == file.uri and file.at(found["range"]) == "logits"
    assert found["range"]["start"]["line"] == 11
    found = file.ask("definition", file.position("-> Stem(16)", "Stem"))
    assert found["uri"] == (tmp_path / "blocks.net").as_uri() and found["range"]["start"] == {"line": 0, "character": 6}
    found = file.ask("definition", file.position("Residual(width=16)", "width"))
    assert found["range"]["start"] == {"line": 2, "character": 15}
    assert file.ask("definition", file.position("-> relu", "relu")) is None
    found = file.ask("references", file.position("fc(classes)", "classes"), context={"includeDeclaration": True})
    assert [item["range"]["start"]["line"] for item in found] == [7, 11]


def renamed(file: File, position: dict[str, int], name: str) -> str:
    edits = file.ask("rename", position, newName=name)["changes"][file.uri]
    lines = file.text.splitlines(keepends=True)
    for edit in sorted(edits, key=lambda item: -item["range"]["start"]["character"]):
        line = edit["range"]["start"]["line"]
        start, end = edit["range"]["start"]["character"], edit["range"]["end"]["character"]
        lines[line] = lines[line][:start] + name + lines[line][end:]
    return "".join(lines)


def test_rename(file: File) -> None:
    text = renamed(file, file.position("= features ->", "features"), "maps")
    assert text == NET.replace("features", "maps")
    text = renamed(file, file.position("block Residual", "Residual"), "Res")
    assert text == NET.replace("Residual", "Res")
    text = renamed(file, file.position("Residual(width:", "width"), "w")
    assert "Residual(w: int)" in text and "conv(w, 3x3" in text and "Residual(w=16)" in text
    file.change(text)
    assert file.findings() == []


def test_rename_refuses(file: File) -> None:
    position = file.position("= features ->", "features")
    assert "taken" in file.refusal("rename", position, newName="logits")
    assert "not a name" in file.refusal("rename", position, newName="net")
    assert "blocks.net" in file.refusal("rename", file.position("-> Stem(16)", "Stem"), newName="Start")
    assert file.ask("prepareRename", file.position("-> relu", "relu")) is None
    assert file.at(file.ask("prepareRename", position)) == "features"


def labels(file: File, text: str) -> dict[str, dict[str, Any]]:
    """What is proposed where ``text`` is put for the net's line of logits."""
    line = "    logits = features -> avgpool(global) -> flatten -> fc(classes)  # allow N0310\n"
    file.change(NET.replace(line, text + "\n"))
    found = file.ask("completion", file.position(text))
    return {item["label"]: item for item in found}


def test_completion(file: File) -> None:
    stages = labels(file, "    logits = features -> av")
    assert {"avgpool", "conv", "Residual", "Stem"} <= stages.keys() and "logits" not in stages
    assert stages["avgpool"]["detail"].startswith("avgpool(kernel=")
    assert "divisor" in stages["avgpool"]["documentation"]["value"]
    arguments = labels(file, "    logits = features -> conv(8, 3x3, pad=1, ")
    assert {"stride", "groups", "features", "same"} <= arguments.keys() and "pad" not in arguments
    assert "step of the window" in arguments["stride"]["documentation"]["value"]
    words = labels(file, "    logits = features -> conv(8, 3x3, pad=")
    assert "same_lower" in words and "stride" not in words
    assert "width" in labels(file, "    logits = features -> Residual(")
    assert {"layer", "output", "features"} <= labels(file, "    ou").keys()


def test_typing_a_file_from_nothing(file: File) -> None:
    for end in range(0, len(NET), 9):
        file.change(NET[:end])
        if end:
            lines = NET[:end].split("\n")
            position = {"line": len(lines) - 1, "character": len(lines[-1].encode("utf-16-le")) // 2}
            assert isinstance(file.ask("completion", position), list)
            file.ask("hover", position)
    file.change(NET)
    assert file.findings() == []


def test_completion_at_the_top_and_in_train(file: File) -> None:
    file.change(NET + "\ntr")
    found = file.ask("completion", file.position("\ntr"))
    assert "train" in [item["label"] for item in found]
    file.change(NET + "\ntrain A {\n    ")
    found = [item["label"] for item in file.ask("completion", file.position("train A {\n    "))]
    assert {"loss", "sgd", "epochs"} <= set(found)
    file.change(NET + "\ntrain A {\n    sgd(lr = 0.1, ")
    found = [item["label"] for item in file.ask("completion", file.position("sgd(lr = 0.1, "))]
    assert "momentum" in found and "lr" not in found


def test_shapes_beside_the_lines(file: File) -> None:
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    params = {"textDocument": {"uri": file.uri}, "range": everything}
    hints = {item["position"]["line"]: item["label"] for item in file.client.request("textDocument/inlayHint", params)}
    assert hints == {3: "[16, 16, 16]", 4: "[16, 16, 16]", 10: "[16, 16, 16]", 11: "[10]", 12: "[10]"}


def test_formatting(file: File) -> None:
    file.change("net A{input x:[3]\noutput y=x->relu}")
    options = {"tabSize": 4, "insertSpaces": True}
    params = {"textDocument": {"uri": file.uri}, "options": options}
    [edit] = file.client.request("textDocument/formatting", params)
    assert edit["newText"] == "net A {\n    input x: [3]\n    output y = x -> relu\n}\n"
    file.change("net A {")
    assert file.client.request("textDocument/formatting", params) is None


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", 22), ("utf-16", 17), ("utf-32", 16)])
def test_columns_in_the_units_agreed_on(tmp_path: Path, encoding: str, end: int) -> None:
    client = Client(encoding)
    uri = (tmp_path / "net.net").as_uri()
    client.open(uri, 'use "\N{GRINNING FACE}\N{LATIN SMALL LETTER E WITH ACUTE}\N{MINUS SIGN}abc.net"\n')
    [finding] = client.diagnostics(uri, 1)
    assert finding["code"] == "N0001"
    assert (finding["range"]["start"]["character"], finding["range"]["end"]["character"]) == (4, end)
    assert client.close() == 0


def test_what_it_says_it_can(client: Client) -> None:
    for name in ("hover", "definition", "references", "completion", "rename", "inlayHint", "documentFormatting"):
        assert client.capabilities[f"{name}Provider"]
