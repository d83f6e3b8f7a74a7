"""``netdsl data``: what is in a data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import print_json, session_of, write_output
from netdsl.cli.options import DataChoice, data_options, json_option

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.data.summary import Part

_MOST = 40


def _parse_grid(_: click.Context, __: click.Parameter, text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d?)[xX]([1-9]\d?)", text)
    if not found or max(int(found[1]), int(found[2])) > _MOST:
        raise click.BadParameter(f"`{text}` is not rows x columns such as 6x8, up to {_MOST}x{_MOST}.")
    return int(found[1]), int(found[2])


@click.command(
    epilog="""\b
Examples:
  netdsl data shapes:objects=4,size=96 --sheet shapes.png
  netdsl data voc:VOCdevkit --part test --sheet voc.png --grid 4x8
  netdsl data csv:list.csv --json

\b
The sheet shows the first pictures with their classes, boxes and masks.
"""
)
@data_options(click.argument("name", metavar="DATA"))
@click.option("--sheet", type=click.Path(path_type=Path), metavar="PATH", help="Draw some pictures into a PNG file.")
@click.option("--grid", default="6x8", show_default=True, metavar="RxC", callback=_parse_grid, help="Of the sheet.")
@click.option("--part", type=click.Choice(("train", "test")), default="train", show_default=True, help="Of the sheet.")
@json_option
@click.pass_context
def command(context: click.Context, data: DataChoice, sheet: Path | None, grid: tuple[int, int], part: str) -> None:
    """Show what is in a data set: pictures, classes, and what a network can learn from them."""
    from netdsl.data.summary import sheet as drawn
    from netdsl.data.summary import summary
    from netdsl.data.targets import offered

    session = session_of(context)
    found = data.open(session)
    parts = summary(found)
    targets = [kind for kind in ("class", "pixels", "box") if kind in offered(found.train) & offered(found.test)]
    if sheet is not None:
        write_output(sheet, drawn(found, found.train if part == "train" else found.test, *grid))
    if session.json:
        said = {"name": found.name, "classes": list(found.classes), "targets": targets}
        print_json({"data": said | {"parts": [one.to_json() for one in parts]}})
        return
    _print(found, targets, parts)


def _print(data: Data, targets: Sequence[str], parts: tuple[Part, Part]) -> None:
    print(data.name)
    print(f"targets  {', '.join(targets) or 'none'}")
    for part in parts:
        size = "x".join(map(str, part.shape))
        print(f"{part.name:<7}  {part.pictures:,} pictures, the first {size}")
    head = "things" if parts[0].things else "pictures"
    if not parts[0].counts:
        print(f"classes  {', '.join(data.classes)}")
        return
    width = max(len("class"), *map(len, data.classes))
    print(f"\n{'class':<{width}}  {'train':>9}  {'test':>9}   {head}{_where(parts)}")
    for name, train, test in zip(data.classes, parts[0].counts, parts[1].counts, strict=True):
        print(f"{name:<{width}}  {train:>9,}  {test:>9,}")


def _where(parts: tuple[Part, Part]) -> str:
    return f" in the first {parts[0].looked_at:,} pictures" if parts[0].looked_at < parts[0].pictures else ""
