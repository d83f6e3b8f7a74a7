"""The programs that are measured: one module a framework.

Each has ``PACKAGES``, the distributions it needs (whose versions are shown), and ``PROGRAMS``, makers by the name that
the table shows. A maker takes the task and the number of threads and gives a function of the inputs, by name, that
returns the outputs in the network's order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

from tests.bench.nets import Array, Task

Program = Callable[[Mapping[str, Array]], list[Array]]
Maker = Callable[[Task, int], Program]

OURS = "netdsl"
FRAMEWORKS = (OURS, "pytorch", "onnxruntime", "openvino", "ncnn", "mnn")


def framework(name: str) -> ModuleType:
    """The module of a framework; it imports the framework itself only when a maker is called."""
    return import_module(f"tests.bench.peers.{name}")
