"""The training loop: compiled steps over batches, tested, recorded and saved every epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from netdsl.autodiff import training_graph
from netdsl.data.base import Data
from netdsl.data.batches import Batch, TrainingBatches
from netdsl.data.prepare import Prepared
from netdsl.diagnostics import Code, NumericFailure, UserError
from netdsl.ir.graph import Graph
from netdsl.plan.executor import Array, Executor
from netdsl.train.checkpoint import Checkpoint, Progress
from netdsl.train.evaluate import Evaluator, feed, primary
from netdsl.train.fit_data import check_batch, check_targets
from netdsl.train.interrupt import StopRequest
from netdsl.train.progress import EpochSummary, Reporter, Silent
from netdsl.train.recipe import Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.train.schedule import Horizon
from netdsl.weights.initialize import initial_parameters

STEP_RECORDS_PER_EPOCH = 50


@dataclass(frozen=True)
class Compiler:
    """How graphs become executors; each takes (graph, parameters, batch)."""

    training: Callable[[Graph, Mapping[str, Array], int], Executor]
    inference: Callable[[Graph, Mapping[str, Array], int], Executor]


@dataclass(frozen=True)
class Result:
    """Where a training stands. ``test`` is of the last finished epoch; ``best`` is the primary metric (or
    minus the test loss) of epoch ``best_epoch``."""

    run: RunDirectory
    progress: Progress
    test: Mapping[str, float]


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, after the running step; `last` is saved."""

    def __init__(self, run: RunDirectory, progress: Progress, signal_number: int) -> None:
        self.run, self.progress, self.signal_number = run, progress, signal_number
        super().__init__(f"stopped after step {progress.step}")


class Loop:
    """One training of one recipe on one data set, in one run directory.

    Bit for bit a function of recipe, data, seed and starting weights: neither threads nor interruptions
    change it. Resume by giving the run's own checkpoint.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        compiler: Compiler,
        run: RunDirectory,
        *,
        seed: int,
        reporter: Reporter | None = None,
        checkpoint: Checkpoint | None = None,
        weights: Mapping[str, Array] | None = None,
    ) -> None:
        check_targets(recipe, data)
        self._recipe, self._data, self._run, self._seed = recipe, data, run, seed
        self.reporter = reporter if reporter is not None else Silent()
        self._preparation = recipe.preparation(data)
        self._batches = TrainingBatches(
            data.train, self._preparation, recipe.augmentations(), batch=recipe.batch, seed=seed
        )
        self._horizon = Horizon(self._batches.steps, recipe.epochs)
        graph = training_graph(recipe.graph, recipe.loss, optimizer=recipe.optimizer)
        check_batch(graph, recipe.batch)
        parameters = initial_parameters(recipe.graph.params, seed)
        parameters.update(initial_parameters(graph.params, seed))
        parameters.update(weights or {})
        if checkpoint is not None:
            parameters.update(self._continue(checkpoint, parameters))
        self._progress = replace(checkpoint.progress) if checkpoint is not None else Progress()
        self._parameters = parameters
        self._step_names = {node.name for node in graph.params}
        self._executor = compiler.training(graph, self._of_step(parameters), recipe.batch)
        prepared = Prepared(data.test, self._preparation)
        self._evaluator = Evaluator(recipe, prepared, compiler.inference, parameters)
        self._test: Mapping[str, float] = self._last_test()

    # -- running ---------------------------------------------------------------------------

    def fit(self) -> Result:
        """Train to the end. Raises Interrupted after Ctrl-C, NumericFailure when the loss is not finite."""
        if self._progress.step:
            self._run.cut(self._progress.step)
        try:
            with StopRequest() as stop:
                while self._progress.epoch < self._recipe.epochs:
                    self._epoch(stop)
        finally:
            self.reporter.close()
        return Result(self._run, self._progress, self._test)

    def _epoch(self, stop: StopRequest) -> None:
        progress = self._progress
        self.reporter.begin_epoch(progress.epoch + 1, self._recipe.epochs, self._batches.steps, progress.epoch_step)
        started = time.perf_counter()
        for batch in self._batches.epoch(progress.epoch, progress.epoch_step):
            self._step(batch)
            if stop.pending is not None and progress.epoch_step < self._batches.steps:
                self._interrupt(stop)
        self._finish_epoch(time.perf_counter() - started)
        if stop.pending is not None and progress.epoch < self._recipe.epochs:
            raise Interrupted(self._run, progress, stop.pending)

    def _step(self, batch: Batch) -> None:
        progress = self._progress
        rate = self._recipe.rate * self._recipe.schedule.factor(progress.step, self._horizon)
        inputs = feed(self._recipe, batch)
        inputs["lr"] = np.asarray(rate, dtype=np.float32)
        inputs["step"] = np.asarray(progress.step & 0x7FFFFFFF, dtype=np.int32)
        inputs["seed"] = np.asarray(self._seed & 0x7FFFFFFF, dtype=np.int32)
        loss = float(self._executor.step(inputs)["loss"])
        progress.step += 1
        progress.epoch_step += 1
        if not np.isfinite(loss):
            raise self._not_finite(loss, rate)
        progress.loss_sum += loss
        self.reporter.step(loss, rate, batch.count)
        every = max(1, self._batches.steps // STEP_RECORDS_PER_EPOCH)
        if progress.epoch_step % every == 0:
            at = progress.epoch + progress.epoch_step / self._batches.steps
            self._run.append({"kind": "step", "step": progress.step, "at": at, "loss": loss, "lr": rate})

    def _finish_epoch(self, seconds: float) -> None:
        progress, recipe = self._progress, self._recipe
        self._collect()
        self._test = self._evaluator.run(self._parameters)
        loss = progress.loss_sum / self._batches.steps
        progress.epoch, progress.epoch_step, progress.loss_sum = progress.epoch + 1, 0, 0.0
        score = primary(recipe.metrics, self._test)
        best = progress.best is None or score > progress.best
        if best:
            progress.best, progress.best_epoch = score, progress.epoch
        self._run.append(
            {
                "kind": "epoch",
                "step": progress.step,
                "epoch": progress.epoch,
                "loss": loss,
                "test": dict(self._test),
                "seconds": round(seconds, 3),
            }
        )
        if best:
            self._checkpoint().save(self._run.best)
        self._checkpoint().save(self._run.last)
        shown = recipe.metrics[0].name if recipe.metrics else None
        self._run.draw_curves(shown, shown in recipe.shares())
        self.reporter.end_epoch(
            EpochSummary(progress.epoch, recipe.epochs, loss, self._test, recipe.shares(), seconds, best)
        )

    def _interrupt(self, stop: StopRequest) -> None:
        assert stop.pending is not None
        self._collect()
        self._checkpoint().save(self._run.last)
        raise Interrupted(self._run, self._progress, stop.pending)

    def _not_finite(self, loss: float, rate: float) -> NumericFailure:
        progress = self._progress
        return NumericFailure.of(
            Code.NOT_FINITE,
            f"the loss is {loss} at step {progress.step}"
            f" (epoch {progress.epoch + 1}, step {progress.epoch_step} of {self._batches.steps})",
            notes=(f"the learning rate was {rate:.4g}",),
            help="a smaller learning rate or a longer warm-up mostly helps; "
            "the last checkpoint before this step is kept",
        )

    # -- state -----------------------------------------------------------------------------

    def _of_step(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array for name, array in parameters.items() if name in self._step_names}

    def _collect(self) -> None:
        self._parameters.update(self._executor.get_parameters())

    def _checkpoint(self) -> Checkpoint:
        own = {node.name for node in self._recipe.graph.params}
        return Checkpoint(
            net=self._recipe.graph.name,
            parameters={name: a for name, a in self._parameters.items() if name in own},
            classes=self._data.classes,
            preparation=self._preparation,
            state={name: a for name, a in self._parameters.items() if name not in own},
            progress=self._progress,
            settings=self._settings(),
        )

    def _settings(self) -> dict[str, Any]:
        return {
            **self._recipe.settings(),
            "seed": self._seed,
            "train_samples": len(self._data.train),
            "classes": list(self._data.classes),
        }

    def _continue(self, checkpoint: Checkpoint, fresh: Mapping[str, Array]) -> dict[str, Array]:
        """The checkpoint's tensors, if it is of this very training. Only the number of epochs may differ."""
        from netdsl.weights.match import match_weights

        mine = self._settings()
        different = [name for name in mine if checkpoint.settings.get(name) != mine[name]]
        if different:
            raise UserError.of(
                Code.CHECKPOINT,
                f"`{self._run.path}` was trained with other settings",
                notes=tuple(f"{name}: {checkpoint.settings.get(name)} there, {mine[name]} now" for name in different),
                help="to start anew from its weights, use `--weights` instead of `--resume`",
            )
        tensors = {**checkpoint.parameters, **checkpoint.state}
        return match_weights(tensors, {n: a.shape for n, a in fresh.items()}, self._run.last)

    def _last_test(self) -> Mapping[str, float]:
        epochs = [record for record in self._run.records() if record.get("kind") == "epoch"]
        return epochs[-1]["test"] if epochs else {}

    def configuration(self) -> dict[str, Any]:
        """All of this training, resolved, as plain JSON."""
        return {
            "schema": 1,
            "net": self._recipe.graph.name,
            "data": self._data.name,
            "epochs": self._recipe.epochs,
            "steps_per_epoch": self._batches.steps,
            "test_samples": len(self._data.test),
            "preparation": asdict(self._preparation),
            **self._settings(),
        }
