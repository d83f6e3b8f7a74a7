"""A step divided among ranks against the same step taken whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_ranks import LocalExchange, Meeting, together

from netdsl import driver
from netdsl.autodiff import training_graph
from netdsl.diagnostics import UserError
from netdsl.division import SHARE, Division, counted
from netdsl.driver import Build, Origin
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph
from netdsl.ops import verify
from netdsl.updates import UpdateRule
from netdsl.weights.initialize import initial_parameters

Arrays = dict[str, Any]

NET = """
net Net {{
    input image: [3, 9, 9]
    logits = image -> conv(19, 3x3, pad=1, {norm} -> relu -> maxpool(3) -> dropout(0.3) -> flatten -> fc(5)
    output probs = softmax(logits)
}}
train Net {{
    target label: class
    loss {loss}
    sgd(lr = 0.1, momentum = 0.9, weight_decay = 1e-3)
    batch 6
    epochs 2
}}
"""
MEAN = "cross_entropy(logits, label)"
PARTLY = "cross_entropy(logits, label, ignore = 4)"
TOLERANCE = 2e-5
"""Relative to the largest number of a tensor: float32 sums over the samples in another order, ten steps long."""


def model_of(folder: Path, loss: str = MEAN, *, norm: bool = False) -> Model:
    path = folder / "net.net"
    path.write_text(NET.format(norm="bias=no) -> bn" if norm else "bias=yes)", loss=loss))
    return driver.load(Origin(str(path)))


def step_of(model: Model, rule: UpdateRule, division: Division | None = None) -> Graph:
    assert model.train is not None
    settings = {"momentum": 0.9, "weight_decay": 1e-3}
    train = model.train
    return training_graph(train.graph, train.loss, optimizer=("sgd", settings), rule=rule, division=division)


def batches(count: int, size: int) -> list[Arrays]:
    random = np.random.default_rng(7)
    found = []
    for step in range(count):
        image = random.standard_normal((size, 3, 9, 9)).astype(np.float32)
        label = random.integers(0, 5, size).astype(np.int32)
        found.append({"image": image, "label": label} | numbers(step))
    return found


def numbers(step: int) -> Arrays:
    return {"lr": np.float32(0.05).reshape(()), "step": np.int32(step).reshape(()), "seed": np.int32(3).reshape(())}


def whole(model: Model, rule: UpdateRule, given: list[Arrays]) -> tuple[list[float], Arrays]:
    """Losses and parameters of steps that one process takes."""
    step = step_of(model, rule)
    size = len(given[0]["image"])
    executor = driver.make_executor(step, initial_parameters(step.params, 1), Build(batch=size, threads=1))
    return [float(executor.step(inputs)["loss"]) for inputs in given], executor.get_parameters()


def divided(
    model: Model, rule: UpdateRule, given: list[Arrays], ranks: int, *, sync: bool = False, alike: bool = True
) -> list[tuple[list[float], Arrays]]:
    """The same of each of several ranks."""
    size = len(given[0]["image"])
    assert model.train is not None
    label = counted(model.train.graph, model.train.loss)

    def work(rank: int, meeting: Meeting) -> tuple[list[float], Arrays]:
        first, stop = size * rank // ranks, size * (rank + 1) // ranks
        step = step_of(model, rule, Division(first, stop - first, size, rank == 0, sync))
        assert not verify(step)
        build = Build(batch=stop - first, threads=1)
        executor: Any = driver.make_executor(step, initial_parameters(step.params, 1), build)
        executor.connect(LocalExchange(meeting, rank, alike))
        losses = []
        for inputs in given:
            part = {name: array[first:stop] if array.ndim else array for name, array in inputs.items()}
            counts = (inputs["label"] != 4) if label else np.ones(size)
            part[SHARE] = np.float32(counts[first:stop].sum() / counts.sum()).reshape(())
            losses.append(float(executor.step(part)["loss"]))
        return losses, executor.get_parameters()

    return together(ranks, work)


def assert_near(found: tuple[list[float], Arrays], expected: tuple[list[float], Arrays]) -> None:
    np.testing.assert_allclose(found[0], expected[0], rtol=TOLERANCE)
    assert found[1].keys() == expected[1].keys()
    for name, array in expected[1].items():
        assert np.abs(found[1][name] - array).max() <= TOLERANCE * max(np.abs(array).max(), 1e-3), name


def assert_equal_ranks(found: list[tuple[list[float], Arrays]]) -> None:
    for losses, parameters in found[1:]:
        assert losses == found[0][0]
        for name, array in parameters.items():
            np.testing.assert_array_equal(array, found[0][1][name], err_msg=name)


RULES = {
    "plain": UpdateRule(),
    "clipped": UpdateRule(clip_norm=0.5, average=0.9),
    "collected": UpdateRule(accumulate=2, clip_value=0.01),
}


@pytest.mark.parametrize(("rule", "ranks"), [("plain", 2), ("plain", 3), ("clipped", 2), ("collected", 2)])
def test_ranks_take_the_step_that_one_process_takes(tmp_path: Path, rule: str, ranks: int) -> None:
    """With dropout, whose masks are the samples', and parts of unequal size."""
    model, given = model_of(tmp_path), batches(10, 7)
    found = divided(model, RULES[rule], given, ranks)
    assert_equal_ranks(found)
    assert_near(found[0], whole(model, RULES[rule], given))


def test_samples_that_do_not_count_weigh_nothing(tmp_path: Path) -> None:
    """One rank has none that counts in the first step: its loss alone is no number."""
    model, given = model_of(tmp_path, PARTLY), batches(10, 6)
    given[0]["label"][:3] = 4
    given[0]["label"][3:] = 1
    found = divided(model, RULES["plain"], given, 2)
    assert_equal_ranks(found)
    assert_near(found[0], whole(model, RULES["plain"], given))


def test_synchronized_normalization_is_that_of_one_process(tmp_path: Path) -> None:
    model, given = model_of(tmp_path, norm=True), batches(6, 7)
    found = divided(model, RULES["plain"], given, 3, sync=True)
    assert_equal_ranks(found)
    assert_near(found[0], whole(model, RULES["plain"], given))


def test_own_normalization_keeps_the_mean_of_the_statistics(tmp_path: Path) -> None:
    """Of the first step the ranks' own statistics are known: those of the steps that each takes alone."""
    model, given = model_of(tmp_path, norm=True), batches(1, 6)
    found = divided(model, RULES["plain"], given, 2)
    assert_equal_ranks(found)
    halves = [{n: a[part] if a.ndim else a for n, a in given[0].items()} for part in (slice(3), slice(3, 6))]
    alone = [whole(model, RULES["plain"], [half])[1] for half in halves]
    # Behind the first normalization: what a dropout leaves of the second half differs with its samples' numbers.
    for name in ("bn1.running_mean", "bn1.running_var"):
        mean = (alone[0][name] + alone[1][name]) / 2
        np.testing.assert_allclose(found[0][1][name], mean, rtol=1e-6, atol=1e-7)
    assert found[0][1].keys() == alone[0].keys()


def test_ranks_may_keep_their_weights_in_other_orders(tmp_path: Path) -> None:
    model, given = model_of(tmp_path), batches(3, 6)
    found = divided(model, RULES["plain"], given, 2, alike=False)
    assert_equal_ranks(found)
    for name, array in divided(model, RULES["plain"], given, 2)[0][1].items():
        np.testing.assert_array_equal(found[0][1][name], array, err_msg=name)


def test_a_sum_is_waited_for_only_behind_the_backward_pass(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    step = step_of(model, RULES["plain"], Division(0, 3, 6, True))
    ops = [node.op for node in step.nodes]
    first_end, last_begin = ops.index("rank_sum_end"), len(ops) - 1 - ops[::-1].index("rank_sum_begin")
    gradients = [place for place, op in enumerate(ops) if "grad" in op]
    assert last_begin < first_end and max(gradients) < first_end
    assert min(place for place, op in enumerate(ops) if op == "rank_sum_begin") < min(gradients)


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        ("cross_entropy(logits, label) * cross_entropy(logits, label)", "no sum of means"),
        ("cross_entropy(logits, label) + cross_entropy(logits, label, ignore = 4)", "different positions"),
    ],
)
def test_a_loss_that_ranks_cannot_divide_is_refused(tmp_path: Path, loss: str, why: str) -> None:
    model = model_of(tmp_path, loss)
    assert model.train is not None
    with pytest.raises(UserError, match=why):
        counted(model.train.graph, model.train.loss)


def test_sums_and_constant_factors_can_be_divided(tmp_path: Path) -> None:
    model = model_of(tmp_path, "0.5 * cross_entropy(logits, label) + 0.3 * cross_entropy(logits, label, smooth = 0.1)")
    given = batches(4, 7)
    assert_near(divided(model, RULES["plain"], given, 2)[0], whole(model, RULES["plain"], given))


def test_an_error_of_who_adds_up_comes_out_of_the_step(tmp_path: Path) -> None:
    model, given = model_of(tmp_path), batches(1, 4)

    class Broken(LocalExchange):
        def end(self, group: int) -> None:
            raise ConnectionError("the other end is gone")

    step = step_of(model, RULES["plain"], Division(0, 4, 4, True))
    executor: Any = driver.make_executor(step, initial_parameters(step.params, 1), Build(batch=4, threads=1))
    executor.connect(Broken(Meeting(1), 0))
    with pytest.raises(ConnectionError, match="the other end"):
        executor.step(given[0] | {SHARE: np.float32(1).reshape(())})
