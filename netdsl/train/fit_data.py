"""Whether a data set and a batch fit what a recipe trains."""

from __future__ import annotations

from math import prod

from netdsl.data.base import Data
from netdsl.diagnostics import Code, UserError
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import DType
from netdsl.source import Span
from netdsl.train.recipe import Recipe

GEOMETRIC = ("crop", "shift", "rotate", "flip")


def check_targets(recipe: Recipe, data: Data) -> None:
    """Raises UserError when the net's targets or number of classes are not what the data have."""
    images = [node for node in recipe.graph.inputs if node.name not in recipe.targets]
    if len(images) != 1 or len(images[0].output.type.shape) != 3:
        raise UserError.of(
            Code.DATA_SHAPE,
            f"data sets give one picture [C, H, W] a sample; `{recipe.graph.name}` takes "
            + (", ".join(f"`{node.name}` {node.output.type}" for node in images) or "none"),
            span=_span(images[0]) if images else None,
        )
    if len(recipe.targets) > 1:
        raise UserError.of(Code.DATA_LABELS, "data sets have one target a sample; the net is trained on more")
    moving = [step.name for step in recipe.augment if step.name in GEOMETRIC]
    for name in recipe.targets:
        if moving and recipe.graph.node(name).output.type.shape:
            raise UserError.of(
                Code.TRAIN_SETTING,
                f"`{moving[0]}` would move the pictures but not `{name}`, a target a pixel",
            )
        _check_target(recipe.graph, recipe.graph.node(name), data)


def check_batch(step: Graph, batch: int) -> None:
    """Raises UserError where batch normalization would see one value a channel: it would turn each into 0."""
    for node in step.nodes:
        if node.op == "bn_train" and batch * prod(node.inputs[0].type.shape[1:]) == 1:
            raise UserError.of(
                Code.TRAIN_SETTING,
                f"`{node.name}` has one value a channel to normalize over: a batch of 1, and a map of one pixel",
                span=_span(node),
                help="train with a larger batch: `--batch 2`",
            )


def _check_target(graph: Graph, target: Node, data: Data) -> None:
    for split in (data.train, data.test):
        shape = split.targets.shape[1:]
        if shape != target.output.type.shape or target.output.type.dtype is not DType.I32:
            raise UserError.of(
                Code.DATA_SHAPE,
                f"`{target.name}` is {target.output.type}; {data.name} has a class number"
                + (f" for each of {list(shape)} pixels" if shape else " a sample"),
                span=_span(target),
            )
    for node, _ in graph.uses().get(target.output, []):
        classes = node.inputs[0].type.shape[0] if node.inputs[0].type.shape else 0
        if node.inputs[0] != target.output and classes != len(data.classes):
            raise UserError.of(
                Code.DATA_LABELS,
                f"`{node.inputs[0].name}` scores {classes} classes; {data.name} has {len(data.classes)}",
                span=_span(node),
                help=f"give the net as many: `--set classes={len(data.classes)}`",
            )


def _span(node: Node) -> Span | None:
    return min(node.spans, key=lambda span: span.start, default=None)
