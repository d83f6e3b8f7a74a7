"""The kernels of this backend by op."""

from __future__ import annotations

from netdsl_llvm.registry import ELEMENTWISE, register

register("map", ELEMENTWISE)
