"""Options that several verbs share, and how the values of a few of them become one argument of the verb."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netdsl.cli.common import Session, print_warnings
from netdsl.driver import MAX_THREADS, Build, Origin
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.elaborate import Model
    from netdsl.train.saving import Saving
    from netdsl.trained import Trained

Function = TypeVar("Function", bound=Callable[..., Any])
Option = Callable[[Any], Any]
"""What ``click.option`` and ``click.argument`` give: a decorator."""

MAX_BATCH = 65_536
MAX_WORKERS = 64


def gathered(into: str, make: Callable[..., object], options: dict[str, Option]) -> Callable[[Function], Function]:
    """Options that a verb takes as its one argument ``into``: ``make`` of their values.

    ``options`` are by the names of their parameters, which are those of ``make``, in the order of the help.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def verb(*values: Any, **named: Any) -> Any:
            made = make(**{name: named.pop(name) for name in options})
            return function(*values, **named, **{into: made})

        for option in reversed(options.values()):
            option(verb)
        return verb  # type: ignore[return-value]

    return decorate


def json_option(function: Function) -> Function:
    """``--json``; kept in the session so that errors come as JSON too."""

    def keep(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            session = context.find_object(Session)
            assert session is not None
            session.json = True

    return click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=keep, help="Print JSON for other programs."
    )(function)


# -- which network -----------------------------------------------------------------------------------


@record
class Assignment:
    """``--set name=value``; the net's declaration says what the value may be."""

    name: str
    value: str


def _parse_settings(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Assignment, ...]:
    return tuple(map(_parse_setting, values))


def _parse_setting(text: str) -> Assignment:
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier() or not value.strip():
        raise click.BadParameter(f"`{text}` is not of the form name=value, such as classes=37.")
    return Assignment(name.strip(), value.strip())


def _parse_size(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text)
    if not found:
        raise click.BadParameter(f"`{text}` is not a size such as 224x224 (height x width).")
    return int(found[1]), int(found[2])


@record
class Bindings:
    """What ``--set`` and ``--size`` decide of every network of a command line."""

    settings: tuple[Assignment, ...]
    size: tuple[int, int] | None

    def origin(self, file: str, net: str | None = None) -> Origin:
        """The network of a file. Raises UsageError for a name set twice."""
        names = [item.name for item in self.settings]
        for name in names:
            if names.count(name) > 1:
                raise click.UsageError(f"--set gives `{name}` two values.")
        return Origin(file, net, {item.name: item.value for item in self.settings}, size=self.size)


def origin_of(file: str, net: str | None, settings: tuple[Assignment, ...], size: tuple[int, int] | None) -> Origin:
    """The network that the values of ``network_options`` name. Raises UsageError for a name set twice."""
    return Bindings(settings, size).origin(file, net)


_BINDINGS: dict[str, Option] = {
    "settings": click.option(
        "--set",
        "settings",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_parse_settings,
        help="Give an argument of the net a value.",
    ),
    "size": click.option(
        "--size", metavar="HxW", callback=_parse_size, help="Bind the symbolic height and width of the input."
    ),
}

bindings_options = gathered("bindings", Bindings, _BINDINGS)
"""``--set`` and ``--size`` for verbs of several files: ``bindings``, a `Bindings`."""

network_options = gathered(
    "network",
    origin_of,
    {
        "file": click.argument("file", metavar="FILE"),
        "net": click.option("--net", metavar="NAME", help="The net to take where the file has several."),
        **_BINDINGS,
    },
)
"""FILE with ``--net``, ``--set`` and ``--size``: ``network``, an `Origin`."""


# -- how it is built ---------------------------------------------------------------------------------


def build_options(batch: int | None = None, math: bool = False) -> Callable[[Function], Function]:
    """``--target`` and ``--threads`` (results have the same bits for any number of them): ``build``, a `Build`.

    ``batch``: ``--batch`` too, with this default. ``math``: ``--math`` too.
    """
    options: dict[str, Option] = {}
    if batch is not None:
        options["batch"] = click.option(
            "--batch",
            type=click.IntRange(1, MAX_BATCH),
            default=batch,
            show_default=True,
            metavar="N",
            help="Samples processed together.",
        )
    options |= {
        "target": click.option(
            "--target",
            default="cpu",
            show_default=True,
            metavar="TARGET",
            help="What to make code for: `cpu` is this machine, `cpu:avx2` a kind of machine.",
        ),
        "threads": click.option(
            "--threads",
            type=click.IntRange(1, MAX_THREADS),
            metavar="N",
            help="Threads to use.  [default: the cores allowed]",
        ),
    }
    if math:
        options["exact"] = click.option(
            "--math",
            "exact",
            type=click.Choice(["fast", "exact"]),
            default="fast",
            show_default=True,
            callback=lambda context, parameter, value: value == "exact",
            help="`exact` sums convolutions as they are defined; `fast` may transform them (Winograd), 2e-5 apart.",
        )
    return gathered("build", Build, options)


# -- training and trained networks -------------------------------------------------------------------


@record
class DataChoice:
    """Which data set, and whether a file of it that cannot be read is an error."""

    name: str
    strict: bool

    def open(self, session: Session) -> Data:
        """The data set, its warnings printed."""
        from netdsl.data import open_data

        data = open_data(self.name, strict=self.strict)
        print_warnings(session, data.warnings)
        return data


def data_options(name: Option) -> Callable[[Function], Function]:
    """The option or argument ``name``, and ``--strict-data``: ``data``, a `DataChoice`."""
    strict = click.option(
        "--strict-data", "strict", is_flag=True, help="A data file that cannot be read is an error, not a warning."
    )
    return gathered("data", DataChoice, {"name": name, "strict": strict})


data_option = click.option(
    "--data",
    "name",
    required=True,
    metavar="DATA",
    help="`digits` (1,797 handwritten digits that come along), `shapes` (drawn from a seed), `idx:DIR` (the "
    "MNIST format), `cifar10:DIR`, `cifar100:DIR`, `folder:DIR` (a folder of pictures a class), `csv:FILE`, "
    "`voc:DIR`, `voc-masks:DIR` or `coco:DIR`.",
)


@record
class WeightsChoice:
    """Trained weights: a safetensors file or a run directory, and whether to take the averaged ones."""

    path: Path
    averaged: bool

    def load(self, model: Model, *further: Path) -> list[Trained]:
        """The model with these weights, and with those of each path in ``further``."""
        from netdsl.trained import load_trained

        return [load_trained(model, path, averaged=self.averaged) for path in (self.path, *further)]


weights_options = gathered(
    "weights",
    WeightsChoice,
    {
        "path": click.option(
            "--weights",
            "path",
            required=True,
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="A safetensors file, or a run directory (its `best`).",
        ),
        "averaged": click.option(
            "--ema", "averaged", is_flag=True, help="The averaged weights, which `ema` of a `train` block keeps."
        ),
    },
)
"""``--weights`` and ``--ema``: ``weights``, a `WeightsChoice`."""


seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Equal seeds, equal bits."
)

train_batch_option = click.option(
    "--batch", type=click.IntRange(1, MAX_BATCH), metavar="N", help="Instead of the file's."
)

start_weights_option = click.option(
    "--weights", type=click.Path(path_type=Path), metavar="PATH", help="Start from these weights."
)


def _saving(every: float | None, keep: int) -> Saving:
    from netdsl.train.saving import Saving

    return Saving(every, keep)


saving_options = gathered(
    "saving",
    _saving,
    {
        "every": click.option(
            "--checkpoint-every",
            "every",
            type=click.FloatRange(0, 1e9, min_open=True),
            metavar="SECONDS",
            help="Save `last` in the middle of epochs too.",
        ),
        "keep": click.option(
            "--keep",
            type=click.IntRange(0, 1_000_000),
            default=0,
            metavar="N",
            help="Keep the checkpoints of the latest N epochs too.",
        ),
    },
)
"""``--checkpoint-every`` and ``--keep``: ``saving``, a `Saving`."""

workers_option = click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    help="Threads that load and augment data.  [default: the cores, at most 4]",
)
"""Results have the same bits for any number."""

output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Write to a file instead of stdout."
)
