"""Objects from the cache without emitting anything where their code was made before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from netdsl_llvm.cache import ObjectCache
from netdsl_llvm.target import Target


def kept_object(name: str, target: Target, emit: Callable[[], str], store: ObjectCache | None = None) -> bytes:
    """The object of the IR text that `emit` gives, which only runs if the cache lacks it.

    `name` must say everything the text depends on, beside the sources of whatever makes code.
    """
    store = store or ObjectCache.default()
    key = store.key(target, f"{sources_digest()}\n{name}")
    code = store.get(key)
    if code is None:
        from netdsl_llvm.compile import object_code

        code = object_code(emit(), target)
        store.put(key, code)
    return code


@cache
def sources_digest() -> str:
    """Of all files that take part in making code: an edited generator must not find what the old one made."""
    digest = hashlib.sha256()
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    import netdsl.ir
    import netdsl.ops
    import netdsl.plan

    here = Path(__file__).parent
    folders = [
        here,
        here / "kernels",
        *(Path(found) for m in (netdsl.ir, netdsl.ops, netdsl.plan) for found in m.__path__),
    ]
    for folder in folders:
        yield from sorted(folder.glob("*.py"))
