"""What an expression can be worth while a file is elaborated: known values, tensors, layers, and nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netdsl.ir.graph import Value
from netdsl.ir.types import TensorType
from netdsl.record import record, struct
from netdsl.source import Span

if TYPE_CHECKING:
    from netdsl.elaborate.calls import Prepared


@struct
class Tensor:
    """A value of the graph, and the text that made it."""

    value: Value
    span: Span

    @property
    def type(self) -> TensorType:
        return self.value.type


class Unknown:
    """The value of what failed. Whatever depends on it fails in silence: the cause was reported."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


class Size(tuple[int, ...]):
    """``3x3``: a tuple that remembers how it was written."""

    __slots__ = ()

    def __str__(self) -> str:
        return "x".join(map(str, self))


@record(frozen=False, eq=False)
class SharedLayer:
    """``layer name = ...``: made at its first use, shared by all others.

    ``name`` leads the names of its nodes, ``weights`` those of its weights.
    """

    name: str
    weights: str
    span: Span
    prepared: Prepared
    uses: int = 0


# int | float | bool | str | Size | list | tuple | Tensor | SharedLayer | Unknown
Known = Any


def is_int(value: Known) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Known) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_tensors(value: Known) -> bool:
    """A tensor, or several (a list or tuple that holds at least one)."""
    if isinstance(value, list | tuple):
        return any(isinstance(item, Tensor) for item in value)
    return isinstance(value, Tensor)


def has_unknown(value: Known) -> bool:
    if isinstance(value, list | tuple):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def show(value: Known) -> str:
    """A known value as it would be written."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Size):
        return str(value)
    if isinstance(value, list | tuple):
        shown = [show(item) for item in value[:8]] + (["..."] if len(value) > 8 else [])
        inside = ", ".join(shown)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:40]}..."'
    if isinstance(value, Tensor):
        return str(value.type)
    return str(value)


def describe(value: Known) -> str:
    """What a value is, for "expected ..., found <this>"."""
    return f"{_sort(value)} `{show(value)}`" if _is_shown(value) else _sort(value)


def _is_shown(value: Known) -> bool:
    return not isinstance(value, SharedLayer | Unknown)


def _sort(value: Known) -> str:
    for kind, name in _SORTS:
        if isinstance(value, kind):
            return name
    return "nothing"


_SORTS: tuple[tuple[type, str], ...] = (
    (bool, "the flag"),
    (int, "the whole number"),
    (float, "the number"),
    (str, "the string"),
    (Size, "the size"),
    (list, "the list"),
    (tuple, "the tuple"),
    (Tensor, "a tensor of shape"),
    (SharedLayer, "a layer"),
    (Unknown, "an unknown value"),
)
