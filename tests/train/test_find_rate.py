from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_nets import REFERENCE, colour_data, colour_recipe

from netdsl.cli.main import run
from netdsl.diagnostics import NumericFailure
from netdsl.train.find_rate import find_rate
from netdsl.updates import UpdateRule

SEARCH: dict[str, Any] = {"seed": 3, "low": 1e-4, "high": 1e4, "updates": 40}


def test_the_rates_rise_evenly_until_the_loss_runs_away() -> None:
    curve = find_rate(colour_recipe(), colour_data(), REFERENCE, **SEARCH)
    rates = [point.rate for point in curve.points]
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(1e8) / 39)
    assert curve.diverged and len(rates) < 40
    assert 1e-4 < curve.suggested <= curve.lowest < rates[-1]
    assert curve == find_rate(colour_recipe(), colour_data(), REFERENCE, **SEARCH)
    smoothed = [point.smoothed for point in curve.points]
    assert smoothed[0] == curve.points[0].loss and min(smoothed) == smoothed[rates.index(curve.lowest)]


def test_an_update_may_take_several_steps() -> None:
    """Two batches of 2 for each rate are what one of 4 is: the same losses while weights hardly move."""
    few: dict[str, Any] = {**SEARCH, "high": 1e-3, "updates": 10}
    whole = find_rate(colour_recipe(batch=22), colour_data(), REFERENCE, **few)
    halves = find_rate(colour_recipe(batch=11, rule=UpdateRule(accumulate=2)), colour_data(), REFERENCE, **few)
    assert not whole.diverged and len(halves.points) == 10
    np.testing.assert_allclose([p.loss for p in whole.points], [p.loss for p in halves.points], rtol=0.1)


def test_a_first_rate_that_is_too_large() -> None:
    with pytest.raises(NumericFailure, match=r"not a finite number at a learning rate of 1.*30 already") as caught:
        recipe = replace(colour_recipe(), optimizer=("sgd", {"weight_decay": 1.0}))
        find_rate(recipe, colour_data(), REFERENCE, **{**SEARCH, "low": 1e30, "high": 1e32})
    assert caught.value.exit_code == 5


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find = ["lr-find", "zoo:lenet5", "--data", "digits", "--updates", "40"]
    assert run([*find, "-o", str(tmp_path / "rates.svg")]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("learning rate  0.") and out[-1] == "the file says  0.05"
    assert (tmp_path / "rates.svg").read_text().startswith("<svg")
    assert run([*find, "--json", "--threads", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and f"learning rate  {document['suggested']:.2g}" == out[0]
    assert set(document["points"][0]) == {"rate", "loss", "smoothed"}
    assert run([*find, "--from", "1", "--to", "0.1"]) == 2
    assert run([*find, "-o", str(tmp_path / "rates.txt")]) == 2
    assert run(["lr-find", "zoo:vgg_d#NoTrain", "--data", "digits"]) == 1
