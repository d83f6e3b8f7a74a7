from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.types import TensorType
from netdsl.ops.base import Call, get
from tests.ops.support import batched, weight


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (batched(3, 4, 5), weight(3)),
        (batched(3, 4, 5), weight(3, 1, 1)),
        (batched(3, 4, 5), weight()),
        (batched(3, 4, 5), batched(3)),
        (batched(3, 4, 5), batched(1, 4)),
        (batched(3), weight(3)),
        (batched(), weight()),
        (weight(3, 4), weight(1, 4)),
        (batched(3, 4), batched(3, 4)),
    ],
)
def test_sum_to(source: TensorType, target: TensorType) -> None:
    """It is the adjoint of broadcasting: <sum_to(x), y> = <x, broadcast(y)>."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(source.full_shape(2)), rng.standard_normal(target.full_shape(2))
    attrs = {"shape": target.shape, "batched": target.batched}
    assert get("sum_to").infer(attrs, [source]) == (target,)
    (result,) = get("sum_to").reference(Call(attrs, (source,), (target,)), [x])
    lead = y if target.batched or not source.batched else y[None]
    wide = lead.reshape(*lead.shape, *[1] * (x.ndim - lead.ndim))
    np.testing.assert_allclose((result * y).sum(), (x * wide).sum(), rtol=1e-12)
    assert result.shape == target.full_shape(2)


@pytest.mark.parametrize(
    ("momentum", "decay", "nesterov"),
    [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.01, False), (0.0, 0.1, False), (0.9, 0.0, True), (0.9, 0.01, True)],
)
def test_sgd_follows_the_library(momentum: float, decay: float, nesterov: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    w, m = rng.standard_normal((2, 3)), np.zeros((2, 3))
    tensor = torch.nn.Parameter(torch.tensor(w))
    library = torch.optim.SGD([tensor], lr=0.1, momentum=momentum, weight_decay=decay, nesterov=nesterov)
    types = (weight(2, 3),) * 3 + (weight(),)
    call = Call({"momentum": momentum, "weight_decay": decay, "nesterov": nesterov}, types, types[:2])
    for step in range(4):
        g, lr = rng.standard_normal((2, 3)), 0.1 / (step + 1)
        tensor.grad = torch.tensor(g)
        library.param_groups[0]["lr"] = lr
        library.step()
        w, m = get("sgd").reference(call, [w, g, m, np.array(lr)])
        np.testing.assert_allclose(w, tensor.detach().numpy(), rtol=1e-14)
