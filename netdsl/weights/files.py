"""Tensors in safetensors files. The files are untrusted: nothing in them is ever executed, the header is
checked against the file's size before a tensor is read, and every error names the tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, UserError
from netdsl.weights.atomic import write_atomically

Tensor = NDArray[Any]

_DTYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL")


@dataclass(frozen=True)
class TensorFile:
    """What a safetensors file holds. ``metadata`` is the file's own table of texts."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write atomically. Equal content gives equal bytes."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata=dict(metadata)))


def read_tensors(path: Path) -> TensorFile:
    """Read a whole file. Raises UserError naming the file, and the tensor where it is one tensor's fault."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError.of(Code.FILE_NOT_FOUND, f"there is no weights file `{path}`")
    try:
        with safe_open(path, framework="numpy") as opened:
            tensors = {name: _read_one(path, opened, name) for name in sorted(opened.keys())}
            return TensorFile(path, tensors, dict(opened.metadata() or {}))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError.of(
            Code.WEIGHTS_UNREADABLE,
            f"`{path}` is not a whole safetensors file",
            notes=(str(error),),
            help="weights are read from safetensors files only, which cannot run code",
        ) from error


def _read_one(path: Path, opened: Any, name: str) -> Tensor:
    dtype = opened.get_slice(name).get_dtype()
    if dtype not in _DTYPES:
        raise UserError.of(
            Code.WEIGHTS_UNREADABLE,
            f"tensor `{name}` of `{path}` has type {dtype}",
            notes=(f"types that are read: {', '.join(_DTYPES)}",),
        )
    tensor: Tensor = opened.get_tensor(name)
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise UserError.of(
            Code.WEIGHTS_UNREADABLE, f"tensor `{name}` of `{path}` holds values that are not finite numbers"
        )
    return tensor
