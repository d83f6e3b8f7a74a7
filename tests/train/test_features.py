"""Results of a layer, for each sample of a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netdsl import driver
from netdsl.cli.main import run
from netdsl.data import open_data
from netdsl.data.prepare import Prepared
from netdsl.driver import Origin
from netdsl.reference import Interpreter
from netdsl.trained import load_trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "lenet5"
    assert run(["train", "zoo:lenet5", "--data", "digits", "--epochs", "2", "--out", str(path)]) == 0
    return path


def features(trained: Path, layer: str, output: Path, *options: str) -> list[str]:
    base = ["features", "zoo:lenet5", "--weights", str(trained), "--data", "digits"]
    return [*base, "--layer", layer, "-o", str(output), *options]


@pytest.mark.parametrize("layer", ["conv2", "fc2"])
def test_they_are_what_the_oracle_gives(trained: Path, tmp_path: Path, layer: str) -> None:
    assert run(features(trained, layer, tmp_path / "f.npz", "--batch", "50")) == 0
    found = np.load(tmp_path / "f.npz")
    data, model = open_data("digits"), driver.load(Origin("zoo:lenet5"))
    weights = load_trained(model, trained)
    assert weights.preparation is not None and found["features"].dtype == np.float32
    images = Prepared(data.test, weights.preparation)
    seen = weights.preparation.normalize(weights.preparation.centre(images.images(np.array([0, 51, 359]))))
    value = model.graph.node(layer).output
    [image] = model.graph.inputs
    expected = Interpreter(model.graph).run({image.name: seen}, weights.parameters, keep=[value]).values[value]
    assert found["features"].shape == (360, *expected.shape[1:])
    np.testing.assert_allclose(found["features"][[0, 51, 359]], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["targets"], data.test.targets)
    assert tuple(found["classes"]) == data.classes and found["layer"] == layer


def test_a_nearest_neighbour_on_top_knows_digits(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "test"):
        assert run(features(trained, "fc2", tmp_path / f"{part}.npz", "--part", part, "--json")) == 0
    assert json.loads(capsys.readouterr().out.split("\n}\n")[1] + "}")["shape"] == [360, 84]
    train, test = (np.load(tmp_path / f"{part}.npz") for part in ("train", "test"))
    squares = (train["features"] ** 2).sum(axis=1) - 2 * test["features"] @ train["features"].T
    assert (train["targets"][squares.argmin(axis=1)] == test["targets"]).mean() > 0.85


def test_wrong_uses(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(features(trained, "fc22", tmp_path / "f.npz")) == 1
    assert "has no layer `fc22`" in (error := capsys.readouterr().err) and "fc2" in error
    assert run(features(trained, "fc2", tmp_path / "f.txt")) == 2
    assert "does not end so" in capsys.readouterr().err
    assert run(features(trained, "fc2", tmp_path / "none" / "f.npz")) == 1
    assert "cannot be written" in capsys.readouterr().err
