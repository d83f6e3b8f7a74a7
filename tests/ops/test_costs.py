"""Operations and elements moved of every op, counted by hand for one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from netdsl.ir.scalar import Var, exp
from netdsl.ir.types import TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import Call, Cost, Traffic, all_ops, get
from tests.ops.cases import CASES, COUNTER, NUMBER, geometry, labels, t, w

MOVING = {
    "concat", "crop", "dropout", "flatten", "identity", "pad", "pad_channels", "reshape", "slice", "upsample",
    "weight_reshape", "weight_concat", "weight_spread", "weight_response", "compose_weights",
    "rank_sum_begin", "rank_sum_end",
}  # fmt: skip
"""Ops that may do no arithmetic in a run: they move numbers (upsample if not bilinear), are done at load, or elsewhere:
MPI adds."""


def call_of(op: str, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Call:
    resolved, results = infer_types(op, attrs, types)
    return Call(resolved, tuple(types), results)


WIDE = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 2, 0, 1)}
"""On 7x6: outputs (7+3-3)/2+1 = 4 by (6+1-3)/2+1 = 3."""
POOL = {"kernel": (3, 2), "stride": (2, 2)}
"""On 7x6: 3x3 windows."""
SMOOTH = {"mode": "bilinear", "coords": "half_pixel"}
NEAREST = {"mode": "nearest", "coords": "asymmetric"}
M, B = t(5, 7, 6), t(5)
ELEMENTS = 5 * 7 * 6

COUNTED = [
    # op, operands, arguments, MACs, FLOPs
    ("relu", [M], {}, 0, ELEMENTS),
    ("sigmoid", [M], {}, 0, ELEMENTS),
    ("tanh", [B], {}, 0, 5),
    ("leaky_relu", [M], {"slope": 0.1}, 0, 2 * ELEMENTS),  # a choice, a product
    ("prelu", [M, w(5)], {}, 0, 2 * ELEMENTS),
    ("scale", [M, w(5), w(5)], {}, 0, 2 * ELEMENTS),
    ("add", [M, M, M], {}, 0, 2 * ELEMENTS),
    ("mul", [M, B], {}, 0, ELEMENTS),
    ("bn", [M, w(5), w(5), w(5), w(5)], {"eps": 1e-5}, 0, 4 * ELEMENTS + 2 * 5),  # sqrt(var + eps) once a channel
    ("dropout", [M], {}, 0, 0),
    ("dropout_apply", [M, COUNTER, COUNTER], {"p": 0.5, "salt": 1}, 0, ELEMENTS),
    ("map", [M, w(5)], {"expr": exp(Var(1)) * Var(0) + exp(Var(1))}, 0, 5 + 2 * ELEMENTS),  # one exp, not two
    ("bn_train", [M, w(5), w(5), w(5), w(5)], {}, 0, 7 * ELEMENTS),
    ("bn_apply", [M, w(5), w(5), w(5), w(5)], {}, 0, 3 * ELEMENTS),
    ("bn_shared", [M, w(5), w(5), w(5), w(5)], {"count": 84}, 0, 3 * ELEMENTS + 5),  # a product once a channel
    ("bn_train_grad", [M, M, w(5), w(5), w(5)], {}, 0, 9 * ELEMENTS),
    ("lrn", [M], {"size": 5}, 0, (1 + 4 + 2 + 2) * ELEMENTS),
    ("lrn_grad", [M, M], {"size": 5}, 0, (5 + 2 + 1 + 3 + 4 + 3) * ELEMENTS),
    ("softmax", [t(10)], {}, 0, 50),
    ("log_softmax", [t(10, 2, 2)], {}, 0, 200),
    ("softmax_grad", [t(10), t(10)], {}, 0, 40),
    ("log_softmax_grad", [t(10), t(10)], {}, 0, 40),
    ("cross_entropy", [t(10, 2, 2), labels(2, 2)], {}, 0, 4 * 40 + 3 * 4),
    ("cross_entropy", [t(10, 2, 2), labels(2, 2)], {"smooth": 0.1}, 0, 5 * 40 + 6 * 4),
    ("cross_entropy_grad", [NUMBER, t(10), labels()], {}, 0, 6 * 10 + 1),
    ("mse", [t(10), t(10)], {}, 0, 3 * 10),  # difference, square, sum
    ("likelihood", [t(10), t(10)], {}, 0, 3 * 10),  # product, sign, sum
    ("bce", [t(10), t(10)], {}, 0, 11 * 10),  # two logs, two bounds, two of 1 - x, two products, sum, sign; the mean's
    ("bce_logits", [t(10), t(10)], {}, 0, (9 + 1) * 10),
    ("mean_grad", [NUMBER, t(10), t(10)], {"expr": Var(0) - Var(1)}, 0, 2 * 10),
    ("conv", [t(3, 7, 6), w(8, 3, 3, 3), w(8)], {**WIDE, "channels": 8}, 8 * 12 * 27, 2 * 8 * 12 * 27 + 8 * 12),
    ("conv", [t(4, 5, 4), w(6, 2, 3, 3)], {**geometry(3, 1, (1,) * 4, 1, 2), "channels": 6, "bias": False},
     6 * 20 * 18, 2 * 6 * 20 * 18),
    ("conv_grad_input", [t(8, 4, 3), w(8, 3, 3, 3)], {**WIDE, "shape": (3, 7, 6)}, 8 * 12 * 27, 2 * 8 * 12 * 27),
    ("conv_grad_weight", [t(8, 4, 3), t(3, 7, 6)], WIDE, 8 * 12 * 27, 2 * 8 * 12 * 27),
    ("deconv", [t(6, 3, 4), w(6, 3, 2, 2), w(3)], {**geometry(2, 2), "channels": 3},
     6 * 12 * 12, 2 * 6 * 12 * 12 + 3 * 6 * 8),
    ("fc", [t(17), w(9, 17), w(9)], {"features": 9}, 153, 306 + 9),
    ("fc_grad_input", [t(9), w(9, 17)], {}, 153, 306),
    ("fc_grad_weight", [t(9), t(17)], {}, 153, 306),
    ("distance", [t(17), w(9, 17)], {"points": 9, "norm": "l1"}, 0, 3 * 153),
    ("distance", [t(17), w(9, 17)], {"points": 9, "norm": "squared"}, 153, 3 * 153),
    ("local", [t(3, 7, 6), w(8, 4, 3, 3, 3, 3), w(8, 4, 3)], {**WIDE, "channels": 8},
     8 * 12 * 27, 2 * 8 * 12 * 27 + 8 * 12),
    ("local_grad_input", [t(8, 4, 3), w(8, 4, 3, 3, 3, 3)], {**WIDE, "shape": (3, 7, 6)},
     8 * 12 * 27, 2 * 8 * 12 * 27),
    ("local_grad_weight", [t(8, 4, 3), t(3, 7, 6)], WIDE, 8 * 12 * 27, 2 * 8 * 12 * 27),
    ("maxpool", [M], POOL, 0, 5 * 5 * 9),  # 5 comparisons a window
    ("maxpool_grad", [M, t(5, 3, 3), t(5, 3, 3)], POOL, 0, 7 * 5 * 9),
    ("avgpool", [M], POOL, 0, 6 * 5 * 9),  # 5 additions and a division a window
    ("avgpool", [M], {"kernel": "global"}, 0, ELEMENTS),
    ("avgpool", [M], {"to": (2, 4)}, 0, 5 * (4 + 4) * (2 + 2 + 2 + 2)),  # windows 4 rows high, 2 columns wide
    ("avgpool_grad", [t(5, 3, 3)], {**POOL, "shape": (5, 7, 6)}, 0, 7 * 5 * 9),
    ("avgpool_grad", [t(5, 2, 4)], {"to": (2, 4), "shape": (5, 7, 6)}, 0, 5 * 8 + 5 * 8 * 8),
    ("upsample", [M], {"size": (10, 9), **SMOOTH}, 0, 9 * 5 * 90),
    ("upsample", [M], {"factor": (2, 2), **NEAREST}, 0, 0),
    ("upsample_grad", [t(5, 10, 9)], {"size": (10, 9), "shape": (5, 7, 6), **SMOOTH}, 0, 8 * 5 * 90),
    ("upsample_grad", [t(5, 14, 12)], {"size": (14, 12), "shape": (5, 7, 6), **NEAREST}, 0, 5 * 14 * 12),
    ("sum_to", [M], {"shape": (5,), "batched": True}, 0, 5 * 41),
    ("sum_to", [M], {"shape": (5,), "batched": False}, 0, ELEMENTS),
    ("sgd", [w(5), w(5), w(5), NUMBER], {"momentum": 0.9}, 0, 6 * 5),
    ("sgd", [w(5), w(5), w(5), NUMBER], {"momentum": 0.9, "nesterov": True}, 0, 8 * 5),
    ("adam", [*[w(5)] * 4, *[NUMBER] * 3], {}, 0, 13 * 5),
    ("adam", [*[w(5)] * 4, *[NUMBER] * 3], {"weight_decay": 0.1}, 0, 15 * 5),
    ("adamw", [*[w(5)] * 4, *[NUMBER] * 3], {}, 0, 14 * 5),
    ("rmsprop", [*[w(5)] * 3, NUMBER], {}, 0, 9 * 5),
    ("rmsprop", [*[w(5)] * 5, NUMBER], {"momentum": 0.9, "centered": True}, 0, 17 * 5),
    ("square_sum", [w(5, 3)], {}, 0, 2 * 15),
    ("concat", [t(16, 3, 2), t(3, 3, 2)], {}, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("op, types, attrs, macs, flops", COUNTED, ids=lambda value: str(value)[:24])
def test_counted_by_hand(op: str, types: Sequence[TensorType], attrs: Any, macs: int, flops: int) -> None:
    assert get(op).cost(call_of(op, types, attrs)) == Cost(macs, flops)


def test_every_op_that_computes_is_counted() -> None:
    """By hand above; and over all sample uses, none that computes costs nothing."""
    computing = set(all_ops()) - MOVING
    assert computing <= {op for op, *_ in COUNTED}
    assert {case.op for case in CASES} == set(all_ops())
    for case in CASES:
        cost = get(case.op).cost(call_of(case.op, case.types, case.attrs))
        assert cost.flops >= 2 * cost.macs >= 0
        assert cost.flops > 0 or case.op in MOVING, case


@pytest.mark.parametrize("op, types, attrs, reads, writes", [
    ("conv", [t(3, 7, 6), w(8, 3, 3, 3), w(8)], {**WIDE, "channels": 8}, (126, 216, 8), (96,)),
    ("bn_train", [M, w(5), w(5), w(5), w(5)], {}, (210, 5, 5, 5, 5), (210, 5, 5, 5, 5)),
    ("flatten", [M], {}, (0,), (0,)),
    ("reshape", [M], {"shape": (210,)}, (0,), (0,)),
    ("identity", [M], {}, (0,), (0,)),
    ("dropout", [M], {}, (0,), (0,)),
    ("slice", [M], {"start": 1, "stop": 3}, (84,), (84,)),
    ("crop", [M], {"by": (1, 2, 0, 3)}, (5 * 4 * 3,), (5 * 4 * 3,)),
    ("pad", [M], {"by": (1, 2, 0, 3)}, (210,), (5 * 10 * 9,)),
    ("concat", [M, M], {}, (210, 210), (420,)),
])  # fmt: skip
def test_elements_moved(op: str, types: Any, attrs: Any, reads: tuple[int, ...], writes: tuple[int, ...]) -> None:
    assert get(op).traffic(call_of(op, types, attrs)) == Traffic(reads, writes)
