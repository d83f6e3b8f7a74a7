"""Classes that are quick to define: ``@record`` is ``@dataclass(frozen=True)`` without generated code.

The standard library writes, compiles and runs the text of six methods for each class, 0.4 ms a class; for the
hundred classes of a short command that is a sixth of its time. Here all classes share methods that go by the list
of their fields. ``field``, ``fields``, ``replace`` and ``asdict`` of ``dataclasses`` work with them. Objects take a
little longer to make: what is made by the ten thousand is better a ``@struct``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, make_dataclass
from functools import cache, partial
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

Class = TypeVar("Class", bound=type)


@overload
def record(cls: Class, /) -> Class: ...
@overload
def record(*, frozen: bool = True, eq: bool = True, kw_only: bool = False) -> Callable[[Class], Class]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type | None = None, /, *, frozen: bool = True, eq: bool = True, kw_only: bool = False) -> Any:
    """A class of the fields it declares. Methods that the class itself has are kept.

    ``frozen``: fields are set once; FrozenInstanceError is raised otherwise. ``eq``: objects are equal when their
    classes are the same and all fields that take part in comparison are equal; frozen ones are hashed by these
    fields. ``kw_only``: the fields declared here are given by name.
    """
    if cls is None:
        return lambda cls: _with_methods(cls, frozen, eq, kw_only)
    return _with_methods(cls, frozen, eq, kw_only)


@overload
def struct(cls: Class, /) -> Class: ...
@overload
def struct(*, eq: bool = True) -> Callable[[Class], Class]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def struct(cls: type | None = None, /, *, eq: bool = True) -> Any:
    """As ``record``, but objects are small and quick to make: a dataclass with slots. A ``__repr__`` is inherited.

    That nobody sets their fields is for the type checker to see: to prevent it takes most of the time in which a frozen
    one is made. Without ``eq`` objects are compared and hashed by identity.
    """
    if cls is None:
        return lambda cls: _slotted(cls, eq)
    return _slotted(cls, eq)


def _slotted(cls: type, eq: bool) -> type:
    made: type = _declared(cls, slots=True)
    known = fields(made)
    shown = {} if any("__repr__" in base.__dict__ for base in cls.__mro__[:-1]) else {"__repr__": _shown}
    _add(made, {"__init__": _setter(known), **shown, **(_comparison(known, hashed=True) if eq else {})})
    return made


def _with_methods(cls: type, frozen: bool, eq: bool, kw_only: bool) -> type:
    known = fields(_declared(cls, kw_only=kw_only))
    methods: dict[str, Any] = {"__init__": _initializer(cls, known), "__repr__": _shown}
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    _add(cls, {**methods, **(_comparison(known, hashed=frozen) if eq else {})})
    return cls


def _declared(cls: type, **options: bool) -> Any:
    """The class with its fields, and no method of them."""
    cls.__doc__ = cls.__doc__ or cls.__name__  # where there is none, signatures are parsed to write one
    return dataclass(init=False, repr=False, eq=False, **options)(cls)


def _add(cls: type, methods: Mapping[str, Any]) -> None:
    for name in methods.keys() - cls.__dict__.keys():
        setattr(cls, name, methods[name])


def _comparison(known: Sequence[Field[Any]], hashed: bool) -> dict[str, Any]:
    values = _getter([item.name for item in known if item.compare])
    return {"__eq__": _equality(values), "__hash__": (lambda self: hash(values(self))) if hashed else None}


def _setter(known: Sequence[Field[Any]]) -> Callable[..., None]:
    """``__init__`` of a struct: the code of one that sets as many attributes, with other names."""
    names = tuple(item.name for item in known)
    defaults = tuple(item.default for item in known if item.default is not MISSING)
    code = _setter_code(len(names)).replace(co_names=names, co_varnames=("self", *names))
    return FunctionType(code, {}, "__init__", defaults)


@cache
def _setter_code(count: int) -> CodeType:
    """As the standard library writes it, which takes thirty times as long as to give it other names."""
    made: Any = make_dataclass("Struct", [f"item{number}" for number in range(count)], eq=False, repr=False)
    code: CodeType = made.__init__.__code__
    return code


def _initializer(cls: type, known: Sequence[Field[Any]]) -> Callable[..., None]:
    """``__init__``: arguments by position or name. A default that is left out stays an attribute of the class, but for
    functions, which would be methods there."""
    order = sorted((item for item in known if item.init), key=lambda item: bool(item.kw_only))
    names, positional = [item.name for item in order], sum(not item.kw_only for item in order)
    required = [item.name for item in order if item.default is MISSING and item.default_factory is MISSING]
    makers = [(item.name, item.default_factory) for item in known if item.default_factory is not MISSING]
    # a function among the attributes of a class would become a method
    bound = [(item.name, item.default) for item in known if hasattr(item.default, "__get__")]
    makers += [(name, lambda default=default: default) for name, default in bound]
    makers += [(item.name, partial(_same, item.default)) for item in known if hasattr(item.default, "__get__")]
    enough, finish = len(required), hasattr(cls, "__post_init__")

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        state = self.__dict__
        state.update(zip(names, values))  # noqa: B905  (what is left out is looked for below)
        if named or not enough <= len(values) <= positional:
            _check(cls, names[: min(len(values), positional)], names, required, values, named)
            state.update(named)
        for name, make in makers:
            if name not in state:
                state[name] = make()
        if finish:
            self.__post_init__()

    return __init__


def _same(default: Any) -> Any:
    return default


def _check(
    cls: type, given: Sequence[str], names: Sequence[str], required: Sequence[str], values: Sequence[Any],
    named: dict[str, Any],
) -> None:  # fmt: skip
    """Raises TypeError for arguments that are too many, unknown, given twice or missing; ``given`` by position."""
    if len(values) > len(given):
        raise TypeError(f"{cls.__name__}() takes {len(given)} arguments by position, not {len(values)}")
    if wrong := named.keys() - set(names[len(given) :]):
        raise TypeError(f"{cls.__name__}() cannot take {', '.join(sorted(wrong))}")
    if missing := set(required) - named.keys() - set(given):
        raise TypeError(f"{cls.__name__}() lacks {', '.join(sorted(missing))}")


def _getter(names: Sequence[str]) -> Callable[[Any], Any]:
    """All these attributes of an object as one value."""
    return attrgetter(*names) if names else lambda _: ()


def _equality(values: Callable[[Any], Any]) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:
        if self is other:
            return True
        return bool(values(self) == values(other)) if type(other) is type(self) else NotImplemented

    return __eq__


def _shown(self: Any) -> str:
    cls: Any = type(self)
    shown = [f"{name}={getattr(self, name)!r}" for name in _shown_names(cls)]
    return f"{cls.__qualname__}({', '.join(shown)})"


@cache
def _shown_names(cls: Any) -> list[str]:
    return [item.name for item in fields(cls) if item.repr]


def _refuse(self: Any, name: str, *_: Any) -> NoReturn:
    raise FrozenInstanceError(f"`{name}` of a {type(self).__name__} is set once")
