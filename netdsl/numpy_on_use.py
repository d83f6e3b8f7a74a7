"""NumPy, imported when something of it is first used: ``from netdsl import numpy_on_use as np``.

Ops, plans and scalar expressions name NumPy in what they compute; checking and reporting a network compute
nothing, and the import would be a fifth of their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        import numpy

        found = getattr(numpy, name)
        globals()[name] = found
        return found
