"""Machines: their file, what is wrong with one, and this one measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.cache_directory import cache_directory
from netdsl.diagnostics import Code, UserError
from netdsl.machine import Machine, parse_machine, rate_text
from netdsl.measured import find_machine, keep, kept_file
from netdsl.source import Source

LEAST = {"schema": 1, "name": "one", "cores": 4, "peak_flops": 4e11, "bandwidth": 4e10}


def parse(text: str) -> Machine:
    return parse_machine(Source("m.json", text))


def test_what_is_left_out() -> None:
    machine = parse(json.dumps(LEAST))
    assert (machine.peak_flops_per_core, machine.bandwidth_per_core, machine.l2_bytes) == (1e11, 1e10, None)
    assert [machine.flops_with(threads) for threads in (1, 3, 8, None)] == [1e11, 3e11, 4e11, 4e11]
    assert machine.bandwidth_with(2) == 2e10


def test_there_and_back() -> None:
    machine = Machine("a", 2, 2e11, 1.5e11, 3e10, 2e10, 1e11, 32768, 2**20, None)
    assert parse(json.dumps(machine.to_json(), indent=2)) == machine


@pytest.mark.parametrize("change, title, column", [
    ({"cores": 0}, "`cores` must be a whole number, 1 to 1,048,576", 11),
    ({"cores": True}, "`cores` must be a whole number, 1 to 1,048,576", 11),
    ({"cores": 2.0}, "`cores` must be a whole number, 1 to 1,048,576", 11),
    ({"name": ""}, "`name` must be 1 to 200 printable characters", 10),
    ({"name": "\x1b[2J"}, "`name` must be 1 to 200 printable characters", 10),
    ({"schema": 2}, "`schema` must be 1, the version that this netdsl reads", 12),
    ({"peak_flops": float("nan")}, "`peak_flops` must be a number of operations a second, from 1 to 1e+24", 16),
    ({"peak_flops": float("inf")}, "`peak_flops` must be a number of operations a second, from 1 to 1e+24", 16),
    ({"bandwidth": -1}, "`bandwidth` must be a number of bytes a second, from 1 to 1e+24", 15),
    ({"bandwidth": None}, "`bandwidth` must be a number of bytes a second, from 1 to 1e+24", 15),
    ({"bandwidth": "fast"}, "`bandwidth` must be a number of bytes a second, from 1 to 1e+24", 15),
    ({"l2_bytes": 1.5}, "`l2_bytes` must be a whole number of bytes, at least 1", 14),
    ({"bandwith": 1}, "a machine has no `bandwith`", 2),
])  # fmt: skip
def test_wrong_values_are_located(change: dict[str, Any], title: str, column: int) -> None:
    text = json.dumps({**change, **{key: value for key, value in LEAST.items() if key not in change}}, indent=1)
    with pytest.raises(UserError) as caught:
        parse(text)
    [found] = caught.value.diagnostics
    assert found.code is Code.MACHINE and found.title.startswith(title)
    assert found.primary is not None and (found.primary.span.line, found.primary.span.column) == (2, column)


@pytest.mark.parametrize("text, title", [
    ("", "a machine is one JSON object"),
    ("[]", "a machine is one JSON object"),
    ("{}", "the machine has no `schema`"),
    ("{", "this is not JSON"),
    ('{"schema": 1', "behind the value should be"),
    ('{"schema": 1,}', "this is not JSON"),
    ('{"schema" 1}', "behind the name should be"),
    ("{1: 2}", "here should be a name"),
    ('{"schema": 1, "schema": 1}', "`schema` is given twice"),
    ('{"schema": 1} x', "there is more behind the end"),
    ('{"cores": ' + "9" * 5000 + "}", "a value is too long"),
    ('{"cores": ' + "[" * 100_000, "a value is too long"),
    ('{"name": "\\ud800", "schema": 1}', "`name` must be"),
])  # fmt: skip
def test_what_is_no_machine(text: str, title: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert caught.value.diagnostics[0].title.startswith(title)
    assert str(caught.value)


@given(st.text(max_size=60) | st.text(alphabet='{}[]":,1e9.- \nacdhmnors', max_size=60))
def test_any_text_is_a_machine_or_an_error(text: str) -> None:
    try:
        parse(text)
    except UserError as error:
        assert str(error)


def test_the_measurement_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(tmp_path / "new" / "folder"))
    with pytest.raises(UserError, match="has not been measured"):
        find_machine("measured")
    machine = parse(json.dumps(LEAST))
    assert keep(machine) == kept_file() == tmp_path / "new" / "folder" / "machine.json"
    assert find_machine("measured") == machine == find_machine(str(kept_file()))
    monkeypatch.setenv("NETDSL_CACHE_DIR", "")
    assert keep(machine) is None
    with pytest.raises(UserError, match="says to keep no files"):
        find_machine("measured")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETDSL_CACHE_DIR", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "netdsl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() is None


def test_rates_in_words() -> None:
    assert [rate_text(rate, "B/s") for rate in (3.289e10, 999.0, 1e15)] == ["32.89 GB/s", "999 B/s", "1 PB/s"]
