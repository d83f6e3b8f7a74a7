"""A net small enough to train in milliseconds, with everything that has state: momentum, BN, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netdsl.data import ArraySplit, Data
from netdsl.ir.graph import Graph
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.ops.base import Init
from netdsl.reference import ReferenceStep
from netdsl.train.loop import Compiler
from netdsl.train.recipe import AugmentStep, Metric, Recipe
from netdsl.train.schedule import Constant, Schedule
from netdsl.updates import EVERY_STEP, UpdateRule

SIDE = 3


def colour_recipe(
    *,
    batch: int = 4,
    epochs: int = 2,
    rate: float = 0.1,
    schedule: Schedule | None = None,
    augment: tuple[AugmentStep, ...] = (),
    optimizer: tuple[str, Mapping[str, Any]] = ("sgd", {"momentum": 0.9, "weight_decay": 1e-3}),
    rule: UpdateRule = EVERY_STEP,
) -> Recipe:
    """Tells which colour channel of a pixel is strongest: bn, dropout, scale and shift a channel."""
    graph = Graph("Colours")
    build = builder(graph)
    image = build.input("image", TensorType((3, SIDE, SIDE)))
    label = build.input("label", TensorType((SIDE, SIDE), dtype=DType.I32))
    trained = {"trainable": True, "decay": True}
    kept = {"trainable": False, "decay": False}
    bn = [
        build.param("bn1.weight", (3,), {"init": Init("ones"), **trained}),
        build.param("bn1.bias", (3,), {"init": Init("zeros"), **trained}),
        build.param("bn1.running_mean", (3,), {"init": Init("zeros"), **kept}),
        build.param("bn1.running_var", (3,), {"init": Init("ones"), **kept}),
    ]
    weight = build.param("scale.weight", (3,), {"init": Init("normal", 0.1), **trained})
    normed = build.op("bn", [image, *bn], name="bn1").output
    dropped = build.op("dropout", [normed], {"p": 0.2}, name="dropout1").output
    logits = build.op("mul", [dropped, weight], name="logits").output
    graph.outputs = {"probs": build.op("softmax", [logits], name="probs").output}
    loss = build.op("cross_entropy", [logits, label], name="loss").output
    return Recipe(
        graph,
        loss,
        ("label",),
        optimizer,
        rate,
        batch,
        epochs,
        schedule if schedule is not None else Constant(),
        augment,
        (Metric("pixel_accuracy", "pixel_accuracy", logits, "label"),),
        rule,
    )


def colour_data(train: int = 22, test: int = 7) -> Data:
    random = np.random.default_rng(4)

    def split(count: int) -> ArraySplit:
        pixels = random.integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
        return ArraySplit(pixels, pixels.argmax(axis=1).astype(np.int64))

    return Data("colours", ("red", "green", "blue"), split(train), split(test))


def reference(graph: Graph, parameters: Mapping[str, Any], batch: int) -> ReferenceStep:
    return ReferenceStep(graph, parameters, np.float32)


REFERENCE = Compiler(reference, reference)


def acting_at(step: int, act: Callable[[], None]) -> Compiler:
    """As `REFERENCE`, with something that happens before step number ``step`` is taken, counted from 1."""

    class Acting(ReferenceStep):
        count = 0

        def step(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            Acting.count += 1
            if Acting.count == step:
                act()
            return super().step(inputs)

    return Compiler(lambda graph, parameters, batch: Acting(graph, parameters, np.float32), REFERENCE.inference)
