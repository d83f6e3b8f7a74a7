from __future__ import annotations

import io

import pytest

from netdsl.train.progress import EpochSummary, PlainLines, ProgressBar, reporter_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def summary(epoch: int = 3, best: bool = True) -> EpochSummary:
    test = {"loss": 0.25, "top1": 0.97225, "mse": 1.5}
    return EpochSummary(epoch, 12, 0.5, test, {"top1"}, 1.25, best)


def test_a_line_an_epoch() -> None:
    expected = "epoch  3/12  loss 0.5000  test loss 0.2500  top1 97.22%  mse 1.5000  1.2 s  busy 100%  (best)"
    assert summary().line() == expected


def test_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    stream = io.StringIO()
    reporter = reporter_for(stream)
    assert isinstance(reporter, PlainLines)
    reporter.begin_epoch(1, 12, 2, 0)
    reporter.step(1.0, 0.1, 32)
    reporter.end_epoch(summary(1, best=False))
    reporter.close()
    assert stream.getvalue().splitlines() == [summary(1, best=False).line()]
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(reporter_for(Terminal()), PlainLines)


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    reporter = reporter_for(stream)
    assert isinstance(reporter, ProgressBar)
    for epoch in (3, 4):
        reporter.begin_epoch(epoch, 12, 2, 1)
        reporter.step(0.7, 0.05, 32)
        reporter.end_epoch(summary(epoch))
    reporter.close()
    text = stream.getvalue()
    assert "epoch 3/12 " in text and "epoch 4/12 " in text and "1/2" in text
    assert text.count("(best)") == 2
