"""Every verb as one would call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "check": lambda run, picture: ["check", "zoo:resnet50"],
    "fmt": lambda run, picture: ["fmt", "net.net"],
    "report": lambda run, picture: ["report", "zoo:resnet50"],
    "compile": lambda run, picture: ["compile", "zoo:lenet5", "--emit", "asm"],
    "train": lambda run, picture: ["train", "zoo:lenet5", "--data", "digits", "--epochs", "4"],
    "lr-find": lambda run, picture: ["lr-find", "zoo:lenet5", "--data", "digits"],
    "eval": lambda run, picture: ["eval", "zoo:lenet5", "--weights", str(run), "--data", "digits"],
    "predict": lambda run, picture: ["predict", "zoo:lenet5", "--weights", str(run), str(picture)],
    "zoo": lambda run, picture: ["zoo", "list"],
    "demo": lambda run, picture: ["demo"],
    "doctor": lambda run, picture: ["doctor"],
}
"""Verb -> its words, given a run directory of ``zoo:lenet5`` and a picture."""


def words(verb: str, run: Path, picture: Path) -> list[str]:
    """A verb not listed is asked for its help."""
    return COMMANDS[verb](run, picture) if verb in COMMANDS else [verb, "-h"]
