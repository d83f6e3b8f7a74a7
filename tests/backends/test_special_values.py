"""Not-a-number, infinities and labels that are no class come out of every backend where the reference has them."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.backend import backend_names, find_device
from netdsl.ir.types import DType
from netdsl.reference import Interpreter
from tests.backends.test_all_ops import Array, arrays_of, one_op, run
from tests.ops.cases import CASES, Case

SPREADING = {"avgpool_grad", "upsample", "upsample_grad"}
"""Their reference is a product with a matrix, whose zeros make NaN of what they should ignore."""


def exact(case: Case) -> bool:
    """Groups of few channels share a vector, and there too a zero weight times infinity is NaN."""
    return case.op not in SPREADING and case.attrs.get("groups", 1) == 1 and case.attrs.get("to") is None


def check(case: Case, arrays: dict[str, Array], name: str) -> None:
    graph = one_op(case)
    expected = Interpreter(graph).run(arrays, arrays, np.float32).outputs
    for key, result in run(graph, arrays, find_device(name), 1).items():
        for test in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(test(result), test(expected[key]), err_msg=f"{test.__name__} of {key}")


@pytest.mark.parametrize("name", backend_names())
@pytest.mark.parametrize("case", [case for case in CASES if exact(case)], ids=str)
def test_not_finite(case: Case, name: str) -> None:
    for key, type in zip(arrays_of(case), case.types, strict=True):
        if not type.batched or type.dtype is not DType.F32:
            continue
        for value in (np.nan, np.inf, -np.inf, 1e30):
            arrays = arrays_of(case)
            arrays[key].flat[arrays[key].size // 3] = value
            check(case, arrays, name)


@pytest.mark.parametrize("name", backend_names())
@pytest.mark.parametrize("case", [case for case in CASES if case.op.startswith("cross_entropy")], ids=str)
def test_labels_that_are_no_class(case: Case, name: str) -> None:
    label = next(key for key, type in zip(arrays_of(case), case.types, strict=True) if type.dtype is DType.I32)
    for wrong in (-1, 17, 2**31 - 1, -(2**31)):
        arrays = arrays_of(case)
        arrays[label].flat[0] = wrong
        check(case, arrays, name)
