"""What a user may write where a network is wanted: ``FILE``, ``FILE#Net`` or ``zoo:NAME``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from netdsl.diagnostics import Code, UserError, suggest
from netdsl.package_files import folder_of
from netdsl.record import record

ZOO_PREFIX = "zoo:"


@record
class Reference:
    """A file, and which of its nets is meant (None: the only one)."""

    path: Path
    net: str | None


def resolve(where: str) -> Reference:
    """The file and net behind ``where``. Whether the file exists shows when it is read.

    Raises UserError for a name that the zoo does not have.
    """
    if where.startswith(ZOO_PREFIX):
        return _from_zoo(where.removeprefix(ZOO_PREFIX))
    path, _, net = where.rpartition("#")
    return Reference(Path(path), net) if path and net.isidentifier() else Reference(Path(where), None)


def zoo_names() -> list[str]:
    """The names behind ``zoo:``, sorted."""
    return sorted(_networks())


def _networks() -> dict[str, tuple[str, str]]:
    """The zoo's table: name -> (file relative to the zoo, net in it)."""
    table: dict[str, tuple[str, str]] = import_module("netdsl.zoo").NETWORKS
    return table


def _from_zoo(name: str) -> Reference:
    entry = _networks().get(name)
    if entry is None:
        near = suggest(name, _networks())
        help = f"did you mean `{ZOO_PREFIX}{near}`?" if near else "`netdsl zoo` lists what there is"
        raise UserError.of(Code.UNKNOWN_ZOO_NET, f"the zoo has no network `{name}`", help=help)
    file, net = entry
    return Reference(folder_of("netdsl.zoo") / file, net)
