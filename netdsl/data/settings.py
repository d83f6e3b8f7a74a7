"""Settings in the name of a data set: ``shapes:size=64,seed=1``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.diagnostics import Code, UserError, suggest


@dataclass(frozen=True)
class Whole:
    """A whole number from ``least`` to ``most``."""

    least: int
    most: int


def parse(data: str, text: str, allowed: Mapping[str, Whole]) -> dict[str, int]:
    """The settings by name. Raises UserError for a name that is not ``allowed``, comes twice, or has no such
    value."""
    found: dict[str, int] = {}
    for item in text.split(",") if text else ():
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in allowed:
            close = suggest(name, allowed)
            raise UserError.of(
                Code.DATA_NOT_FOUND,
                f"`{data}` has no setting `{name}`",
                notes=(f"there are {', '.join(f'`{known}`' for known in allowed)}",),
                help=f"did you mean `{close}`?" if close else None,
            )
        limits = allowed[name]
        if name in found or not re.fullmatch(r"\d{1,12}", value) or not limits.least <= int(value) <= limits.most:
            what = "two values" if name in found else f"`{value}`"
            raise UserError.of(
                Code.BAD_OPTION,
                f"`{name}` of `{data}` is a whole number from {limits.least} to {limits.most:,}, found {what}",
                help=f"write `{data}:{name}={limits.least}`",
            )
        found[name] = int(value)
    return found
