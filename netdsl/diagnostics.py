"""What users are told: diagnostics as data, and the three kinds of failure.

A diagnostic is plain data with a stable code, so that tools and tests can rely on it; how it looks on
a terminal is :mod:`netdsl.codeframe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Self, TypedDict, Unpack

from netdsl.record import record
from netdsl.source import Span


class Level(Enum):
    ERROR = "error"
    WARNING = "warning"


class Code(Enum):
    """Stable codes. N00xx files, N01xx syntax, N02xx shapes and types, N03xx lints, N04xx names and
    arguments, N05xx limits, N06xx data, N07xx training and weights, N08xx backends."""

    FILE_NOT_FOUND = ("N0001", "a file could not be found")
    FILE_UNREADABLE = ("N0002", "a file could not be read as text")
    USE_CYCLE = ("N0003", "files use each other in a cycle")
    NO_NET = ("N0004", "the file has no such net, or none at all")
    UNKNOWN_ZOO_NET = ("N0005", "the zoo has no such net")
    FILE_NOT_WRITABLE = ("N0006", "a file could not be written")
    BAD_OPTION = ("N0007", "an option or setting has an unusable value")

    SYNTAX = ("N0101", "the text does not follow the grammar")
    BAD_CHARACTER = ("N0102", "a character that the language does not use")
    UNTERMINATED_STRING = ("N0103", "a string without its closing quote")
    UNCLOSED_BRACKET = ("N0104", "a bracket without its partner")
    BAD_NUMBER = ("N0105", "a number that is not one")

    WRONG_TYPE = ("N0201", "a value of the wrong type")
    BAD_VALUE = ("N0202", "a value outside what is allowed")
    SHAPE_MISMATCH = ("N0203", "shapes that do not meet")
    KERNEL_TOO_LARGE = ("N0204", "a window larger than its padded input")
    BAD_RANK = ("N0205", "a tensor of the wrong number of axes")
    UNBOUND_SIZE = ("N0206", "a symbolic size that was not given")
    BAD_INDEX = ("N0207", "an index outside a list")
    ARITHMETIC = ("N0208", "arithmetic that has no result")
    INEXACT_SIZE = ("N0209", "an output size that is not a whole number")
    WRONG_COUNT = ("N0210", "a different number of values than names")
    NOT_CONSTANT = ("N0211", "a tensor where a known value is needed")

    UNUSED_VALUE = ("N0301", "a value that nothing reads")
    DROPPED_PIXELS = ("N0302", "a window that never sees some real pixels")
    UNUSED_ARGUMENT = ("N0303", "a declared argument that nothing reads")
    MISALIGNED_JOIN = ("N0304", "joined paths whose receptive fields do not line up")

    BN_OF_ONE_VALUE = ("N0306", "batch normalization over one value a channel")
    BIAS_BEFORE_BN = ("N0307", "a bias that batch normalization takes away again")
    DEAD_LAYER = ("N0308", "a layer that no output and no loss needs")
    SOFTMAX_TWICE = ("N0309", "a softmax before a loss that has one")
    SMALL_FIELD = ("N0310", "a classifier whose features never see the whole input")
    UNEQUAL_STRIDES = ("N0311", "joined paths of very unequal strides")
    UNTRAINED_HEAD = ("N0312", "a head that the loss never reaches")

    UNKNOWN_OP = ("N0401", "an unknown op or block")
    UNKNOWN_ARGUMENT = ("N0402", "an argument that the op or block does not take")
    UNKNOWN_NAME = ("N0403", "an unknown name")
    DUPLICATE_NAME = ("N0404", "a name defined twice")
    MISSING_ARGUMENT = ("N0405", "a required argument was not given")
    REPEATED_ARGUMENT = ("N0406", "an argument given twice")
    TOO_MANY_ARGUMENTS = ("N0407", "more arguments than the op or block takes")
    RECURSION = ("N0408", "a block that contains itself")
    REBOUND = ("N0409", "a name bound again where that is not allowed")
    MISSING_IN = ("N0410", "a block without a value piped into it")
    MISSING_RETURN = ("N0411", "a block without a result")
    MISPLACED = ("N0412", "a statement in a place where it means nothing")
    UNKNOWN_VALUE = ("N0413", "a word that is not among the allowed ones")

    LIMIT_FILE = ("N0501", "a file larger than allowed")
    LIMIT_DEPTH = ("N0502", "nesting deeper than allowed")
    LIMIT_NODES = ("N0503", "a network larger than allowed")
    LIMIT_SIZE = ("N0504", "a tensor or number larger than allowed")
    LIMIT_STEPS = ("N0505", "elaboration takes longer than allowed")
    LIMIT_MEMORY = ("N0506", "more memory than is available or allowed")

    DATA_NOT_FOUND = ("N0601", "a data set could not be found")
    DATA_UNREADABLE = ("N0602", "a data file could not be read")
    DATA_SHAPE = ("N0603", "data whose shape does not fit the network")
    DATA_LABELS = ("N0604", "labels that do not fit the network")
    DATA_EMPTY = ("N0605", "a data set without samples")

    NO_TRAIN = ("N0701", "the file does not say how to train this net")
    TRAIN_SETTING = ("N0702", "a training setting that is unknown or unusable")
    WEIGHTS_UNREADABLE = ("N0703", "a weights file could not be read")
    WEIGHTS_MISMATCH = ("N0704", "weights that do not fit the network")
    CHECKPOINT = ("N0705", "a checkpoint or run directory that cannot be used")
    NOT_FINITE = ("N0706", "training reached a value that is not a finite number")

    UNSUPPORTED = ("N0801", "the target cannot run this op")
    DEVICE_MISSING = ("N0802", "the target is not there on this machine")
    UNKNOWN_TARGET = ("N0803", "no such target is installed")
    UNCOUNTED_OP = ("N0804", "an op whose work is not known")
    MACHINE = ("N0805", "a description of a machine that is missing or wrong")

    id: str
    summary: str

    def __new__(cls, identifier: str, summary: str) -> Code:
        member = object.__new__(cls)
        member._value_ = identifier
        member.id = identifier
        member.summary = summary
        return member


@record
class Label:
    """A place and what is to be said about it (shown behind the underline)."""

    span: Span
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        span = self.span
        return {
            "file": span.source.name,
            "line": span.line,
            "column": span.column,
            "end_line": span.end_line,
            "end_column": span.end_column,
            "text": self.text,
        }


@record
class Diagnostic:
    """One finding: what (title), where (labels), why (notes), and what to do (help)."""

    code: Code
    level: Level
    title: str
    primary: Label | None = None
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code.id,
            "level": self.level.value,
            "title": self.title,
            "primary": self.primary.to_json() if self.primary else None,
            "secondary": [label.to_json() for label in self.secondary],
            "notes": list(self.notes),
            "help": self.help,
        }


class UserError(Exception):
    """Something the user can put right. Carries one or more diagnostics."""

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        # The base keeps what it is given: an error raised in a worker process is made again from it.
        super().__init__(self.diagnostics)

    def facts(self) -> dict[str, Any]:
        """What a JSON document says beside the findings."""
        return {}

    def __str__(self) -> str:
        """As on a terminal: from Python, too, an error shows its place."""
        return render(self.diagnostics, color=False)

    @classmethod
    def of(
        cls,
        code: Code,
        title: str,
        span: Span | None = None,
        notes: Sequence[str] = (),
        help: str | None = None,
        label: str = "",
    ) -> Self:
        primary = Label(span, label) if span is not None else None
        return cls([Diagnostic(code, Level.ERROR, title, primary, (), tuple(notes), help)])


class DeviceMissing(UserError):
    """The asked-for target does not exist on this machine."""

    exit_code = 3


class ResourceLimit(UserError):
    """The input asks for more than netdsl is willing or able to use."""

    exit_code = 4


class NumericFailure(UserError):
    """A computation left the finite numbers."""

    exit_code = 5


class Unsupported(Exception):
    """A backend cannot lower an op; ``reason`` is shown to the user."""

    def __init__(self, op: str, backend: str, reason: str, spans: Iterable[Span] = ()) -> None:
        self.op, self.backend, self.reason, self.spans = op, backend, reason, frozenset(spans)
        super().__init__(f"`{op}` on {backend}: {reason}")


class InternalError(Exception):
    """A bug in netdsl: the stage it showed in and the path of a dump to send."""

    def __init__(self, stage: str, dump_path: Path | None = None) -> None:
        self.stage, self.dump_path = stage, dump_path
        super().__init__(f"internal error in {stage}")


class Details(TypedDict, total=False):
    """What a finding says beside its title: at its place, at further places, why, and what to do."""

    label: str
    secondary: Sequence[Label]
    notes: Sequence[str]
    help: str | None


@record(frozen=False)
class Diagnostics:
    """Collects findings, each once (a loop body is elaborated many times).

    With error number ``most`` it raises what was found. Warnings beyond ``MOST_WARNINGS`` are left out.
    """

    items: list[Diagnostic] = field(default_factory=list)
    most: int | None = None
    _seen: set[tuple[Code, Span | None, str]] = field(default_factory=set)
    _errors: int = 0
    _warnings: int = 0

    def add(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.primary.span if diagnostic.primary else None
        key = (diagnostic.code, span, diagnostic.title)
        if key in self._seen:
            return
        if diagnostic.level is Level.WARNING:
            if self._warnings >= MOST_WARNINGS:
                return
            self._warnings += 1
        self._seen.add(key)
        self._errors += diagnostic.level is Level.ERROR
        self.items.append(diagnostic)
        if self.most is not None and self._errors >= self.most:
            self.raise_if_errors()

    def error(self, code: Code, title: str, span: Span | None = None, **details: Unpack[Details]) -> None:
        self._report(Level.ERROR, code, title, span, **details)

    def warning(self, code: Code, title: str, span: Span | None = None, **details: Unpack[Details]) -> None:
        self._report(Level.WARNING, code, title, span, **details)

    def _report(
        self,
        level: Level,
        code: Code,
        title: str,
        span: Span | None,
        label: str = "",
        secondary: Sequence[Label] = (),
        notes: Sequence[str] = (),
        help: str | None = None,
    ) -> None:
        primary = Label(span, label) if span is not None else None
        self.add(Diagnostic(code, level, title, primary, tuple(secondary), tuple(notes), help))

    @property
    def has_errors(self) -> bool:
        return self._errors > 0

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(item for item in self.items if item.level is Level.WARNING)

    def raise_if_errors(self) -> None:
        """Raise a UserError with everything found so far, warnings included, if any is an error.

        It is a ResourceLimit where every error is a limit that was reached.
        """
        errors = [item for item in self.items if item.level is Level.ERROR]
        if errors:
            limits = all(item.code.id.startswith("N05") for item in errors)
            raise (ResourceLimit if limits else UserError)(self.items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


MOST_WARNINGS = 500
"""Told of one file, or of several looked at together; nobody reads more."""
MOST_CANDIDATES = 300
"""Names that a misspelled one is compared with: files have hundreds of errors at most, and some have many names."""


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``name`` is most likely a slip of, or None; also None where there are too many."""
    if len(name) > 64:
        return None
    best, best_distance = None, max(1, len(name) // 3) + 1
    found = set(candidates)
    if len(found) > MOST_CANDIDATES:
        return None
    names = sorted(found)
    for candidate in names:
        if candidate.lower() == name.lower():
            return candidate
    for candidate in names:
        if abs(len(candidate) - len(name)) >= best_distance:
            continue
        distance = _edit_distance(name.lower(), candidate.lower())
        if distance < best_distance and distance < len(candidate):
            best, best_distance = candidate, distance
    return best or _abbreviated(name, names)


def did_you_mean(name: str, candidates: Iterable[str], otherwise: str | None = None) -> str | None:
    """The help line for a misspelled name; ``otherwise`` where nothing is close."""
    near = suggest(name, candidates)
    return f"did you mean `{near}`?" if near else otherwise


def _abbreviated(name: str, names: Sequence[str]) -> str | None:
    """The only one of ``names`` that ``name`` begins with, or that begins with ``name`` (at least 3 letters)."""
    near = [
        item for item in names if min(len(item), len(name)) >= 3 and (item.startswith(name) or name.startswith(item))
    ]
    return near[0] if len(near) == 1 else None


def _edit_distance(a: str, b: str) -> int:
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, previous = previous, row
    return previous[-1]


def render(diagnostics: Iterable[Diagnostic], *, color: bool, width: int = 100) -> str:
    """Code frames for a terminal, one blank line between findings; see :mod:`netdsl.codeframe`."""
    from netdsl.codeframe import render_all

    return render_all(diagnostics, color=color, width=width)
