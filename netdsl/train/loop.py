"""The training loop: compiled steps over batches, tested, recorded and saved every epoch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from netdsl.autodiff import training_graph
from netdsl.data.base import Data
from netdsl.data.batches import Batch
from netdsl.data.prepare import Prepared
from netdsl.diagnostics import Code, NumericFailure, UserError
from netdsl.division import counted
from netdsl.ir.graph import Graph
from netdsl.plan.executor import Array, Executor
from netdsl.train.answers import Answers, no_answers
from netdsl.train.checkpoint import Checkpoint, Progress
from netdsl.train.evaluate import Evaluator, primary, step_inputs
from netdsl.train.feeding import training_batches
from netdsl.train.fit_data import check_batch, check_rule, check_targets
from netdsl.train.inspection import SCHEMA, Inspector, Looks
from netdsl.train.interrupt import StopRequest
from netdsl.train.nan_check import BadNode, Watch
from netdsl.train.progress import EpochSummary, Reporter, Silent
from netdsl.train.ranks import ONE, Ranks
from netdsl.train.recipe import AVERAGED, Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.train.saving import Saving, SavingClock
from netdsl.train.schedule import Horizon
from netdsl.updates import first_averages, with_averages
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


@dataclass(frozen=True)
class Rehearsal:
    """Some steps of which nothing was kept: their losses, and the seconds and samples of all but the first."""

    losses: tuple[float, ...]
    seconds: float
    samples: int


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, after the running step; `last` is saved."""

    def __init__(self, run: RunDirectory, progress: Progress, signal_number: int) -> None:
        self.run, self.progress, self.signal_number = run, progress, signal_number
        super().__init__(f"stopped after step {progress.step}")


class Loop:
    """One training of one recipe on one data set, in one run directory.

    Bit for bit a function of recipe, data, seed and starting weights: neither threads, nor ``workers`` that prepare
    batches, nor interruptions change it. Resume by giving the run's own checkpoint.
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
        workers: int | None = None,
        saving: Saving = Saving(),  # noqa: B008  (frozen)
        nan_check: bool = False,
        looks: Looks | None = None,
        ranks: Ranks = ONE,
        sync_bn: bool = False,
    ) -> None:
        check_targets(recipe, data)
        self._ranks, self._sync_bn, run = ranks, sync_bn and ranks.count > 1, ranks.directory(run)
        self._saving, self._clock = saving, SavingClock(saving.every)
        self._recipe, self._data, self._run, self._seed = recipe, data, run, seed
        self.reporter = reporter if reporter is not None else Silent()
        self._preparation = recipe.preparation(data)
        part = ranks.part(recipe.batch)
        self._batches = training_batches(recipe, data, self._preparation, seed, workers, part)
        self._horizon = Horizon(self._batches.steps / recipe.rule.accumulate, recipe.epochs)
        check_rule(recipe)
        division = ranks.division(recipe.batch, sync_bn)
        self._counted = counted(*recipe.for_steps()) if division is not None else None
        graph = training_graph(*recipe.for_steps(), optimizer=recipe.optimizer, rule=recipe.rule, division=division)
        check_batch(graph, len(part))
        parameters = initial_parameters(recipe.graph.params, seed)
        parameters.update(initial_parameters(graph.params, seed))
        parameters.update(weights or {})
        parameters.update(first_averages(parameters))
        if checkpoint is not None:
            parameters.update(self._continue(checkpoint, parameters))
        self._progress = replace(checkpoint.progress) if checkpoint is not None else Progress()
        self._parameters = parameters
        self._step_names = {node.name for node in graph.params}
        self._executor = compiler.training(graph, self._of_step(parameters), len(part))
        ranks.connect(self._executor)
        self._watch = Watch(graph, self._executor) if nan_check else None
        self._inspector = Inspector(recipe, compiler.inference, parameters, looks) if looks is not None else None
        prepared = Prepared(data.test, self._preparation)
        self._evaluator = Evaluator(recipe, prepared, compiler.inference, parameters, ranks)
        self._test: Mapping[str, float] = self._last_test()
        ranks.require_equal(json.dumps([self._settings(), asdict(self._progress)]), parameters)

    # -- running ---------------------------------------------------------------------------

    def fit(self) -> Result:
        """Train to the end. Raises Interrupted after Ctrl-C, NumericFailure when the loss is not finite."""
        if self._progress.step:
            self._run.cut(self._progress.step)
        self._run.forget_failure()
        try:
            with self._ranks.stop_request() as stop:
                while self._progress.epoch < self._recipe.epochs:
                    self._epoch(stop)
        finally:
            self.reporter.close()
        return Result(self._run, self._progress, self._test)

    def rehearse(self, steps: int) -> Rehearsal:
        """Take so many steps and forget them: nothing is written. Raises NumericFailure as `fit`."""
        losses: list[float] = []
        samples, started = 0, time.perf_counter()
        for batch in self._coming(steps):
            losses.append(self._advance(batch)[0])
            if len(losses) == 1:
                started = time.perf_counter()
            else:
                samples += self._recipe.batch
        return Rehearsal(tuple(losses), time.perf_counter() - started, samples)

    def _coming(self, steps: int) -> Iterator[Batch]:
        """The next batches, across epochs."""
        epoch, start = self._progress.epoch, self._progress.epoch_step
        while steps:
            for batch in self._batches.epoch(epoch, start):
                yield batch
                steps -= 1
                if not steps:
                    return
            epoch, start = epoch + 1, 0
            self._progress.epoch, self._progress.epoch_step = epoch, start

    def _epoch(self, stop: StopRequest) -> None:
        progress = self._progress
        self.reporter.begin_epoch(progress.epoch + 1, self._recipe.epochs, self._batches.steps, progress.epoch_step)
        started, waited = time.perf_counter(), self._batches.ahead.waited
        for batch in self._batches.epoch(progress.epoch, progress.epoch_step):
            self._step(batch)
            stop.agree()
            if progress.epoch_step < self._batches.steps:
                self._save_within(stop)
        seconds = time.perf_counter() - started
        self._finish_epoch(seconds, 1 - (self._batches.ahead.waited - waited) / max(seconds, 1e-9))
        if stop.pending is not None and progress.epoch < self._recipe.epochs:
            raise Interrupted(self._run, progress, stop.pending)

    def _advance(self, batch: Batch) -> tuple[float, float]:
        """Take one step; its loss, and the learning rate."""
        progress = self._progress
        update = progress.step // self._recipe.rule.accumulate
        rate = self._recipe.rate * self._recipe.schedule.factor(update, self._horizon)
        inputs = step_inputs(self._recipe, batch, rate, progress.step, self._seed)
        inputs |= self._ranks.share(self._recipe.batch, self._counted, inputs)
        before = self._executor.get_parameters() if self._looks_next() else None
        loss = float(self._executor.step(inputs)["loss"])
        progress.step += 1
        progress.epoch_step += 1
        if not (np.isfinite(loss) if self._watch is None else self._watch.is_finite(loss)):
            raise self._not_finite(loss, rate, self._watch.find(inputs) if self._watch is not None else None)
        if before is not None:
            self._inspect(inputs, before, loss, rate)
        return loss, rate

    def _looks_next(self) -> bool:
        return self._inspector is not None and self._inspector.looks.wants(self._progress, self._batches.steps)

    def _inspect(self, inputs: Mapping[str, Array], before: Mapping[str, Array], loss: float, rate: float) -> None:
        """Write what there is to see of the step that was just taken."""
        assert self._inspector is not None
        progress = self._progress
        layers = self._inspector.look(inputs, before, self._executor.get_parameters())
        at = progress.epoch + progress.epoch_step / self._batches.steps
        record = {"schema": SCHEMA, "step": progress.step, "at": at, "loss": loss, "lr": rate, "layers": layers}
        self._run.add_inspection(record)
        self.reporter.inspected(record)

    def _step(self, batch: Batch) -> None:
        progress = self._progress
        try:
            loss, rate = self._advance(batch)
        except NumericFailure:
            self._save_failed()
            raise
        progress.loss_sum += loss
        self.reporter.step(loss, rate, self._recipe.batch)
        every = max(1, self._batches.steps // STEP_RECORDS_PER_EPOCH)
        if progress.epoch_step % every == 0:
            at = progress.epoch + progress.epoch_step / self._batches.steps
            self._run.append({"kind": "step", "step": progress.step, "at": at, "loss": loss, "lr": rate})

    def _finish_epoch(self, seconds: float, busy: float) -> None:
        progress, recipe = self._progress, self._recipe
        self._collect()
        self._ranks.require_equal("the same", self._parameters)
        answers = no_answers(recipe, self._data) if progress.epoch + 1 == recipe.epochs else None
        self._test = self._measured(answers)
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
                "busy": round(busy, 4),
            }
        )
        if best:
            self._run.save(self._checkpoint(), self._run.best)
        if self._saving.keep:
            self._run.save(self._checkpoint(), self._run.of_epoch(progress.epoch))
            self._run.drop_epochs(progress.epoch - self._saving.keep)
        self._save_last()
        shown = recipe.metrics[0].name if recipe.metrics else None
        self._run.draw_curves(shown, shown in recipe.shares())
        if self._inspector is not None:
            self._run.draw_inspections(recipe.graph.name)
        if answers is not None:
            self._run.draw_answers(answers, self._data.test)
        self.reporter.end_epoch(
            EpochSummary(progress.epoch, recipe.epochs, loss, self._test, recipe.shares(), seconds, best, busy)
        )

    def _measured(self, answers: Answers | None) -> dict[str, float]:
        """Loss and metrics on the test set; with averaged weights too, where there are any."""
        test = self._evaluator.run(self._parameters, answers)
        if self._recipe.rule.average is None:
            return test
        averaged = self._evaluator.run(with_averages(self._parameters))
        return test | {AVERAGED + name: value for name, value in averaged.items()}

    def _save_within(self, stop: StopRequest) -> None:
        """Save in the middle of an epoch, where that is due or training is to end."""
        if stop.pending is None and not self._clock.due():
            return
        self._collect()
        self._save_last()
        if stop.pending is not None:
            raise Interrupted(self._run, self._progress, stop.pending)

    def _save_failed(self) -> None:
        """Where training stood before the step that was not finite, where that is known."""
        if self._watch is not None:
            progress = self._progress
            before = replace(progress, step=progress.step - 1, epoch_step=progress.epoch_step - 1)
            self._parameters.update(self._watch.before)
            self._run.save(replace(self._checkpoint(), progress=before), self._run.failed)

    def _save_last(self) -> None:
        self._run.save(self._checkpoint(), self._run.last)
        self._clock.saved()

    def _not_finite(self, loss: float, rate: float, bad: BadNode | None) -> NumericFailure:
        progress, batch = self._progress, self._recipe.batch
        at = f"step {progress.step} (epoch {progress.epoch + 1}, step {progress.epoch_step} of {self._batches.steps})"
        notes: tuple[str, ...] = (f"the learning rate was {rate:.4g}",)
        title = f"the loss is {loss} at {at}"
        if bad is not None:
            numbers = self._batches.order(progress.epoch)[
                (progress.epoch_step - 1) * batch : progress.epoch_step * batch
            ]
            title = f"`{bad.node.name}` ({bad.node.op}) is the first that is not finite at {at}"
            notes = (*bad.notes(numbers.tolist()), f"the loss is {loss}", *notes)
            if self._batches.mixup is not None:
                mixed = self._batches.partners(progress.epoch, numbers)
                notes += (f"the samples of the batch were mixed with {', '.join(map(str, mixed.tolist()))}",)
        elif self._watch is not None:
            notes = ("the same step stays finite in NumPy's float32: no node can be named", *notes)
        return NumericFailure.of(
            Code.NOT_FINITE,
            title,
            span=bad.span if bad is not None else None,
            notes=notes,
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
            **({"sync_bn": True} if self._sync_bn else {}),
        }

    def _continue(self, checkpoint: Checkpoint, fresh: Mapping[str, Array]) -> dict[str, Array]:
        """The checkpoint's tensors, if it is of this very training. Only the number of epochs may differ."""
        from netdsl.weights.match import match_weights

        mine = self._settings()
        there = checkpoint.settings
        names = [*mine, *(name for name in there if name not in mine)]
        different = [name for name in names if there.get(name) != mine.get(name)]
        if different:
            raise UserError.of(
                Code.CHECKPOINT,
                f"`{self._run.path}` was trained with other settings",
                notes=tuple(f"{name}: {there.get(name)} there, {mine.get(name)} now" for name in different),
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
