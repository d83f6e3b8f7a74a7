"""Starting values of parameters: a pure function of the seed and the parameter's name, so that adding a
layer elsewhere changes no other layer's start."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from netdsl.data.counter import words
from netdsl.ir.graph import Node
from netdsl.ops.base import Init

_INIT_STREAM = 0x1A17
_BLOCK = 1 << 16
"""Elements drawn at a time: the counters behind one take some hundred bytes."""


def initial_parameters(params: Iterable[Node], seed: int) -> dict[str, NDArray[np.float32]]:
    """Fresh values for ``param`` nodes, by name."""
    return {node.name: initial_value(node.attrs["init"], node.output.type.shape, seed, node.name) for node in params}


def initial_value(init: Init, shape: tuple[int, ...], seed: int, name: str) -> NDArray[np.float32]:
    """One parameter's start.

    ``he``: normal of standard deviation scale * sqrt(2 / fan_in) (He et al. 2015). ``xavier``: uniform
    within scale * sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010). ``lecun``: normal of standard deviation
    scale * sqrt(1 / fan_in) (LeCun et al. 1998). ``normal`` and ``uniform`` take ``scale`` as standard
    deviation and bound.
    """
    if init.kind in ("zeros", "ones", "constant"):
        value = {"zeros": 0.0, "ones": 1.0, "constant": init.scale}[init.kind]
        return np.full(shape, value, dtype=np.float32)
    values = np.empty(math.prod(shape), dtype=np.float32)
    for start in range(0, values.size, _BLOCK):
        stop = min(start + _BLOCK, values.size)
        values[start:stop] = _drawn(init, _uniforms(start, stop, seed, name))
    return values.reshape(shape)


def _drawn(init: Init, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the random kinds."""
    if init.kind in ("uniform", "xavier"):
        bound = init.scale
        if init.kind == "xavier":
            bound *= math.sqrt(6.0 / (init.fan_in + init.fan_out))
        return (2.0 * uniform[:, 0] - 1.0) * bound
    gain = {"normal": 1.0, "he": math.sqrt(2.0 / init.fan_in), "lecun": math.sqrt(1.0 / init.fan_in)}
    return _normals(uniform) * (init.scale * gain[init.kind])


def _uniforms(start: int, stop: int, seed: int, name: str) -> NDArray[np.float64]:
    """[stop - start, 2] numbers strictly between 0 and 1: the pairs of elements start ... stop - 1."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    bits = words(int.from_bytes(digest[:8], "little"), 0, np.arange(start, stop), _INIT_STREAM)[:, :2]
    return (bits.astype(np.float64) + 0.5) / 2.0**32


def _normals(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal numbers by Box and Muller's transform."""
    radius = np.sqrt(-2.0 * np.log(uniform[:, 0]))
    normals: NDArray[np.float64] = radius * np.cos(2.0 * math.pi * uniform[:, 1])
    return normals
