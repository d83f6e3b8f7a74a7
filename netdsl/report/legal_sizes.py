"""The sizes that the inputs of a network may have, as it is told to people and programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from netdsl.analysis.sizes import listed
from netdsl.diagnostics import Code, Diagnostic, Level, ResourceLimit, UserError
from netdsl.elaborate import Model
from netdsl.elaborate.probe import Probe
from netdsl.elaborate.sized import Axis
from netdsl.record import record
from netdsl.report.size_search import (
    MOST_AXES,
    AxisSizes,
    Budget,
    Explorer,
    Tried,
    find_fit,
    independent,
    solve_axis,
)

Build = Callable[[Probe], Model]


@record
class LegalSizes:
    """What is known of the sizes of a network's inputs.

    ``axes`` holds the sizes of each axis, found with the others as in ``point``. Where they are ``independent``, sizes
    fit together that fit alone; otherwise ``equal`` holds those that all axes may have at once. ``weights_vary``:
    the shapes of some weights depend on the sizes, so weights made at one size fit only some others.
    """

    net: str
    point: Mapping[Axis, int]
    axes: Mapping[Axis, AxisSizes]
    independent: bool
    equal: AxisSizes | None
    weights_vary: bool
    is_costly: bool = False
    """The network is too large to be built once more without need."""

    @property
    def smallest(self) -> dict[Axis, int]:
        """The smallest sizes that fit together."""
        if self.independent:
            return {axis: found.sizes.smallest for axis, found in self.axes.items()}
        if self.equal is not None and self.equal.sizes:
            return dict.fromkeys(self.axes, self.equal.sizes.smallest)
        return dict(self.point)

    @property
    def another(self) -> dict[Axis, int]:
        """Sizes that fit beside ``point``: the next larger ones, or ``point`` where that is too much."""
        if not self.independent or self.is_costly:
            return dict(self.point)
        return {axis: found.sizes.above(self.point[axis]) or self.point[axis] for axis, found in self.axes.items()}


def legal_sizes(build: Build, budget: Budget | None = None) -> tuple[LegalSizes, Model]:
    """Solve the unbound sizes of the network that ``build`` elaborates, and a model at sizes that fit.

    ``budget`` is what networks share that are searched together: the less is left, the fewer sizes are tried.

    Raises UserError where the network is wrong at every size, located where an op refuses.
    """
    budget = budget or Budget()
    explorer = Explorer(build, allowance=budget.allowance(), memory=budget.memory)
    try:
        explorer.start()
        return solve(explorer)
    finally:
        budget.left -= explorer.taken


def solve(explorer: Explorer) -> tuple[LegalSizes, Model]:
    """As :func:`legal_sizes`, for an explorer that was started."""
    if len(explorer.axes) > MOST_AXES:
        title = f"{len(explorer.axes)} sizes are open; those that fit are searched for {MOST_AXES} at most"
        raise ResourceLimit.of(Code.LIMIT_STEPS, title, help="write some of them into the file")
    point = find_fit(explorer) if explorer.axes else None
    if point is None or explorer.model is None:
        raise _without_any(explorer)
    model = explorer.model
    axes = {axis: solve_axis(explorer, point, [axis]) for axis in explorer.axes}
    sets = {axis: found.sizes for axis, found in axes.items()}
    are_independent = independent(explorer, point, sets)
    equal = None if are_independent else solve_axis(explorer, point, list(axes))
    vary = any(found.same_weights != found.sizes for found in axes.values())
    is_costly = explorer.longest_elaboration > COSTLY
    return LegalSizes(model.name, point, axes, are_independent, equal, vary, is_costly), model


def _without_any(explorer: Explorer) -> UserError:
    """The errors of the size where an elaboration comes furthest, with what was tried."""
    assert explorer.error is not None
    if explorer.hopeless or not explorer.axes:
        return explorer.error
    names = _joined([axis.name for axis in explorer.axes])
    note = f"none of {explorer.tried:,} sizes of {names} that were tried fits; this is at {_at(explorer.error_at)}"
    return with_note(explorer.error, note)


def with_note(error: UserError, note: str, only: Callable[[Diagnostic], bool] = lambda _: True) -> UserError:
    """The same error, with a note on the first of its findings that is an error and for which ``only`` holds."""
    items = list(error.diagnostics)
    for number, item in enumerate(items):
        if item.level is Level.ERROR and only(item):
            items[number] = replace(item, notes=(*item.notes, note))
            break
    return type(error)(items)


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _at(sizes: Mapping[Axis, int]) -> str:
    return ", ".join(f"{axis.name} = {size}" for axis, size in sizes.items())


# -- telling ---------------------------------------------------------------------------------------


def summary(found: LegalSizes) -> str:
    """In one line: ``H = 0 mod 32; W = 0 mod 32``."""
    return "; ".join(item.sizes.text(axis.name) for axis, item in found.axes.items())


def lines(found: LegalSizes) -> list[str]:
    """Everything, a line a statement."""
    if not any(item.tried.every >= found.point[axis] for axis, item in found.axes.items()):
        return [f"{_at(found.point)} fits; which others do is found where the net is looked at alone"]
    told = [_axis_line(found, axis, item) for axis, item in found.axes.items()]
    if found.equal is not None and found.equal.sizes:
        names = " = ".join(axis.name for axis in found.axes)
        told.append(f"all equal: {found.equal.sizes.text(names)}")
    if found.weights_vary:
        fitting = "; ".join(item.same_weights.text(axis.name) for axis, item in found.axes.items())
        told.append(f"weights made at {_at(found.point)} fit only {fitting}")
    told.append(tried_text(found))
    return told


def _axis_line(found: LegalSizes, axis: Axis, item: AxisSizes) -> str:
    text = item.sizes.text(axis.name)
    if found.independent:
        return text
    others = _at({other: size for other, size in found.point.items() if other is not axis})
    return f"{text} (with {others})"


def tried_text(found: LegalSizes) -> str:
    """What the rules were held to."""
    return "; ".join(dict.fromkeys(_tried_text(axis.name, item, found) for axis, item in found.axes.items()))


def _tried_text(name: str, item: AxisSizes, found: LegalSizes) -> str:
    tried = item.tried
    same = all(other.tried == tried for other in found.axes.values())
    who = "" if same else f"{name}: "
    text = f"{who}tried every size from 1 to {tried.every:,}"
    if tried.others:
        text += f", and {tried.others} more up to {tried.largest:,}"
    if item.sizes.known_to is not None:
        text += "; no rule holds beyond"
    if tried.too_large is not None:
        text += f"; from {tried.too_large:,} on a tensor is too large"
    return text


def command_option(found: LegalSizes) -> str | None:
    """``--size HxW`` with the smallest sizes; None where one height and one width can't say them."""
    return _option(found.smallest)


def _option(sizes: Mapping[Axis, int]) -> str | None:
    heights = {size for axis, size in sizes.items() if axis.vertical}
    widths = {size for axis, size in sizes.items() if not axis.vertical}
    if len(heights) > 1 or len(widths) > 1:
        return None
    (height,), (width,) = heights or widths, widths or heights
    return f"--size {height}x{width}"


def sizes_json(found: LegalSizes) -> dict[str, Any]:
    """The documented form: see grammar/README.md."""
    return {
        "net": found.net,
        "axes": {axis.name: _axis_json(axis, item, found.weights_vary) for axis, item in found.axes.items()},
        "independent": found.independent,
        "equal": found.equal.sizes.to_json(" = ".join(axis.name for axis in found.axes)) if found.equal else None,
        "at": {axis.name: size for axis, size in found.point.items()},
        "smallest": {axis.name: size for axis, size in found.smallest.items()},
    }


def _axis_json(axis: Axis, item: AxisSizes, weights_vary: bool) -> dict[str, Any]:
    return {
        **item.sizes.to_json(axis.name),
        "same_weights": item.same_weights.to_json(axis.name) if weights_vary else None,
        "tried": _tried_json(item.tried),
    }


def _tried_json(tried: Tried) -> dict[str, Any]:
    return {"every": tried.every, "others": tried.others, "largest": tried.largest, "too_large": tried.too_large}


# -- errors that name the sizes --------------------------------------------------------------------

JOINS = (Code.SHAPE_MISMATCH, Code.INEXACT_SIZE, Code.KERNEL_TOO_LARGE)
"""Refusals that another size of the input may put right."""
COSTLY = 20_000
"""Steps of an elaboration that is not repeated for the sake of a note."""


class UnboundSizes(UserError):
    """Sizes that were not given; ``legal`` are those that may be."""

    legal: LegalSizes

    @classmethod
    def of_sizes(cls, error: UserError, legal: LegalSizes) -> UnboundSizes:
        """The first finding of ``error``, which is about an unbound size, with what is legal."""
        first = next(item for item in error.diagnostics if item.level is Level.ERROR)
        several = len(legal.axes) > 1
        names = _joined([f"`{axis.name}`" for axis in legal.axes])
        title = f"the size{'s' if several else ''} {names} {'are' if several else 'is'} not known"
        option = command_option(legal)
        help = f"for example {_at(legal.smallest)}"
        if option is not None:
            help = f"give it with `--size HxW`; the smallest is `{option}`"
        told, count = lines(legal), len(legal.axes)
        notes = (f"legal are {'; '.join(told[:count])}", *told[count:])
        made = cls([replace(first, title=title, notes=notes, help=help)])
        made.legal = legal
        return made

    def facts(self) -> dict[str, Any]:
        return {"legal_sizes": [sizes_json(self.legal)]}


def only_unbound(error: UserError) -> bool:
    """Whether sizes that were not given are all that is wrong."""
    return {item.code for item in error.diagnostics if item.level is Level.ERROR} == {Code.UNBOUND_SIZE}


def helped(error: UserError, build: Build) -> UserError:
    """The error, saying which sizes of the inputs are legal where sizes are what is wrong.

    Unbound sizes: the error lists the legal ones. Operands that don't meet: it names the nearest sizes that do.
    """
    if only_unbound(error):
        try:
            return UnboundSizes.of_sizes(error, legal_sizes(build)[0])
        except UserError as refused:
            return refused
    codes = {item.code for item in error.diagnostics if item.level is Level.ERROR}
    return _with_nearest(error, build) if codes and codes <= set(JOINS) else error


def _with_nearest(error: UserError, build: Build) -> UserError:
    explorer = Explorer(build, literal=True)
    explorer.start()
    given = dict(explorer.axes)
    if not given or len({axis.name for axis in given}) < len(given):
        return error  # one name for two sizes could not be told apart
    if explorer.model is not None or explorer.hopeless or explorer.longest_elaboration > COSTLY:
        return error
    try:
        found, _ = solve(explorer)
    except UserError:
        return error
    for note in _nearest_notes(found, given):
        error = with_note(error, note, lambda item: item.code in JOINS)
    return error


def _nearest_notes(found: LegalSizes, given: Mapping[Axis, int]) -> list[str]:
    if not found.independent:
        return [f"sizes that work: {_at(found.point)}"]
    wrong = [axis for axis, item in found.axes.items() if given[axis] not in item.sizes]
    near = [f"{axis.name} = {listed(found.axes[axis].sizes.nearest(given[axis]))}" for axis in wrong]
    every = [found.axes[axis].sizes.text(axis.name) for axis in wrong]
    return [f"nearest sizes that work: {', '.join(near)}", f"all that work: {'; '.join(every)}"]
