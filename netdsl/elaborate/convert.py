"""Values to the kinds that ops and blocks declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netdsl.diagnostics import Code, did_you_mean
from netdsl.elaborate.known import Failure
from netdsl.elaborate.sized import plain
from netdsl.elaborate.values import Known, describe, is_int, is_number, is_tensors, show
from netdsl.ops.base import Arg, Kind

_MISMATCH = object()


def to_argument(owner: str, arg: Arg, value: Known) -> Any:
    """``value`` in the canonical form of an op's argument. Raises Failure."""
    if isinstance(value, str) and arg.kind is not Kind.TEXT:
        return _word(owner, arg, value)
    canonical = _CANONICAL[arg.kind](value)
    if canonical is _MISMATCH:
        raise Failure(
            Code.NOT_CONSTANT if is_tensors(value) else Code.WRONG_TYPE,
            f"`{arg.name}` of `{owner}` is {expected(arg)}, found {describe(value)}",
        )
    _check_bounds(owner, arg, canonical)
    return canonical


def expected(arg: Arg) -> str:
    """What an argument may be, in words."""
    words = " or ".join(f"`{word}`" for word in arg.words)
    if arg.kind is Kind.WORD:
        return words
    return f"{arg.kind.value} or {words}" if words and arg.kind is not Kind.PAD else arg.kind.value


def _word(owner: str, arg: Arg, value: str) -> str:
    if value in arg.words:
        return value
    raise Failure(
        Code.UNKNOWN_VALUE if arg.words else Code.WRONG_TYPE,
        f"`{arg.name}` of `{owner}` is {expected(arg)}, found {describe(value)}",
        did_you_mean(value, arg.words),
    )


def _check_bounds(owner: str, arg: Arg, value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if arg.minimum is not None and item < arg.minimum:
            raise Failure(
                Code.BAD_VALUE, f"`{arg.name}` of `{owner}` is at least {show(arg.minimum)}, found {show(item)}"
            )
        if arg.maximum is not None and item > arg.maximum:
            raise Failure(
                Code.BAD_VALUE, f"`{arg.name}` of `{owner}` is at most {show(arg.maximum)}, found {show(item)}"
            )


def _int(value: Known) -> Any:
    return value if is_int(value) else _MISMATCH


def _float(value: Known) -> Any:
    return float(plain(value)) if is_number(value) else _MISMATCH


def _bool(value: Known) -> Any:
    return value if isinstance(value, bool) else _MISMATCH


def _ints(value: Known) -> Any:
    return tuple(value) if isinstance(value, list | tuple) and all(map(is_int, value)) else _MISMATCH


def _floats(value: Known) -> Any:
    value = plain(value)
    if is_number(value):
        return (float(value),)
    is_list = isinstance(value, list | tuple) and len(value) > 0 and all(map(is_number, value))
    return tuple(map(float, value)) if is_list else _MISMATCH


def _size(value: Known) -> Any:
    """(height, width)."""
    if is_int(value):
        return (value, value)
    is_pair = isinstance(value, tuple) and len(value) == 2 and all(map(is_int, value))
    return tuple(value) if is_pair else _MISMATCH


def _pad(value: Known) -> Any:
    """(top, bottom, left, right)."""
    if is_int(value):
        return (value,) * 4
    if not (isinstance(value, tuple) and all(map(is_int, value))):
        return _MISMATCH
    if len(value) == 2:
        vertical, horizontal = value
        return (vertical, vertical, horizontal, horizontal)
    return tuple(value) if len(value) == 4 else _MISMATCH


def _text(value: Known) -> Any:
    return value if isinstance(value, str) else _MISMATCH


def _none(value: Known) -> Any:
    return _MISMATCH


_CANONICAL: dict[Kind, Callable[[Known], Any]] = {
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.BOOL: _bool,
    Kind.WORD: _none,
    Kind.SIZE: _size,
    Kind.PAD: _pad,
    Kind.SHAPE: _ints,
    Kind.INTS: _ints,
    Kind.FLOATS: _floats,
    Kind.TEXT: _text,
}


# -- parameters of nets and blocks -----------------------------------------------------------------


def _is_size(value: Known) -> bool:
    if isinstance(value, str):
        return True
    return is_int(value) or (isinstance(value, tuple) and all(map(is_int, value)))


PARAMETER_KINDS: Mapping[str, tuple[str, Callable[[Known], bool]]] = {
    "int": ("a whole number", is_int),
    "float": ("a number", is_number),
    "bool": ("yes or no", lambda value: isinstance(value, bool)),
    "string": ("a string", lambda value: isinstance(value, str)),
    "word": ("a word", lambda value: isinstance(value, str)),
    "list": ("a list", lambda value: isinstance(value, list)),
    "size": ("a size such as 3, 3x3 or (1, 2), or a word such as same", _is_size),
    "tensor": ("a tensor", is_tensors),
}
"""The types that a parameter may be declared with: what they are, and the test."""

WORD_KINDS = ("word", "size")
"""Kinds whose arguments may be bare words."""


def check_parameter(owner: str, name: str, kind: str, value: Known) -> None:
    """Raise Failure when ``value`` is not of the declared kind."""
    phrase, accepts = PARAMETER_KINDS[kind]
    if not accepts(value):
        code = Code.NOT_CONSTANT if is_tensors(value) else Code.WRONG_TYPE
        raise Failure(code, f"`{name}` of `{owner}` is {phrase}, found {describe(value)}")
