"""Training on mixtures of two samples: the mixtures, the loss on them, and that a run stays what its seed makes it."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_loop import assert_same_training, made
from training_nets import REFERENCE

from netdsl import driver
from netdsl.autodiff import gradient_graph
from netdsl.cli.main import run
from netdsl.data import ArraySplit, Preparation, counter, open_data
from netdsl.data.augment import Flip, Shift
from netdsl.data.batches import Batch, TrainingBatches
from netdsl.data.mixup import Mixup
from netdsl.driver import Build, Origin
from netdsl.ir.graph import Graph
from netdsl.plan.executor import Executor
from netdsl.reference import Interpreter
from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.from_spec import recipe_of
from netdsl.train.loop import Compiler, Interrupted, Loop
from netdsl.train.recipe import Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.trainer import Trainer, compiler_for
from netdsl.weights.initialize import initial_parameters

Array = np.ndarray[Any, Any]

NET = """
net Small(classes: int = 10) {{
    input image: [1, 8, 8]
    scores = image -> conv(10, 3x3, pad = 1)
    logits = scores -> relu -> maxpool(2) -> dropout(0.1) -> flatten -> fc(classes)
    output probs = softmax(logits)
}}

train Small {{
    {targets}
    loss {loss}
    sgd(lr = 0.1, momentum = 0.9)
    augment shift(1), mixup(0.4)
    batch 24
    epochs 2
}}
"""
LABEL, PLAIN = "target label: class", "cross_entropy(logits, label)"


def recipe(folder: Path, loss: str = PLAIN, targets: str = LABEL) -> Recipe:
    (folder / "small.net").write_text(NET.format(targets=targets, loss=loss))
    return recipe_of(driver.load(Origin(str(folder / "small.net"))))


# -- the mixtures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "distribution"),
    [
        (1.0, lambda x: x),
        (0.5, lambda x: 2 / np.pi * np.arcsin(np.sqrt(x))),
        (2.0, lambda x: 3 * x**2 - 2 * x**3),
    ],
)
def test_shares_are_of_the_beta_distribution(alpha: float, distribution: Any) -> None:
    shares = np.sort(Mixup(alpha).shares(counter.words(7, 0, np.arange(40_000), counter.MIXUP_STREAM)))
    distance = np.abs(distribution(shares.astype(np.float64)) - np.arange(0.5, 40_000) / 40_000).max()
    assert distance < 1.63 / 200  # (Kolmogorov and Smirnov: one seed of a hundred is further off; this one is not)


@pytest.mark.parametrize("alpha", [1e-3, 0.02, 0.2, 20.0, 1e3])
def test_shares_of_any_alpha(alpha: float) -> None:
    shares = Mixup(alpha).shares(counter.words(1, 2, np.arange(100_000), 3)).astype(np.float64)
    assert shares.min() >= 0 and shares.max() <= 1 and np.isfinite(shares).all()
    # A Beta(a, a) number has the mean 1/2 and the variance 1 / (4 (2a + 1)); 100,000 tell it to about a hundredth.
    assert shares.mean() == pytest.approx(0.5, abs=5e-3)
    assert shares.var() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.02)


def test_the_edges_of_the_random_numbers() -> None:
    most = 0xFFFFFFFF
    words = np.array([[u, v, 0, 0] for u in (0, most) for v in (0, most, 1 << 30, 1 << 31)], dtype=np.uint32)
    for alpha in (1e-3, 0.2, 1e3):
        shares = Mixup(alpha).shares(words)
        assert np.isfinite(shares).all() and ((shares >= 0) & (shares <= 1)).all()


def split(count: int) -> ArraySplit:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return ArraySplit(pixels, np.arange(count) % 5)


def batches(batch: int = 4, mixup: Mixup | None = Mixup(0.4), workers: int | None = None) -> TrainingBatches:  # noqa: B008
    changes = [Shift(1), Flip()]
    preparation = Preparation(1, 4, 4, mean=(0.5,), std=(0.25,))
    return TrainingBatches(split(23), preparation, changes, batch=batch, seed=5, mixup=mixup, workers=workers)


def test_a_mixture_is_of_two_augmented_samples() -> None:
    mixed, plain = batches(), batches(23, mixup=None)
    order = plain.order(1)
    [whole] = plain.epoch(1)
    seen = {int(number): image for number, image in zip(order, whole.images, strict=True)}
    numbers = mixed.order(1)
    partners = mixed.partners(1, numbers)
    assert len(np.unique(partners)) > 8
    for step, batch in enumerate(mixed.epoch(1)):
        assert batch.mixed is not None
        for place, share in enumerate(batch.mixed.share.tolist()):
            own, other = (int(found[4 * step + place]) for found in (numbers, partners))
            expected = share * seen[own].astype(np.float64) + (1 - share) * seen[other]
            np.testing.assert_allclose(batch.images[place], expected, rtol=1e-6, atol=1e-6)
            assert (batch.targets[place], batch.mixed.values["class"][place]) == (own % 5, other % 5)
            weights = np.zeros(5)
            weights[own % 5] += share
            weights[other % 5] += 1 - share
            np.testing.assert_allclose(batch.shares("class", 5)[place], weights, atol=1e-6)


def test_a_mixture_does_not_depend_on_its_batch() -> None:
    def images(found: TrainingBatches, epoch: int = 1) -> dict[int, bytes]:
        order = found.order(epoch).reshape(-1, found.batch)
        loaded = zip(order, found.epoch(epoch), strict=True)
        return {int(n): image.tobytes() for numbers, b in loaded for n, image in zip(numbers, b.images, strict=True)}

    assert images(batches(3)) == images(batches(8)) == images(batches(5, workers=1))
    assert images(batches(3)) != images(batches(3), epoch=2)
    later = list(batches(5).epoch(1, start=2))
    assert [b.images.tobytes() for b in later] == [b.images.tobytes() for b in batches(5).epoch(1)][2:]


def test_shares_of_pixels_and_of_numbers_that_are_no_class() -> None:
    mixed = batches()
    batch = next(mixed.epoch(0))
    assert batch.mixed is not None
    pixels = np.arange(4 * 6).reshape(4, 2, 3) % 3
    others = np.zeros_like(pixels)
    others[0, 0, 0] = 255
    values: Mapping[Any, Array] = {"pixels": pixels}
    found = Batch(batch.images, values, 4, mixed=type(batch.mixed)({"pixels": others}, batch.mixed.share))
    shares = found.shares("pixels", 3)
    assert shares.shape == (4, 3, 2, 3) and np.isnan(shares[0, :, 0, 0]).all() and not np.isnan(shares[1:]).any()
    np.testing.assert_allclose(np.nansum(shares, axis=1)[1:], 1, atol=1e-6)


# -- the loss ----------------------------------------------------------------------------------------

SCORES = "target mask: class [8, 8]"
LOSSES = [
    (LABEL, PLAIN),
    (LABEL, "cross_entropy(logits, label, smooth = 0.2)"),
    (LABEL, "cross_entropy(logits, label) + 0.3 * cross_entropy(scores -> avgpool(global) -> flatten, label)"),
    (SCORES, "cross_entropy(scores, mask, smooth = 0.1)"),
]


@pytest.mark.parametrize(("targets", "loss"), LOSSES)
def test_the_loss_of_a_mixture_is_the_mixture_of_losses(tmp_path: Path, targets: str, loss: str) -> None:
    """Loss and gradients, in float64: cross-entropy is linear in its target."""
    found = recipe(tmp_path, loss, targets)
    [name] = found.soft
    random = np.random.default_rng(0)
    parameters = {n: a.astype(np.float64) for n, a in initial_parameters(found.graph.params, 1).items()}
    images = random.normal(size=(1, 1, 8, 8))
    shape = found.graph.node(name).output.type.shape
    mine, others = (random.integers(0, 10, (1, *shape)) for _ in range(2))

    def computed(graph: Any, target: Array) -> dict[str, Array]:
        step = {"step": np.int32(0), "seed": np.int32(0)}
        inputs = {"image": images, name: target, **step}
        names = {node.name for node in graph.inputs}
        return Interpreter(graph).run({n: a for n, a in inputs.items() if n in names}, parameters).outputs

    hard = gradient_graph(found.graph, found.loss)
    soft = gradient_graph(*found.for_steps())
    assert soft.node(name).output.type == found.share_types[name] and found.share_types[name].shape[0] == 10
    share = 0.3
    one_hot = [np.moveaxis(np.eye(10)[labels], -1, 1) for labels in (mine, others)]
    result = computed(soft, share * one_hot[0] + (1 - share) * one_hot[1])
    first, second = (computed(hard, labels.astype(np.int32)) for labels in (mine, others))
    assert set(result) == set(first) and len(result) > 2
    for key in result:
        expected = share * first[key] + (1 - share) * second[key]
        np.testing.assert_allclose(result[key], expected, rtol=1e-12, atol=1e-14, err_msg=key)


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_the_loss_is_pytorchs(tmp_path: Path, smooth: float) -> None:
    torch = pytest.importorskip("torch", reason="the extra `parity` is not installed")
    found = recipe(tmp_path, f"cross_entropy(scores, mask, smooth = {smooth})", SCORES)
    random = np.random.default_rng(3)
    shares = random.dirichlet(np.ones(10), (2, 8, 8)).transpose(0, 3, 1, 2)
    parameters = initial_parameters(found.graph.params, 1)
    graph, loss = found.for_steps()
    images = random.normal(size=(2, 1, 8, 8))
    scores = graph.node("conv1").output
    ran = Interpreter(graph).run({"image": images, "mask": shares}, parameters, keep=[scores, loss])
    logits = torch.from_numpy(ran.values[scores])
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(shares), label_smoothing=smooth)
    assert float(ran.values[loss]) == pytest.approx(float(expected), rel=1e-12)


def test_losses_that_take_no_shares_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.net").write_text(NET.format(targets=LABEL, loss="cross_entropy(logits, label, ignore = 3)"))
    assert run(["check", str(tmp_path / "small.net"), "--json"]) == 1
    [found] = json.loads(capsys.readouterr().out)["diagnostics"]
    assert found["code"] == "N0702" and "makes shares of two classes" in found["title"]


def test_pictures_that_are_their_own_target_are_mixed(tmp_path: Path) -> None:
    text = NET.format(targets="", loss="mse(logits -> fc(64) -> reshape([1, 8, 8]), image)")
    (tmp_path / "own.net").write_text(text)
    result = Trainer(tmp_path / "own.net", "digits", out=tmp_path / "run", epochs=1, threads=1).fit()
    assert recipe_of(driver.load(Origin(str(tmp_path / "own.net")))).soft == () and result.test["loss"] < 0.2


# -- training ----------------------------------------------------------------------------------------


def test_compiled_steps_on_mixtures_are_the_oracles(tmp_path: Path) -> None:
    found, data = recipe(tmp_path, "cross_entropy(logits, label, smooth = 0.1)"), open_data("digits")
    loop = Loop(found, data, compiler_for(Build(threads=2)), RunDirectory(tmp_path), seed=3)
    losses = loop.rehearse(8).losses
    expected = Loop(found, data, REFERENCE, RunDirectory(tmp_path), seed=3).rehearse(8).losses
    # Eight steps in float32, summed in other orders: as far apart as plain cross-entropy's.
    np.testing.assert_allclose(losses, expected, rtol=2e-5)


def stopping_after(steps: int, compiler: Compiler) -> Compiler:
    """Sends this process SIGINT during step number ``steps``, as Ctrl-C would."""

    def make(graph: Graph, parameters: Mapping[str, Array], batch: int) -> Executor:
        executor = compiler.training(graph, parameters, batch)
        step, taken = executor.step, itertools.count(1)

        def stopping(inputs: Mapping[str, Array]) -> dict[str, Array]:
            if next(taken) == steps:
                os.kill(os.getpid(), signal.SIGINT)
            return step(inputs)

        executor.step = stopping  # type: ignore[method-assign]
        return executor

    return Compiler(make, compiler.inference)


def test_an_interrupted_training_on_mixtures_goes_on_exactly(tmp_path: Path) -> None:
    found, data = recipe(tmp_path), open_data("digits")
    one, two = (compiler_for(Build(threads=threads)) for threads in (1, 2))
    Loop(found, data, one, made(tmp_path / "whole"), seed=3).fit()
    with pytest.raises(Interrupted):
        Loop(found, data, stopping_after(70, one), made(tmp_path / "cut"), seed=3).fit()
    cut = RunDirectory.open(tmp_path / "cut")
    checkpoint = load_checkpoint(cut.last)
    assert checkpoint.progress.step == 70 and checkpoint.settings["augment"][1] == ["mixup", {"alpha": 0.4}]
    Loop(found, data, two, cut, seed=3, workers=1, checkpoint=checkpoint).fit()
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


def test_a_mixed_training_learns(tmp_path: Path) -> None:
    """And is measured on samples as they are: the training loss stays higher than that of the test set."""
    recipe(tmp_path, PLAIN)
    trainer = Trainer(tmp_path / "small.net", "digits", out=tmp_path / "run", epochs=4, threads=1)
    result = trainer.fit()
    last = [record for record in result.run.records() if record["kind"] == "epoch"][-1]
    assert result.test["loss"] < 0.9 < last["loss"] < 1.8
