from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_nets import REFERENCE, acting_at, colour_data, colour_recipe

from netdsl.data import ArraySplit
from netdsl.data.prepare import Prepared
from netdsl.diagnostics import Code, NumericFailure, UserError
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.reference import ReferenceStep
from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.evaluate import Evaluator
from netdsl.train.loop import Compiler, Interrupted, Loop
from netdsl.train.recipe import AugmentStep, Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.train.schedule import Cosine, Poly
from netdsl.updates import Group, UpdateRule, with_averages
from netdsl.weights import read_tensors
from netdsl.weights.initialize import initial_parameters


def made(path: Path) -> RunDirectory:
    run = RunDirectory.new(path)
    run.make()
    return run


def train(path: Path, recipe: Recipe, *, resume: bool = False, compiler: Compiler = REFERENCE, seed: int = 3) -> Any:
    run = RunDirectory.open(path) if resume else made(path)
    checkpoint = load_checkpoint(run.last) if resume else None
    return Loop(recipe, colour_data(), compiler, run, seed=seed, checkpoint=checkpoint).fit()


def without_seconds(path: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in ("seconds", "busy")} for record in records]


def assert_same_training(one: Path, other: Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert without_seconds(one) == without_seconds(other)


def test_a_training_learns_and_leaves_everything_behind(tmp_path: Path) -> None:
    result = train(tmp_path / "run", colour_recipe(epochs=12, rate=0.3, schedule=Cosine()))
    assert result.progress.step == 12 * 6 and result.test["pixel_accuracy"] > 0.9
    assert sorted(os.listdir(tmp_path / "run")) == [
        "best.safetensors", "confusion.png", "curves.png", "curves.svg", "last.safetensors", "metrics.jsonl",
    ]  # fmt: skip
    records = without_seconds(tmp_path / "run")
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert len(epochs) == 12 and epochs[-1]["loss"] < epochs[0]["loss"]
    best = max(epoch["test"]["pixel_accuracy"] for epoch in epochs)
    assert load_checkpoint(tmp_path / "run" / "best.safetensors").progress.best == best
    names = set(read_tensors(tmp_path / "run" / "last.safetensors").tensors)
    assert {"bn1.running_mean", "scale.weight", "optimizer/scale.weight.momentum"} <= names


def test_workers_change_nothing_and_waiting_is_recorded(tmp_path: Path) -> None:
    augment = (AugmentStep("shift", {"pixels": 1}), AugmentStep("hue", {"degrees": 30.0}))
    recipe = colour_recipe(augment=augment)
    for workers in (1, 4):
        Loop(recipe, colour_data(), REFERENCE, made(tmp_path / str(workers)), seed=3, workers=workers).fit()
    assert_same_training(tmp_path / "1", tmp_path / "4")

    class Slow(ArraySplit):
        def image(self, index: int) -> np.ndarray:
            time.sleep(0.02)
            return super().image(index)

    fast = colour_data()
    slow = replace(fast, train=Slow(fast.train.pixels, fast.train.targets))  # type: ignore[attr-defined]
    Loop(recipe, slow, REFERENCE, made(tmp_path / "slow"), seed=3, workers=1).fit()
    busy = [record["busy"] for record in RunDirectory(tmp_path / "slow").records() if record["kind"] == "epoch"]
    assert 0 <= busy[0] < 0.5 and busy[0] < busy[1] <= 1  # (the second epoch has the pictures in memory)


def test_seeds_and_only_seeds_matter(tmp_path: Path) -> None:
    train(tmp_path / "a", colour_recipe())
    train(tmp_path / "b", colour_recipe())
    train(tmp_path / "c", colour_recipe(), seed=4)
    assert_same_training(tmp_path / "a", tmp_path / "b")
    a, c = (read_tensors(tmp_path / name / "last.safetensors").tensors for name in "ac")
    assert (a["scale.weight"] != c["scale.weight"]).all()


def test_two_and_two_epochs_are_four(tmp_path: Path) -> None:
    train(tmp_path / "whole", colour_recipe(epochs=4))
    train(tmp_path / "halves", colour_recipe(epochs=2))
    train(tmp_path / "halves", colour_recipe(epochs=4), resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "halves")


def interrupted_after(steps: int) -> Compiler:
    """Sends this process SIGINT during step number ``steps``, as Ctrl-C would."""
    return acting_at(steps, lambda: os.kill(os.getpid(), signal.SIGINT))


@pytest.mark.parametrize("steps", [1, 8, 12])
def test_an_interrupt_finishes_the_step_saves_and_resumes_exactly(tmp_path: Path, steps: int) -> None:
    recipe = colour_recipe(epochs=3, schedule=Cosine(warmup=0.5))
    train(tmp_path / "whole", recipe)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        train(tmp_path / "halves", recipe, compiler=interrupted_after(steps))
    assert caught.value.progress.step == steps
    assert signal.getsignal(signal.SIGINT) is handler
    train(tmp_path / "halves", recipe, resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "halves")


RULES = {
    "sgd": UpdateRule(),
    "adam": UpdateRule(clip_norm=0.5, accumulate=4, average=0.9),
    "adamw": UpdateRule((Group("*.bias", 2.0, False),), accumulate=3),
    "rmsprop": UpdateRule(frozen=("bn1.*",), clip_value=0.1),
}


@pytest.mark.parametrize("name", RULES)
def test_all_that_an_optimizer_remembers_survives_an_interrupt(tmp_path: Path, name: str) -> None:
    """Five steps in, in the middle of an epoch and of a group of steps whose gradients are collected."""
    args = {"rmsprop": {"momentum": 0.5, "centered": True}, "sgd": {"momentum": 0.9, "nesterov": True}}.get(name, {})
    recipe = colour_recipe(epochs=3, rate=0.01, schedule=Poly(warmup=0.5), optimizer=(name, args), rule=RULES[name])
    train(tmp_path / "whole", recipe)
    with pytest.raises(Interrupted):
        train(tmp_path / "halves", recipe, compiler=interrupted_after(5))
    train(tmp_path / "halves", recipe, resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "halves")


def test_averaged_weights_are_measured_and_kept(tmp_path: Path) -> None:
    rule = UpdateRule(average=0.5, frozen=("bn1.weight",))
    recipe = colour_recipe(rate=0.3, rule=rule)
    result = train(tmp_path / "run", recipe)
    assert set(result.test) == {"loss", "pixel_accuracy", "ema.loss", "ema.pixel_accuracy"}
    assert result.test["loss"] != result.test["ema.loss"]
    checkpoint = load_checkpoint(tmp_path / "run" / "last.safetensors")
    averages = {name for name in checkpoint.state if name.endswith(".average")}
    assert averages == {f"{n}.average" for n in ("bn1.bias", "bn1.running_mean", "bn1.running_var", "scale.weight")}
    averaged = with_averages({**checkpoint.parameters, **checkpoint.state})
    data = colour_data()
    prepared = Prepared(data.test, recipe.preparation(data))
    found = Evaluator(recipe, prepared, REFERENCE.inference, averaged).run(averaged)
    assert found["loss"] == result.test["ema.loss"]


def test_nothing_to_train_and_names_that_are_none(tmp_path: Path) -> None:
    for rule, text in (
        (UpdateRule(frozen=("*",)), "every parameter of `Colours` is frozen"),
        (UpdateRule(frozen=("bn2.*",)), "no parameter's name matches `bn2"),
    ):
        with pytest.raises(UserError, match=text):
            train(tmp_path / "run", colour_recipe(rule=rule))


def test_resuming_with_another_rule_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run", colour_recipe(epochs=1, rule=UpdateRule(accumulate=2)))
    with pytest.raises(UserError) as caught:
        train(tmp_path / "run", colour_recipe(epochs=2), resume=True)
    assert "'accumulate': 2" in caught.value.diagnostics[0].notes[0]


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run", colour_recipe(epochs=1))
    with pytest.raises(UserError) as caught:
        train(tmp_path / "run", colour_recipe(epochs=2, rate=0.2), resume=True, seed=9)
    assert caught.value.diagnostics[0].notes == ("rate: 0.1 there, 0.2 now", "seed: 3 there, 9 now")


def test_a_finished_training_resumes_to_itself(tmp_path: Path) -> None:
    first = train(tmp_path / "run", colour_recipe())
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    again = train(tmp_path / "run", colour_recipe(), resume=True)
    assert again.test == first.test
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_a_loss_that_is_no_number_stops_and_names_the_step(tmp_path: Path) -> None:
    class Diverging(ReferenceStep):
        count = 0

        def step(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            Diverging.count += 1
            outputs = super().step(inputs)
            return outputs if Diverging.count < 9 else {**outputs, "loss": np.float32(np.nan)}

    compiler = Compiler(lambda g, p, b: Diverging(g, p, np.float32), REFERENCE.inference)
    with pytest.raises(NumericFailure, match=r"nan at step 9 \(epoch 2, step 3 of 6\)") as caught:
        train(tmp_path / "run", colour_recipe(), compiler=compiler)
    assert caught.value.exit_code == 5
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").progress.epoch == 1


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_testing_does_not_depend_on_the_batch(batch: int) -> None:
    data = colour_data()
    results = []
    for size in (7, batch):
        recipe = colour_recipe(batch=size)
        parameters = initial_parameters(recipe.graph.params, 1)
        prepared = Prepared(data.test, recipe.preparation(data))
        results.append(Evaluator(recipe, prepared, REFERENCE.inference, parameters).run(parameters))
    assert results[0]["pixel_accuracy"] == results[1]["pixel_accuracy"]
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-6)


def test_the_split_loss_is_the_loss_of_the_whole_graph() -> None:
    from netdsl.reference import Interpreter

    recipe, data = colour_recipe(batch=7), colour_data()
    parameters = initial_parameters(recipe.graph.params, 1)
    images = np.stack([data.test.image(index) for index in range(7)])
    whole, _ = recipe.graph.copy()
    whole.outputs = {"loss": whole.node("loss").output}
    inputs = {"image": images, "label": data.test.targets}
    expected = Interpreter(whole).run(inputs, parameters).outputs["loss"]
    prepared = Prepared(data.test, recipe.preparation(data))
    found = Evaluator(recipe, prepared, REFERENCE.inference, parameters).run(parameters)
    assert found["loss"] == pytest.approx(float(expected), rel=1e-6)


def test_data_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    recipe, data = colour_recipe(), colour_data()
    run = RunDirectory(tmp_path)
    flat = ArraySplit(data.train.pixels, np.zeros(len(data.train), dtype=np.int64))
    cases = [
        (replace(data, classes=("a", "b")), recipe, Code.DATA_LABELS, "scores 3 classes; colours has 2"),
        (replace(data, train=flat), recipe, Code.DATA_SHAPE, "has a class number a sample"),
    ]
    second = colour_recipe()
    builder(second.graph).input("more", TensorType((3,), dtype=DType.F32))
    cases.append((data, second, Code.DATA_SHAPE, "`image` [3, 3, 3], `more` [3]"))
    for some_data, some_recipe, code, text in cases:
        with pytest.raises(UserError) as caught:
            Loop(some_recipe, some_data, REFERENCE, run, seed=0)
        assert caught.value.diagnostics[0].code is code
        assert text in caught.value.diagnostics[0].title
    assert not os.listdir(tmp_path)
