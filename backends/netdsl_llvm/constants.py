"""IR constants, made once: llvmlite would spend most of its time spelling them out."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any

from llvmlite import ir

FLOAT, I32 = ir.FloatType(), ir.IntType(32)


class _TextConstant(ir.Constant):  # type: ignore[misc]
    """A vector constant given by its text."""

    def __init__(self, kind: Any, text: str) -> None:
        self.type, self.constant, self._text = kind, None, text

    def _get_reference(self) -> str:
        return self._text


def float_constant(x: float) -> Any:
    """The float32 nearest to x."""
    return ir.Constant(FLOAT, _float32(x))


def float_vector(x: float, lanes: int) -> Any:
    """`lanes` times the float32 nearest to x."""
    return _splat(FLOAT, _float32(x), math.copysign(1.0, x), lanes)


def integer_vector(x: int, lanes: int) -> Any:
    """`lanes` times x modulo 2^32."""
    return _splat(I32, _signed32(x), 1.0, lanes)


@lru_cache(maxsize=4096)
def picks(lanes: tuple[int, ...]) -> Any:
    """The lane numbers of a shuffle."""
    return ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))


@lru_cache(maxsize=256)
def undefined(element: Any, lanes: int) -> Any:
    """A vector nobody reads."""
    return ir.Constant(ir.VectorType(element, lanes), ir.Undefined)


@lru_cache(maxsize=4096)
def _splat(element: Any, x: float, sign: float, lanes: int) -> Any:
    """`sign` tells the two zeros apart, which compare equal."""
    return _TextConstant(ir.VectorType(element, lanes), f"splat ({ir.Constant(element, x)})")


def _float32(x: float) -> float:
    """The float32 nearest to x: LLVM's text form refuses constants that are not exact."""
    try:
        return float(struct.unpack("f", struct.pack("f", x))[0])
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def _signed32(x: int) -> int:
    x &= 0xFFFFFFFF
    return x - (1 << 32) if x >= 1 << 31 else x
