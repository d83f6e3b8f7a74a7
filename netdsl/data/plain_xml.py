"""Reading small XML files as data: elements and text. Entities and document types are refused, not expanded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from netdsl.data.annotated_files import read_text
from netdsl.diagnostics import Code, ResourceLimit, UserError
from netdsl.source import Source, Span

MAX_BYTES = 4 << 20
MAX_ELEMENTS = 50_000
MAX_DEPTH = 12


@dataclass
class Element:
    """A name, the text directly in it, and the elements in it; ``place`` is the line that it begins in."""

    name: str
    place: Span
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        return (child for child in self.children if child.name == name)

    def one(self, name: str) -> Element:
        """The child of that name. Raises UserError if there is none, or several."""
        found = list(self.all(name))
        if len(found) != 1:
            raise self.wrong(f"`<{self.name}>` has {len(found) or 'no'} `<{name}>`")
        return found[0]

    def word(self, name: str, default: str | None = None) -> str:
        """The text of a child."""
        if default is not None and not any(self.all(name)):
            return default
        return self.one(name).text.strip()

    def number(self, name: str) -> float:
        child = self.one(name)
        try:
            value = float(child.text)
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e6:
            raise child.wrong(f"`<{name}>` is no number")
        return value

    def wrong(self, title: str) -> UserError:
        return UserError.of(Code.DATA_UNREADABLE, title, self.place)


def read_xml(path: Path) -> Element:
    """The outermost element. Raises UserError pointing at the line at fault."""
    source = Source(str(path), read_text(path, MAX_BYTES))
    builder = _Builder(source)
    try:
        builder.parser.Parse(source.text.encode("utf-8"), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise UserError.of(Code.DATA_UNREADABLE, f"this is no XML: {reason}", builder.line(error.lineno)) from error
    assert builder.top is not None, "expat accepts no document without an element"
    return builder.top


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.top: Element | None = None
        self.open: list[Element] = []
        self.count = 0
        self.parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self.begin
        parser.EndElementHandler = lambda name: self.open.pop()
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = lambda *_: self.refuse("a document type")
        parser.EntityDeclHandler = lambda *_: self.refuse("an entity")

    def line(self, number: int | None = None) -> Span:
        number = number if number is not None else self.parser.CurrentLineNumber
        number = max(1, min(number, len(self.source.line_starts)))
        text = self.source.line_text(number)
        start = self.source.line_starts[number - 1] + len(text) - len(text.lstrip())
        return self.source.span(start, start + max(1, len(text.strip())))

    def refuse(self, what: str) -> None:
        raise UserError.of(Code.DATA_UNREADABLE, f"{what} is declared, which data do not need", self.line())

    def begin(self, name: str, _: dict[str, str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise ResourceLimit.of(Code.LIMIT_SIZE, f"more than {MAX_ELEMENTS} elements", self.line())
        if len(self.open) == MAX_DEPTH:
            raise ResourceLimit.of(Code.LIMIT_DEPTH, f"elements in more than {MAX_DEPTH} others", self.line())
        element = Element(name, self.line())
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.top = element
        self.open.append(element)

    def text(self, text: str) -> None:
        if self.open:
            self.open[-1].text += text
