"""Steps of which nothing is kept, and the search for the first number that is not finite."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_nets import REFERENCE, colour_data, colour_recipe

from netdsl.autodiff import training_graph
from netdsl.cli.main import run
from netdsl.data import ArraySplit
from netdsl.data.base import Data, Float32Array
from netdsl.diagnostics import Code, NumericFailure, UserError
from netdsl.train.evaluate import step_inputs
from netdsl.train.feeding import training_batches
from netdsl.train.loop import Loop
from netdsl.train.overfit import overfit
from netdsl.train.recipe import Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.weights.initialize import initial_parameters

TRAIN = ["train", "zoo:lenet5", "--data", "digits"]


def test_a_rehearsal_is_the_beginning_and_writes_nothing(tmp_path: Path) -> None:
    recipe, data = colour_recipe(epochs=3), colour_data()
    run = RunDirectory(tmp_path / "run")
    found = Loop(recipe, data, REFERENCE, run, seed=3).rehearse(9)
    assert len(found.losses) == 9 and found.samples == 8 * 4 and not run.path.exists()
    run.make()
    Loop(recipe, data, REFERENCE, run, seed=3).fit()
    steps = [record["loss"] for record in run.records() if record["kind"] == "step"]
    assert list(found.losses) == steps[:9]


def failure(recipe: Recipe, data: Data, path: Path, scale: float = 1.0) -> NumericFailure:
    weights = {"scale.weight": initial_parameters(recipe.graph.params, 3)["scale.weight"] * scale}
    loop = Loop(recipe, data, REFERENCE, RunDirectory(path), seed=3, weights=weights, nan_check=True)
    with pytest.raises(NumericFailure) as caught:
        loop.rehearse(50)
    assert caught.value.exit_code == 5 and caught.value.diagnostics[0].code is Code.NOT_FINITE
    return caught.value


def test_the_sample_that_is_not_finite_is_named(tmp_path: Path) -> None:
    class Broken(ArraySplit):
        def image(self, index: int) -> Float32Array:
            found = super().image(index)
            return found * np.float32(np.inf) if index == 13 else found

    data = colour_data()
    broken = Broken(data.train.pixels, data.train.targets)  # type: ignore[attr-defined]
    [found] = failure(colour_recipe(), replace(data, train=broken), tmp_path).diagnostics
    assert found.title.startswith("`image` (input) is the first that is not finite at step ")
    assert "training samples (numbered from 0): 13, of 4 in the batch" in found.notes
    assert "it was so before anything was computed" in found.notes


def test_the_node_that_overflows_is_named(tmp_path: Path) -> None:
    [found] = failure(colour_recipe(), colour_data(), tmp_path, scale=float("inf")).diagnostics
    assert "scale.weight" in found.title and "step 1 (epoch 1, step 1 of 6)" in found.title
    recipe = colour_recipe(rate=3e38)
    [found] = failure(recipe, colour_data(), tmp_path).diagnostics
    assert "is the first that is not finite at step " in found.title
    assert any(note.startswith("the largest number that went into it was ") for note in found.notes)


def test_a_check_changes_no_bit(tmp_path: Path) -> None:
    losses = [
        Loop(colour_recipe(), colour_data(), REFERENCE, RunDirectory(tmp_path), seed=3, nan_check=check).rehearse(7)
        for check in (False, True)
    ]
    assert losses[0].losses == losses[1].losses


def test_a_few_samples_are_learnt_by_heart() -> None:
    found = overfit(colour_recipe(rate=0.3), colour_data(), REFERENCE, seed=0, samples=4)
    assert found.last <= found.first / 3 and found.steps < 500
    with pytest.raises(UserError, match=r"went from .* in 500 steps"):
        overfit(colour_recipe(rate=1e-9), colour_data(), REFERENCE, seed=0, samples=4)
    with pytest.raises(UserError, match="colours has 22 to train with"):
        overfit(colour_recipe(), colour_data(), REFERENCE, seed=0, samples=23)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*TRAIN, "--dry-run", "3"]) == 0
    out = capsys.readouterr().out
    assert "at step 3" in out and "samples/s" in out and "nothing was written" in out
    assert run([*TRAIN, "--overfit", "8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["samples"] == 8 and document["last"] < document["first"] / 3
    assert run([*TRAIN, "--overfit", "8", "--dry-run", "3"]) == 2
    assert os.listdir(tmp_path) == []


def test_the_line_of_the_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from netdsl.resolve import resolve

    text = resolve("zoo:lenet5").path.read_text()
    net = tmp_path / "wild.net"
    net.write_text(text.replace("lr = 0.05", "lr = 1e20").replace("warmup = 1", "warmup = 0"))
    arguments = ["train", str(net), "--data", "digits", "--out", str(tmp_path / "run")]
    assert run([*arguments, "--nan-check"]) == 5
    error = capsys.readouterr().err
    assert "is the first that is not finite at step" in error and "wild.net:" in error and "training samples" in error


def test_a_step_that_was_not_finite_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netdsl.resolve import resolve

    monkeypatch.chdir(tmp_path)
    text = resolve("zoo:lenet5").path.read_text().replace("warmup = 1", "warmup = 0")
    Path("wild.net").write_text(text.replace("lr = 0.05", "lr = 1e20"))
    arguments = ["train", "wild.net", "--data", "digits", "--epochs", "2", "--batch", "16", "--seed", "4"]
    assert run([*arguments, "--nan-check", "--out", "run", "--threads", "2"]) == 5
    first = capsys.readouterr().err
    assert "take this step again with: netdsl replay run" in first
    files = sorted(os.listdir("run"))
    assert run(["replay", "run", "--threads", "1"]) == 5
    assert capsys.readouterr().err == first.split("\n", 1)[1] and sorted(os.listdir("run")) == files
    Path("wild.net").write_text(text)
    assert run(["replay", "run"]) == 1
    assert "rate: 1e+20 there, 0.05 now" in capsys.readouterr().err
    assert run(["replay", "none"]) == 1
    assert "holds no step to run again" in capsys.readouterr().err
    config = json.loads(Path("run/config.json").read_text())
    for command in (None, ["eval"], ["train"], ["train", 3], ["train", "wild.net", "--data", "digits", "--bad"]):
        Path("run/config.json").write_text(json.dumps({**config, "command": command}))
        assert run(["replay", "run"]) == 1
        assert "does not say how the run was started" in capsys.readouterr().err


def test_a_step_is_taken_again_from_another_folder_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netdsl.resolve import resolve

    text = resolve("zoo:lenet5").path.read_text().replace("warmup = 1", "warmup = 0")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("wild.net").write_text(text.replace("lr = 0.05", "lr = 1e20"))
    assert run(["train", "wild.net", "--data", "digits", "--batch", "16", "--nan-check", "--out", "runs/wild"]) == 5
    first = capsys.readouterr().err.split("\n", 1)[1]
    monkeypatch.chdir(tmp_path)
    assert run(["replay", "work/runs/wild"]) == 5
    assert capsys.readouterr().err == first
    Path("work").rename("moved")
    assert run(["replay", "moved/runs/wild"]) == 5
    assert capsys.readouterr().err == first
    Path("moved/wild.net").unlink()
    assert run(["replay", "moved/runs/wild"]) == 1
    error = capsys.readouterr().err
    assert "wild.net" in error and f"looked for in `{tmp_path / 'moved'}`, where the training was started" in error
    config = Path("moved/runs/wild/config.json")
    config.write_text(config.read_text().replace('"folder": "../.."', '"folder": "../../../gone"'))
    assert run(["replay", "moved/runs/wild"]) == 1
    assert f"there is no folder `{tmp_path / 'gone'}`" in capsys.readouterr().err
    assert Path.cwd() == tmp_path


def test_parameters_read_from_a_step_stay_as_they_were() -> None:
    from netdsl.driver import Build
    from netdsl.trainer import compiler_for

    graph = training_graph((recipe := colour_recipe()).graph, recipe.loss, optimizer=recipe.optimizer)
    parameters = initial_parameters(graph.params, 3)
    executor = compiler_for(Build(threads=1)).training(graph, parameters, recipe.batch)
    before = executor.get_parameters()
    copies = {name: array.copy() for name, array in before.items()}
    data = colour_data()
    batches = training_batches(recipe, data, recipe.preparation(data), 3)
    executor.step(step_inputs(recipe, next(iter(batches.epoch(0))), 0.1, 0, 3))
    for name, array in copies.items():
        np.testing.assert_array_equal(before[name], array, err_msg=name)
    assert (executor.get_parameters()["scale.weight"] != copies["scale.weight"]).any()
