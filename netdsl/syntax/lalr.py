"""The LALR(1) automaton: tokens in, one call of a builder for every reduced rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netdsl.syntax.lexer import CLOSING, END, OPENING, Token
from netdsl.syntax.tables import Tables

# A word that is a keyword elsewhere is a plain name where only a name can stand (`as layer`), and a
# bracket that happens to touch what stands before it still opens a group (`if(`, `return[`).
_OTHERWISE = {"CALL": "LPAR", "INDEX": "LSQB"}
# States where one of these may begin are where parsing resumes after an error.
_RESTART = ("statement", "train_item", "declaration")

Value = Any
Build = Mapping[str, Callable[[list[Value]], Value]]
OnError = Callable[[Token, Token | None, list[str]], None]


class _Inline(list[Value]):
    """Children of a helper rule (``a*``), spliced into the rule that holds them."""


class Automaton:
    """One run over one token list."""

    def __init__(self, tables: Tables, build: Build, on_error: OnError) -> None:
        self._tables, self._build, self._on_error = tables, build, on_error
        self._rules = [(*rule, rule[0].startswith("__")) for rule in tables.rules]  # and is it a helper
        self._states = [tables.start]
        self._values: list[Value] = []
        self._last_error = -1
        self._climbs: dict[tuple[int, int, str], int] = {}

    def run(self, tokens: list[Token]) -> Value | None:
        """The value of the start rule; None when ``on_error`` was called."""
        failed = False
        position = self._consume(tokens, 0)
        while position < len(tokens):
            failed = True
            previous = tokens[position - 1] if position else None
            self._on_error(tokens[position], previous, self.acceptable())
            position = self._recover(tokens, position)
            if tokens[position].kind == END:
                return None
            position = self._consume(tokens, position)
        return None if failed else self._values[-1]

    def _consume(self, tokens: list[Token], position: int) -> int:
        """Take tokens: reduce while the table says so, then shift. Returns where it ends, or the syntax error is."""
        states, values = self._states, self._values
        actions, rules = self._tables.actions, self._rules
        for number in range(position, len(tokens)):
            token = tokens[number]
            while True:
                kind = token.kind
                action = actions[states[-1]].get(kind)
                if action is None:
                    if kind == END and states[-1] == self._tables.end:
                        break
                    kind = _OTHERWISE.get(kind) or self._as_name(token)
                    action = actions[states[-1]].get(kind)
                    if action is None:
                        return number
                if action >= 0:
                    states.append(action)
                    values.append(token)
                    break
                rule = rules[~action]
                if rule[1] == 1 and rule[3]:
                    states[-1] = self._climb(states[-2], states[-1], kind)
                else:
                    self._reduce(*rule)
        return len(tokens)

    def _climb(self, below: int, state: int, kind: str) -> int:
        """Pass all precedence levels that are not used here: the value stays, only the state moves on."""
        key = (below, state, kind)
        reached = self._climbs.get(key)
        if reached is None:
            action = self._tables.actions[state].get(kind, 0)
            while action < 0:
                origin, size, _, collapse, _ = self._tables.rules[~action]
                if size != 1 or not collapse:
                    break
                state = self._tables.actions[below][origin]
                action = self._tables.actions[state].get(kind, 0)
            reached = self._climbs[key] = state
        return reached

    def _as_name(self, token: Token) -> str:
        return "NAME" if token.text in self._tables.keywords else ""

    def _reduce(self, origin: str, size: int, name: str, collapse: bool, spliced: bool, helper: bool) -> None:
        states, values = self._states, self._values
        children: list[Value] = []
        if size:
            children = values[-size:]
            del values[-size:], states[-size:]
            if spliced:
                children = _splice(children)
        if helper:
            values.append(children if type(children) is _Inline else _Inline(children))
        elif collapse and len(children) == 1:
            values.append(children[0])
        else:
            values.append(self._build[name](children))
        states.append(self._tables.actions[states[-1]][origin])

    def acceptable(self) -> list[str]:
        """Terminals that could really come next (a lookahead alone promises too much)."""
        row = self._tables.actions[self._states[-1]]
        return sorted(kind for kind in row if _is_terminal(kind) and self._would_shift(kind))

    def _would_shift(self, kind: str) -> bool:
        states = list(self._states)
        while True:
            action = self._tables.actions[states[-1]].get(kind)
            if action is None or action >= 0:
                return action is not None or (kind == END and states[-1] == self._tables.end)
            origin, size, *_ = self._tables.rules[~action]
            if size:
                del states[-size:]
            states.append(self._tables.actions[states[-1]][origin])

    def _recover(self, tokens: list[Token], position: int) -> int:
        """Drop the statement with the error; returns where the next one starts."""
        depth = 0
        while len(self._states) > 1 and not self._may_restart():
            self._states.pop()
            dropped = self._values.pop()
            if isinstance(dropped, Token):
                depth += (dropped.kind in OPENING) - (dropped.kind in CLOSING)
        if position == self._last_error:
            position += 1
        self._last_error = position
        while tokens[position].kind != END:
            token = tokens[position]
            if depth <= 0 and self._may_resume(token):
                break
            depth += (token.kind in OPENING) - (token.kind in CLOSING)
            position += 1
        return position

    def _may_restart(self) -> bool:
        row = self._tables.actions[self._states[-1]]
        return any(rule in row for rule in _RESTART)

    def _may_resume(self, token: Token) -> bool:
        row = self._tables.actions[self._states[-1]]
        return token.kind in row and (token.fresh or token.kind == "RBRACE")


def _is_terminal(symbol: str) -> bool:
    return symbol.isupper() or symbol == END


def _splice(parts: list[Value]) -> list[Value]:
    """``parts`` with helper lists spliced in; a leading one is grown in place, so that lists stay linear."""
    children: list[Value] = parts[0] if type(parts[0]) is _Inline else [parts[0]]
    for part in parts[1:]:
        if type(part) is _Inline:
            children.extend(part)
        else:
            children.append(part)
    return children
