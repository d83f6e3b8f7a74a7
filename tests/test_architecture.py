"""Imports point down only, and what is heavy is imported late. Also in functions, also for types."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = (
    {
        "cache_directory", "entry_points", "mapped_file", "no_collections", "numpy_on_use", "package_files", "record",
        "source",
    },
    {"diagnostics", "codeframe"},
    {"explain", "ir", "machine", "syntax"},
    {"ops"},
    {
        "analysis", "autodiff", "backend", "data", "division", "elaborate", "measured", "metrics", "passes", "plan",
        "predict", "reference", "report", "resolve", "train", "updates", "weights",
    },
    {"driver"},
    {"api", "bench", "lsp", "trained", "trainer"},
    {"cli"},
    {"__main__"},
)  # fmt: skip
"""Parts of netdsl from the bottom up. A part imports from its own layer and those below."""

FACADE = "__init__"
"""The package itself hands out names from everywhere, each when it is asked for."""

BACKENDS_MAY = {
    "cache_directory", "diagnostics", "ir", "machine", "mapped_file", "numpy_on_use", "ops", "plan", "record",
    "reference", "source",
}  # fmt: skip

HEAVY = {"llvmlite", "networkx", "rich", "PIL", "matplotlib", "safetensors", "torch", "lark", "tensorboardX"}
"""Imported inside the functions that need them."""

THIRD_PARTY = {"numpy", "lark", "networkx", "llvmlite", "click", "rich", "safetensors", "PIL"}

OPTIONAL = {"pygls", "lsprotocol", "pygments", "tensorboardX", "mpi4py"}
"""Needed by the verb `lsp`, by `train --tensorboard` and by several processes only, for which there are extras, and by
the lexer that Pygments itself loads."""


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of imported modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "netdsl":
                yield from (f"netdsl.{alias.name}" for alias in node.names)
            else:
                yield node.module


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def part_of(path: Path) -> str:
    """``ops`` for netdsl/ops/conv.py, ``driver`` for netdsl/driver.py."""
    return path.relative_to(ROOT / "netdsl").parts[0].removesuffix(".py")


def layer(part: str) -> int:
    found = [number for number, parts in enumerate(LAYERS) if part in parts]
    assert found, f"{part} is in no layer: add it to LAYERS"
    return found[0]


@pytest.mark.parametrize("path", files("netdsl"), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part == FACADE:
        return
    for name in imports(parsed(path)):
        assert not name.startswith("netdsl_"), f"{path} knows the backend {name}"
        package, _, rest = name.partition(".")
        if package == "netdsl" and rest:
            wanted = rest.partition(".")[0]
            lower = layer(wanted) <= layer(part) or (part, wanted) == ("diagnostics", "codeframe")
            assert lower, f"{path} imports {name}, which is above it"


@pytest.mark.parametrize("path", files("backends"), ids=lambda path: str(path.relative_to(ROOT)))
def test_backends_know_only_what_lies_below(path: Path) -> None:
    own = path.relative_to(ROOT / "backends").parts[0]
    for name in imports(parsed(path)):
        package, _, rest = name.partition(".")
        if package == "netdsl":
            assert rest.partition(".")[0] in BACKENDS_MAY, f"{path} imports {name}"
        assert not package.startswith("netdsl_") or package == own, f"{path} knows another backend, {name}"


def test_one_part_knows_networkx() -> None:
    users = {part_of(path) for path in files("netdsl") if "networkx" in set(imports(parsed(path)))}
    assert users == {"ir"}


@pytest.mark.parametrize("path", files("netdsl"), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_late(path: Path) -> None:
    top_level = ast.Module([node for node in parsed(path).body if not isinstance(node, ast.If)], [])
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    at_import = [node for node in top_level.body if not isinstance(node, functions)]
    for name in imports(ast.Module(at_import, [])):
        assert name.partition(".")[0] not in HEAVY, f"{path} imports {name} when it is imported"


def pyproject() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_installed() -> None:
    inside = {path.parent.relative_to(ROOT) for path in files("netdsl")}
    beside = {path.parent.relative_to(ROOT / "backends") for path in files("backends")}
    expected = {".".join(path.parts) for path in inside | beside} | {"netdsl.grammar", "netdsl.zoo"}
    assert set(pyproject()["tool"]["setuptools"]["packages"]) == expected


def test_every_dependency_is_declared() -> None:
    project = pyproject()["project"]
    declared = {item.split(">")[0].lower() for item in project["dependencies"]}
    assert declared == {"pillow" if name == "PIL" else name for name in THIRD_PARTY}
    known = THIRD_PARTY | OPTIONAL | set(sys.stdlib_module_names) | {"netdsl", "netdsl_llvm"}
    for path in [*files("netdsl"), *files("backends")]:
        unknown = {name.partition(".")[0] for name in imports(parsed(path))} - known
        assert not unknown, f"{path} imports {unknown}, which pyproject.toml does not declare"
