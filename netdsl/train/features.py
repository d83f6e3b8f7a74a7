"""What a layer of a trained net gives for each sample of a data set."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data import Data
from netdsl.data.base import Split
from netdsl.data.batches import evaluation_batches
from netdsl.data.prepare import Preparation, Prepared
from netdsl.data.targets import offered
from netdsl.diagnostics import Code, ResourceLimit, UserError, did_you_mean
from netdsl.ir.graph import SOURCES, Graph
from netdsl.train.evaluate import MakeExecutor

MOST_BYTES = 8 << 30


@dataclass(frozen=True)
class Features:
    """``values`` [N, ...] in the order of the split; ``targets`` [N] class numbers, where there are any."""

    layer: str
    values: NDArray[np.float32]
    targets: NDArray[np.int64] | None
    classes: tuple[str, ...]

    def npz(self) -> bytes:
        """The bytes of an .npz file with `features`, `layer`, `classes` and, where there are any, `targets`."""
        arrays: dict[str, NDArray[Any]] = {
            "features": self.values,
            "layer": np.array(self.layer),
            "classes": np.array(self.classes),
        }
        if self.targets is not None:
            arrays["targets"] = self.targets
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **arrays)
        return stream.getvalue()


@dataclass(frozen=True)
class Network:
    """A net with weights; ``preparation`` is the one it was trained with, if that is known."""

    graph: Graph
    parameters: Mapping[str, NDArray[Any]]
    preparation: Preparation | None


def layer_features(net: Network, data: Data, split: Split, layer: str, make: MakeExecutor, batch: int) -> Features:
    """The results of the node ``layer``, as at inference. Raises UserError for a name that is none, for data that do
    not fit, ResourceLimit for more than `MOST_BYTES`."""
    graph = _as_far_as(net.graph, layer)
    image = graph.inputs[0]
    channels, height, width = image.output.type.shape
    preparation = net.preparation or Preparation(channels, height, width, data.fit, native=data.native)
    _require_size(graph, preparation.channels, preparation.height, preparation.width)
    shape = graph.outputs["features"].type.shape
    _require_room(layer, len(split), shape)
    own = {node.name for node in graph.params}
    executor = make(graph, {name: array for name, array in net.parameters.items() if name in own}, batch)
    values = np.empty((len(split), *shape), dtype=np.float32)
    done = 0
    for part in evaluation_batches(Prepared(split, preparation), batch, ()):
        values[done : done + part.count] = executor.step({image.name: part.images})["features"][: part.count]
        done += part.count
    targets = split.targets if "class" in offered(split) else None
    return Features(layer, values, targets, data.classes)


def _as_far_as(graph: Graph, layer: str) -> Graph:
    """What the layer needs, with its result as the output."""
    names = [node.name for node in graph.nodes if node.op not in SOURCES]
    if layer not in names:
        raise UserError.of(
            Code.BAD_OPTION,
            f"`{graph.name}` has no layer `{layer}`",
            help=did_you_mean(layer, names) or "`netdsl report` lists the layers",
        )
    result, table = graph.copy()
    result.outputs = {"features": table[graph.node(layer).output]}
    result.prune()
    inputs = result.inputs
    if len(inputs) != 1 or len(inputs[0].output.type.shape) != 3 or not result.outputs["features"].type.batched:
        raise UserError.of(Code.DATA_SHAPE, f"`{layer}` is not computed from one picture [C, H, W]")
    return result


def _require_size(graph: Graph, *found: int) -> None:
    shape = graph.inputs[0].output.type.shape
    if found != shape:
        raise UserError.of(
            Code.DATA_SHAPE, f"the weights were trained on pictures {list(found)}, the network takes {list(shape)}"
        )


def _require_room(layer: str, samples: int, shape: tuple[int, ...]) -> None:
    size = 4 * samples * int(np.prod(shape, dtype=np.int64))
    if size > MOST_BYTES:
        raise ResourceLimit.of(
            Code.LIMIT_MEMORY,
            f"`{layer}` gives {list(shape)} numbers for each of {samples} samples: {size / 2**30:.1f} GiB",
            help=f"at most {MOST_BYTES >> 30} GiB are made at once: take a smaller layer or part",
        )
