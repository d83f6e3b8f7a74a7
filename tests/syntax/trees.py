"""Random ``.net`` files that parse: their texts, laid out at random, with comments."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "width", "x1", "conv", "Block", "_y", "layer1"])
INTS = st.integers(0, 999).map(str)
BLANK = st.sampled_from(["", " ", "   "])
"""Between two tokens that need nothing there."""
BREAKS = ["\n", "\n\n\n", "\n      ", "  # a comment\n", "\n# its own line\n    "]
GAP = st.sampled_from([" ", " ", " ", "  ", *BREAKS])
"""Where a line may end."""


def joined(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map("".join)


def listed(item: st.SearchStrategy[str], least: int = 0, most: int = 4) -> st.SearchStrategy[str]:
    """Items with commas, each followed by blanks or a line end."""
    comma = joined(BLANK, ",", GAP)
    return st.lists(st.tuples(item, comma), min_size=least, max_size=most).map(
        lambda pairs: "".join(text + sign for text, sign in pairs[:-1]) + (pairs[-1][0] if pairs else "")
    )


def chain(item: st.SearchStrategy[str], sign: st.SearchStrategy[str], least: int = 2) -> st.SearchStrategy[str]:
    part = joined(GAP, sign, GAP, item)
    return joined(item, st.lists(part, min_size=least - 1, max_size=4).map("".join))


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    named = joined(NAMES, st.sampled_from(["=", " = ", "= ", " ="]), inner)
    call = joined(NAMES, "(", BLANK, listed(st.one_of(inner, named)), BLANK, ")")
    label = joined(NAMES, st.one_of(st.just(""), joined("[", inner, "]")))
    atom = st.one_of(
        joined("(", inner, GAP, ")"),
        joined("(", inner, BLANK, ",", BLANK, ")"),
        joined("[", GAP, listed(inner), BLANK, "]"),
        call,
        joined(NAMES, "[", inner, "]"),
        joined("if ", inner, GAP, "{", GAP, inner, GAP, "}", GAP, "else", BLANK, "{", inner, "}"),
    )
    operand = st.one_of(NAMES, INTS, atom)
    stage = st.one_of(operand, joined(operand, GAP, "as", " ", label))
    return st.one_of(
        atom,
        chain(stage, st.just("->")),
        chain(operand, st.sampled_from(["+", "-", "*", "//", "%", "and", "or"])).map(lambda text: f"({text})"),
        joined("-", BLANK, operand),
        joined("(", "not", " ", operand, ")"),
    )


LEAVES = st.one_of(NAMES, INTS, st.sampled_from(["3x3", "yes", "1.5e-3", '"a # b"', "in"]))
EXPRESSIONS = st.recursive(LEAVES, _compound, max_leaves=10)


def _body(statement: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    end = st.sampled_from(["\n", "\n\n\n", " # said of it\n", "\n  # below\n"])
    return joined("{", end, st.lists(joined(statement, end), max_size=4).map("".join), "}")


SIMPLE = st.one_of(
    joined(NAMES, GAP, "=", GAP, EXPRESSIONS),
    joined(NAMES, BLANK, ",", BLANK, NAMES, " = ", EXPRESSIONS),
    joined("return ", EXPRESSIONS),
    joined("layer ", NAMES, " = ", EXPRESSIONS),
    joined("input ", NAMES, BLANK, ":", BLANK, "[", listed(INTS, 1), "]"),
    joined("output ", listed(st.one_of(NAMES, joined(NAMES, " = ", EXPRESSIONS)), 1)),
)
STATEMENTS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        joined("for ", NAMES, " in ", EXPRESSIONS, GAP, _body(inner)),
        joined("if ", EXPRESSIONS, " ", _body(inner), GAP, "else if ", EXPRESSIONS, " ", _body(inner)),
    ),
    max_leaves=4,
)
PARAMETER = joined(NAMES, BLANK, ":", BLANK, "int", st.one_of(st.just(""), joined(BLANK, "=", BLANK, EXPRESSIONS)))
HEADER = joined(st.sampled_from(["net ", "block "]), NAMES)
TRAIN_ITEM = st.one_of(
    joined("batch ", INTS),
    joined("loss ", EXPRESSIONS),
    joined("sgd(", listed(joined("lr = ", EXPRESSIONS)), ")"),
    joined("target ", NAMES, BLANK, ":", " class", BLANK, "[", listed(INTS, 1), "]"),
)
DECLARATIONS = st.one_of(
    joined(HEADER, " ", _body(STATEMENTS)),
    joined(HEADER, "(", GAP, listed(PARAMETER), ")", GAP, _body(STATEMENTS)),
    joined("net ", NAMES, "   = ", EXPRESSIONS),
    joined(NAMES, " = ", EXPRESSIONS),
    joined("use zoo", BLANK, ".", BLANK, "blocks", BLANK, ":", BLANK, NAMES),
    joined("train ", NAMES, " ", _body(TRAIN_ITEM)),
)
FILES = st.lists(joined(DECLARATIONS, st.sampled_from(["\n", "\n\n\n\n", " # end\n"])), max_size=4).map("".join)
