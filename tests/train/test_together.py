"""Ensembles and several looks at a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netdsl import driver
from netdsl.cli import eval as eval_verb
from netdsl.cli.main import run
from netdsl.data import open_data
from netdsl.data.prepare import Prepared
from netdsl.data.views import COUNTS, View, margin_for, views
from netdsl.diagnostics import UserError
from netdsl.trained import load_trained, measure, measure_together

DATA = "shapes:size=24,train=240,test=75"
NET = """
net Small {
    input image: [3, 24, 24]
    logits = image -> conv(8, 5x5, stride=2) -> relu -> maxpool(2) -> flatten -> fc(3)
    output probs = softmax(logits)
}
train Small {
    target label: class
    loss cross_entropy(logits, label)
    sgd(lr = 0.02, momentum = 0.9)
    augment crop(4), normalize(mean = 0.5, std = 0.25)
    batch 20
    epochs 2
    metric top1(logits, label), topk(logits, label, k = 2)
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net and two trainings of it."""
    place = tmp_path_factory.mktemp("together")
    (place / "small.net").write_text(NET)
    for seed in ("0", "1"):
        train = ["train", str(place / "small.net"), "--data", DATA, "--seed", seed, "--out", str(place / seed)]
        assert run([*train, "--threads", "1"]) == 0
    return place


def test_places_of_looks() -> None:
    assert eval_verb.COUNTS == COUNTS
    assert views(1) == (View(0.5, 0.5),)
    assert views(2) == (View(0.5, 0.5), View(0.5, 0.5, True))
    for count in COUNTS:
        assert len(set(views(count))) == count
    image = np.arange(8 * 8, dtype=np.float32).reshape(1, 1, 8, 8)
    corners = [view.of(image, 4, 4)[0, 0, 0, 0] for view in views(5)]
    assert corners == [0, 4, 32, 36, 18]
    np.testing.assert_array_equal(View(0, 1, True).of(image, 4, 4)[0, 0, 0], [7, 6, 5, 4])
    with pytest.raises(UserError, match="not 3"):
        views(3)
    assert (margin_for(1, 224, 0), margin_for(10, 224, 0), margin_for(10, 224, 8)) == (0, 32, 8)


def test_the_mean_of_two_networks_and_ten_looks(folder: Path) -> None:
    """Against the same by hand: windows cut out of the pictures, one network after the other."""
    model = driver.load(driver.Origin(str(folder / "small.net")))
    trained = [load_trained(model, folder / seed) for seed in ("0", "1")]
    data, build = open_data(DATA), driver.Build(target="cpu", batch=16, threads=1)
    together = measure_together(trained, data, build, crops=10)

    total = np.zeros((75, 3))
    for one in trained:
        assert one.preparation is not None and one.preparation.margin == 4
        pictures = Prepared(data.test, one.preparation).images(np.arange(75))
        executor = driver.make_executor(model.graph, one.parameters, driver.Build(target="cpu", batch=75, threads=1))
        for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)):
            window = one.preparation.normalize(pictures[:, :, top : top + 24, left : left + 24])
            for shown in (window, np.ascontiguousarray(window[..., ::-1])):
                total += executor.step({"image": shown})["probs"]
    answers = total.argmax(axis=1)
    assert together.test["top1"] == (answers == data.test.targets).mean()
    assert set(together.test) == {"top1", "top2"} and together.test["top2"] >= together.test["top1"]
    assert together.confusion is not None
    np.testing.assert_array_equal(together.confusion.sum(axis=0), np.bincount(answers, minlength=3))


def test_one_network_with_one_look_is_measured_as_ever(folder: Path) -> None:
    model = driver.load(driver.Origin(str(folder / "small.net")))
    trained = load_trained(model, folder / "0")
    data, build = open_data(DATA), driver.Build(target="cpu", batch=20, threads=1)
    alone, together = measure(trained, data, build), measure_together([trained], data, build)
    assert {**together.test, "loss": alone.test["loss"]} == dict(alone.test)
    np.testing.assert_array_equal(alone.confusion, together.confusion)


def test_the_verb(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["eval", str(folder / "small.net"), "--data", DATA, "--weights", str(folder / "0"), str(folder / "1")]
    assert run([*line, "--crops", "10", "--confusion"]) == 0
    shown = capsys.readouterr().out
    assert "2 networks, 10 looks at each" in shown and "triangle" in shown and "loss" not in shown
    assert run([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["members"]) == 2 and found["crops"] == 1 and "loss" not in found["test"]
    assert run([*line, "--crops", "3"]) == 2
    assert run([*line, str(folder / "none")]) == 1


def test_what_cannot_be_measured_together(folder: Path, tmp_path: Path) -> None:
    from tests.train.test_targets import UNET

    data, build = open_data(DATA), driver.Build(target="cpu", batch=20, threads=1)
    (tmp_path / "unet.net").write_text(UNET)
    model = driver.load(driver.Origin(str(tmp_path / "unet.net")))
    from netdsl.trained import Trained
    from netdsl.weights.initialize import initial_parameters

    fresh = Trained(model, tmp_path, initial_parameters(model.graph.params, 0))
    with pytest.raises(UserError, match="leave out --crops"):
        measure_together([fresh], data, build, crops=5)
    both = measure_together([fresh, fresh], data, build)
    alone = measure(fresh, data, build)
    assert both.test["pixel_accuracy"] == alone.test["pixel_accuracy"]
    assert both.names == ("ground", "circle", "square", "triangle")
