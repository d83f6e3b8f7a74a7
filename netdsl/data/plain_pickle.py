"""Reading pickles as data. Nothing in a file is ever imported, called or looked up.

A pickle is a program for a small stack machine. Understood here are the instructions that build dictionaries,
lists, tuples, texts, bytes, whole numbers, and arrays of bytes as NumPy 1 and 2 write them; the instruction
that names a function (GLOBAL) is taken as that name only, and any name but those of NumPy's array makers ends
the reading. Source: the comments of Lib/pickletools.py (protocols 0 to 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_INSTRUCTIONS = 2_000_000
MAX_STACK = 1_000_000
MAX_NUMBER = 64
"""Bytes or digits of one whole number."""

_ARRAY_MAKERS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class PickleRefused(ValueError):
    """The text continues the file's name."""


@dataclass
class _Name:
    """What GLOBAL names. Never more than two words."""

    module: str
    name: str


@dataclass
class _Made:
    """What a maker was asked for, to be completed by BUILD."""

    maker: str
    arguments: tuple[Any, ...]
    state: Any = None


class _Mark:
    pass


_MARK = _Mark()


@dataclass
class _Machine:
    content: bytes
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.content):
            raise PickleRefused(f"ends inside an instruction, after {len(self.content)} bytes")
        self.at += count
        return self.content[self.at - count : self.at]

    def line(self) -> bytes:
        end = self.content.find(b"\n", self.at)
        if end < 0:
            raise PickleRefused(f"ends inside an instruction, after {len(self.content)} bytes")
        return self.take(end + 1 - self.at)[:-1]

    def whole(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def push(self, value: Any) -> None:
        if len(self.stack) >= MAX_STACK:
            raise PickleRefused(f"holds more than {MAX_STACK} values at once")
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleRefused("takes a value where there is none")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise PickleRefused(f"adds to a {kind.__name__} where there is none")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise PickleRefused("takes values where there are none")


def plain_pickle(content: bytes) -> Any:
    """The value of a pickle. Raises PickleRefused for anything but plain data, and for damage."""
    machine = _Machine(content)
    for _ in range(MAX_INSTRUCTIONS):
        code = machine.take(1)
        if code == b".":
            return _finished(machine.pop(), {}, 0)
        instruction = _INSTRUCTIONS.get(code)
        if instruction is None:
            raise PickleRefused(f"has the instruction 0x{code[0]:02x} at byte {machine.at - 1}: not plain data")
        try:
            instruction(machine)
        except (UnicodeError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, PickleRefused):
                raise
            raise PickleRefused(f"is damaged at byte {machine.at - 1}: {error}") from error
    raise PickleRefused(f"has more than {MAX_INSTRUCTIONS} instructions")


def _finished(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Arrays out of what BUILD and REDUCE left. A value that is shared is converted once."""
    if depth > 20:
        raise PickleRefused("is nested deeper than 20 levels")
    if isinstance(value, (int, float, str, bytes)) or value is None:
        return value
    if id(value) in done:
        return done[id(value)]
    result: Any
    if isinstance(value, dict):
        result = {key: _finished(item, done, depth + 1) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        result = [_finished(item, done, depth + 1) for item in value]
    elif isinstance(value, _Made) and value.maker == "_reconstruct":
        result = _array(value)
    else:
        raise PickleRefused("holds something that is not plain data")
    done[id(value)] = result
    return result


def _array(made: _Made) -> np.ndarray[Any, Any]:
    """State (version, shape, dtype, column order, bytes), as numpy.ndarray.__reduce__ writes it."""
    match made.state:
        case (
            int(),
            tuple(shape),
            _Made(maker="dtype", arguments=(str(kind) | bytes(kind), *_)),
            order,
            bytes(content),
        ):
            plain = kind in ("u1", "|u1", b"u1", b"|u1")
            if plain and all(type(size) is int and size >= 0 for size in shape) and _product(shape) == len(content):
                array = np.frombuffer(content, dtype=np.uint8)
                return array.reshape(shape, order="F" if order else "C")
    raise PickleRefused("holds an array that is not one of bytes")


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape[:8]:
        result *= size
    return result if len(shape) <= 8 else -1


# -- instructions ------------------------------------------------------------------------------------


def _number(text: bytes) -> int | bool:
    if text in (b"00", b"01"):
        return text == b"01"
    digits = text.removesuffix(b"L")
    if len(digits) > MAX_NUMBER:
        raise PickleRefused(f"has a number of more than {MAX_NUMBER} digits")
    return int(digits)


def _long(machine: _Machine) -> None:
    size = machine.whole(1)
    if size > MAX_NUMBER:
        raise PickleRefused(f"has a number of more than {MAX_NUMBER} bytes")
    machine.push(machine.whole(size, signed=True))


def _quoted(machine: _Machine) -> None:
    """A Python 2 text in quotes, without escapes."""
    text = machine.line()
    if len(text) < 2 or text[:1] not in b"'\"" or text[-1:] != text[:1] or b"\\" in text:
        raise PickleRefused(f"has a text at byte {machine.at} that is not plain")
    machine.push(text[1:-1])


def _sized(size: int, decode: Callable[[bytes], Any]) -> Callable[[_Machine], None]:
    def read(machine: _Machine) -> None:
        machine.push(decode(machine.take(machine.whole(size))))

    return read


def _named(machine: _Machine) -> None:
    module, name = machine.line().decode("ascii"), machine.line().decode("ascii")
    if (module, name) not in _ARRAY_MAKERS:
        shown = f"{module}.{name}"[:80]
        raise PickleRefused(f"asks for `{shown}`: only plain data are read, nothing is run")
    machine.push(_Name(module, name))


def _reduce(machine: _Machine) -> None:
    arguments, maker = machine.pop(), machine.pop()
    if not isinstance(maker, _Name) or not isinstance(arguments, tuple):
        raise PickleRefused("calls something that is not an array maker")
    if maker.name == "encode":
        match arguments:
            case (str(text), "latin1" | "latin-1"):
                machine.push(text.encode("latin-1"))
                return
        raise PickleRefused("encodes a text that is not bytes")
    machine.push(_Made(maker.name, arguments))


def _build(machine: _Machine) -> None:
    state = machine.pop()
    machine.top(_Made).state = state


def _append(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _set(machine: _Machine, values: list[Any]) -> None:
    if len(values) % 2:
        raise PickleRefused("sets a key without a value")
    target = machine.top(dict)
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, (int, str, bytes)):
            raise PickleRefused("has a key that is neither a text nor a number")
        target[key] = value


def _put(machine: _Machine, place: int) -> None:
    if not machine.stack or len(machine.memo) > MAX_STACK:
        raise PickleRefused("remembers a value where there is none")
    machine.memo[place] = machine.stack[-1]


def _get(machine: _Machine, place: int) -> None:
    if place not in machine.memo:
        raise PickleRefused("recalls a value that it never had")
    machine.push(machine.memo[place])


def _tuple_of(count: int) -> Callable[[_Machine], None]:
    def make(machine: _Machine) -> None:
        machine.push(tuple(reversed([machine.pop() for _ in range(count)])))

    return make


def _protocol(machine: _Machine) -> None:
    if (version := machine.whole(1)) > 3:
        raise PickleRefused(f"is of pickle's protocol {version}; up to 3 is read")


def _dictionary(machine: _Machine) -> None:
    values = machine.since_mark()
    machine.push({})
    _set(machine, values)


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _protocol,
    b"(": lambda m: m.push(_MARK),
    b"}": lambda m: m.push({}),
    b"d": _dictionary,
    b"s": lambda m: _set(m, list(reversed([m.pop(), m.pop()]))),
    b"u": lambda m: _set(m, m.since_mark()),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.since_mark()),
    b"a": lambda m: _append(m, [m.pop()]),
    b"e": lambda m: _append(m, m.since_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(_number(m.line())),
    b"L": lambda m: m.push(_number(m.line())),
    b"K": lambda m: m.push(m.whole(1)),
    b"M": lambda m: m.push(m.whole(2)),
    b"J": lambda m: m.push(m.whole(4, signed=True)),
    b"\x8a": _long,
    b"S": _quoted,
    b"U": _sized(1, bytes),
    b"T": _sized(4, bytes),
    b"C": _sized(1, bytes),
    b"B": _sized(4, bytes),
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"X": _sized(4, lambda raw: raw.decode("utf-8")),
    b"q": lambda m: _put(m, m.whole(1)),
    b"r": lambda m: _put(m, m.whole(4)),
    b"p": lambda m: _put(m, int(_number(m.line()))),
    b"h": lambda m: _get(m, m.whole(1)),
    b"j": lambda m: _get(m, m.whole(4)),
    b"g": lambda m: _get(m, int(_number(m.line()))),
    b"c": _named,
    b"R": _reduce,
    b"b": _build,
}
