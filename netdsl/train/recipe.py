"""What a `train` block means, in the terms of the trainer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from netdsl.data.augment import Augmentation, Crop, Flip, Rotate, Shift
from netdsl.data.base import Data
from netdsl.data.prepare import Preparation
from netdsl.ir.graph import Graph, Value
from netdsl.train.schedule import Schedule


@dataclass(frozen=True)
class Metric:
    """A measure of the test set. ``name`` is what it is called in reports and files.

    ``top`` and ``pixel_accuracy`` compare ``value``, scores of classes, with the input ``target``: the share
    that is right (among the ``k`` best). ``mean`` is a loss: one number a batch, the smaller the better.
    """

    name: str
    kind: Literal["top", "pixel_accuracy", "mean"]
    value: Value
    target: str = ""
    k: int = 1


@dataclass(frozen=True)
class AugmentStep:
    """One `augment` entry: its name and arguments."""

    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How to train a net.

    ``graph`` is the net with its targets as further inputs and the loss (one number, the mean over the
    batch) as a value. ``optimizer`` names the op and its arguments; ``rate`` is the base learning rate.
    """

    graph: Graph
    loss: Value
    targets: tuple[str, ...]
    optimizer: tuple[str, Mapping[str, Any]]
    rate: float
    batch: int
    epochs: int
    schedule: Schedule
    augment: tuple[AugmentStep, ...] = ()
    metrics: tuple[Metric, ...] = ()

    def shares(self) -> frozenset[str]:
        """The metrics that are shares of 1."""
        return frozenset(metric.name for metric in self.metrics if metric.kind != "mean")

    def image_input(self) -> tuple[str, tuple[int, ...]]:
        """Name and shape [C, H, W] of the input that pictures go to."""
        inputs = [node for node in self.graph.inputs if node.name not in self.targets]
        return inputs[0].name, inputs[0].output.type.shape

    def preparation(self, data: Data) -> Preparation:
        """How pictures become inputs, always: the net's size, and `augment`'s crop margin, fit and
        normalization (`resize` overrides the data's own fit)."""
        channels, height, width = self.image_input()[1]
        result = Preparation(channels, height, width, data.fit, native=data.native)
        for step in self.augment:
            if step.name == "crop":
                result = replace(result, margin=int(step.args["margin"]))
            elif step.name == "resize":
                result = replace(result, fit=step.args["fit"])
            elif step.name == "normalize":
                mean, std = _numbers(step.args["mean"]), _numbers(step.args["std"])
                result = replace(result, mean=mean, std=std)
        return result

    def augmentations(self) -> list[Augmentation]:
        """The random changes, in the order of the file (a crop first: the others work at the net's size)."""
        _, height, width = self.image_input()[1]
        makers: dict[str, Callable[[Mapping[str, Any]], Augmentation]] = {
            "crop": lambda args: Crop(height, width),
            "shift": lambda args: Shift(int(args["pixels"])),
            "rotate": lambda args: Rotate(float(args["degrees"])),
            "flip": lambda args: Flip(),
        }
        ordered = sorted(self.augment, key=lambda step: step.name != "crop")
        return [makers[step.name](step.args) for step in ordered if step.name in makers]

    def settings(self) -> dict[str, Any]:
        """All that a resumed training must have in common with the one it continues, as plain JSON."""
        settings = {
            "optimizer": self.optimizer[0],
            "optimizer_args": dict(sorted(self.optimizer[1].items())),
            "rate": self.rate,
            "batch": self.batch,
            "schedule": repr(self.schedule),
            "augment": [[step.name, dict(sorted(step.args.items()))] for step in self.augment],
        }
        return dict(json.loads(json.dumps(settings)))


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (list, tuple)) else (float(value),)
