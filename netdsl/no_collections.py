"""Python's collector of cycles, held off while a network is made.

It looks at what is new whenever a few hundred objects were made, and at everything now and then. Importing, loading and
compiling make tens of thousands of objects to stay, and next to no garbage: a tenth of the time would go there.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """No collection meanwhile; what was made counts as old afterwards, so that the next one does not begin with it.

    Also a decorator. Nothing changes where collections are off.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # what somebody else froze must stay so
            gc.freeze()
            gc.unfreeze()  # into the oldest generation, all of it
        gc.enable()


__all__ = ["no_collections"]
