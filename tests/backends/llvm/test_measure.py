"""Measuring this machine: plausible numbers, and the caches as the system lists them."""

from __future__ import annotations

from pathlib import Path

from netdsl.machine import parse_machine
from netdsl.source import Source
from netdsl_llvm.caches import cache_bytes
from netdsl_llvm.compile import assembly, cached_object, load
from netdsl_llvm.measure import _module, _Probes
from netdsl_llvm.memory import aligned_zeros
from netdsl_llvm.target import Target


def test_the_rates_are_plausible() -> None:
    target = Target.host()
    probes = _Probes(target, load(cached_object(_module(target), target), ["peak", "fill", "read"]))
    assert 1e9 < probes.peak(1) < 1e12
    memory = aligned_zeros(1 << 20)
    probes.fill(memory, 2)
    assert (memory == 1).all()
    assert 1e8 < probes.bandwidth(memory, 1) < 1e13


def test_the_peak_stays_in_registers() -> None:
    """The loop of chains is multiply-adds alone: no load and no store among them."""
    target = Target.named("avx2")
    lines = assembly(_module(target), target).splitlines()
    body = lines[lines.index("peak:") : lines.index("fill:")]
    fused = [index for index, line in enumerate(body) if "vfmadd" in line]
    assert len(fused) == 12 * 8
    assert not any("(" in line for line in body[fused[0] : fused[-1] + 1])


def test_caches(tmp_path: Path) -> None:
    listed = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"), ("3", "Unified", "?")]
    for index, (level, kind, size) in enumerate([*listed, ("4", "", "")]):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(text + "\n")
    (tmp_path / "index9").mkdir()
    assert cache_bytes(tmp_path) == {1: 48 << 10, 2: 2 << 20}
    assert cache_bytes(tmp_path / "missing") == {}


def test_a_measurement_is_a_machine() -> None:
    import json

    from netdsl_llvm.measure import measure_machine

    machine = measure_machine(Target.host(), 2)
    assert machine.cores == 2 and machine.peak_flops >= machine.peak_flops_per_core
    assert parse_machine(Source("m.json", json.dumps(machine.to_json()))) == machine
