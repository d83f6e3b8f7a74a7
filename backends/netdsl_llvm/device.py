"""The backend as `netdsl.backend` sees it: kinds of CPU, and what can be made for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Code, DeviceMissing
from netdsl.ir.graph import Graph
from netdsl.plan.executor import Array, Executor, Profiler
from netdsl.plan.plan import Plan
from netdsl.record import record
from netdsl_llvm.effort import LIGHT
from netdsl_llvm.host import host_kind
from netdsl_llvm.plan_target import CpuPlanTarget
from netdsl_llvm.target import Target

if TYPE_CHECKING:
    from netdsl.machine import Machine
    from netdsl_llvm.cache import ObjectCache

HOST = "cpu"
DEVICES = ("avx512", "avx2", "sse4", "neon")


@record
class CpuDevice:
    """One kind of CPU. `kind` is all that planning depends on, and known without LLVM."""

    name: str
    kind: Target
    is_exact: bool = False
    stages: tuple[str, ...] = ("llvm", "asm", "obj")

    @property
    def plan_target(self) -> CpuPlanTarget:
        return CpuPlanTarget(self.kind, self.is_exact, shared_from=LIGHT)

    def exact(self) -> CpuDevice:
        """The same CPU without Winograd's convolutions."""
        return replace(self, is_exact=True)

    @property
    def target(self) -> Target:
        """What code is made for: of `cpu` this very machine with all its instructions."""
        return Target.host() if self.name == HOST else self.kind

    def emit(self, plan: Plan, stage: str) -> str | bytes:
        """The plan's code as LLVM IR, assembly or an object file. Raises Unsupported, ValueError for another stage."""
        from netdsl_llvm.codegen import module_text
        from netdsl_llvm.compile import assembly, object_code

        text = module_text(plan, self.target)
        match stage:
            case "llvm":
                return text
            case "asm":
                return assembly(text, self.target)
            case "obj":
                return object_code(text, self.target)
        raise ValueError(f"no stage {stage!r}")

    def compile(self, graph: Graph, plan: Plan, parameters: Mapping[str, Array]) -> Executor:
        """The plan's code loaded, from the object cache if it is there. Raises Unsupported, DeviceMissing."""
        self._require_present()
        from netdsl_llvm.executor import CpuExecutor
        from netdsl_llvm.plan_key import plan_object
        from netdsl_llvm.runtime import Program

        return CpuExecutor(graph, Program(plan, plan_object(plan, self.target)), parameters)

    def profile(self, graph: Graph, plan: Plan, parameters: Mapping[str, Array]) -> Profiler:
        """The plan's code with a clock behind every step, loaded. Raises Unsupported, DeviceMissing."""
        self._require_present()
        from netdsl_llvm.compile import cached_object
        from netdsl_llvm.timed import TimedExecutor, TimedProgram, timed_module_text

        code = cached_object(timed_module_text(plan, self.target), self.target)
        return TimedExecutor(graph, TimedProgram(plan, code), parameters)

    def measure(self, threads: int) -> Machine:
        """This machine's peak, bandwidth and caches with `threads` cores. Raises DeviceMissing for another kind."""
        self._require_present()
        from netdsl_llvm.measure import measure_machine

        return measure_machine(self.target, threads)

    def _require_present(self) -> None:
        if not self.target.runs_here:
            raise DeviceMissing.of(Code.DEVICE_MISSING, f"this machine cannot run code for `{self.name}`")


class CpuBackend:
    """CPUs through LLVM."""

    devices: tuple[str, ...] = DEVICES

    def device(self, name: str = "") -> CpuDevice:
        """The named kind of CPU, limited to the instructions that all of that kind have; or this very machine."""
        if name:
            return CpuDevice(f"cpu:{name}", Target.named(name))
        try:
            return CpuDevice(HOST, Target.named(host_kind()))
        except (ImportError, OSError, RuntimeError) as error:
            raise DeviceMissing.of(
                Code.DEVICE_MISSING, "no code can be made for this CPU", notes=[str(error)]
            ) from error

    def describe(self) -> Mapping[str, Any]:
        """The CPU, LLVM, and the state of the object cache."""
        import llvmlite

        from netdsl_llvm.cache import ObjectCache
        from netdsl_llvm.target import initialized_llvm

        host = Target.host()
        return {
            "device": host.name,
            "cpu": host.cpu,
            "triple": host.triple,
            "vector_floats": host.lanes,
            "vector_registers": host.registers,
            "llvmlite": llvmlite.__version__,
            "llvm": ".".join(map(str, initialized_llvm().llvm_version_info)),
            **_cache_state(ObjectCache.default()),
        }


def _cache_state(cache: ObjectCache) -> dict[str, Any]:
    count, size = cache.usage()
    return {"cache": str(cache.directory) if cache.directory else None, "cached_objects": count, "cached_bytes": size}
