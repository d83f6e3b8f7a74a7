"""Local response normalization and dropout."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.types import DType, TensorType
from tests.backends.llvm.harness import check, compiled, expected, random_arrays, single_op, spread

COUNTER = TensorType((), False, DType.I32)


LRN_SHAPES = [(5,), (37, 3, 11), (96, 2, 5), (3, 9)]
CONSTANTS = [(5, 0.75), (4, 0.5), (1, 0.75), (40, 0.9)]


@pytest.mark.parametrize(("target", "shape", "constants"), spread(LRN_SHAPES, CONSTANTS))
def test_lrn(shape: tuple[int, ...], constants: tuple[int, float], target: str) -> None:
    size, beta = constants
    attrs = {"size": size, "alpha": 0.5, "beta": beta, "k": 2.0}
    check("lrn", attrs, [TensorType(shape)], target=target, batch=2)
    check("lrn_grad", attrs, [TensorType(shape)] * 2, target=target, batch=2, tolerance=4e-6)


@pytest.mark.parametrize(("target", "shape", "p"), spread([(5,), (37, 3, 11), (3, 9), (2, 3, 4, 5)], [0.3, 0.5, 1.0]))
def test_dropout_is_the_reference_bit_for_bit(shape: tuple[int, ...], p: float, target: str) -> None:
    kinds = [TensorType(shape), COUNTER, COUNTER]
    graph = single_op("dropout_apply", {"p": p, "salt": 0xFEDCBA98}, kinds)
    arrays = [*random_arrays(kinds[:1], 3), np.asarray(-7, np.int32), np.asarray(123456789, np.int32)]
    for threads in (1, 2):
        got = compiled(graph, target, 3, threads).run(arrays)["y0"]
        exact = expected(graph, arrays)[0]
        assert np.array_equal(got == 0, exact == 0)
        assert np.allclose(got, exact, rtol=2e-7, atol=0)
