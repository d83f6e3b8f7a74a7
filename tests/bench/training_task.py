"""The networks of the training benchmark, and what every program is given of one: weights and batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netdsl.ir.graph import Graph, Value
from netdsl.weights.initialize import initial_parameters
from tests.bench.nets import NETWORKS, Array, Network, read_arrays

BATCHES = {
    "lenet5": 64,
    "resnet18": 8,
    "resnet50": 4,
    "googlenet": 8,
    "densenet121": 4,
    "vgg16": 2,
    "unet": 1,
}
"""Samples of a step, by the network's key in NETWORKS."""

SGD = {"momentum": 0.9, "weight_decay": 1e-4}
RATE = 1e-5
"""Of the steps whose losses are compared. Larger steps multiply float32's rounding: at 0.01 PyTorch's own float32 and
float64 are 0.8 % apart at GoogLeNet's third; at 1e-4 ResNet-50's third is 0.2 % from netdsl's. Updates at
ordinary rates are compared by ``tests/parity``."""

COMPARED = 3
LABEL = "label"


@dataclass(frozen=True)
class TrainingTask:
    """One network at its batch size, its files in a folder of its own."""

    network: Network
    batch: int
    folder: Path

    @staticmethod
    def prepare(key: str, seed: int, folder: Path) -> TrainingTask:
        """Write the weights that training starts with, and batches of noise with random labels."""
        task = TrainingTask(NETWORKS[key], BATCHES[key], folder)
        graph, logits = task.net()
        np.savez(folder / "parameters.npz", **initial_parameters(graph.params, seed))
        random = np.random.default_rng(seed)
        classes, *positions = logits.type.shape
        for number in range(COMPARED):
            arrays = {n.name: random.normal(size=n.types[0].full_shape(task.batch)) for n in graph.inputs}
            batch: dict[str, Array] = {name: array.astype(np.float32) for name, array in arrays.items()}
            batch[LABEL] = random.integers(0, classes, (task.batch, *positions), dtype=np.int32)
            np.savez(folder / f"batch{number}.npz", **batch)
        return task

    def net(self) -> tuple[Graph, Value]:
        """The layers up to the scores that the loss takes, and those. Nothing is dropped out: every program draws
        random numbers of its own, so that no two losses would be alike."""
        graph = self.network.graph()
        for node in graph.nodes:
            if node.op == "dropout":
                node.attrs["p"] = 0.0
        output = next(iter(graph.outputs.values()))
        scores = output.node.inputs[0] if output.node.op in ("softmax", "log_softmax") else output
        graph.outputs = {"scores": scores}
        graph.prune()
        return graph, scores

    def parameters(self) -> dict[str, Array]:
        return read_arrays(self.folder / "parameters.npz")

    def compared(self) -> list[Mapping[str, Array]]:
        """The first steps, each with a batch of its own."""
        return [self._step(number, RATE) for number in range(COMPARED)]

    def inputs(self) -> Mapping[str, Array]:
        """The step that is timed. Its rate is 0: however often it runs, weights stay as they are, so that no program
        has to reckon with the vanishing or infinite numbers of a network that has seen one batch a thousand times."""
        return self._step(0, 0.0)

    def _step(self, number: int, rate: float) -> dict[str, Array]:
        counters = {"step": np.array(number, np.int32), "seed": np.array(0, np.int32)}
        return read_arrays(self.folder / f"batch{number}.npz") | counters | {"lr": np.array(rate, np.float32)}
