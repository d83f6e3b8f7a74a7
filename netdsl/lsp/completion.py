"""What can be written at a place. Works from words and signs alone, because a file is seldom whole while one writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from netdsl.diagnostics import Diagnostics, ResourceLimit
from netdsl.lsp.document import Document
from netdsl.lsp.hover import argument_text
from netdsl.lsp.symbols import Symbol
from netdsl.ops.base import Arg, all_ops
from netdsl.ops.manual import entries, kind_text
from netdsl.source import Source
from netdsl.syntax import tree, words
from netdsl.syntax.lexer import CLOSING, OPENING, Token, tokenize
from netdsl.train import schema

_DECLARATIONS = ("net", "block", "train", "use")
_STATEMENTS = ("input", "output", "layer", "return", "if", "for")


@dataclass(frozen=True)
class Item:
    """One proposal. ``kind`` is "op", "block", "argument", "word", "value" or "keyword"; ``text`` is Markdown."""

    label: str
    kind: str
    insert: str
    detail: str = ""
    text: str = ""


def complete(document: Document, text: str, offset: int) -> list[Item]:
    """Proposals for the word that ends at ``offset`` of ``text``; ``document`` is the last version that parsed."""
    before = _tokens(text[:offset])
    if before and before[-1].end == offset and (before[-1].text[-1].isalnum() or before[-1].text[-1] == "_"):
        before.pop()  # the word being written
    items = _items(document, text, before)
    return list({item.label: item for item in items}.values())


def _tokens(text: str) -> list[Token]:
    try:
        return tokenize(Source("completion", text), Diagnostics())[:-1]
    except ResourceLimit:
        return []


def _items(document: Document, text: str, before: list[Token]) -> Iterator[Item]:
    last = before[-1] if before else None
    if last is not None and last.kind == "ARROW":
        yield from _stages(document)
        return
    opener, start = _innermost(before)
    if opener is None:
        yield from (Item(word, "keyword", word) for word in _DECLARATIONS)
    elif opener.kind == "CALL":
        yield from _in_call(document, before, start)
        yield from _values(document, before)
    elif opener.kind == "LBRACE" and last is not None and (last is opener or "\n" in text[last.end :]):
        in_train = start >= 2 and before[start - 2].kind == "TRAIN"
        yield from _train_lines() if in_train else (Item(word, "keyword", word) for word in _STATEMENTS)
        if not in_train:
            yield from _values(document, before)
    else:
        if opener.kind == "LPAR":
            yield from _stages(document)
        yield from _values(document, before)


def _innermost(before: list[Token]) -> tuple[Token | None, int]:
    """The innermost bracket that is open at the end."""
    depth = 0
    for number in range(len(before) - 1, -1, -1):
        if before[number].kind in CLOSING:
            depth += 1
        elif before[number].kind in OPENING:
            if depth == 0:
                return before[number], number
            depth -= 1
    return None, -1


def _stages(document: Document) -> Iterator[Item]:
    """What may stand behind an arrow."""
    for entry in entries():
        needs = any(arg.required for arg in entry.op.args)
        insert = f"{entry.op.name}($0)" if needs else entry.op.name
        yield Item(entry.op.name, "op", insert, entry.signature, entry.text)
    for name, symbol in document.symbols.blocks.items():
        yield Item(name, "block", name, _block_detail(symbol))
    for symbol in document.symbols.all:
        if symbol.kind == "layer":
            yield Item(symbol.name, "block", symbol.name, "shared layer")


def _block_detail(symbol: Symbol) -> str:
    node = symbol.node
    parameters = node.parameters if isinstance(node, tree.Block) else ()
    return f"{symbol.name}({', '.join(item.span.text for item in parameters)})"


def _in_call(document: Document, before: list[Token], start: int) -> Iterator[Item]:
    """Arguments and words of the call whose bracket is token ``start``."""
    name = before[start - 1].text
    op = all_ops().get(name)
    args = op.args if op is not None else _schema_args(name)
    given = {one.text for one, sign in pairwise(before[start:]) if sign.kind == "EQUAL"}
    if before[-1].kind == "EQUAL":
        wanted = before[-2].text
        yield from (Item(word, "word", word) for arg in args if arg.name == wanted for word in arg.words)
        return
    for arg in args:
        if arg.name not in given:
            detail = kind_text(arg)
            yield Item(arg.name, "argument", f"{arg.name}=", detail, argument_text(name, arg.name) or arg.doc)
        yield from (Item(word, "word", word, f"of `{arg.name}`") for word in arg.words)
    block = document.symbols.blocks.get(name)
    node = block.node if block is not None else None
    for parameter in node.parameters if isinstance(node, tree.Block) else ():
        if parameter.name.text not in given:
            yield Item(parameter.name.text, "argument", f"{parameter.name.text}=", parameter.span.text)


def _schema_args(name: str) -> tuple[Arg, ...]:
    for table in (schema.OPTIMIZERS, schema.SCHEDULES, schema.AUGMENTATIONS, schema.CLIPS):
        if name in table:
            return table[name]
    return schema.PARAMS if name == "params" else ()


def _train_lines() -> Iterator[Item]:
    yield from (Item(word, "keyword", f"{word} ") for word in schema.SETTINGS)
    yield from (Item(name, "op", f"{name}($0)") for name in schema.CALLS)


def _values(document: Document, before: list[Token]) -> Iterator[Item]:
    """The names that the net or block around has bound so far, and the file's constants."""
    yield from (Item(name, "value", name) for name in _bound(before))
    for symbol in document.symbols.all:
        if symbol.kind == "constant":
            yield Item(symbol.name, "value", symbol.name)
    yield from (Item(word, "keyword", word) for word in (*words.SELF, *words.CONSTANTS))


def _bound(before: list[Token]) -> Iterator[str]:
    heads = [number for number, token in enumerate(before) if token.kind in ("NET", "BLOCK") and token.fresh]
    own = before[heads[-1] :] if heads else before
    stack: list[str] = []
    for number, (token, sign) in enumerate(pairwise(own)):
        if token.kind in OPENING:
            is_header = number == 2 and own[0].kind in ("NET", "BLOCK")
            stack.append("parameters" if is_header else token.kind)
        elif token.kind in CLOSING and stack:
            stack.pop()
        inside = stack[-1] if stack else ""
        signs = ("COLON", "COMMA") if inside == "parameters" else ("EQUAL", "COLON") if inside == "LBRACE" else ()
        is_type = number and own[number - 1].kind == "COLON"
        is_loop = number and own[number - 1].kind == "FOR"
        if token.kind == "NAME" and not is_type and (is_loop or sign.kind in signs):
            yield token.text
