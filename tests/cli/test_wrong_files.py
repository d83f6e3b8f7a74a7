"""Wrong input of every kind: exit code 1 (4 for a limit), a located message, no traceback, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Netdsl, Write

NET = "net N { input x: [3, 8, 8]\n"
IN_NET = [
    ("output y = x -> con(4, 3x3) }", "N0401", "2:17"),
    ("output y = x -> conv(4, 3x3, strid=2) }", "N0402", "2:30"),
    ("output y = z -> relu }", "N0403", "2:12"),
    ("output y = x -> conv(4, 3x3, pad=yes) }", "N0201", "2:"),
    ("output y = x -> conv(4, 9x9) }", "N0204", "2:17"),
    ("a = x -> conv(4, 1x1)\noutput y = add(a, x) }", "N0203", "3:12"),
    ("output y = x -> maxpool(2) -> relu(2) }", "N0407", "2:"),
    ("output y = x -> conv() }", "N0405", "2:"),
    ("a = x\na = x -> relu\noutput y = a }", "N0409", "3:1"),
    ("output y = x -> conv(4, 3x3", "N01", "2:"),
    ("output y = x -> relu $ }", "N010", "2:22"),
    ("output y = x -> maxpool(3, stride=2, round=exact) }", "N0209", "2:"),
]


@pytest.mark.parametrize(("body", "code", "place"), IN_NET)
def test_every_mistake_is_located(netdsl: Netdsl, write: Write, body: str, code: str, place: str) -> None:
    path = write(NET + body)
    for verb in ("check", "report", "compile"):
        ended = netdsl(verb, path)
        assert ended.code == 1
        assert f"error[{code}" in ended.err
        assert f"{path}:{place}" in ended.err
        assert "Traceback" not in ended.err + ended.out
        assert verb == "check" or ended.out == ""


def test_all_errors_of_all_files_come_at_once(netdsl: Netdsl, tmp_path: Path) -> None:
    first, second = tmp_path / "a.net", tmp_path / "b.net"
    first.write_text(NET + "a = x -> con(4)\nb = x -> rleu\noutput y = add(a, b) }")
    second.write_text(NET + "output y = x -> conv(4, 9x9) }")
    ended = netdsl("check", first, second)
    assert ended.code == 1
    assert ended.err.count("error[") == 3
    assert "3 errors" in ended.out


def test_json_has_the_same_findings(netdsl: Netdsl, write: Write) -> None:
    path = write(NET + "output y = x -> conv(4, 3x3, strid=2) }")
    for verb in ("check", "report", "compile"):
        ended = netdsl(verb, "--json", path)
        assert ended.code == 1
        assert ended.err == ""
        [found] = ended.json["diagnostics"]
        assert ended.json["schema"] == 1
        assert found["code"] == "N0402"
        assert found["primary"]["file"] == str(path)
        assert (found["primary"]["line"], found["primary"]["column"]) == (2, 30)
        assert "stride" in found["help"]


@pytest.mark.parametrize("verb", ["check", "report", "compile"])
def test_files_that_are_none(netdsl: Netdsl, tmp_path: Path, verb: str) -> None:
    (tmp_path / "lenet.net").write_text("net A { input x: [1]\noutput y = x -> relu }")
    (tmp_path / "binary.net").write_bytes(b"\xff\xfe\x00net")
    for name, code in [("lenett.net", "N0001"), ("", "N0002"), ("binary.net", "N0002")]:
        ended = netdsl(verb, tmp_path / name)
        assert ended.code == 1
        assert f"error[{code}]" in ended.err
    assert "did you mean" in netdsl(verb, tmp_path / "lenett.net").err


def test_limits_end_with_4(netdsl: Netdsl, write: Write) -> None:
    ended = netdsl("report", write("net N { input x: [3, 8, 8]\noutput y = x -> relu * 10000000 }"))
    assert ended.code == 4
    assert "error[N05" in ended.err


def test_a_name_the_zoo_lacks(netdsl: Netdsl) -> None:
    ended = netdsl("report", "zoo:lenet55")
    assert ended.code == 1
    assert "error[N0005]" in ended.err


def test_settings_are_typed_by_the_net(netdsl: Netdsl, small: Path) -> None:
    assert "[7]" in netdsl("report", small, "--set", "features=7").out
    unknown = netdsl("report", small, "--set", "feature=7")
    assert unknown.code == 1
    assert "did you mean `features`?" in unknown.err
    wrong = netdsl("report", small, "--set", "features=many")
    assert wrong.code == 1
    assert "Traceback" not in wrong.err


def test_symbolic_sizes(netdsl: Netdsl, write: Write) -> None:
    path = write("net N { input image: [3, H, W]\noutput y = image -> conv(4, 3x3, stride=2, pad=1) }")
    assert "[4, 16, 32]" in netdsl("report", path, "--size", "32x64").out
    unbound = netdsl("report", path)
    assert unbound.code == 1
    assert "error[N0206]" in unbound.err and "--size" in unbound.err


def test_check_of_a_sound_file(netdsl: Netdsl, lenet: Path) -> None:
    ended = netdsl("check", lenet)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "1 net of 1 file checked: no errors, no warnings\n"
    assert netdsl("check", "--json", lenet).json == {"schema": 1, "diagnostics": []}


def test_warnings_alone_end_with_0(netdsl: Netdsl, write: Write) -> None:
    path = write("net N { input x: [3, 7, 7]\noutput y = x -> maxpool(3, stride=3) }")
    ended = netdsl("check", path)
    assert ended.code == 0
    assert "warning[N0302]" in ended.err and "2.33" in ended.err
    assert "0 errors, 1 warning" in ended.out
