"""The Python interface: load a network, look at it, compile it, call it.

    import netdsl

    net = netdsl.load("zoo:lenet5", classes=10)
    print(net.report())
    run = netdsl.compile(net, batch=8, weights="runs/lenet5")
    probabilities = run(images)                       # images: float32 [8, 1, 32, 32]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl import driver
from netdsl.diagnostics import Diagnostic
from netdsl.driver import Build, Origin
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import DType
from netdsl.plan.executor import Array, Executor
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.report.model import Report

_NUMPY = {DType.F32: np.dtype(np.float32), DType.I32: np.dtype(np.int32)}


class Network:
    """One net, elaborated: its graph is complete and every shape is known."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def graph(self) -> Graph:
        """The layers with their weights, before any pass."""
        return self.model.graph

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return self.model.warnings

    @cached_property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, without the batch."""
        return {node.name: node.output.type.shape for node in self.graph.inputs}

    @cached_property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, without the batch."""
        return {name: value.type.shape for name, value in self.graph.outputs.items()}

    @cached_property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters by name, running statistics included."""
        return {node.name: node.output.type.shape for node in self.graph.params}

    def initial_parameters(self, seed: int = 0) -> dict[str, Array]:
        """Fresh parameters: a function of the seed and each parameter's name alone."""
        from netdsl.weights.initialize import initial_parameters

        return dict(initial_parameters(self.graph.params, seed))

    def report(self, *, batch: int = 1, target: str = "cpu", threads: int | None = None) -> Report:
        """Shapes, work, receptive fields and planned memory. ``str()`` of it is the table of the command line,
        ``.to_json()`` its JSON document."""
        return driver.report(self.model, Build(target=target, batch=batch, threads=threads))

    def __repr__(self) -> str:
        return f"<Network {self.name}: {self.inputs} -> {self.outputs}>"


class Compiled:
    """A compiled network with its weights. Several threads may call it; calls take turns."""

    def __init__(self, network: Network, executor: Executor, batch: int) -> None:
        self.network, self.batch = network, batch
        self._executor = executor
        self._inputs = {node.name: _Input.of(node, batch) for node in network.graph.inputs}
        self._order, outputs = list(self._inputs.values()), list(network.graph.outputs)
        self._only = outputs[0] if len(outputs) == 1 else None

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run on arrays [batch, ...], in the order of the net's inputs or by name.

        NumPy arrays, whatever NumPy makes arrays of, and objects with DLPack (tensors of other libraries in the
        computer's memory) are taken. Returns the output of a net that has one, and a dict of them otherwise; arrays
        of their own, float32. Raises ValueError for inputs that do not fit.
        """
        if named or len(arrays) != len(self._inputs):
            outputs = self.run(self._by_name(arrays, named))
        else:
            given = {}
            for kind, array in zip(self._order, arrays, strict=True):
                given[kind.name] = kind.fitting(array)
            outputs = self._executor.step(given)
        return outputs if self._only is None else outputs[self._only]

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """As calling it, always by name."""
        if inputs.keys() != self._inputs.keys():
            raise ValueError(f"the inputs are {', '.join(self._inputs)}; given: {', '.join(inputs) or 'none'}")
        fitting = {}
        for name, value in inputs.items():
            fitting[name] = self._inputs[name].fitting(value)
        return self._executor.step(fitting)

    def get_parameters(self) -> dict[str, Array]:
        """Copies of the weights in use, by name."""
        return self._executor.get_parameters()

    def set_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replace all or some of the weights."""
        self._executor.set_parameters(parameters)

    def _by_name(self, arrays: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        if len(arrays) > len(self._inputs):
            raise ValueError(f"{len(arrays)} arrays for the inputs {', '.join(self._inputs)}")
        given = dict(zip(self._inputs, arrays, strict=False))
        if twice := given.keys() & named.keys():
            raise ValueError(f"given twice: {', '.join(sorted(twice))}")
        return {**given, **named}


def load(
    where: str | Path,
    net: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    sizes: Mapping[str, int] | None = None,
    **arguments: Any,
) -> Network:
    """A network from a path, ``FILE#Net`` or ``zoo:NAME``.

    ``net`` picks one of several; ``arguments`` are the net's own (``classes=37``); ``size`` is (height, width) for a
    net with symbolic sizes, ``sizes`` binds them by name. Raises UserError with every error of the file.
    """
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in arguments.items()}
    return Network(driver.load(Origin(str(where), net, plain, sizes or {}, size)))


def fully_convolutional(net: Network | str | Path, *, size: tuple[int, int] | None = None) -> Network:
    """A classifier as a dense network: fully connected layers become convolutions, a result [F] becomes [F, h, w].

    ``size`` is the (height, width) of the image; left out, it stays, and the result is the classifier's, [F, 1, 1].
    Parameters keep their names; those of former fully connected layers have the same elements in another shape
    (``array.reshape(dense.parameters[name])``). There is no ``train`` block. Raises UserError saying which layer
    stands in the way, or does not fit the size.
    """
    from netdsl.passes.convolutionalize import at_size, convolutionalize

    model = (net if isinstance(net, Network) else load(net)).model
    graph = convolutionalize(model.graph).graph
    if size is not None:
        graph = at_size(graph, (whole("height", size[0]), whole("width", size[1])))
    return Network(replace(model, graph=graph, train=None))


def compile(
    net: Network | str | Path,
    target: str = "cpu",
    *,
    batch: int = 1,
    threads: int | None = None,
    weights: str | Path | Mapping[str, Any] | int | None = None,
    exact: bool = False,
) -> Compiled:
    """A network as a callable for batches of ``batch`` samples.

    ``weights``: a safetensors file or a run directory, arrays by name, or the seed of fresh ones (None: seed 0).
    ``exact``: sum convolutions as they are defined; otherwise they may be transformed (Winograd), 2e-5 apart. The
    result has the same bits for any number of threads. Raises UserError, DeviceMissing, Unsupported.
    """
    batch = whole("batch", batch)
    threads = None if threads is None else whole("threads", threads, most=driver.MAX_THREADS)
    network = net if isinstance(net, Network) else load(net)
    parameters = _parameters(network, weights)
    build = Build(target=target, batch=batch, threads=threads, exact=exact)
    executor = driver.make_executor(network.graph, parameters, build)
    return Compiled(network, executor, batch)


def _parameters(network: Network, weights: str | Path | Mapping[str, Any] | int | None) -> dict[str, Array]:
    if weights is None or isinstance(weights, int):
        return network.initial_parameters(0 if weights is None else whole("weights as a seed", weights, least=0))
    if isinstance(weights, str | Path):
        from netdsl.trained import load_trained

        return dict(load_trained(network.model, Path(weights)).parameters)
    if not isinstance(weights, Mapping):
        raise ValueError(f"weights are a path, arrays by name, or a seed, not {type(weights).__name__}")
    from netdsl.weights.match import match_weights

    arrays = {name: as_array(value) for name, value in weights.items()}
    return dict(match_weights(arrays, network.parameters, Path("weights")))


def whole(name: str, value: Any, *, least: int = 1, most: int = 2**31 - 1) -> int:
    """``value`` as an int. Raises ValueError where it is none, or out of range."""
    try:
        number = index(value)
    except TypeError:
        raise ValueError(f"{name} is a whole number, not {value!r}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} is {least} to {most}, not {number}")
    return number


def as_array(value: Any) -> Array:
    """``value`` as a NumPy array, without a copy where its memory can be shared. Raises ValueError."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError) as error:
            raise ValueError(f"cannot read this {type(value).__name__} through DLPack: {error}") from error
    return np.asarray(value)


@record
class _Input:
    """What the arrays of one input of a compiled network are like."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @staticmethod
    def of(node: Node, batch: int) -> _Input:
        type = node.output.type
        return _Input(node.name, _NUMPY[type.dtype], type.full_shape(batch))

    def fitting(self, value: Any) -> Array:
        """The value as such an array; itself, without any more ado, if it is one. Raises ValueError."""
        is_one = type(value) is np.ndarray and value.dtype is self.dtype and value.shape == self.shape
        return value if is_one and value.flags.c_contiguous else self._converted(value)

    def _converted(self, value: Any) -> Array:
        array = as_array(value)
        if array.shape != self.shape:
            raise ValueError(f"`{self.name}` is {list(self.shape)} (the batch first), not {list(array.shape)}")
        if array.dtype.kind not in ("fiu" if self.dtype.kind == "f" else "iu"):
            raise ValueError(f"`{self.name}` holds {self.dtype} numbers, not {array.dtype}")
        return np.ascontiguousarray(array, dtype=self.dtype)


__all__ = ["Compiled", "Network", "compile", "fully_convolutional", "load"]
