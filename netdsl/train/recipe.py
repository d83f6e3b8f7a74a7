"""What a `train` block means, in the terms of the trainer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from netdsl.data.augment import Augmentation
from netdsl.data.base import Data
from netdsl.data.mixup import Mixup
from netdsl.data.prepare import Preparation
from netdsl.data.targets import Kind, kind_of
from netdsl.ir.graph import Graph, Value
from netdsl.ir.types import TensorType
from netdsl.train.augmentations import Input, made, margin_of
from netdsl.train.schedule import Schedule
from netdsl.train.soft_targets import MIXUP, with_soft_targets
from netdsl.updates import EVERY_STEP, UpdateRule

AVERAGED = "ema."
"""Begins the names of loss and metrics that were measured with averaged weights."""


@dataclass(frozen=True)
class Metric:
    """A measure of the test set. ``name`` is what it is called in reports and files.

    ``top`` and ``pixel_accuracy`` compare ``value``, scores of classes, with the input ``target``: the share
    that is right (among the ``k`` best); pixels of the class ``ignore`` don't count. ``mean`` is a loss: one number
    a batch, the smaller the better.
    """

    name: str
    kind: Literal["top", "pixel_accuracy", "mean"]
    value: Value
    target: str = ""
    k: int = 1
    ignore: int | None = None


@dataclass(frozen=True)
class AugmentStep:
    """One `augment` entry: its name and arguments."""

    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How to train a net.

    ``graph`` is the net with its targets as further inputs and the loss (one number, the mean over the
    batch) as a value. ``optimizer`` names the op and its arguments; ``rate`` is the base learning rate; ``rule`` is
    what else is between gradients and new weights. ``soft`` are the targets that are shares of classes in training,
    because it mixes samples.
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
    rule: UpdateRule = EVERY_STEP
    soft: tuple[str, ...] = ()

    def shares(self) -> frozenset[str]:
        """The metrics that are shares of 1, of averaged weights too."""
        names = [metric.name for metric in self.metrics if metric.kind != "mean"]
        return frozenset(prefix + name for prefix in ("", AVERAGED) for name in names)

    def image_input(self) -> tuple[str, tuple[int, ...]]:
        """Name and shape [C, H, W] of the input that pictures go to."""
        inputs = [node for node in self.graph.inputs if node.name not in self.targets]
        return inputs[0].name, inputs[0].output.type.shape

    def preparation(self, data: Data) -> Preparation:
        """How pictures become inputs, always: the net's size, and `augment`'s crop margin, fit and
        normalization (`resize` overrides the data's own fit)."""
        channels, height, width = self.image_input()[1]
        result = Preparation(channels, height, width, data.fit, margin_of(self._steps()), native=data.native)
        for step in self.augment:
            if step.name == "resize":
                result = replace(result, fit=step.args["fit"])
            elif step.name == "normalize":
                mean, std = _numbers(step.args["mean"]), _numbers(step.args["std"])
                result = replace(result, mean=mean, std=std)
        return result

    def augmentations(self) -> list[Augmentation]:
        """The random changes, in the order of the file (crops first: the others work at the net's size)."""
        _, height, width = self.image_input()[1]
        means = [_numbers(step.args["mean"]) for step in self.augment if step.name == "normalize"]
        return made(self._steps(), Input(height, width, means[-1] if means else (0.0,)))

    def mixup(self) -> Mixup | None:
        """How training samples are mixed, if they are."""
        found = [step.args["alpha"] for step in self.augment if step.name == MIXUP]
        return Mixup(float(found[0])) if found else None

    def for_steps(self) -> tuple[Graph, Value]:
        """Graph and loss as training has them: where targets are shares of classes, with such."""
        return with_soft_targets(self.graph, self.loss, self.soft)

    @cached_property
    def share_types(self) -> dict[str, TensorType]:
        """The types of the ``soft`` targets in training."""
        graph, _ = self.for_steps()
        return {name: graph.node(name).output.type for name in self.soft}

    def _steps(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(step.name, step.args) for step in self.augment]

    def kinds(self) -> dict[str, Kind | None]:
        """What each target is."""
        return {name: kind_of(self.graph.node(name).output.type) for name in self.targets}

    def wanted(self) -> tuple[Kind, ...]:
        """The kinds of targets to load."""
        return tuple(dict.fromkeys(kind for kind in self.kinds().values() if kind is not None))

    def void(self) -> int:
        """The class of pixels that come in from outside of a picture: one that the loss ignores, or 0."""
        uses = self.graph.uses()
        nodes = [node for name in self.targets for node, _ in uses.get(self.graph.node(name).output, [])]
        ignored = [node.attrs["ignore"] for node in nodes if node.attrs.get("ignore") is not None]
        return int(ignored[0]) if ignored else 0

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
        if self.rule != EVERY_STEP:
            settings["rule"] = asdict(self.rule)
        return dict(json.loads(json.dumps(settings)))


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (list, tuple)) else (float(value),)
