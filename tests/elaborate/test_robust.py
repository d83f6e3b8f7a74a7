"""Whatever a file says, the answer is a model or a UserError, in bounded time."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import UserError, render
from netdsl.elaborate import buildable_nets, elaborate, load_program
from netdsl.ir.verify import graph_errors
from netdsl.ops import infer_types
from netdsl.source import Source
from tests.elaborate.programs import Writer

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "tests" / "errors").glob("N0[234]*.net")) + [
    ROOT / "zoo" / "classification" / "lenet5.net",
    ROOT / "zoo" / "classification" / "resnet50.net",
    ROOT / "zoo" / "segmentation" / "unet.net",
]
WORDS = [
    "0", "1", "-1", "2.5", "3x3", "1x2x3", "[]", "[1, 2]", "()", "(1, 2)", "yes", "same", "global", "in", '"a"',
    "channels(in)", "range(3)", "relu", "conv(3, 3x3)", "in -> relu", "1 / 0", "2 ** 60", "x", "* 0", "* -1", "as a[1]",
    "if yes { in } else { 3 }", "len(3)", "zip([1], [2])", "max([])", "[1][5]", "concat()", "add(in)", "H", "image",
]  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_files_with_words_exchanged(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SAMPLES)).read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 3))):
        words = [match for match in _words(text) if match[1] > match[0]]
        start, end = data.draw(st.sampled_from(words))
        text = text[:start] + data.draw(st.sampled_from(WORDS)) + text[end:]
    try:
        module = load_program(Source("damaged.net", text))
        for name in buildable_nets(module):
            elaborate(module, name)
    except UserError as error:
        assert render(error.diagnostics, color=False)


def _words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([0.0, 0.02, 0.1]))
def test_random_programs_give_a_sound_graph_or_a_user_error(seed: int, chaos: float) -> None:
    text = Writer(seed, chaos).program()
    try:
        model = elaborate(load_program(Source("random.net", text)))
    except UserError as error:
        assert render(error.diagnostics, color=False)
        return
    assert graph_errors(model.graph, infer_types) == []
    assert model.train is None or graph_errors(model.train.graph, infer_types) == []
