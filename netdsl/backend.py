"""What a backend is, and how the one a user names is found.

A backend is a package of its own that registers one object under the entry-point group ``netdsl.backends``;
nothing here knows any by name. ``--target cpu:avx2`` asks the backend registered as ``cpu`` for its device
``avx2``. Making a device and planning for it load no code generator; ``compile`` and ``emit`` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from netdsl import entry_points
from netdsl.diagnostics import Code, DeviceMissing, UserError, did_you_mean, suggest
from netdsl.ir.graph import Graph
from netdsl.plan.executor import Array, Executor, Profiler
from netdsl.plan.plan import Plan
from netdsl.plan.target import PlanTarget

if TYPE_CHECKING:
    from netdsl.machine import Machine

GROUP = "netdsl.backends"


class Device(Protocol):
    """One kind of machine that a backend makes code for."""

    @property
    def name(self) -> str:
        """As a user writes it: ``cpu:avx2``."""
        ...

    @property
    def plan_target(self) -> PlanTarget:
        """What the planner asks."""
        ...

    def exact(self) -> Device:
        """The device limited to algorithms that do the arithmetic of an op's definition."""
        ...

    @property
    def stages(self) -> tuple[str, ...]:
        """What ``emit`` can give beyond the plan, in order: ``("llvm", "asm", "obj")``."""
        ...

    def emit(self, plan: Plan, stage: str) -> str | bytes:
        """The code of a plan at one of ``stages``; the machine itself need not be present. Raises Unsupported."""
        ...

    def compile(self, graph: Graph, plan: Plan, parameters: Mapping[str, Array]) -> Executor:
        """Code ready to run, with the parameters of ``graph`` resident.

        ``graph`` is what ``plan`` was made from: an inference graph, or a training step (with updates).
        ``parameters`` holds every ``param`` node of it by name; weight expressions are evaluated from them, here
        and whenever the executor's parameters are replaced. Raises Unsupported; DeviceMissing where this machine
        cannot run the code.
        """
        ...

    def profile(self, graph: Graph, plan: Plan, parameters: Mapping[str, Array]) -> Profiler:
        """As ``compile``, with a clock read behind every step of the plan: to be measured, not to be used."""
        ...

    def measure(self, threads: int) -> Machine:
        """What this machine can do at most with ``threads`` cores, measured in a few seconds.

        Raises DeviceMissing where this machine cannot run the device's code.
        """
        ...


class Backend(Protocol):
    """A family of devices."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of all kinds of device it can make code for, present or not: ``("avx512", "avx2", ...)``."""
        ...

    def device(self, name: str = "") -> Device:
        """The device of this name, or (empty) the best one of this machine.

        ``name`` is empty or one of ``devices``. Raises DeviceMissing when there is none here.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """Facts for ``netdsl doctor``, as plain JSON: the device chosen, versions, state of caches.

        Raises whatever is wrong: the doctor's job is to show it.
        """
        ...


def backend_names() -> list[str]:
    """The backends that are installed."""
    return sorted(_entries())


def find_backend(name: str) -> Backend:
    """The backend registered under ``name``. Raises UserError, DeviceMissing."""
    entries = _entries()
    if name not in entries:
        known = sorted(entries)
        raise UserError.of(
            Code.UNKNOWN_TARGET,
            f"there is no target `{name}`",
            notes=[f"installed targets: {', '.join(known) if known else 'none'}"],
            help=did_you_mean(name, known),
        )
    try:
        return cast(Backend, entry_points.load(entries[name]))
    except (ImportError, AttributeError, OSError) as error:
        raise DeviceMissing.of(
            Code.DEVICE_MISSING,
            f"the target `{name}` is installed but cannot be loaded",
            notes=[str(error)],
            help="`netdsl doctor` says what is missing",
        ) from error


def find_device(target: str) -> Device:
    """The device that ``target`` names, as ``cpu`` or ``cpu:avx2``. Raises UserError, DeviceMissing."""
    name, colon, variant = target.partition(":")
    backend = find_backend(name)
    if colon and variant not in backend.devices:
        close = suggest(variant, backend.devices)
        raise UserError.of(
            Code.UNKNOWN_TARGET,
            f"the target `{name}` has no device `{variant}`",
            notes=[f"devices of `{name}`: {', '.join(backend.devices)}"],
            help=f"did you mean `{name}:{close}`?" if close else None,
        )
    return backend.device(variant)


def _entries() -> dict[str, str]:
    return entry_points.registered(GROUP)
