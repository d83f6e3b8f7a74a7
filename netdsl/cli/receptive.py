"""``netdsl report --receptive-field``: what one unit sees, in numbers and as a picture."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, check_suffix, print_json, write_figure
from netdsl.cli.options import gathered
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.analysis.unit import UnitField
    from netdsl.elaborate import Model


def parse_unit(text: str) -> tuple[str, tuple[int, int] | None]:
    """``layer1.conv2`` or ``layer1.conv2,7,12``: the layer, and row and column. Raises UsageError."""
    found = re.fullmatch(r"([^,\s]+)(?:,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9}))?", text.strip())
    if not found:
        raise click.UsageError(f"--receptive-field: `{text}` is not LAYER or LAYER,ROW,COLUMN such as conv1,7,12.")
    return found[1], (int(found[2]), int(found[3])) if found[2] is not None else None


@record
class FieldQuestion:
    """``--receptive-field``, and what its figure is drawn on and goes to; nothing is asked where ``unit`` is None."""

    unit: str | None
    picture: Path | None
    output: Path | None

    def check(self) -> None:
        """Raises UsageError for what is no unit, for options of a question not asked, and where no figure can go."""
        if self.unit is not None:
            parse_unit(self.unit)
        elif self.picture is not None or self.output is not None:
            raise click.UsageError("--image and -o belong to --receptive-field.")
        if self.picture is not None and self.output is None:
            raise click.UsageError("--image is drawn on: name the file to write with -o.")
        if self.output is not None:
            check_suffix("-o", self.output)


field_options = gathered(
    "field",
    FieldQuestion,
    {
        "unit": click.option(
            "--receptive-field",
            "unit",
            metavar="LAYER[,ROW,COLUMN]",
            help="Say only what one unit of a layer sees (the one in the middle), exactly; -o draws it.",
        ),
        "picture": click.option(
            "--image",
            "picture",
            metavar="PATH",
            type=click.Path(path_type=Path),
            help="With --receptive-field: a picture to draw the field on; brought to the input's size.",
        ),
        "output": click.option(
            "-o",
            "--output",
            metavar="PATH",
            type=click.Path(path_type=Path),
            help="With --receptive-field: the figure to write, .svg or .png.",
        ),
    },
)
"""``field``, a `FieldQuestion`."""


def print_field(session: Session, model: Model, field: FieldQuestion) -> None:
    """Say what the unit sees, and draw it where ``field.output`` names a file."""
    assert field.unit is not None
    from netdsl.analysis.unit import unit_field
    from netdsl.report.seen import plain_seen, seen_document

    name, at = parse_unit(field.unit)
    found = unit_field(model.graph, name, at)
    if field.output is not None:
        from netdsl.report.figure.field import field_figure

        png = _prepared(model, found, field.picture) if field.picture is not None else None
        write_figure(field.output, field_figure(found, png))
    if session.json:
        print_json(seen_document(model.graph, found))
    else:
        sys.stdout.write(plain_seen(model.graph, found))


def _prepared(model: Model, found: UnitField, path: Path) -> bytes:
    """A picture as the network would be given it, before normalization: a PNG of the input's size."""
    from netdsl.data.picture import picture_bytes, read_picture
    from netdsl.data.prepare import Preparation

    channels, height, width = found.input.types[0].shape
    said = {step.name: step.arguments for step in (model.train.augmentations if model.train else ())}
    preparation = Preparation(
        channels if channels in (1, 3) else 3,
        height,
        width,
        fit=said.get("resize", {}).get("fit", "stretch"),
        margin=int(said.get("crop", {}).get("margin", 0)),
    )
    return picture_bytes(preparation.centre(preparation.widen(read_picture(path))))
