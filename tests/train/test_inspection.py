"""Looking into the layers of a training: what is seen is right, and looking changes nothing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_loop import assert_same_training, interrupted_after, made
from training_nets import REFERENCE, colour_data, colour_recipe

from netdsl import driver
from netdsl.cli.main import run
from netdsl.driver import Build, Origin
from netdsl.train.checkpoint import Progress, load_checkpoint
from netdsl.train.from_spec import recipe_of
from netdsl.train.inspection import Inspector, Looks, dead
from netdsl.train.loop import Compiler, Interrupted, Loop
from netdsl.train.recipe import AugmentStep, Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.train.spread import BINS, Spread
from netdsl.trainer import compiler_for
from netdsl.updates import UpdateRule
from netdsl.weights.initialize import initial_parameters

COMPILED = compiler_for(Build(threads=1))


def inspected(path: Path, recipe: Recipe, looks: Looks | None, compiler: Compiler = REFERENCE) -> RunDirectory:
    found = made(path)
    Loop(recipe, colour_data(), compiler, found, seed=3, looks=looks).fit()
    return found


def test_a_spread_is_numpys() -> None:
    values = np.random.default_rng(0).normal(2.0, 3.0, (7, 100)).astype(np.float32)
    values[:, :30] = 0
    found = Spread.of(values)
    assert found.count == 700 and found.not_finite == 0 and found.zeros == pytest.approx(0.3, abs=1e-12)
    exact = values.astype(np.float64)  # float32 numbers, float64 sums: equal but for the order of additions
    assert found.norm == pytest.approx(np.linalg.norm(exact), rel=1e-12)
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(exact.std(), rel=1e-6)
    assert found.quantiles == pytest.approx(np.quantile(values, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)), rel=1e-6)
    assert found.histogram is not None and len(found.histogram.counts) == BINS
    assert sum(found.histogram.counts) == 490  # (the zeros are told apart)
    nonzero = values[values != 0]
    inside = (nonzero >= found.histogram.low) & (nonzero <= found.histogram.high)
    assert 0.98 < inside.mean() < 1
    expected, _ = np.histogram(nonzero[inside], BINS, (found.histogram.low, found.histogram.high))
    assert np.abs(np.array(found.histogram.counts) - expected)[1:-1].max() <= 1  # (a number on an edge)


def test_spreads_of_odd_arrays() -> None:
    broken = Spread.of(np.array([1, np.nan, np.inf, 3], np.float32))
    assert (broken.not_finite, broken.mean, broken.quantiles is None) == (2, 2.0, False)
    lost = Spread.of(np.full(3, np.nan, np.float32))
    assert lost.not_finite == 3 and lost.quantiles is None and lost.histogram is None
    json.dumps([broken.to_json(), lost.to_json()], allow_nan=False)
    same = Spread.of(np.full(50, 0.25, np.float32)).histogram
    assert same is not None and same.low < 0.25 < same.high and sum(same.counts) == 50
    zero = Spread.of(np.zeros(5, np.float32))
    assert zero.zeros == 1 and zero.histogram is None and zero.quantiles == (0.0,) * 7


def test_quantiles_of_many_numbers_follow_no_axis() -> None:
    """Columns of very different size: every 2nd or 2048th number would see only some of them."""
    values = np.tile(np.arange(2048, dtype=np.float32), (1024, 1))
    found = Spread.of(values)
    assert found.quantiles is not None
    # A million of two million numbers, spread evenly: the quantiles move by far less than a hundredth of the range.
    np.testing.assert_allclose(found.quantiles, np.array((0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)) * 2047, atol=20)


def test_when_it_looks() -> None:
    def seen(looks: Looks, epochs: int = 3, steps: int = 4) -> list[int]:
        points = [Progress(epoch * steps + step, epoch, step) for epoch in range(epochs) for step in range(steps)]
        return [point.step + 1 for point in points if looks.wants(point, steps)]

    assert seen(Looks()) == [1, 4, 8, 12]
    assert seen(Looks(steps=(2, 3, 11, 99))) == [2, 3, 11]
    assert seen(Looks(epochs=(2,))) == [8]
    assert seen(Looks(steps=(1,), epochs=(1, 3))) == [1, 4, 12]
    with pytest.raises(ValueError, match="counted from 1"):
        Looks(steps=(0,))


@pytest.mark.parametrize("compiler", [REFERENCE, COMPILED], ids=["numpy", "compiled"])
def test_looking_changes_no_bit(tmp_path: Path, compiler: Compiler) -> None:
    recipe = colour_recipe(epochs=2, augment=(AugmentStep("flip", {}),), rule=UpdateRule(average=0.9, clip_norm=1.0))
    inspected(tmp_path / "plain", recipe, None, compiler)
    found = inspected(tmp_path / "looked", recipe, Looks(steps=tuple(range(1, 13))), compiler)
    assert_same_training(tmp_path / "plain", tmp_path / "looked")
    assert [record["step"] for record in found.inspected()] == list(range(1, 13))
    assert not RunDirectory(tmp_path / "plain").inspections.exists()


@pytest.mark.parametrize("compiler", [REFERENCE, COMPILED], ids=["numpy", "compiled"])
def test_plain_descent_moves_weights_by_the_gradients_that_are_seen(tmp_path: Path, compiler: Compiler) -> None:
    """Batch statistics and dropout are those of the step, or the updates would be others."""
    recipe = colour_recipe(rate=0.25, optimizer=("sgd", {}))
    for record in inspected(tmp_path / "run", recipe, Looks(steps=(1, 5)), compiler).inspected():
        parameters = [found for layer in record["layers"] for found in layer["parameters"]]
        trained = [found for found in parameters if found["gradient"] is not None]
        assert [found["name"] for found in trained] == ["bn1.weight", "bn1.bias", "scale.weight"]
        for found in trained:
            # A weight near 1 is rounded to 2^-24 when it moves; updates here are at least 1e-3.
            assert found["update"]["norm"] == pytest.approx(0.25 * found["gradient"]["norm"], rel=1e-4)
        running = {found["name"] for found in parameters} - {found["name"] for found in trained}
        assert running == {"bn1.running_mean", "bn1.running_var"}


def test_frozen_parameters_have_no_gradient(tmp_path: Path) -> None:
    recipe = colour_recipe(rule=UpdateRule(frozen=("bn1.*",)))
    record = inspected(tmp_path / "run", recipe, Looks(steps=(2,)), COMPILED).inspected()[0]
    found = {item["name"]: item for layer in record["layers"] for item in layer["parameters"]}
    assert found["bn1.weight"]["gradient"] is None and found["bn1.weight"]["update"]["norm"] == 0
    assert found["scale.weight"]["gradient"]["norm"] > 0 < found["scale.weight"]["update"]["ratio"]


def test_an_interrupted_training_is_inspected_as_a_whole_one(tmp_path: Path) -> None:
    recipe, looks = colour_recipe(epochs=3), Looks(steps=(1, 7, 8, 9, 18))
    whole = inspected(tmp_path / "whole", recipe, looks)
    with pytest.raises(Interrupted):
        inspected(tmp_path / "cut", recipe, looks, interrupted_after(8))
    cut = RunDirectory.open(tmp_path / "cut")
    with cut.inspections.open("a") as stream:
        stream.write('{"schema": 1, "step": 9, "layers": []}\n{"schema": 1, "st')  # (as a kill would leave it)
    checkpoint = load_checkpoint(cut.last)
    Loop(recipe, colour_data(), REFERENCE, cut, seed=3, looks=looks, checkpoint=checkpoint).fit()
    assert cut.inspected() == whole.inspected() and len(cut.inspected()) == 5
    assert cut.inspections_picture.read_bytes() == whole.inspections_picture.read_bytes()


DEAD = """
net Dying(classes: int = 3) {
    input image: [3, 3, 3]
    a = image -> conv(6, 3x3, pad = 1) -> relu
    b = a -> flatten -> fc(5) -> relu
    logits = b -> fc(classes)
    output probs = softmax(logits)
}

train Dying {
    target label: class
    loss cross_entropy(logits, label)
    sgd(lr = 0.01)
    batch 4
    epochs 1
}
"""


def test_dead_units_are_counted_and_shown(tmp_path: Path) -> None:
    (tmp_path / "dying.net").write_text(DEAD)
    recipe = recipe_of(driver.load(Origin(str(tmp_path / "dying.net"))))
    data = colour_data()
    flat = replace(
        data,
        train=replace(data.train, targets=np.arange(22) % 3),  # type: ignore[type-var]
        test=replace(data.test, targets=np.arange(7) % 3),  # type: ignore[type-var]
    )
    parameters = initial_parameters(recipe.graph.params, 3)
    parameters["conv1.bias"][:] = [-100, 1, -100, 1, 1, 1]
    parameters["fc1.bias"][:] = [9, 9, 9, 9, -1e4]
    found = made(tmp_path / "run")
    Loop(recipe, flat, COMPILED, found, seed=3, weights=parameters, looks=Looks()).fit()
    record = found.inspected()[0]
    assert dead(record["layers"]) == [("relu1", 2, 6), ("relu2", 1, 5)]
    layers = {layer["layer"]: layer for layer in record["layers"]}
    assert list(layers) == ["conv1", "relu1", "fc1", "relu2", "fc2"]  # (flatten and the loss have nothing of their own)
    assert layers["relu1"]["activation"]["zeros"] >= 2 / 6 and "dead" not in layers["fc1"]["activation"]
    assert layers["conv1"]["activation"]["count"] == 4 * 6 * 9
    picture = ElementTree.parse(found.inspections_picture)
    shown = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "dead: 2 of 6 units" in shown and "dead: 1 of 5 units" in shown


def test_the_inspector_asks_for_values_of_the_training_form() -> None:
    """Of a batch normalization the batch's statistics, not the running ones."""
    recipe = colour_recipe()
    parameters = initial_parameters(recipe.graph.params, 3)
    inspector = Inspector(recipe, COMPILED.inference, parameters, Looks())
    images = np.random.default_rng(1).uniform(5, 9, (4, 3, 3, 3)).astype(np.float32)
    inputs = {
        "image": images,
        "label": np.zeros((4, 3, 3), np.int32),
        "lr": np.float32(0.1),
        "step": np.int32(0),
        "seed": np.int32(3),
    }
    layers = {layer["layer"]: layer for layer in inspector.look(inputs, parameters, parameters)}
    assert layers["bn1"]["activation"]["mean"] == pytest.approx(0, abs=1e-5)
    assert layers["bn1"]["activation"]["deviation"] == pytest.approx(1, abs=1e-4)
    assert 0 < layers["dropout1"]["activation"]["zeros"] < 0.5  # (a fifth is dropped)


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "zoo:lenet5", "--data", "digits", "--epochs", "1"]
    assert run([*base, "--out", str(tmp_path / "a"), "--inspect-steps", "2,5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["inspection"]
    assert found["step"] == 5 and found["dead"] == []
    lines = [json.loads(line) for line in Path(found["records"]).read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 5] and all(line["schema"] == 1 for line in lines)
    assert ElementTree.parse(tmp_path / "a" / "inspect.svg").getroot().tag.endswith("svg")
    assert run([*base, "--inspect", "--dry-run", "3"]) == 2
    assert "--inspect writes to the run directory" in capsys.readouterr().err
    for wrong in ("0", "1,,2", "x"):
        assert run([*base, "--inspect-epochs", wrong]) == 2
        assert "no list of numbers" in capsys.readouterr().err
