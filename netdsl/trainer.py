"""Training from Python and from the command line: a model, data, and what is decided from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl import driver
from netdsl.api import Network, whole
from netdsl.data import Data, open_data
from netdsl.driver import Build, Origin
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph
from netdsl.train.checkpoint import Checkpoint, load_checkpoint
from netdsl.train.from_spec import recipe_of
from netdsl.train.loop import Compiler, Loop, Result
from netdsl.train.run_directory import RunDirectory
from netdsl.trained import load_trained

if TYPE_CHECKING:
    from netdsl.api import Network
    from netdsl.plan.executor import Array, Executor
    from netdsl.train.progress import Reporter

RUNS = Path("runs")


def compiler_for(build: Build) -> Compiler:
    """Compiles training steps and inference graphs for the target and threads of ``build``."""

    def make(graph: Graph, parameters: Mapping[str, Array], batch: int) -> Executor:
        return driver.make_executor(graph, parameters, replace(build, batch=batch))

    return Compiler(training=make, inference=make)


class Trainer:
    """One training of a net, in a run directory.

    ``model`` is a loaded net, or where to find one (``zoo:lenet5``, a path); ``data`` a data set or
    its name (``digits``, ``idx:DIR``, ``folder:DIR``). ``batch`` and ``epochs`` override the file's. ``out`` is
    the run directory; without it ``runs/NAME`` is made, with a number if that is taken. ``resume`` goes on
    where the run directory's `last` checkpoint stands (without ``out``: of the newest ``runs/NAME``).
    ``weights`` is a safetensors file or another run directory to start from. Equal arguments give equal
    bits, whatever ``threads``.

    Raises UserError for anything that does not fit, ValueError for numbers out of range. Nothing is written
    before everything is checked and compiled.
    """

    def __init__(
        self,
        model: Model | Network | str | Path,
        data: Data | str,
        *,
        seed: int = 0,
        threads: int | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        weights: str | Path | None = None,
        target: str = "cpu",
        reporter: Reporter | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        seed = whole("seed", seed, least=0)
        epochs = None if epochs is None else whole("epochs", epochs)
        batch = None if batch is None else whole("batch", batch)
        threads = None if threads is None else whole("threads", threads, most=driver.MAX_THREADS)
        self.model = _model_of(model)
        self.data = open_data(data) if isinstance(data, str) else data
        self.recipe = recipe_of(self.model, batch=batch, epochs=epochs)
        name = run_name(self.model.name)
        checkpoint: Checkpoint | None = None
        if resume:
            self.run = RunDirectory.open(Path(out) if out is not None else RunDirectory.newest(RUNS, name))
            checkpoint = load_checkpoint(self.run.last)
        else:
            self.run = RunDirectory.new(Path(out)) if out is not None else RunDirectory.fresh(RUNS, name)
        self._loop = Loop(
            self.recipe,
            self.data,
            compiler if compiler is not None else compiler_for(Build(target=target, threads=threads)),
            self.run,
            seed=seed,
            reporter=reporter,
            checkpoint=checkpoint,
            weights=load_trained(self.model, Path(weights)).parameters if weights is not None else None,
        )

    @property
    def reporter(self) -> Reporter:
        """Who is told how it goes."""
        return self._loop.reporter

    @reporter.setter
    def reporter(self, reporter: Reporter) -> None:
        self._loop.reporter = reporter

    @property
    def configuration(self) -> dict[str, Any]:
        """All of this training, resolved, as plain JSON."""
        return {
            **self._loop.configuration(),
            "file": self.model.source.name,
            "arguments": {name: value for name, value in self.model.arguments.items() if _is_plain(value)},
        }

    def fit(self) -> Result:
        """Train to the end. Raises netdsl.train.loop.Interrupted after Ctrl-C, NumericFailure when the loss
        is not a finite number."""
        self.run.make()
        self.run.write_config(self.configuration)
        return self._loop.fit()


def _model(given: Model | Network | str | Path) -> Model:
    if isinstance(given, Network):
        return given.model
    return given if isinstance(given, Model) else driver.load(Origin(str(given)))


def run_name(net: str) -> str:
    """A net's name as a folder's."""
    return re.sub(r"[^a-z0-9_.-]+", "-", net.lower())


def _model_of(model: Model | Network | str | Path) -> Model:
    if isinstance(model, Model):
        return model
    if isinstance(model, (str, Path)):
        return driver.load(Origin(str(model)))
    return model.model


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
