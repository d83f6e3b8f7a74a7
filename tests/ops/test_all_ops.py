"""What holds for every op of the registry."""

from __future__ import annotations

import re

import pytest

from netdsl.ops.base import OpDef, all_ops

OPS = list(all_ops().values())


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_the_manual_is_complete(op: OpDef) -> None:
    assert op.manual and op.manual != (OpDef.__doc__ or "").strip()
    assert re.fullmatch(r"[a-z][a-z0-9_]*", op.name)
    assert all(arg.doc for arg in op.args), [arg.name for arg in op.args if not arg.doc]
    names = [arg.name for arg in op.args]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_what_a_file_can_use_is_whole(op: OpDef) -> None:
    for method in ("infer", "cost"):
        assert getattr(type(op), method) is not getattr(OpDef, method), method
    assert type(op).reference is not OpDef.reference
    if not op.internal:
        assert op.differentiable
    if op.differentiable:
        assert type(op).gradient is not OpDef.gradient
