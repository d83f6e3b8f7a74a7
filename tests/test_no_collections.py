"""Garbage is collected as ever, but not while a network is made."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from netdsl import driver
from netdsl.diagnostics import UserError
from netdsl.driver import Origin
from netdsl.no_collections import no_collections


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


class Ring:
    def __init__(self) -> None:
        self.itself = self


def test_collections_wait() -> None:
    with no_collections():
        assert not gc.isenabled()
        with no_collections():
            pass
        assert not gc.isenabled()
        ring = weakref.ref(Ring())
    assert gc.isenabled() and ring() is not None
    gc.collect()
    assert ring() is None


def test_what_was_made_is_old_and_nothing_is_frozen() -> None:
    with no_collections():
        made = [Ring() for _ in range(2000)]
    oldest = {id(found) for found in gc.get_objects(generation=2)}
    assert all(id(ring) in oldest for ring in made)
    assert gc.get_freeze_count() == 0


def test_an_error_ends_it() -> None:
    with pytest.raises(UserError):
        driver.load(Origin("zoo:no_such_network"))
    assert gc.isenabled()


def test_off_stays_off_and_frozen_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with no_collections():
        Ring()
    # (what dies is not frozen any more)
    assert gc.isenabled() and frozen - 100 < gc.get_freeze_count() <= frozen
    gc.disable()
    with no_collections():
        Ring()
    assert not gc.isenabled()
