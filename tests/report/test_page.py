"""The page of ``netdsl report --html``: what is in it, and what it does in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netdsl.cli.main import run
from netdsl.report.html import page
from tests.report.browser import after, needs_chromium, outcome
from tests.report.networks import NOTHING, ONE_LAYER, RESIDUAL, deep

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\">&amp;<!--\u2028'\"`${1}"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str, *options: str, name: str = "net.net") -> str:
        source, target = tmp_path / name, tmp_path / "page.html"
        source.write_text(text, encoding="utf-8")
        assert run(["report", str(source), "--html", str(target), *options]) == 0
        return target.read_text(encoding="utf-8")

    return written


def data(text: str) -> Any:
    [found] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_the_data_are_those_of_the_report(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = data(write(RESIDUAL, "--json"))
    report = json.loads(capsys.readouterr().out)
    layers = [node for node in found["nodes"] if "args" in node]
    for name in ("name", "op", "params", "macs", "flops"):
        assert [node[name] for node in layers] == [layer[name] for layer in report["layers"]]
    assert [node["shape"] for node in layers] == [layer["output_shape"] for layer in report["layers"]]
    assert found["totals"]["params"] == report["totals"]["params"]
    assert [node["op"] for node in found["nodes"] if "args" not in node] == ["input", "output"]


def test_every_item_is_in_one_rank(write: Any) -> None:
    found = data(write(RESIDUAL))
    for block in found["blocks"]:
        assert sorted(item for rank in block["ranks"] for item in rank) == list(range(len(block["items"])))
    placed = [item[1] for block in found["blocks"] for item in block["items"] if item[0] == "node"]
    assert sorted(placed) == list(range(len(found["nodes"])))


def test_the_page_loads_nothing(write: Any) -> None:
    text = write(RESIDUAL)
    assert set(re.findall(r"https?://[^\s\"'<>]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"\b(?:src|href)\s*=", text)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src &#x27;none&#x27;;") and "unsafe" not in policy


def test_quiet_and_the_same_every_time(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert write(RESIDUAL) == write(RESIDUAL)
    assert capsys.readouterr() == ("", "")


def test_a_page_names_no_folder_of_its_author(write: Any, tmp_path: Path) -> None:
    assert str(tmp_path) not in write(RESIDUAL)


def test_two_documents_on_stdout_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(ONE_LAYER)
    assert run(["report", str(tmp_path / "net.net"), "--html", "-", "--json"]) == 2


def test_a_folder_is_no_place_for_a_page(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(ONE_LAYER)
    assert run(["report", str(tmp_path / "net.net"), "--html", str(tmp_path)]) == 1


def test_hostile_words_end_no_element() -> None:
    embedded = page.embed({"name": HOSTILE})
    assert not set("<>&\u2028") & set(embedded)
    assert json.loads(embedded) == {"name": HOSTILE}


def test_a_hostile_name_of_a_file(write: Any) -> None:
    name = "<img src=x onerror=alert(1)>&.net"
    text = write(RESIDUAL, name=name)
    assert "<img" not in text
    assert {node.get("at", "").rpartition(":")[0] for node in data(text)["nodes"]} == {"", name}


# -- in a browser ------------------------------------------------------------------------------------


@pytest.fixture
def browse(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(text of a network, steps in JavaScript) -> what the steps left in ``result``."""
    plain = page.asset

    def loaded(text: str, steps: str) -> Any:
        monkeypatch.setattr(page, "asset", lambda name: after(plain(name), steps) if name == "page.js" else plain(name))
        write(text)
        found = outcome(tmp_path / "page.html", tmp_path / "profile")
        assert found.pop("errors") == []
        return found

    return loaded


@needs_chromium
def test_blocks_fold_by_mouse_and_keyboard(browse: Any) -> None:
    found = browse(
        RESIDUAL,
        """
        const titles = () => all(".card.foldable").map((card) => card.getAttribute("aria-expanded"));
        result.start = [labels().length, titles()];
        document.getElementById("fold-all").click();
        result.folded = [labels().length, titles()];
        all(".card.foldable")[0].dispatchEvent(new MouseEvent("click", {bubbles: true}));
        result.clicked = titles();
        document.activeElement.blur();
        all(".card[tabindex='0']")[0].focus();
        result.focused = document.activeElement.getAttribute("aria-label");
        press("Enter");
        result.entered = titles();
        press("Enter");
        press("ArrowDown");
        result.inside = document.activeElement.getAttribute("aria-label");
        press("Escape");
        result.escaped = [titles(), document.activeElement.getAttribute("aria-label")];
        document.getElementById("open-all").click();
        result.opened = labels().length;
        const inner = all(".card").find((card) => card.getAttribute("aria-label").startsWith("conv stage2.conv3"));
        inner.dispatchEvent(new PointerEvent("pointerenter"));
        document.getElementById("fold-all").click();
        result.around = document.querySelector(".card.chosen").getAttribute("aria-label");
        result.focusable = all(".card[tabindex='0']").length;
        """,
    )
    assert found["start"] == [27, ["true", "true"]]
    assert found["folded"] == [11, ["false", "false"]]
    assert found["clicked"] == ["true", "false"]
    assert found["focused"] == "block stage1, 7 layers, 4,672 parameters, open"
    assert found["entered"] == ["false", "false"]
    assert found["inside"].startswith("conv stage1.conv1, 3×3, 16, pad 1, gives 16 by 32 by 32")
    assert found["escaped"] == [["false", "false"], "block stage1, 7 layers, 4,672 parameters, folded"]
    assert found["opened"] == 27
    assert found["around"].startswith("block stage2")
    assert found["focusable"] == 1


@needs_chromium
def test_what_is_said_of_a_layer(browse: Any) -> None:
    found = browse(
        RESIDUAL,
        """
        const card = all(".card").find((one) => one.getAttribute("aria-label").startsWith("conv stage2.conv2"));
        card.dispatchEvent(new PointerEvent("pointerenter"));
        result.details = text("details");
        result.field = text("field");
        const seen = document.querySelector(".seen");
        result.seen = ["x", "y", "width", "height"].map((name) => Number(seen.getAttribute(name)));
        result.hot = all(".edge.hot").length;
        card.focus();
        press("ArrowDown", {shiftKey: true});
        result.moved = Number(document.querySelector(".seen").getAttribute("y"));
        result.flows = all(".flow").map((flow) => flow.textContent);
        result.bars = all("rect.macs").length;
        const fc = all(".card").find((one) => one.getAttribute("aria-label").startsWith("fc"));
        fc.dispatchEvent(new PointerEvent("pointerenter"));
        result.none = text("field");
        """,
    )
    assert "stage2.conv2" in found["details"] and "9,216 (47%)" in found["details"]
    assert "net.net:3" in found["details"]
    assert "13 × 13 pixels, neighbours 2 × 2 apart, the first centred at 0 × 0" in found["field"]
    assert found["seen"] == [10, 10, 13, 13]
    assert found["moved"] == 12
    assert found["hot"] == 2
    assert "32×16×16" in found["flows"] and "1×32×32" in found["flows"]
    assert found["bars"] >= 6
    assert "No place in the input" in found["none"]


@needs_chromium
def test_arrows_and_bars_say_what_they_are(browse: Any) -> None:
    found = browse(
        RESIDUAL,
        """
        const hit = all(".hit").find((path) => path.textContent.startsWith("stage1.relu1:"));
        result.title = hit.textContent;
        hit.dispatchEvent(new PointerEvent("pointerenter"));
        result.details = document.querySelector("#details h2").textContent;
        result.hot = all(".edge.hot").length;
        result.bare = all(".hit").filter((path) => !path.textContent).length;
        result.bars = all(".card rect.macs title").map((title) => title.textContent);
        document.querySelector(".flow").dispatchEvent(new PointerEvent("pointerenter"));
        result.flow = document.querySelector("#details h2").textContent;
        """,
    )
    assert found["title"] == "stage1.relu1: 16×32×32, 64.0 KiB a sample"
    assert found["details"] == "stage1.relu1" and found["hot"] == 1 and found["bare"] == 0
    assert "MACs: 2,359,296 (28%)" in found["bars"]
    assert found["flow"] == "image"


@needs_chromium
def test_the_memory_peak_leads_to_its_layers(browse: Any) -> None:
    found = browse(
        RESIDUAL,
        """
        result.heads = all("#peak h2").map((head) => head.textContent);
        document.getElementById("fold-all").click();
        const holder = all("#peak button").find((one) => one.textContent.startsWith("stage1."));
        holder.click();
        result.chosen = document.querySelector(".card.chosen").getAttribute("aria-label");
        result.title = holder.title;
        """,
    )
    assert [head.partition(":")[0] for head in found["heads"]] == [
        "Memory peak of inference",
        "Memory peak of training",
    ]
    assert found["chosen"].startswith("block stage1") and "written at net.net:" in found["title"]


def test_the_page_has_the_warnings_of_check(write: Any) -> None:
    text = "net N {\n input x: [3, 8, 8]\n output y = x -> conv(8, 3x3) -> bn\n}\n"
    said = "N0307: the bias of `conv` has no effect: `bn` subtracts the mean"
    assert data(write(text))["warnings"] == [said]
    assert data(write(text.replace("-> bn", "-> bn  # allow N0307")))["warnings"] == []


def test_the_peaks_add_up(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = data(write(RESIDUAL, "--json"))
    memory = json.loads(capsys.readouterr().out)["memory"]
    for peak in found["peaks"]:
        assert sum(value["bytes"] for value in peak["values"]) == peak["bytes"] == memory[f"{peak['kind']}_peak_bytes"]
        assert {value["node"] for value in peak["values"]} <= {None, *range(len(found["nodes"]))}
    assert [peak["kind"] for peak in found["peaks"]] == ["inference", "training"]


@needs_chromium
def test_hostile_words_are_only_words(tmp_path: Path, browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = page.page_document

    def hostile(*arguments: Any) -> dict[str, Any]:
        document = plain(*arguments)
        document["net"] = document["heading"] = HOSTILE
        for node in document["nodes"]:
            node.update(name=HOSTILE, about=HOSTILE, at=HOSTILE, op="__proto__")
        for block in document["blocks"][1:]:
            block["name"] = HOSTILE
        for peak in document["peaks"]:
            peak["step"] = HOSTILE
            for value in peak["values"]:
                value.update(name=HOSTILE, at=HOSTILE)
        return {**document, "warnings": [HOSTILE]}

    monkeypatch.setattr(page, "page_document", hostile)
    found = browse(
        RESIDUAL,
        """
        all(".card")[1].dispatchEvent(new PointerEvent("pointerenter"));
        result.images = all("img").length;
        result.title = document.title;
        result.head = text("title");
        result.details = document.querySelector("#details h2").textContent;
        """,
    )
    assert found == {"images": 0, "title": f"{HOSTILE} · netdsl", "head": HOSTILE, "details": HOSTILE}


@needs_chromium
@pytest.mark.parametrize("text", [ONE_LAYER, NOTHING])
def test_the_smallest_networks(browse: Any, text: str) -> None:
    assert browse(text, "result.cards = labels().length;")["cards"] in (2, 3)


@needs_chromium
def test_two_thousand_layers(browse: Any, tmp_path: Path) -> None:
    found = browse(
        deep(2000),
        """
        result.cards = labels().length;
        all(".card[tabindex='0']")[0].focus();
        for (let i = 0; i < 50; i++) press("ArrowDown");
        """,
    )
    assert found["cards"] == 2000
    assert (tmp_path / "page.html").stat().st_size < 4_000_000
