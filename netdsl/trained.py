"""Trained nets: weights from a file fitted to a model, measured on data or looking at pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netdsl import driver
from netdsl.diagnostics import Code, UserError
from netdsl.driver import Build
from netdsl.elaborate import Model
from netdsl.record import record
from netdsl.train.checkpoint import METADATA_KEY, STATE_PREFIX, checkpoint_of
from netdsl.weights.files import Tensor, TensorFile, read_tensors
from netdsl.weights.match import match_weights

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.data.prepare import Preparation
    from netdsl.predict import Predictor
    from netdsl.train.features import Features
    from netdsl.train.ranks import Ranks


@record
class Trained:
    """A model with weights. ``classes`` and ``preparation`` are those it was trained with; weights from
    elsewhere carry neither."""

    model: Model
    path: Path
    parameters: Mapping[str, NDArray[np.float32]]
    classes: tuple[str, ...] | None = None
    preparation: Preparation | None = None


@record
class Measured:
    """``test`` has ``loss`` and the metrics by name; ``confusion`` [classes, classes] counts true class by
    predicted class, where the first metric ranks classes; ``names`` are theirs."""

    test: Mapping[str, float]
    samples: int
    confusion: NDArray[np.int64] | None
    names: tuple[str, ...] = ()


def load_trained(model: Model, path: Path, *, averaged: bool = False) -> Trained:
    """Weights from a safetensors file, or from a run directory (its `best`); the ``averaged`` ones that `ema` of a
    `train` block keeps, if asked for. Raises UserError.

    Layers that only the loss has come along where the file has them.
    """
    if path.is_dir():
        from netdsl.train.run_directory import RunDirectory

        path = RunDirectory(path).best
    file = read_tensors(path)
    weights = {name: t for name, t in file.tensors.items() if not name.startswith(STATE_PREFIX)}
    if averaged:
        weights |= _averages(file)
    heads = {name: shape for name, shape in _of_loss(model).items() if name in weights}
    expected = {node.name: node.output.type.shape for node in model.graph.params}
    parameters = match_weights(weights, expected | heads, path)
    if METADATA_KEY not in file.metadata:
        return Trained(model, path, parameters)
    checkpoint = checkpoint_of(file)
    return Trained(model, path, parameters, checkpoint.classes, checkpoint.preparation)


def _averages(file: TensorFile) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, by the names of the weights."""
    from netdsl.updates import AVERAGE

    found = {
        name.removeprefix(STATE_PREFIX).removesuffix(AVERAGE): tensor
        for name, tensor in file.tensors.items()
        if name.startswith(STATE_PREFIX) and name.endswith(AVERAGE)
    }
    if not found:
        raise UserError.of(
            Code.CHECKPOINT,
            f"`{file.path}` holds no averaged weights",
            help="a training keeps them whose `train` block says so: `ema 0.999`",
        )
    return found


def _of_loss(model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters that only the loss of the `train` block has."""
    own = {node.name for node in model.graph.params}
    params = model.train.graph.params if model.train is not None else []
    return {node.name: node.output.type.shape for node in params if node.name not in own}


def measure(trained: Trained, data: Data, build: Build, ranks: Ranks | None = None) -> Measured:
    """Loss and metrics of the model's `train` block on the test part of ``data``, measured by ``ranks`` together.
    Raises UserError."""
    from netdsl.data.prepare import Prepared
    from netdsl.train.answers import no_answers
    from netdsl.train.evaluate import Evaluator
    from netdsl.train.fit_data import check_targets
    from netdsl.train.from_spec import recipe_of
    from netdsl.train.ranks import ONE
    from netdsl.trainer import compiler_for

    ranks = ranks or ONE
    recipe = recipe_of(trained.model, batch=build.batch * ranks.count)
    check_targets(recipe, data)
    _check_classes(trained, data)
    _require_heads(trained)
    preparation = trained.preparation or recipe.preparation(data)
    answers = no_answers(recipe, data)
    prepared = Prepared(data.test, preparation)
    evaluator = Evaluator(recipe, prepared, compiler_for(build).inference, trained.parameters, ranks)
    test = evaluator.run(trained.parameters, answers)
    if answers is None:
        return Measured(test, len(data.test), None)
    return Measured(test, len(data.test), answers.confusion, answers.names)


def measure_together(
    trained: Sequence[Trained], data: Data, build: Build, *, crops: int = 1, ranks: Ranks | None = None
) -> Measured:
    """The metrics of the `train` block that rank classes, by the mean probabilities of networks of one model and of
    ``crops`` looks (data.views) at each picture. Raises UserError."""
    from netdsl.train.answers import ranked_names
    from netdsl.train.fit_data import check_targets
    from netdsl.train.from_spec import recipe_of
    from netdsl.train.ranks import ONE
    from netdsl.train.together import Member, Together
    from netdsl.trainer import compiler_for

    recipe = recipe_of(trained[0].model, batch=build.batch)
    check_targets(recipe, data)
    for one in trained:
        _check_classes(one, data)
        _require_heads(one)
    members = [Member(one.parameters, one.preparation or recipe.preparation(data)) for one in trained]
    together = Together(recipe, data, members, compiler_for(build).inference, crops=crops, ranks=ranks or ONE)
    names = ranked_names(recipe, data)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64) if names else None
    return Measured(together.run(confusion), len(data.test), confusion, names)


def features(trained: Trained, data: Data, layer: str, build: Build, *, part: str = "test") -> Features:
    """What a layer gives for each sample of a ``part`` of the data; see :mod:`netdsl.train.features`."""
    from netdsl.train.features import Network, layer_features
    from netdsl.trainer import compiler_for

    net = Network(trained.model.graph, trained.parameters, trained.preparation)
    split = data.train if part == "train" else data.test
    return layer_features(net, data, split, layer, compiler_for(build).inference, build.batch)


def _check_classes(trained: Trained, data: Data) -> None:
    if trained.classes is not None and trained.classes != data.classes:
        raise UserError.of(
            Code.DATA_LABELS,
            f"`{trained.path}` was trained on other classes than {data.name} has",
            notes=(f"trained: {_listed(trained.classes)}", f"{data.name}: {_listed(data.classes)}"),
        )


def _require_heads(trained: Trained) -> None:
    missing = [name for name in _of_loss(trained.model) if name not in trained.parameters]
    if missing:
        raise UserError.of(
            Code.WEIGHTS_MISMATCH,
            f"`{trained.path}` holds the network, but not the layers that its loss has of its own",
            notes=(f"{len(missing)} are missing, `{missing[0]}` first",),
            help="`netdsl predict` needs none of them; to measure, leave them out of the loss",
        )


def predictor(trained: Trained, build: Build, *, invert: bool = False, trim: bool = False) -> Predictor:
    """The net compiled at ``build.batch``, to look at pictures."""
    from netdsl.data.prepare import Preparation
    from netdsl.predict import Predictor, class_scores

    graph, table = trained.model.graph.copy()
    scores = class_scores(trained.model.graph)
    graph.outputs = {"scores": table[scores]}
    graph.prune()
    inputs = graph.inputs
    if len(inputs) != 1 or len(inputs[0].output.type.shape) != 3:
        raise UserError.of(Code.DATA_SHAPE, f"`{graph.name}` does not take one picture [C, H, W]")
    own = {node.name for node in graph.params}
    parameters = {name: array for name, array in trained.parameters.items() if name in own}
    preparation = trained.preparation or Preparation(*inputs[0].output.type.shape)
    _check_size(trained, preparation, inputs[0].output.type.shape)
    return Predictor(
        driver.make_executor(graph, parameters, build),
        batch=build.batch,
        image_input=inputs[0].name,
        scores=("scores", scores.node.op),
        classes=trained.classes or tuple(str(number) for number in range(scores.type.shape[0])),
        preparation=preparation,
        invert=invert,
        trim=trim,
    )


def _check_size(trained: Trained, preparation: Preparation, shape: tuple[int, ...]) -> None:
    found = (preparation.channels, preparation.height, preparation.width)
    if found != shape:
        raise UserError.of(
            Code.DATA_SHAPE,
            f"`{trained.path}` was trained on pictures {list(found)}, the network takes {list(shape)}",
            help=f"give the network that size: `--size {found[1]}x{found[2]}`" if found[0] == shape[0] else None,
        )


def _listed(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:8])
    return f"{shown}, ... ({len(classes)})" if len(classes) > 8 else shown
