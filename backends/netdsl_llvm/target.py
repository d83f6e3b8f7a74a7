"""The machines code is emitted for: vector width, registers, and the instructions allowed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from netdsl.record import record
from netdsl_llvm.host import host_kind

ARENA_ALIGNMENT = 64


@record
class Target:
    """What the kernels need to know of a machine.

    `lanes` is the number of float32 in a vector register and the channel blocking of activations; `registers`
    is the number of vector registers; `cpu` and `features` are LLVM's names and decide which instructions may
    appear in objects.
    """

    name: str
    triple: str
    cpu: str
    features: str
    lanes: int
    registers: int
    has_fma: bool
    alignment: int = ARENA_ALIGNMENT

    @staticmethod
    def named(name: str) -> Target:
        """The target called `name` (avx512, avx2, sse4, neon), with what every such machine has."""
        try:
            return _GENERIC[name]
        except KeyError:
            raise ValueError(f"unknown target {name!r}; known: {', '.join(sorted(_GENERIC))}") from None

    @staticmethod
    def host() -> Target:
        """This machine, with every instruction it has."""
        return _detect_host()

    @property
    def runs_here(self) -> bool:
        """Whether this machine can execute the target's code."""
        host = _detect_host()
        same_family = (self.name == "neon") == (host.name == "neon")
        return same_family and self.lanes <= host.lanes

    @property
    def is_foreign(self) -> bool:
        """Whether it is of another architecture than this process."""
        return _architecture(initialized_llvm().get_process_triple()) != _architecture(self.triple)

    def object_triple(self) -> str:
        """The triple to emit for: this process's where the architecture is the same, to be loadable."""
        process: str = initialized_llvm().get_process_triple()
        return self.triple if self.is_foreign else process

    def machine(self, optimize: int = 3) -> Any:
        """An LLVM target machine (imports LLVM)."""
        binding = every_target() if self.is_foreign else initialized_llvm()
        found = binding.Target.from_triple(self.object_triple())
        return found.create_target_machine(
            cpu=self.cpu, features=self.features, opt=optimize, reloc="pic", codemodel="small", jit=False
        )


_X86 = "x86_64-unknown-linux-gnu"
_GENERIC = {
    "avx512": Target("avx512", _X86, "x86-64-v4", "", 16, 32, True),
    "avx2": Target("avx2", _X86, "x86-64-v3", "", 8, 16, True),
    "sse4": Target("sse4", _X86, "x86-64-v2", "", 4, 16, False),
    "neon": Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 4, 32, True),
}


def _architecture(triple: str) -> str:
    name = triple.partition("-")[0]
    return "aarch64" if name == "arm64" else name


@cache
def initialized_llvm() -> Any:
    """`llvmlite.binding`, with this machine's target initialized."""
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@cache
def every_target() -> Any:
    """`llvmlite.binding`, with every target it was built for initialized: 10 MB more of it in memory."""
    binding = initialized_llvm()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return binding


@cache
def _detect_host() -> Target:
    binding = initialized_llvm()
    features = binding.get_host_cpu_features().flatten()
    kind = _GENERIC[host_kind()]
    return replace(kind, triple=binding.get_process_triple(), cpu=binding.get_host_cpu_name(), features=features)
