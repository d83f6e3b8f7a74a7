"""From IR to loaded machine code: optimize, emit an object, link it into this process."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from netdsl_llvm.cache import ObjectCache
from netdsl_llvm.memory import release_code
from netdsl_llvm.target import Target, initialized_llvm

_library_numbers = itertools.count()


class Loaded:
    """Machine code in this process; its addresses are valid as long as this object lives."""

    def __init__(self, tracker: Any, names: Sequence[str]) -> None:
        self._tracker = tracker
        self._addresses = {name: int(tracker[name]) for name in names}

    def address(self, name: str) -> int:
        """Where the exported function `name` starts."""
        return self._addresses[name]


def optimized(text: str, target: Target) -> Any:
    """The LLVM module of an IR text, verified and cleaned up.

    Kernels are emitted with their loops tiled and their vectors in registers, so the standard pipelines would take
    several times as long for nothing; what is left to do is arithmetic on indices and what was computed twice.
    """
    binding = initialized_llvm()
    module = binding.parse_assembly(text)
    module.verify()
    builder = binding.create_pass_builder(target.machine(), binding.create_pipeline_tuning_options(speed_level=2))
    passes = binding.create_new_function_pass_manager()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    passes.add_loop_rotate_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


def object_code(text: str, target: Target) -> bytes:
    """The relocatable object of an IR text."""
    code: bytes = target.machine().emit_object(optimized(text, target))
    return code


def assembly(text: str, target: Target) -> str:
    """The assembly text of an IR text."""
    listing: str = target.machine().emit_assembly(optimized(text, target))
    return listing


def cached_object(text: str, target: Target, store: ObjectCache | None = None) -> bytes:
    """As `object_code`, from the cache on disk where it is there, and put there where it isn't."""
    store = store or ObjectCache.default()
    key = store.key(target, text)
    code = store.get(key)
    if code is None:
        code = object_code(text, target)
        store.put(key, code)
    return code


def load(code: bytes, names: Sequence[str], symbols: Mapping[str, int] | None = None) -> Loaded:
    """Link an object into this process and find the functions `names`; `symbols` are addresses it may use."""
    binding = initialized_llvm()
    builder = binding.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name, address in (symbols or {}).items():
        builder.import_symbol(name, address)
    for name in names:
        builder.export_symbol(name)
    return Loaded(builder.link(_linker(), f"netdsl{next(_library_numbers)}"), names)


def rest() -> None:
    """Give back the memory of LLVM's own code until something is compiled or loaded again."""
    from llvmlite.utils import get_library_name

    release_code(get_library_name())


@cache
def _linker() -> Any:
    # JITLink keeps the parts of an object together. The older linker puts code and constants wherever there is room;
    # with large weights between them they come to lie more than 2 GiB apart, and code cannot address its constants.
    binding = initialized_llvm()
    return binding.create_lljit_compiler(Target.host().machine(), use_jit_link=True)
