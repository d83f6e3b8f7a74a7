"""Sample uses of every op: what the tests that walk the whole registry run.

Channels are around and across vector widths (1, 3, 8, 17), sizes odd, so that edges of every blocking are met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netdsl.ir.scalar import Var, exp, select
from netdsl.ir.types import DType, TensorType

Array = np.ndarray[Any, Any]
BATCH = 2
NUMBER = TensorType((), False)
COUNTER = TensorType((), False, DType.I32)
Types = Sequence[TensorType]


@dataclass(frozen=True)
class Case:
    """One call. Operands are standard normal numbers unless ``bounds`` gives a range (labels: whole numbers of it)."""

    op: str
    types: Types
    attrs: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, type.shape)) or "number" for type in self.types)
        words = [f"{key}={value}" for key, value in self.attrs.items() if key != "expr"]
        return "-".join([self.op, shapes, *words]).replace(" ", "")

    def arrays(self, batch: int = BATCH) -> list[Array]:
        rng = np.random.default_rng(len(str(self)))
        return [self._array(rng, index, type.full_shape(batch)) for index, type in enumerate(self.types)]

    def _array(self, rng: np.random.Generator, index: int, shape: tuple[int, ...]) -> Array:
        if self.types[index].dtype is DType.I32:
            low, high = self.bounds.get(index, (0, 2))
            return rng.integers(int(low), int(high), shape, dtype=np.int32)
        if index in self.bounds:
            return rng.uniform(*self.bounds[index], shape)
        return rng.standard_normal(shape)


def t(*shape: int) -> TensorType:
    return TensorType(shape)


def w(*shape: int) -> TensorType:
    return TensorType(shape, False)


def labels(*shape: int) -> TensorType:
    return TensorType(shape, True, DType.I32)


def geometry(
    kernel: int = 3, stride: int = 1, pad: Sequence[int] = (0,) * 4, dilation: int = 1, groups: int = 1
) -> Any:
    return {
        "kernel": (kernel, kernel),
        "stride": (stride, stride),
        "pad": tuple(pad),
        "dilation": (dilation, dilation),
        "groups": groups,
    }


def elementwise() -> list[Case]:
    mixed = select("gt", Var(0), Var(1), exp(Var(0)) / (Var(1) * Var(1) + 1.0), Var(2) - Var(0) * Var(1))
    statistics = {4: (0.5, 2.0)}
    return [
        *(Case(op, [t(*shape)]) for op in ("relu", "sigmoid", "tanh", "dropout") for shape in ((17, 3, 2), (5,))),
        Case("leaky_relu", [t(3, 5, 3)], {"slope": 0.2}),
        Case("prelu", [t(17, 2, 3), w(17)]),
        Case("scale", [t(17, 2, 3), w(17), w(17)]),
        Case("scale", [t(3, 5, 3), w(3), w(3)]),
        Case("add", [t(17, 3, 2)] * 3),
        Case("add", [NUMBER, NUMBER]),
        Case("mul", [t(17, 3, 2), t(17)]),
        Case("mul", [t(3, 4, 2), t(1, 4, 2), w(3, 1, 1)]),
        Case("mul", [t(5), NUMBER]),
        Case("map", [t(9, 2, 3), w(9), t(9)], {"expr": mixed}),
        Case("bn", [t(17, 3, 2), *[w(17)] * 4], {"eps": 1e-3}, statistics),
        Case("bn", [t(4), *[w(4)] * 4], {}, statistics),
    ]


def norms_and_losses() -> list[Case]:
    positive = {0: (0.05, 0.95), 1: (0.0, 1.0)}
    return [
        Case("bn_train", [t(17, 3, 2), *[w(17)] * 4], {"eps": 1e-3}, {4: (0.5, 2.0)}),
        Case("bn_train", [t(3, 5, 4), *[w(3)] * 4], {"momentum": 0.3}, {4: (0.5, 2.0)}),
        Case("bn_apply", [t(17, 3, 2), *[w(17)] * 4], {}, {4: (0.5, 2.0)}),
        Case("bn_shared", [t(17, 3, 2), *[w(17)] * 4], {"count": 24}, {4: (0.5, 2.0)}),
        *(Case(f"rank_sum_{end}", [w(17, 3)], {"number": 2}) for end in ("begin", "end")),
        Case("bn_train_grad", [t(17, 3, 2), t(17, 3, 2), w(17), w(17), w(17)], {}, {4: (0.5, 2.0)}),
        *(
            Case(op, [t(17, 2, 3)] * count, {"size": 5, "alpha": 0.9, "k": 1.5})
            for op, count in (("lrn", 1), ("lrn_grad", 2))
        ),
        Case("lrn", [t(3, 2, 2)], {"size": 4, "alpha": 0.9, "beta": 0.5}),
        Case("dropout_apply", [t(17, 3, 2), COUNTER, COUNTER], {"p": 0.4, "salt": 123456789}),
        *(Case(op, [t(*shape)]) for op in ("softmax", "log_softmax") for shape in ((17,), (3, 4, 2))),
        Case("softmax_grad", [t(17, 2, 2)] * 2, {}, {1: (0.0, 0.5)}),
        Case("log_softmax_grad", [t(17)] * 2, {}, {1: (-4.0, -1.0)}),
        Case("cross_entropy", [t(17), labels()], {}, {1: (0, 17)}),
        Case("cross_entropy", [t(3, 4, 2), labels(4, 2)], {"ignore": 1}, {1: (0, 3)}),
        Case("cross_entropy_grad", [NUMBER, t(17), labels()], {}, {2: (0, 17)}),
        Case("cross_entropy_grad", [NUMBER, t(3, 4, 2), labels(4, 2)], {"ignore": 1}, {2: (0, 3)}),
        Case("cross_entropy", [t(17), labels()], {"smooth": 0.1}, {1: (0, 17)}),
        Case("cross_entropy", [t(3, 4, 2), labels(4, 2)], {"ignore": 1, "smooth": 0.5}, {1: (0, 3)}),
        Case("cross_entropy_grad", [NUMBER, t(17), labels()], {"smooth": 0.1}, {2: (0, 17)}),
        Case("cross_entropy_grad", [NUMBER, t(3, 4, 2), labels(4, 2)], {"ignore": 1, "smooth": 1.0}, {2: (0, 3)}),
        Case("mse", [t(17, 2, 3)] * 2),
        Case("likelihood", [t(17, 2, 3)] * 2),
        Case("bce", [t(17)] * 2, {}, positive),
        Case("bce_logits", [t(3, 2, 2)] * 2, {}, {1: (0.0, 1.0)}),
        Case("mean_grad", [NUMBER, t(17, 2, 3), t(17, 2, 3)], {"expr": Var(0) - Var(1)}),
        *(
            Case("sum_to", [t(17, 3, 2)], {"shape": shape, "batched": batched})
            for shape, batched in (((17,), False), ((17,), True), ((), False), ((1, 3), True), ((17, 1, 1), False))
        ),
        Case("sgd", [w(17, 3), w(17, 3), w(17, 3), NUMBER], {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        Case("sgd", [w(5), w(5), w(5), NUMBER], {"momentum": 0.5}),
        Case("sgd", [w(5), w(5), w(5), NUMBER, NUMBER], {"momentum": 0.5}, {4: (-1.0, 1.0)}),
        *adaptive(),
        Case("square_sum", [w(17, 3)]),
    ]


def adaptive() -> list[Case]:
    """Optimizers that divide by a root: mean squares and corrections are positive."""
    positive = {3: (0.1, 2.0), 5: (0.1, 1.0), 6: (0.1, 1.0)}
    adam = [*[w(17, 3)] * 4, *[NUMBER] * 3]
    return [
        Case("adam", adam, {"weight_decay": 0.1}, positive),
        Case("adam", [*adam, NUMBER], {"beta1": 0.5}, {**positive, 7: (0.5, 1.0)}),
        Case("adamw", adam, {}, positive),
        Case("rmsprop", [*[w(17, 3)] * 3, NUMBER], {"weight_decay": 0.1}, {2: (0.1, 2.0)}),
        Case("rmsprop", [*[w(5)] * 5, NUMBER], {"momentum": 0.9, "centered": True}, {2: (2.0, 3.0), 3: (-1.0, 1.0)}),
    ]


def convolutions() -> list[Case]:
    wide = geometry(3, 2, (1, 2, 0, 1))
    grouped = geometry(3, 1, (1, 1, 1, 1), 1, 2)
    dilated = geometry(3, 1, (2, 2, 2, 2), 2)
    uneven = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 2, 0, 1)}
    small = {"kernel": (2, 2), "stride": (1, 1), "pad": (0, 0, 0, 0)}
    return [
        Case("conv", [t(3, 7, 6), w(17, 3, 3, 3), w(17)], {**wide, "channels": 17}),
        Case("conv", [t(17, 4, 5), w(8, 17, 1, 1)], {**geometry(1), "channels": 8, "bias": False}),
        Case("conv", [t(4, 5, 4), w(6, 2, 3, 3), w(6)], {**grouped, "channels": 6}),
        Case("conv", [t(6, 5, 4), w(6, 1, 3, 3), w(6)], {**geometry(3, 1, (1,) * 4, 1, 6), "channels": 6}),
        Case("conv", [t(2, 6, 5), w(3, 2, 3, 3)], {**dilated, "channels": 3, "bias": False}),
        Case("conv_grad_input", [t(17, 4, 3), w(17, 3, 3, 3)], {**wide, "shape": (3, 7, 6)}),
        Case("conv_grad_input", [t(6, 5, 4), w(6, 2, 3, 3)], {**grouped, "shape": (4, 5, 4)}),
        Case("conv_grad_weight", [t(17, 4, 3), t(3, 7, 6)], wide),
        Case("conv_grad_weight", [t(6, 5, 4), t(4, 5, 4)], grouped),
        Case("deconv", [t(17, 3, 4), w(17, 3, 2, 2), w(3)], {**geometry(2, 2), "channels": 3}),
        Case(
            "deconv", [t(4, 3, 4), w(4, 3, 3, 3)], {**geometry(3, 2, (1, 0, 1, 1), 1, 2), "channels": 6, "bias": False}
        ),
        Case("fc", [t(17), w(9, 17), w(9)], {"features": 9}),
        Case("fc", [t(3), w(20, 3)], {"features": 20, "bias": False}),
        Case("fc_grad_input", [t(9), w(9, 17)]),
        Case("distance", [t(17), w(9, 17)], {"points": 9}),
        Case("distance", [t(5), w(20, 5)], {"points": 20, "norm": "squared"}),
        Case("local", [t(3, 7, 6), w(17, 4, 3, 3, 3, 3), w(17, 4, 3)], {**uneven, "channels": 17}),
        Case("local", [t(9, 4, 5), w(3, 3, 4, 9, 2, 2)], {**small, "channels": 3, "bias": False}),
        Case("local_grad_input", [t(17, 4, 3), w(17, 4, 3, 3, 3, 3)], {**uneven, "shape": (3, 7, 6)}),
        Case("local_grad_input", [t(3, 3, 4), w(3, 3, 4, 9, 2, 2)], {**small, "shape": (9, 4, 5)}),
        Case("local_grad_weight", [t(17, 4, 3), t(3, 7, 6)], uneven),
        Case("local_grad_weight", [t(3, 3, 4), t(9, 4, 5)], small),
        Case("fc_grad_weight", [t(9), t(17)]),
    ]


def spatial() -> list[Case]:
    window = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 0, 1, 1)}
    plain = {"kernel": (2, 2), "stride": (2, 2)}
    smooth, nearest = {"mode": "bilinear", "coords": "half_pixel"}, {"mode": "nearest", "coords": "asymmetric"}
    return [
        Case("maxpool", [t(17, 5, 6)], {**window, "round": "ceil"}),
        Case("maxpool", [t(3, 4, 4)], plain),
        Case("maxpool_grad", [t(17, 6, 4), t(17, 3, 2), t(17, 3, 2)], plain),
        Case("avgpool", [t(17, 5, 6)], {**window, "count_include_pad": False}),
        Case("avgpool", [t(3, 4, 4)], {**window, "round": "ceil"}),
        Case("avgpool", [t(3, 5, 7)], {"to": (2, 3)}),
        Case("avgpool_grad", [t(17, 3, 2)], {**plain, "shape": (17, 6, 4)}),
        Case("avgpool_grad", [t(3, 2, 3)], {"to": (2, 3), "shape": (3, 5, 7)}),
        Case("concat", [t(16, 3, 2), t(3, 3, 2), t(8, 3, 2)]),
        Case("concat", [t(5), t(3)]),
        Case("slice", [t(17, 3, 2)], {"start": 3, "stop": 12}),
        Case("pad_channels", [t(5, 3, 2)], {"before": 3, "after": 9}),
        Case("crop", [t(17, 6, 5)], {"by": (1, 2, 0, 3)}),
        Case("pad", [t(17, 3, 2)], {"by": (1, 2, 0, 3)}),
        Case("upsample", [t(17, 3, 2)], {"factor": (2, 2), **nearest}),
        Case("upsample", [t(3, 3, 4)], {"size": (5, 6), **smooth}),
        Case("upsample_grad", [t(17, 6, 4)], {"size": (6, 4), "shape": (17, 3, 2), **nearest}),
        Case("upsample_grad", [t(3, 5, 6)], {"size": (5, 6), "shape": (3, 3, 4), **smooth}),
        Case("flatten", [t(17, 3, 2)]),
        Case("reshape", [t(17, 3, 2)], {"shape": (2, 17, 3)}),
        Case("identity", [t(17, 3, 2)]),
    ]


def weights() -> list[Case]:
    return [
        Case("weight_reshape", [w(4, 6)], {"shape": (2, 3, 4)}),
        Case("weight_concat", [w(2, 3), w(4, 3)]),
        Case("weight_spread", [w(4, 3, 3, 3)], {"places": (4, 0, 4), "channels": 6}),
        Case("weight_response", [w(4, 3, 3, 3), w(6)], {"groups": 2}),
        Case("compose_weights", [w(4, 5, 1, 1), w(5, 2, 3, 3)]),
    ]


CASES = [*elementwise(), *norms_and_losses(), *convolutions(), *spatial(), *weights()]
