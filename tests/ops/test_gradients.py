"""Every gradient rule against central differences in float64."""

from __future__ import annotations

import pytest

from netdsl.ops.base import all_ops, get
from tests.ops.cases import CASES, Case
from tests.ops.support import OneOp, check_differences

DIFFERENTIABLE = [case for case in CASES if get(case.op).differentiable]


def test_every_op_has_a_case() -> None:
    assert {case.op for case in CASES} == set(all_ops())


ELSEWHERE = {"dropout_apply", "bn_shared"}
"""Their rules are no derivatives of what they compute alone; see tests/ops/test_dropout.py, and
tests/train/test_divided_steps.py for the comparison with the batch normalization of one process."""


@pytest.mark.parametrize("case", [case for case in DIFFERENTIABLE if case.op not in ELSEWHERE], ids=str)
def test_gradient(case: Case) -> None:
    check_differences(OneOp(case.op, case.types, case.attrs), case.arrays())
