"""Legal sizes on the command line."""

from __future__ import annotations

from tests.cli.conftest import Netdsl, Write

HOURGLASS = """
block Conv(width: int) { return in -> conv(width, 3x3, pad=1) -> relu }
net Hourglass {
    input image: [3, H, W]
    fine = image -> Conv(4)
    coarse = fine -> maxpool(2) -> Conv(8)
    output y = concat(fine, coarse -> deconv(4, 2x2, stride=2)) -> Conv(2)
}
"""


def test_check_says_which_sizes_fit(netdsl: Netdsl, write: Write) -> None:
    ended = netdsl("check", write(HOURGLASS))
    assert (ended.code, ended.err) == (0, "")
    told = ended.out.splitlines()
    assert told[0].endswith("net.net: sizes of `Hourglass`")
    assert told[1:3] == ["  H = 0 mod 2", "  W = 0 mod 2"]
    assert told[3].startswith("  tried every size from 1 to ")
    assert told[4] == "1 net of 1 file checked: no errors, no warnings"


def test_check_as_json(netdsl: Netdsl, write: Write) -> None:
    path = write(HOURGLASS)
    (entry,) = netdsl("check", "--json", path).json["legal_sizes"]
    assert entry["file"] == str(path) and entry["net"] == "Hourglass"
    assert entry["axes"]["W"]["modulus"] == 2 and entry["smallest"] == {"H": 2, "W": 2}
    assert "legal_sizes" not in netdsl("check", "--json", "--size", "8x8", path).json


def test_a_report_lists_them(netdsl: Netdsl, write: Write) -> None:
    path = write(HOURGLASS)
    ended = netdsl("report", path)
    assert ended.code == 1
    assert "legal are H = 0 mod 2; W = 0 mod 2" in ended.err and "the smallest is `--size 2x2`" in ended.err
    document = netdsl("report", "--json", path).json
    assert [item["code"] for item in document["diagnostics"]] == ["N0206"]
    assert document["legal_sizes"][0]["axes"]["H"]["text"] == "H = 0 mod 2"
    assert netdsl("report", path, "--size", "2x2").code == 0


def test_an_odd_size_names_its_neighbours(netdsl: Netdsl, write: Write) -> None:
    path = write(HOURGLASS)
    for verb in ("check", "report"):
        ended = netdsl(verb, path, "--size", "25x24")
        assert ended.code == 1
        assert "nearest sizes that work: H = 24 or 26" in ended.err and "all that work: H = 0 mod 2" in ended.err


def test_warnings_are_those_of_all_sizes(netdsl: Netdsl, write: Write) -> None:
    text = "net A {{ input x: [3, H, W]\n output y = x -> conv(4, 3x3, pad=1){}-> maxpool(2) }}"
    dropped = netdsl("check", write(text.format(" ")))
    assert "N0302" not in dropped.err  # a row is dropped at odd sizes only
    assert "N0307" in netdsl("check", write(text.format(" -> bn "))).err


def test_no_size(netdsl: Netdsl, write: Write) -> None:
    ended = netdsl("check", write("net A { input x: [3, H, W]\n output y = concat(x, x -> maxpool(2)) }"))
    assert ended.code == 1
    assert "error[N0203]" in ended.err and "sizes of H and W that were tried fits" in ended.err
