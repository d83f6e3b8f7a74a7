"""Parser tables: what Lark makes of ``net.lark``, in a form that loads in milliseconds.

Lark needs some 100 ms to build an LALR(1) table, too long for a tool that should start in a blink. So
its result is kept in ``grammar/net.tables.json`` with the digest of the grammar it was made from. When
the grammar was edited since, the table is built in memory instead; ``python -m netdsl.syntax.tables``
writes the file anew, and a test holds it to the grammar.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import asdict
from functools import cache
from typing import Any

from netdsl.package_files import folder_of
from netdsl.record import record

GRAMMAR, TABLES = "net.lark", "net.tables.json"


@record
class Tables:
    """An LALR(1) automaton and its lexer.

    ``actions[state][symbol]`` is a state to go to (>= 0; symbols are terminals and rules), or ``~r`` to
    reduce rule ``r``. ``rules[r]`` is (rule, length, name of the tree callback, is a single child taken
    for the whole, are there helper lists to splice in).
    """

    digest: str
    pattern: str
    keywords: dict[str, str]
    ignored: list[str]
    start: int
    end: int
    actions: list[dict[str, int]]
    rules: list[tuple[str, int, str, bool, bool]]


@cache
def load() -> Tables:
    """The tables of the shipped grammar."""
    folder = folder_of("netdsl.grammar")
    grammar = folder.joinpath(GRAMMAR).read_text(encoding="utf-8")
    stored = folder.joinpath(TABLES)
    if stored.is_file():
        data = json.loads(stored.read_text(encoding="utf-8"))
        if data["digest"] == digest(grammar):
            return Tables(**data)
    return build(grammar)


def digest(grammar: str) -> str:
    """Tells an edited grammar from the one a table was made of; a CRC, because ``hashlib`` takes long to load."""
    return f"{zlib.crc32(grammar.encode()):08x}"


def build(grammar: str) -> Tables:
    """Run Lark's LALR(1) construction; raises Lark's GrammarError on conflicts."""
    import lark

    engine: Any = lark.Lark(
        grammar, parser="lalr", lexer="contextual", keep_all_tokens=True, maybe_placeholders=False, strict=False
    )
    table = engine.parser.parser._parse_table
    start = table.start_states["start"]
    numbers = _number_states(table.states, start)
    ordered_rules = sorted(engine.rules, key=lambda rule: (str(rule), str(rule.alias)))
    rules = {rule: number for number, rule in enumerate(ordered_rules)}
    keywords, pattern = _lexer(engine)
    return Tables(
        digest=digest(grammar),
        pattern=pattern,
        keywords=keywords,
        ignored=sorted(engine.ignore_tokens),
        start=numbers[start],
        end=numbers[table.end_states["start"]],
        actions=[_row(table.states[state], numbers, rules) for state in numbers],
        rules=[_rule(rule) for rule in ordered_rules],
    )


def _number_states(states: dict[int, dict[str, Any]], start: int) -> dict[int, int]:
    """States in breadth-first order, so that the same grammar always gives the same file."""
    numbers = {start: 0}
    queue = [start]
    for state in queue:
        for _, (action, target) in sorted(states[state].items()):
            if action.name == "Shift" and target not in numbers:
                numbers[target] = len(numbers)
                queue.append(target)
    return numbers


def _row(row: dict[str, Any], numbers: dict[int, int], rules: dict[Any, int]) -> dict[str, int]:
    encoded = {}
    for symbol, (action, argument) in sorted(row.items()):
        encoded[symbol] = numbers[argument] if action.name == "Shift" else ~rules[argument]
    return encoded


def _rule(rule: Any) -> tuple[str, int, str, bool, bool]:
    origin = str(rule.origin.name)
    name = str(rule.alias or origin)
    collapse = bool(rule.options.expand1 and not rule.alias)
    spliced = any(str(symbol.name).startswith("__") and not symbol.is_term for symbol in rule.expansion)
    return origin, len(rule.expansion), name, collapse, spliced


def _lexer(engine: Any) -> tuple[dict[str, str], str]:
    """Keywords by text, and one alternation of all other terminals in Lark's order of preference."""
    terminals = {terminal.name: terminal.pattern for terminal in engine.terminals}
    word = re.compile(terminals["NAME"].to_regexp())
    keywords, others = {}, []
    for terminal in engine.terminals:
        pattern = terminal.pattern
        if pattern.type == "str" and word.fullmatch(pattern.value):
            keywords[pattern.value] = terminal.name
        else:
            order = (-terminal.priority, -pattern.max_width, -len(pattern.value), terminal.name)
            others.append((order, f"(?P<{terminal.name}>{pattern.to_regexp()})"))
    return dict(sorted(keywords.items())), "|".join(text for _, text in sorted(others))


def dump(tables: Tables) -> str:
    """JSON with one state or rule a line, so that changes can be reviewed."""
    rows = []
    for key, value in asdict(tables).items():
        if isinstance(value, list) and value and not isinstance(value[0], str):
            body = ",\n".join(json.dumps(item) for item in value)
            rows.append(f'"{key}": [\n{body}\n]')
        else:
            rows.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main() -> None:
    folder = folder_of("netdsl.grammar")
    tables = build((folder / GRAMMAR).read_text(encoding="utf-8"))
    (folder / TABLES).write_text(dump(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
