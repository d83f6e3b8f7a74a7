"""Test accuracy on the digits over several seeds: netdsl, and the same recipe in PyTorch.

    python tests/bench/digits.py [SEEDS]

Both start from the same weights and see the same batches in the same order; only the arithmetic differs.
Prints the accuracies after the last epoch, sorted, with median and mean.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netdsl import driver
from netdsl.data import open_data
from netdsl.data.batches import TrainingBatches, evaluation_batches
from netdsl.data.prepare import Prepared
from netdsl.train.from_spec import recipe_of
from netdsl.train.schedule import Horizon
from netdsl.trainer import Trainer
from netdsl.weights.initialize import initial_parameters

MODEL = driver.load(driver.Origin("zoo:lenet5"))
DATA = open_data("digits")


def with_netdsl(seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return Trainer(MODEL, DATA, seed=seed, out=Path(folder) / "run").fit().test["top1"]


def torch_lenet(seed: int) -> Any:
    import torch
    from torch import nn

    layers = [
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    ]  # fmt: skip
    net = nn.Sequential(*layers)
    start = initial_parameters(MODEL.graph.params, seed)
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), start.values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    return net


def with_torch(seed: int) -> float:
    import torch

    torch.set_num_threads(1)
    recipe, net = recipe_of(MODEL), torch_lenet(seed)
    preparation = recipe.preparation(DATA)
    batches = TrainingBatches(DATA.train, preparation, recipe.augmentations(), batch=recipe.batch, seed=seed)
    args = dict(recipe.optimizer[1])
    optimizer = torch.optim.SGD(net.parameters(), lr=recipe.rate, **args)
    horizon, step = Horizon(batches.steps, recipe.epochs), 0
    for epoch in range(recipe.epochs):
        for batch in batches.epoch(epoch):
            optimizer.param_groups[0]["lr"] = recipe.rate * recipe.schedule.factor(step, horizon)
            loss = torch.nn.functional.cross_entropy(
                net(torch.from_numpy(batch.images)), torch.from_numpy(batch.targets)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    right = 0
    with torch.no_grad():
        for batch in evaluation_batches(Prepared(DATA.test, preparation), 60):
            found = net(torch.from_numpy(batch.images)).argmax(1).numpy()
            right += int((found == batch.targets)[: batch.count].sum())
    return right / len(DATA.test)


def measure(name: str, train: Callable[[int], float], seeds: int) -> None:
    started = time.perf_counter()
    accuracies = sorted(train(seed) for seed in range(seeds))
    seconds = (time.perf_counter() - started) / seeds
    listed = " ".join(f"{accuracy:.4f}" for accuracy in accuracies)
    median, mean = statistics.median(accuracies), statistics.mean(accuracies)
    print(f"{name:8} median {median:.4f}  mean {mean:.4f}  {seconds:.1f} s a training  [{listed}]", flush=True)


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measure("netdsl", with_netdsl, seeds)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed: nothing to compare with")
        return
    measure("PyTorch", with_torch, seeds)


if __name__ == "__main__":
    main()
