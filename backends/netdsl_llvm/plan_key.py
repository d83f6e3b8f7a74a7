"""The object code of a plan, from the cache without emitting anything where the plan was compiled before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from netdsl.plan.plan import Plan, Step
from netdsl_llvm.cache import ObjectCache
from netdsl_llvm.target import Target


def plan_object(plan: Plan, target: Target, store: ObjectCache | None = None) -> bytes:
    """The object of `plan` for `target`. Raises Unsupported for a step that has no kernel."""
    store = store or ObjectCache.default()
    key = store.key(target, plan_text(plan))
    code = store.get(key)
    if code is None:
        from netdsl_llvm.codegen import module_text
        from netdsl_llvm.compile import object_code

        code = object_code(module_text(plan, target), target)
        store.put(key, code)
    return code


def plan_text(plan: Plan) -> str:
    """Everything the code of a plan depends on: its steps without their names and places in the source, and us."""
    head = repr((_sources_digest(), len(plan.inputs), len(plan.outputs)))
    return "\n".join([head, *map(_step_text, plan.steps)])


def _step_text(step: Step) -> str:
    attrs = sorted(step.attrs.items())
    views = (step.inputs, step.outputs, step.scratch)
    types = (step.input_types, step.output_types)
    return repr((step.op, attrs, views, types, step.epilogue, step.epilogue_inputs))


@cache
def _sources_digest() -> str:
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
