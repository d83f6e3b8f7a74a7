"""The CPU backend: plans become machine code through LLVM.

The object that the entry point names is `backend`; nothing of LLVM is imported before code is asked for.
"""

from __future__ import annotations

from netdsl_llvm.device import CpuBackend

backend = CpuBackend()

__all__ = ["backend"]
