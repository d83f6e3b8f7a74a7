"""Training from Python and from the command line: a model, data, and what is decided from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from netdsl import driver
from netdsl.api import Network, whole
from netdsl.data import Data, open_data
from netdsl.data.ahead import MOST_WORKERS
from netdsl.diagnostics import Code, UserError
from netdsl.driver import Build, Origin
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph
from netdsl.train.checkpoint import STATE_PREFIX, Checkpoint, load_checkpoint
from netdsl.train.find_rate import RateCurve, find_rate
from netdsl.train.fit_data import check_rule
from netdsl.train.from_spec import recipe_of
from netdsl.train.inspection import Looks
from netdsl.train.loop import Compiler, Loop, Rehearsal, Result
from netdsl.train.overfit import Overfit, overfit
from netdsl.train.ranks import ONE, Ranks
from netdsl.train.recipe import Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.train.saving import Saving
from netdsl.trained import load_trained
from netdsl.updates import Group, require_match
from netdsl.weights.files import read_tensors
from netdsl.weights.transfer import Transfer, transfer

if TYPE_CHECKING:
    from netdsl.api import Network
    from netdsl.plan.executor import Array, Executor
    from netdsl.train.progress import Reporter

RUNS = Path("runs")


@dataclass(frozen=True)
class Initial:
    """Weights to start from: a safetensors file or a run directory (its `best`), whose tensors are found by ``match``.
    Parameters whose names match ``reset`` begin afresh; with ``partial`` all that does not fit does too."""

    path: Path
    match: Literal["name", "order"] = "name"
    reset: tuple[str, ...] = ()
    partial: bool = False


def compiler_for(build: Build) -> Compiler:
    """Compiles training steps and inference graphs for the target and threads of ``build``."""

    def make(graph: Graph, parameters: Mapping[str, Array], batch: int) -> Executor:
        return driver.make_executor(graph, parameters, replace(build, batch=batch))

    return Compiler(training=make, inference=make)


class Trainer:
    """One training of a net, in a run directory.

    ``model`` is a loaded net, or where to find one (``zoo:lenet5``, a path); ``data`` a data set or
    its name (`netdsl.data.KINDS`). ``batch`` and ``epochs`` override the file's. ``out`` is
    the run directory; without it ``runs/NAME`` is made, with a number if that is taken. ``resume`` goes on
    where the run directory's `last` checkpoint stands (without ``out``: of the newest ``runs/NAME``).
    ``weights`` is a safetensors file or another run directory to start from; ``initial`` the same where only a part of
    the weights is to be taken, ``transfer`` then saying what was. Parameters whose names match ``freeze`` stay as they
    are, and ``rates`` are factors on the learning rate of those that match (both beside what the file says).
    A step takes at most ``memory`` bytes, weights and optimizer state included: what does not fit is computed again.
    ``workers`` threads prepare batches; ``saving`` says when to save beside the end of an epoch. Equal arguments give
    equal bits, whatever ``threads``, ``memory``, ``workers`` and ``saving``. ``nan_check`` looks at all parameters
    after each step, and names the node where a number ceases to be finite; ``looks`` says at which steps to look into
    the layers (:mod:`netdsl.train.inspection`), which changes no bit either; ``replay`` stands before the step that it
    ended at, for `rehearse` to take. ``command`` is the command line, for the record. ``ranks`` are the processes that
    take each step together (`netdsl.train.ranks.here`), each with its part of the batch; ``sync_bn``: batch
    normalization over the samples of all of them.

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
        initial: Initial | None = None,
        freeze: Sequence[str] = (),
        rates: Mapping[str, float] | None = None,
        target: str = "cpu",
        memory: int | None = None,
        workers: int | None = None,
        saving: Saving = Saving(),  # noqa: B008  (frozen)
        nan_check: bool = False,
        looks: Looks | None = None,
        replay: bool = False,
        command: Sequence[str] = (),
        reporter: Reporter | None = None,
        compiler: Compiler | None = None,
        ranks: Ranks = ONE,
        sync_bn: bool = False,
    ) -> None:
        _check_ranks(ranks, nan_check or replay, looks)
        seed = whole("seed", seed, least=0)
        epochs, batch = _whole("epochs", epochs), _whole("batch", batch)
        threads = _whole("threads", threads, driver.MAX_THREADS)
        memory, workers = _whole("memory", memory, 2**63 - 1), _whole("workers", workers, MOST_WORKERS)
        self.model = _model_of(model)
        self.data = open_data(data) if isinstance(data, str) else data
        self.recipe = _with_rule(recipe_of(self.model, batch=batch, epochs=epochs), freeze, rates or {})
        start, self.transfer = _beginning(self.model, self.recipe, weights, initial)
        self._command = tuple(command)
        self.inspects = looks is not None
        run, checkpoint = _run_of(run_name(self.model.name), None if out is None else Path(out), resume, replay)
        self.run = RunDirectory(ranks.from_leader(run.path))
        self._ranks = ranks
        threads = threads if threads is not None else ranks.threads(driver.usable_cores())
        self._loop = Loop(
            self.recipe,
            self.data,
            compiler if compiler is not None else compiler_for(Build(target=target, threads=threads, memory=memory)),
            self.run,
            seed=seed,
            reporter=reporter,
            checkpoint=checkpoint,
            weights=start,
            workers=workers,
            saving=saving,
            nan_check=nan_check,
            looks=looks,
            ranks=ranks,
            sync_bn=sync_bn,
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
            "init": self.transfer.to_json() if self.transfer is not None else None,
            "command": list(self._command),
            "processes": self._ranks.count,
        }

    def fit(self) -> Result:
        """Train to the end. Raises netdsl.train.loop.Interrupted after Ctrl-C, NumericFailure when the loss
        is not a finite number."""
        run = self._ranks.directory(self.run)
        run.make()
        run.write_config(self.configuration)
        return self._loop.fit()

    def rehearse(self, steps: int) -> Rehearsal:
        """Take so many steps from where the training stands, and write nothing. Raises NumericFailure as `fit`."""
        return self._loop.rehearse(whole("steps", steps))


class OverfitCheck:
    """Whether a net learns a few samples by heart; see :mod:`netdsl.train.overfit`.

    Arguments, ``transfer`` and errors are those of `Trainer`.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        *,
        freeze: Sequence[str] = (),
        rates: Mapping[str, float] | None = None,
        weights: Path | None = None,
        initial: Initial | None = None,
    ) -> None:
        self._recipe, self._data = _with_rule(recipe_of(model), freeze, rates or {}), data
        self._weights, self.transfer = _beginning(model, self._recipe, weights, initial)

    def run(self, build: Build, *, samples: int, seed: int = 0) -> Overfit:
        """Learn so many samples. Raises UserError, NumericFailure."""
        return overfit(self._recipe, self._data, compiler_for(build), seed=seed, samples=samples, weights=self._weights)


def rate_curve(
    model: Model,
    data: Data,
    build: Build,
    *,
    low: float,
    high: float,
    updates: int,
    seed: int = 0,
    batch: int | None = None,
    weights: Path | None = None,
) -> RateCurve:
    """What `netdsl lr-find` reads a learning rate from; see :mod:`netdsl.train.find_rate`."""
    recipe = recipe_of(model, batch=batch)
    start = load_trained(model, weights).parameters if weights is not None else None
    return find_rate(recipe, data, compiler_for(build), seed=seed, low=low, high=high, updates=updates, weights=start)


def _whole(name: str, value: int | None, most: int = 2**31 - 1) -> int | None:
    """As `netdsl.api.whole`; None for what is not said."""
    return None if value is None else whole(name, value, most=most)


def _run_of(name: str, out: Path | None, resume: bool, replay: bool) -> tuple[RunDirectory, Checkpoint | None]:
    """The run directory, and where the training stands in it if it goes on. Raises UserError."""
    if replay or resume:
        path = out if out is not None else RunDirectory.newest(RUNS, name)
        run = RunDirectory.with_failure(path) if replay else RunDirectory.open(path)
        return run, load_checkpoint(run.failed if replay else run.last)
    return (RunDirectory.new(out) if out is not None else RunDirectory.fresh(RUNS, name)), None


def _check_ranks(ranks: Ranks, watches: bool, looks: Looks | None) -> None:
    """Raises UserError for what looks at one process's samples and would take them for all."""
    if ranks.count > 1 and (watches or looks is not None):
        raise UserError.of(
            Code.BAD_OPTION,
            "steps that several processes take together cannot be looked into",
            help="leave out --nan-check and --inspect, or train in one process",
        )


def _with_rule(recipe: Recipe, freeze: Sequence[str], rates: Mapping[str, float]) -> Recipe:
    """The recipe with more frozen parameters and further learning rates. Raises UserError for names that are none."""
    groups = tuple(Group(pattern, rate) for pattern, rate in rates.items())
    rule = replace(recipe.rule, frozen=(*recipe.rule.frozen, *freeze), groups=(*recipe.rule.groups, *groups))
    recipe = replace(recipe, rule=rule)
    check_rule(recipe)
    return recipe


def _beginning(
    model: Model, recipe: Recipe, weights: str | Path | None, initial: Initial | None
) -> tuple[Mapping[str, Array] | None, Transfer | None]:
    """The parameters to start from, None for new ones, and what ``initial`` took. Raises UserError."""
    if weights is not None:
        return load_trained(model, Path(weights)).parameters, None
    if initial is None:
        return None, None
    transfer = _transferred(recipe, initial)
    return transfer.taken, transfer


def _transferred(recipe: Recipe, initial: Initial) -> Transfer:
    expected = {node.name: node.output.type.shape for node in recipe.graph.params}
    for pattern in initial.reset:
        require_match(pattern, list(expected))
    path = RunDirectory(initial.path).best if initial.path.is_dir() else initial.path
    tensors = {n: t for n, t in read_tensors(path).tensors.items() if not n.startswith(STATE_PREFIX)}
    return transfer(tensors, expected, path, match=initial.match, reset=initial.reset, partial=initial.partial)


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
