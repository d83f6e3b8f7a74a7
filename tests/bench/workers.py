"""One process a framework, of which one runs at a time: the others are stopped by a signal, their threads with them.

A stopped process cannot spin, so every framework keeps the way of waiting that its makers chose, and none disturbs
another. Needs SIGSTOP, that is Linux or macOS.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from tests.bench.clocks import CLOCKS, WALL
from tests.bench.nets import Array
from tests.bench.peers import Program

WARMUPS, WARM_SECONDS = 3, 2.0
"""Calls before anything is measured; fewer of a network of seconds."""
MOST_CALLS = 2000
END_SECONDS = 5.0


@dataclass(frozen=True)
class Failed:
    """Why a program cannot be measured."""

    reason: str


Answer = TypeVar("Answer")
Question = Callable[[Any, Mapping[str, Array]], Answer]
"""Of a program and its inputs, asked in its process; a function that pickle can send."""

Made = Mapping[str, list[Array] | Failed]
"""Programs by name with their outputs."""


class Work(Protocol):
    """What the programs of a module are made of (and what their makers need beside); it travels to their process."""

    def compared(self) -> list[Mapping[str, Array]]:
        """Inputs of the first calls, whose outputs are compared."""

    def inputs(self) -> Mapping[str, Array]:
        """Inputs of the calls that are timed."""


class Worker:
    """A framework in a process of its own, stopped except inside the methods.

    ``module`` is the full name of one with PROGRAMS, such as those of ``tests.bench.peers``.
    """

    def __init__(self, module: str, task: Work, threads: int, programs: frozenset[str]) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, module, task, threads, programs), daemon=True)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._process.start()
        other.close()
        self.made: Made = self._receive(programs)

    def turn(self, program: str, seconds: float, clock: str = WALL) -> float | Failed:
        """Seconds a call of ``program``, what ``clock`` takes of the calls that fit in about ``seconds``."""
        return self.ask(program, partial(_take_turn, seconds=seconds, clock=clock))

    def ask(self, program: str, question: Question[Answer]) -> Answer | Failed:
        """The answer of ``program``, for which the process runs on."""
        try:
            self._signal(signal.SIGCONT)
            self._connection.send((program, question))
            answer: Answer | Failed = self._connection.recv()
            self._signal(signal.SIGSTOP)
        except (EOFError, OSError):
            return self._ended()
        return answer

    def close(self) -> None:
        """Let the process end by itself, or end it where it does not."""
        with suppress(OSError):
            self._signal(signal.SIGCONT)
            self._connection.send(None)
            self._process.join(END_SECONDS)
        self._process.kill()
        self._process.join()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _receive(self, programs: frozenset[str]) -> Made:
        try:
            made: Made = self._connection.recv()
            self._signal(signal.SIGSTOP)
        except (EOFError, OSError):
            return dict.fromkeys(sorted(programs), self._ended())
        return made

    def _ended(self) -> Failed:
        self._process.join()
        return Failed(f"its process ended with exit code {self._process.exitcode}")

    def _signal(self, number: int) -> None:
        if self._process.pid is not None:
            os.kill(self._process.pid, number)


def _serve(connection: Connection, module: str, task: Work, threads: int, wanted: frozenset[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    os.dup2(2, 1)  # some print a greeting
    inputs = task.inputs()
    programs: dict[str, Program] = {}
    made: dict[str, list[Array] | Failed] = {}
    for title, make in import_module(module).PROGRAMS.items():
        if title not in wanted:
            continue
        try:
            programs[title] = make(task, threads)
            made[title] = _warm(programs[title], task)
        except ImportError as error:
            made[title] = Failed(f"not installed: {error.name}")
        except Exception as error:  # whatever a framework raises is its answer to this network
            made[title] = Failed(_reason(error))
    connection.send(made)
    while (order := connection.recv()) is not None:
        title, question = order
        try:
            connection.send(question(programs[title], inputs))
        except Exception as error:
            connection.send(Failed(_reason(error)))


def _reason(error: Exception) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _warm(program: Program, task: Work) -> list[Array]:
    """Outputs of the calls that are compared, and some more calls."""
    outputs = [output.copy() for inputs in task.compared() for output in program(inputs)]
    inputs, end = task.inputs(), time.perf_counter() + WARM_SECONDS
    for _ in range(WARMUPS - 1):
        if time.perf_counter() < end:
            program(inputs)
    return outputs


def _take_turn(program: Program, inputs: Mapping[str, Array], seconds: float, clock: str) -> float:
    """Seconds of the calls of one turn; of several, the first finds in the caches what others left there."""
    read, taken = CLOCKS[clock].read, list[float]()
    end = time.perf_counter() + seconds
    while not taken or (len(taken) < MOST_CALLS and time.perf_counter() < end):
        start = read()
        program(inputs)
        taken.append(read() - start)
    return CLOCKS[clock].of_calls(taken[1:] or taken)
