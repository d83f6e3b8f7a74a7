"""What a machine can do at most: the numbers a roofline is drawn from, and the JSON file that holds them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from netdsl.diagnostics import Code, UserError, did_you_mean
from netdsl.source import Source, Span

SCHEMA = 1
MAX_NAME = 200
MAX_CORES = 2**20
MAX_RATE = 1e24
"""Bounds of what a file may say; no machine comes near them."""


@dataclass(frozen=True)
class Machine:
    """Rates in float32 operations and bytes a second, sizes in bytes.

    ``peak_flops`` and ``bandwidth`` are what all cores reach together; a fused multiply-add is two operations.
    Bandwidth is that of reading from main memory, ``l2_bandwidth_per_core`` that from a core's second cache. Caches are
    those that one core reads through; the third is mostly shared. None: not known.
    """

    name: str
    cores: int
    peak_flops: float
    peak_flops_per_core: float
    bandwidth: float
    bandwidth_per_core: float
    l2_bandwidth_per_core: float | None = None
    l1_bytes: int | None = None
    l2_bytes: int | None = None
    l3_bytes: int | None = None

    def flops_with(self, threads: int | None) -> float:
        """Peak of this many cores; None for all."""
        return _rate(self.peak_flops, self.peak_flops_per_core, threads)

    def bandwidth_with(self, threads: int | None) -> float:
        """Bandwidth of this many cores; None for all."""
        return _rate(self.bandwidth, self.bandwidth_per_core, threads)

    def to_json(self) -> dict[str, Any]:
        """The document that ``parse_machine`` reads."""
        return {"schema": SCHEMA, **asdict(self)}


def _rate(all_cores: float, one_core: float, threads: int | None) -> float:
    return all_cores if threads is None else min(all_cores, threads * one_core)


def rate_text(rate: float, unit: str) -> str:
    """``117.2 GFLOP/s`` for 117.2e9 and the unit ``FLOP/s``."""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.4g} {prefix}{unit}"
    return f"{rate:.4g} {unit}"


def parse_machine(source: Source) -> Machine:
    """A machine from the text of its file. Raises UserError at the place of whatever is wrong.

    One object of numbers by the names of ``Machine``'s fields, and ``schema``, 1. Rates of one core may be left out:
    their part of the whole is taken; so may caches.
    """
    found: dict[str, _Member] = {}
    for member in _members(source):
        _check_member(member, found)
        found[member.key] = member
    whole = source.span(0, min(len(source.text), 1))
    for key in _REQUIRED:
        if key not in found:
            raise _wrong(f"the machine has no `{key}`", whole, help=f"required: {', '.join(_REQUIRED)}")
    values: dict[str, Any] = {key: member.value for key, member in found.items() if key != "schema"}
    for whole_rate in ("peak_flops", "bandwidth"):
        values.setdefault(f"{whole_rate}_per_core", values[whole_rate] / values["cores"])
    return Machine(**values)


_REQUIRED = ("schema", "name", "cores", "peak_flops", "bandwidth")
_KNOWN = ("schema", *(field.name for field in fields(Machine)))
_OPTIONAL_NONE = ("l2_bandwidth_per_core", "l1_bytes", "l2_bytes", "l3_bytes")


@dataclass(frozen=True)
class _Member:
    key: str
    key_span: Span
    value: Any
    span: Span


def _check_member(member: _Member, found: dict[str, _Member]) -> None:
    key, value = member.key, member.value
    if key not in _KNOWN:
        raise _wrong(f"a machine has no `{key[:MAX_NAME]}`", member.key_span, help=did_you_mean(key, _KNOWN))
    if key in found:
        raise _wrong(f"`{key}` is given twice", member.key_span)
    if value is None and key in _OPTIONAL_NONE:
        return
    wanted = _wanted(key, value)
    if wanted:
        raise _wrong(f"`{key}` must be {wanted}", member.span)


def _wanted(key: str, value: Any) -> str | None:
    """What a value should have been, in words; None where it is right."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = whole or isinstance(value, float)
    match key:
        case "schema":
            return None if whole and value == SCHEMA else f"{SCHEMA}, the version that this netdsl reads"
        case "name":
            fits = isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()
            return None if fits else f"1 to {MAX_NAME} printable characters"
        case "cores":
            return None if whole and 1 <= value <= MAX_CORES else f"a whole number, 1 to {MAX_CORES:,}"
        case "l1_bytes" | "l2_bytes" | "l3_bytes":
            return None if whole and 1 <= value <= MAX_RATE else "a whole number of bytes, at least 1, or null"
    fits = number and 1 <= value <= MAX_RATE and math.isfinite(value)
    unit = "operations" if "flops" in key else "bytes"
    return None if fits else f"a number of {unit} a second, from 1 to {MAX_RATE:g}"


# -- JSON with places --------------------------------------------------------------------------------

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


def _members(source: Source) -> Iterator[_Member]:
    """The members of the one object that a text is. Raises UserError where it is none."""
    text, position = source.text, _skip(source.text, 0)
    _expect(source, position, "{", "a machine is one JSON object: `{`")
    position = _skip(text, position + 1)
    if text[position : position + 1] == "}":
        position += 1
    else:
        closed = False
        while not closed:
            key, key_span = _decode(source, position)
            if not isinstance(key, str):
                raise _wrong("here should be a name in double quotes", key_span)
            position = _skip(text, key_span.end)
            _expect(source, position, ":", "behind the name should be `:`")
            value, span = _decode(source, _skip(text, position + 1))
            yield _Member(key, key_span, value, span)
            position = _skip(text, span.end)
            closed = text[position : position + 1] == "}"
            if not closed:
                _expect(source, position, ",", "behind the value should be `,` or `}`")
            position = _skip(text, position + 1)
    if _skip(text, position) < len(text):
        raise _wrong("there is more behind the end of the object", _one(source, _skip(text, position)))


def _decode(source: Source, position: int) -> tuple[Any, Span]:
    try:
        value, end = _DECODER.raw_decode(source.text, position)
    except json.JSONDecodeError as error:
        raise _wrong(f"this is not JSON: {error.msg}", _one(source, error.pos)) from None
    except (ValueError, RecursionError):
        raise _wrong("a value is too long or too deeply nested", _one(source, position)) from None
    return value, source.span(position, end)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def _expect(source: Source, position: int, character: str, title: str) -> None:
    if source.text[position : position + 1] != character:
        raise _wrong(title, _one(source, position))


def _one(source: Source, position: int) -> Span:
    """One character, or nothing at the end."""
    return source.span(min(position, len(source.text)), min(position + 1, len(source.text)))


def _wrong(title: str, span: Span, help: str | None = None) -> UserError:
    return UserError.of(Code.MACHINE, title, span, help=help)
