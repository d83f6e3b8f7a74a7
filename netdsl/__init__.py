"""netdsl: a compiler for convolutional networks.

``load`` a network, ``compile`` it to a callable, or train it with a ``Trainer``. Importing this package is cheap:
its parts are imported when they are used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netdsl.api import Compiled, Network, compile, fully_convolutional, load
    from netdsl.diagnostics import UserError
    from netdsl.trainer import Initial, Trainer

__all__ = ["Compiled", "Initial", "Network", "Trainer", "UserError", "compile", "fully_convolutional", "load"]

_HOMES = {
    "Compiled": "netdsl.api",
    "Initial": "netdsl.trainer",
    "Network": "netdsl.api",
    "Trainer": "netdsl.trainer",
    "UserError": "netdsl.diagnostics",
    "compile": "netdsl.api",
    "fully_convolutional": "netdsl.api",
    "load": "netdsl.api",
}

_HERE = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_HERE, "zoo")):
    # In a source tree `netdsl.grammar` and `netdsl.zoo` lie beside this folder; a wheel has them inside.
    __path__.append(os.path.dirname(_HERE))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("netdsl")
    if name not in _HOMES:
        raise AttributeError(f"module 'netdsl' has no attribute {name!r}")
    from netdsl.no_collections import no_collections

    with no_collections():
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
