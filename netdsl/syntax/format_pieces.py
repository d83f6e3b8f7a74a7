"""What the formatter must know of each token: its bracket, its statement, and what may stand around it."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.syntax.concrete import Concrete, Written, walk
from netdsl.syntax.lexer import CLOSING, END, OPENING, Token

_TIGHT_BEFORE = {"COMMA", "COLON", "DOT", "RPAR", "RSQB", END}
_TIGHT_AFTER = {"LPAR", "LSQB", "CALL", "INDEX", "DOT"}
_LISTS = {"body", "train", "start"}
_HEADS = {"net", "variant", "block", "train", "use", "layer", "input", "output", "for", "return", "setting", "target"}
_OWNERS = {"net", "block", "train", "for"}


@dataclass
class Braces:
    """The braces of statements: their tokens, the word they belong to (``net``, ``if``, ``else``), what they hold."""

    opener: int
    closer: int
    owner: int
    statements: list[int] = field(default_factory=list)


@dataclass
class Pieces:
    """Facts of the tokens of one file, by index; sets hold indices."""

    written: Written
    tight: set[int] = field(default_factory=set)
    """No blank before these."""
    joined: set[int] = field(default_factory=set)
    """No line may end before these."""
    starts: set[int] = field(default_factory=set)
    """First tokens of statements and declarations."""
    declarations: list[int] = field(default_factory=list)
    braces: dict[int, Braces] = field(default_factory=dict)
    """By opening brace."""
    previous_if: dict[int, int] = field(default_factory=dict)
    """``else`` -> its ``if``."""
    aligned_equals: set[int] = field(default_factory=set)
    """The ``=`` that bind names, which authors like to put below one another."""
    inside: list[int] = field(default_factory=list)
    """The innermost bracket around each token, -1 where there is none."""
    depth: list[int] = field(default_factory=list)
    partner: dict[int, int] = field(default_factory=dict)
    """Opening bracket <-> closing bracket."""
    statement: list[int] = field(default_factory=list)
    """The first token of the innermost statement around each token."""

    @property
    def tokens(self) -> list[Token]:
        return self.written.tokens


def read_pieces(written: Written) -> Pieces:
    """One walk over the concrete tree, one over the tokens."""
    pieces = Pieces(written)
    index = {token.start: number for number, token in enumerate(written.tokens[:-1])}
    for node in walk(written.root):
        _spacing(pieces, node, index)
        _structure(pieces, node, index)
    _brackets(pieces)
    _statements(pieces)
    return pieces


def _spacing(pieces: Pieces, node: Concrete, index: dict[int, int]) -> None:
    tokens = pieces.tokens
    own = [index[child.start] for child in node.children if isinstance(child, Token)]
    if node.rule in ("arguments", "parameters", "index", "label"):
        opens = [number for number in own if tokens[number].kind in ("CALL", "INDEX")]
        pieces.tight.update(opens)
        pieces.joined.update(opens)
    elif node.rule in ("negate", "negative"):
        pieces.tight.add(own[0] + 1)
        pieces.joined.add(own[0] + 1)
    elif node.rule == "argument" and own:
        _argument(pieces, own[1])
    elif node.rule in _HEADS or node.rule == "not_":
        pieces.joined.add(own[0] + 1)
    for number in own:
        kind = tokens[number].kind
        if kind in _TIGHT_BEFORE:
            pieces.tight.add(number)
        if kind in _TIGHT_AFTER:
            pieces.tight.add(number + 1)
        if kind in ("COMMA", "COLON", "DOT", "EQUAL", "LBRACE"):
            pieces.joined.add(number)
        if kind in ("DOT", "COLON"):
            pieces.joined.add(number + 1)
    if node.rule == "for":
        pieces.joined.update(number + offset for number in own if tokens[number].kind == "IN" for offset in (0, 1))
    if node.rule == "named":
        pieces.joined.update(number + 1 for number in own)
    if node.rule in ("assign", "variant", "constant", "output_item", "layer"):
        pieces.aligned_equals.update(number for number in own if tokens[number].kind == "EQUAL")


def _argument(pieces: Pieces, equals: int) -> None:
    """Both ``stride=2`` and ``lr = 0.1`` are good style: what stands on both sides is kept."""
    before, sign, after = pieces.tokens[equals - 1 : equals + 2]
    pieces.joined.add(equals + 1)
    if before.end == sign.start or sign.end == after.start:
        pieces.tight.update((equals, equals + 1))


def _structure(pieces: Pieces, node: Concrete, index: dict[int, int]) -> None:
    if node.rule in _LISTS:
        items = [child.first for child in node.children if isinstance(child, Concrete)]
        starts = [index[token.start] for token in items if token is not None]
        pieces.starts.update(starts)
        if node.rule == "start":
            pieces.declarations = starts
    if node.rule == "conditional":
        _conditional(pieces, node, index)
    elif node.rule in _OWNERS:
        first = node.children[0]
        assert isinstance(first, Token)
        holder = node if node.rule == "train" else node.children[-1]
        assert isinstance(holder, Concrete)
        _enter_braces(pieces, holder, index[first.start], index)


def _conditional(pieces: Pieces, node: Concrete, index: dict[int, int]) -> None:
    words: list[int] = []
    first = owner = -1
    for child in node.children:
        if isinstance(child, Concrete):
            if child.rule == "body":
                _enter_braces(pieces, child, owner, index)
                words = []
            continue
        number = index[child.start]
        words.append(number)
        owner = words[0]
        first = number if first < 0 else first
        if child.kind == "ELSE":
            pieces.previous_if[number] = first
        else:
            pieces.joined.add(number + 1)
            if len(words) > 1:
                pieces.joined.add(number)


def _enter_braces(pieces: Pieces, holder: Concrete, owner: int, index: dict[int, int]) -> None:
    signs = [child for child in holder.children if isinstance(child, Token)]
    opener = next(index[token.start] for token in signs if token.kind == "LBRACE")
    items = [child.first for child in holder.children if isinstance(child, Concrete)]
    braces = Braces(opener, index[signs[-1].start], owner, [index[item.start] for item in items if item is not None])
    if not braces.statements:
        pieces.tight.add(braces.closer)
    pieces.braces[opener] = braces


def _brackets(pieces: Pieces) -> None:
    stack: list[int] = []
    for number, token in enumerate(pieces.tokens):
        if token.kind in CLOSING:
            opener = stack.pop()
            pieces.partner[opener], pieces.partner[number] = number, opener
        pieces.inside.append(stack[-1] if stack else -1)
        pieces.depth.append(len(stack))
        if token.kind in OPENING:
            stack.append(number)


def _statements(pieces: Pieces) -> None:
    """What stands behind an inner statement's braces belongs to the statement around it again."""
    by_bracket: dict[int, int] = {}
    for number in range(len(pieces.tokens)):
        bracket = pieces.inside[number]
        if number in pieces.starts:
            by_bracket[bracket] = number
        elif bracket not in by_bracket:
            by_bracket[bracket] = pieces.statement[bracket] if bracket >= 0 else 0
        pieces.statement.append(by_bracket[bracket])
