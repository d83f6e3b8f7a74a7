"""Zoo networks as tests run them: at any input size, with weights under which every layer matters."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.driver import Origin, load
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph
from netdsl.ir.types import DType
from netdsl.resolve import resolve

Array = np.ndarray[Any, Any]
FULL = os.environ.get("NETDSL_TEST_FULL") == "1"
"""Whether tests may take many minutes."""


def zoo_model(name: str, side: int | None = None, folder: Path | None = None, **arguments: object) -> Model:
    """A zoo net as it is, or, written anew into ``folder``, for square images of ``side`` pixels."""
    if side is None:
        return load(Origin(f"zoo:{name}", arguments=arguments))
    found = resolve(f"zoo:{name}")
    text, count = re.subn(
        r"input image: \[(\d+),.*\]", rf"input image: [\1, {side}, {side}]", found.path.read_text(encoding="utf-8")
    )
    assert count == 1 and folder is not None
    path = folder / f"{name}-{side}.net"
    text = text.partition("\ntrain ")[0]  # heads that only training has may need more pixels
    path.write_text(text, encoding="utf-8")
    return load(Origin(str(path), found.net, arguments))


def show_scores(graph: Graph) -> None:
    """Make what goes into a softmax an output too: one large score would hide differences between the others."""
    for value in list(graph.outputs.values()):
        if value.node.op == "softmax":
            graph.outputs["scores"] = value.node.inputs[0]


def used_parameters(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Parameters as of a trained network: He-sized weights, no bias 0, no scale 1, statistics of real data.

    Scales of batch normalization are below 1, so that the scores of deep residual networks stay a few units large.
    """
    rng = np.random.default_rng(seed)
    params: dict[str, Array] = {}
    for node in graph.params:
        shape, init = node.output.type.shape, node.attrs["init"]
        leaf = node.name.rpartition(".")[2]
        if leaf == "running_var":
            drawn = 0.5 + 1.5 * rng.random(shape, np.float32)
        elif leaf == "weight" and init.kind == "ones":
            drawn = 0.2 + 0.6 * rng.random(shape, np.float32)
        elif leaf == "weight":
            drawn = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / init.fan_in))
        else:
            drawn = 0.2 * rng.standard_normal(shape, np.float32)
        params[node.name] = drawn
    return params


def image(graph: Graph, batch: int, seed: int = 0) -> dict[str, Array]:
    """Normally distributed pixels for the one input."""
    [node] = graph.inputs
    return {node.name: np.random.default_rng(seed).standard_normal(node.types[0].full_shape(batch), np.float32)}


def step_inputs(graph: Graph, batch: int, step: int) -> dict[str, Array]:
    """What a training step over ``image`` and class numbers reads, a function of ``step``."""
    rng = np.random.default_rng((batch, step))
    given: dict[str, Array] = {
        "lr": np.array(0.01, np.float32),
        "step": np.array(step, np.int32),
        "seed": np.array(7, np.int32),
    }
    for node in graph.inputs:
        shape = node.types[0].full_shape(batch)
        if node.types[0].dtype is DType.I32 and node.name not in given:
            given[node.name] = rng.integers(0, 10, shape, dtype=np.int32)
        elif node.name not in given:
            given[node.name] = rng.standard_normal(shape, np.float32)
    return {node.name: given[node.name] for node in graph.inputs}
