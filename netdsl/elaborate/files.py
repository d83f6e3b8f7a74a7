"""Reading files and what they ``use``. Files are untrusted: only small regular files are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from netdsl.diagnostics import Code, Diagnostics, Label, ResourceLimit, UserError, did_you_mean, suggest
from netdsl.elaborate import limits
from netdsl.package_files import folder_of
from netdsl.record import record
from netdsl.source import Source, Span
from netdsl.syntax import tree
from netdsl.syntax.parser import MAX_BYTES, parse


@record(frozen=False, eq=False)
class Module:
    """One parsed file with the names it declares and those it brings in."""

    source: Source
    path: Path | None
    program: tree.Program
    nets: dict[str, tree.Net | tree.Variant] = field(default_factory=dict)
    blocks: dict[str, tuple[tree.Block, Module]] = field(default_factory=dict)
    trains: dict[str, tree.Train] = field(default_factory=dict)
    constants: list[tree.Constant] = field(default_factory=list)


def read_source(path: Path, span: Span | None = None) -> Source:
    """The text of a regular file of at most 1 MiB, in UTF-8. Raises UserError, ResourceLimit."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError.of(Code.FILE_NOT_FOUND, f"there is no file {path}", span, help=_near(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError.of(Code.FILE_UNREADABLE, f"cannot open {path}: {reason}", span) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UserError.of(Code.FILE_UNREADABLE, f"{path} is not a regular file", span)
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ResourceLimit.of(
            Code.LIMIT_FILE, f"{path} is larger than the {MAX_BYTES // 1024:,} KiB a file may have", span
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError.of(
            Code.FILE_UNREADABLE, f"{path} is not UTF-8 text (byte {error.start} is {data[error.start]:#04x})", span
        ) from None
    return Source(str(path), text)


def _near(path: Path) -> str | None:
    try:
        names = [item.name for item in path.parent.iterdir() if item.suffix == ".net"]
    except OSError:
        return None
    near = suggest(path.name, names[:1000])
    return f"did you mean {path.with_name(near)}?" if near else None


def load_program(where: str | Path | Source) -> Module:
    """Parse a file (or a text) and everything it uses. Raises UserError with all errors of the first bad file."""
    loader = _Loader()
    if isinstance(where, Source):
        return loader.load(where, None, ())
    path = Path(where)
    return loader.load(read_source(path), path, ())


def load_open(source: Source, path: Path) -> Module:
    """As ``load_program``, for a file whose text an editor has: it is not read, but what it uses is."""
    return _Loader().load(source, path, ())


@record
class _Step:
    """A file on the way from the first one to the one being read, and the ``use`` that led on."""

    path: Path
    name: str


@record(frozen=False)
class _Loader:
    modules: dict[Path, Module] = field(default_factory=dict)

    def load(self, source: Source, path: Path | None, chain: tuple[_Step, ...]) -> Module:
        found = Diagnostics(most=limits.MAX_ERRORS)
        module = Module(source, path, parse(source))
        key = _identity(path) if path else None
        if path and key:
            self.modules[key] = module
            chain = (*chain, _Step(key, str(path)))
        _declare(module, found)
        for declaration in module.program.declarations:
            if isinstance(declaration, tree.Use):
                self._use(module, declaration, chain, found)
        found.raise_if_errors()
        return module

    def _use(self, module: Module, use: tree.Use, chain: tuple[_Step, ...], found: Diagnostics) -> None:
        try:
            used = self._used(module, use, chain)
        except UserError as error:
            for item in error.diagnostics:
                found.add(item)
            return
        _bring_in(module, used, use, found)

    def _used(self, module: Module, use: tree.Use, chain: tuple[_Step, ...]) -> Module:
        path = _path_of(module, use)
        span = _path_span(use)
        source_key = _identity(path)
        names = [step.path for step in chain]
        if source_key in names:
            ring = [step.name for step in chain[names.index(source_key) :]] + [str(path)]
            raise UserError.of(
                Code.USE_CYCLE, "these files use each other in a cycle", span, notes=[" uses\n".join(ring)]
            )
        if source_key in self.modules:
            return self.modules[source_key]
        if len(self.modules) >= limits.MAX_FILES:
            raise ResourceLimit.of(Code.LIMIT_FILE, f"one file may use at most {limits.MAX_FILES} files", span)
        return self.load(read_source(path, span), path, chain)


def _identity(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _path_span(use: tree.Use) -> Span:
    if isinstance(use.path, tree.String):
        return use.path.span
    return use.path[0].span.to(use.path[-1].span)


def _path_of(module: Module, use: tree.Use) -> Path:
    if isinstance(use.path, tree.String):
        return _relative_path(module, use.path)
    first, *rest = use.path
    if first.text != "zoo" or not rest:
        raise UserError.of(
            Code.FILE_NOT_FOUND,
            f"`{_path_span(use).text}` is not in the zoo",
            _path_span(use),
            help='write `use zoo.blocks.name: Block` or `use "file.net"`',
        )
    root = folder_of("netdsl.zoo")
    return root.joinpath(*(name.text for name in rest)).with_suffix(".net")


def _relative_path(module: Module, text: tree.String) -> Path:
    if not text.value.endswith(".net") or "\0" in text.value:
        raise UserError.of(Code.FILE_NOT_FOUND, "`use` reads .net files", text.span, help='write `use "file.net"`')
    if Path(text.value).is_absolute():
        raise UserError.of(Code.FILE_NOT_FOUND, "`use` takes a path relative to the file it stands in", text.span)
    base = module.path.parent if module.path else Path()
    return base / text.value


def _declare(module: Module, found: Diagnostics) -> None:
    """Enter the file's own declarations; each name once."""
    taken: dict[str, Span] = {}
    for item in module.program.declarations:
        if isinstance(item, tree.Train):
            if item.net.text in module.trains:
                _duplicate(found, "train", item.net, module.trains[item.net.text].net.span)
            module.trains[item.net.text] = item
            continue
        if not isinstance(item, tree.Net | tree.Variant | tree.Block | tree.Constant):
            continue
        if item.name.text in taken:
            _duplicate(found, "", item.name, taken[item.name.text])
            continue
        taken[item.name.text] = item.name.span
        if isinstance(item, tree.Block):
            module.blocks[item.name.text] = (item, module)
        elif isinstance(item, tree.Constant):
            module.constants.append(item)
        else:
            module.nets[item.name.text] = item


def _duplicate(found: Diagnostics, what: str, name: tree.Name, first: Span) -> None:
    title = f"`{(what + ' ' + name.text).strip()}` is declared twice"
    found.error(Code.DUPLICATE_NAME, title, name.span, secondary=[Label(first, "first here")])


def _bring_in(module: Module, used: Module, use: tree.Use, found: Diagnostics) -> None:
    names: Sequence[tree.Name] = use.names
    if not names:
        for name, (block, _) in used.blocks.items():
            if used.blocks[name][1] is used:
                _enter(module, name, (block, used), use.span, found)
        return
    for name_node in names:
        entry = used.blocks.get(name_node.text)
        if entry is None:
            found.error(
                Code.UNKNOWN_NAME,
                f"{used.source.name} has no block `{name_node.text}`",
                name_node.span,
                help=did_you_mean(name_node.text, used.blocks),
            )
        else:
            _enter(module, name_node.text, entry, name_node.span, found)


def _enter(module: Module, name: str, entry: tuple[tree.Block, Module], span: Span, found: Diagnostics) -> None:
    present = module.blocks.get(name)
    if present is not None and present[0] is not entry[0]:
        label = Label(present[0].name.span, "the other one")
        found.error(Code.DUPLICATE_NAME, f"there are two blocks `{name}`", span, secondary=[label])
        return
    module.blocks[name] = entry
