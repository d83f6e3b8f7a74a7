"""Whether a data set, a batch and patterns of names fit what a recipe trains."""

from __future__ import annotations

from math import prod

from netdsl.data.annotation import VOID, Annotated
from netdsl.data.base import Data, Split
from netdsl.data.targets import GROUND, class_names, kind_of, offered
from netdsl.diagnostics import Code, UserError
from netdsl.ir.graph import Graph, Node
from netdsl.source import Span
from netdsl.train.augmentations import COLOURED, MOVING
from netdsl.train.recipe import Recipe
from netdsl.updates import require_match, require_trained


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
    _check_augmentations(recipe)
    for name in recipe.targets:
        _check_target(recipe, recipe.graph.node(name), data)


def _check_augmentations(recipe: Recipe) -> None:
    name, (channels, _, _) = recipe.image_input()
    coloured = [step.name for step in recipe.augment if step.name in COLOURED]
    if coloured and channels != 3:
        raise UserError.of(
            Code.TRAIN_SETTING,
            f"`{coloured[0]}` changes colours; `{name}` has {channels} channel{'s' if channels > 1 else ''}",
            span=_span(recipe.graph.node(name)),
        )


def check_rule(recipe: Recipe) -> None:
    """Raises UserError for a pattern that no parameter's name matches, and where nothing is left to be trained."""
    names = [node.name for node in recipe.graph.params]
    for pattern in (*recipe.rule.frozen, *(group.pattern for group in recipe.rule.groups)):
        require_match(pattern, names)
    require_trained(recipe.rule, recipe.graph)


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


def _check_target(recipe: Recipe, target: Node, data: Data) -> None:
    kind = kind_of(target.output.type)
    for split in (data.train, data.test):
        if kind is None or kind not in offered(split) or not _fits(recipe, target, split):
            raise UserError.of(
                Code.DATA_SHAPE,
                f"`{target.name}` is {target.output.type}; {data.name} has {_described(recipe, split)}",
                span=_span(target),
            )
    if kind == "box":
        return
    assert kind is not None, "refused above"
    if isinstance(data.train, Annotated) and kind == "pixels":
        _check_void(recipe, target, data)
    _check_moves(recipe, target)
    names = class_names(data, kind)
    for node, _ in recipe.graph.uses().get(target.output, []):
        classes = node.inputs[0].type.shape[0] if node.inputs[0].type.shape else 0
        if node.inputs[0] != target.output and classes != len(names):
            ground = f", the {GROUND} among them" if GROUND in names[:1] else ""
            raise UserError.of(
                Code.DATA_LABELS,
                f"`{node.inputs[0].name}` scores {classes} classes; {data.name} has {len(names)}{ground}",
                span=_span(node),
                help=f"give the net as many: `--set classes={len(names)}`",
            )


def _fits(recipe: Recipe, target: Node, split: Split) -> bool:
    """Whether classes of pixels are as many as the target has."""
    shape = target.output.type.shape
    if isinstance(split, Annotated):
        return len(shape) != 2 or shape == recipe.image_input()[1][1:]
    return shape == split.targets.shape[1:]


def _described(recipe: Recipe, split: Split) -> str:
    if not isinstance(split, Annotated):
        shape = split.targets.shape[1:]
        return "a class number" + (f" for each of {list(shape)} pixels" if shape else " a sample")
    _, height, width = recipe.image_input()[1]
    words = {
        "class": "a class number a sample",
        "pixels": f"a class number for each of the picture's [{height}, {width}] pixels",
        "box": "the box [4] of the largest thing",
    }
    return ", ".join(word for kind, word in words.items() if kind in split.offers) or "nothing that can be a target"


def _check_void(recipe: Recipe, target: Node, data: Data) -> None:
    """Pixels of no class must not count in the loss."""
    losses = [node for node, _ in recipe.graph.uses().get(target.output, []) if "ignore" in node.attrs]
    for node in losses:
        if any(isinstance(split, Annotated) and split.void for split in (data.train, data.test)) and (
            node.attrs["ignore"] != VOID
        ):
            raise UserError.of(
                Code.TRAIN_SETTING,
                f"{data.name} has pixels of no class, numbered {VOID}; the loss counts them",
                span=_span(node),
                help=f"leave them out: `cross_entropy(scores, {target.name}, ignore = {VOID})`",
            )


def _check_moves(recipe: Recipe, target: Node) -> None:
    """Classes of pixels follow a moved picture only if they are as many as its pixels."""
    moving = [step.name for step in recipe.augment if step.name in MOVING]
    shape = target.output.type.shape
    if moving and shape and shape != recipe.image_input()[1][1:]:
        raise UserError.of(
            Code.TRAIN_SETTING,
            f"`{moving[0]}` would move the pictures but not `{target.name}`, which is of another size",
            span=_span(target),
        )


def _span(node: Node) -> Span | None:
    return min(node.spans, key=lambda span: span.start, default=None)
