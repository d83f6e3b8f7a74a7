"""Tensors in safetensors files. The files are untrusted: nothing in them is ever executed, the header is
checked against the file's size before a tensor is read, and every error names the tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, UserError
from netdsl.mapped_file import MappedFile, release
from netdsl.record import record
from netdsl.weights.atomic import write_atomically

Tensor = NDArray[Any]
_AT_ONCE = 1 << 20
"""Numbers that are checked at once, and then given back."""

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


@record
class TensorFile:
    """What a safetensors file holds. ``metadata`` is the file's own table of texts."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write atomically. Equal content gives equal bytes."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata=dict(metadata)))


def read_tensors(path: Path) -> TensorFile:
    """All tensors, checked, as read-only arrays in the mapped file: their memory is taken when they are used.

    Raises UserError naming the file, and the tensor where it is one tensor's fault.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError.of(Code.FILE_NOT_FOUND, f"there is no weights file `{path}`")
    try:
        with safe_open(path, framework="numpy") as opened:
            metadata = dict(opened.metadata() or {})
        return TensorFile(path, _mapped_tensors(path), metadata)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError.of(
            Code.WEIGHTS_UNREADABLE,
            f"`{path}` is not a whole safetensors file",
            notes=(str(error),),
            help="weights are read from safetensors files only, which cannot run code",
        ) from error


def _mapped_tensors(path: Path) -> dict[str, Tensor]:
    """Of a file whose header was found to be right: its length (8 bytes), a table in JSON, then the tensors' bytes,
    one after the other."""
    content = MappedFile.open(path)
    start = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:start])
    tensors = {
        name: _tensor(path, content, start, name, table[name]) for name in sorted(table) if name != "__metadata__"
    }
    if _all_are_float32(tensors):
        numbers = content.array("<f4", ((len(content) - start) // 4,), start)
        if _is_finite(numbers):
            return tensors
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not _is_finite(tensor):
            raise UserError.of(
                Code.WEIGHTS_UNREADABLE, f"tensor `{name}` of `{path}` holds values that are not finite numbers"
            )
    return tensors


def _tensor(path: Path, content: MappedFile, start: int, name: str, entry: Mapping[str, Any]) -> Tensor:
    dtype = entry["dtype"]
    if dtype not in _DTYPES:
        raise UserError.of(
            Code.WEIGHTS_UNREADABLE,
            f"tensor `{name}` of `{path}` has type {dtype}",
            notes=(f"types that are read: {', '.join(_DTYPES)}",),
        )
    return content.array(_DTYPES[dtype], tuple(entry["shape"]), start + entry["data_offsets"][0])


def _all_are_float32(tensors: Mapping[str, Tensor]) -> bool:
    return {tensor.dtype.str for tensor in tensors.values()} == {"<f4"}


def _is_finite(numbers: Tensor) -> bool:
    """A finite sum of squares, in one pass over the memory, says so; what overflows there is looked at one by one."""
    flat = numbers.reshape(-1)
    for first in range(0, flat.size, _AT_ONCE):
        part = flat[first : first + _AT_ONCE]
        with np.errstate(all="ignore"):
            finite = np.isfinite(np.vdot(part, part)) or np.isfinite(part).all()
        release(part)
        if not finite:
            return False
    return True
