from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.diagnostics import Code, UserError
from netdsl.weights.transfer import Outcome, in_order, transfer

FILE = Path("other.safetensors")
NET = {
    "stem.weight": (4, 3, 3, 3),
    "bn.weight": (4,),
    "bn.bias": (4,),
    "bn.running_mean": (4,),
    "fc.weight": (5, 4),
    "fc.bias": (5,),
    "loss.aux.weight": (5, 4),
}


def tensors(names: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: np.full(shape, number, np.float32) for number, (name, shape) in enumerate(sorted(names.items()))}


def outcomes(found: object) -> dict[str, str]:
    return {entry.parameter or entry.tensor: entry.outcome.value for entry in found.entries}  # type: ignore[attr-defined]


def test_all_by_name() -> None:
    given = tensors({name: shape for name, shape in NET.items() if not name.startswith("loss.")})
    given["bn.num_batches_tracked"] = np.array(3)
    found = transfer(given, NET, FILE)
    assert outcomes(found) == dict.fromkeys(list(NET)[:-1], "taken") | {"loss.aux.weight": "fresh"}
    assert list(found.taken) == list(NET)[:-1] and found.summary() == "6 taken, 1 fresh"
    for name, array in found.taken.items():
        np.testing.assert_array_equal(array, given[name])


def test_everything_that_does_not_fit_is_an_error() -> None:
    given = tensors({**NET, "fc.weight": (7, 4), "extra.weight": (2,)})
    given["fc.bias"] = np.zeros(5, np.int64)
    del given["stem.weight"]
    with pytest.raises(UserError) as caught:
        transfer(given, NET, FILE)
    found = caught.value.diagnostics[0]
    assert found.code is Code.WEIGHTS_MISMATCH and caught.value.exit_code == 1
    assert found.notes == (
        "`fc.weight`: [7, 4] in the file, [5, 4] in the network",
        "`fc.bias`: int64, not floating-point numbers",
        "`stem.weight` is missing",
        "`extra.weight` is not in the network",
    )
    assert found.help is not None and "--reset" in found.help and "--partial" in found.help


def test_a_head_of_other_classes_is_reset() -> None:
    given = tensors({**NET, "fc.weight": (7, 4), "fc.bias": (7,)})
    found = transfer(given, NET, FILE, reset=("fc.*",))
    assert outcomes(found)["fc.weight"] == outcomes(found)["fc.bias"] == "reset"
    assert set(found.taken) == set(NET) - {"fc.weight", "fc.bias"}


def test_what_fits() -> None:
    given = tensors({"stem.weight": (4, 3, 3, 3), "bn.weight": (3,), "other": (1,)})
    found = transfer(given, NET, FILE, partial=True, reset=("fc.bias",))
    assert outcomes(found) == {
        "stem.weight": "taken", "bn.weight": "mismatched", "bn.bias": "missing", "bn.running_mean": "missing",
        "fc.weight": "missing", "fc.bias": "reset", "loss.aux.weight": "fresh", "other": "unused",
    }  # fmt: skip
    assert [entry.line() for entry in found.entries][
        1
    ] == "mismatched  bn.weight  ([3] in the file, [4] in the network)"
    assert found.to_json()["tensors"][-1] == {"outcome": "unused", "parameter": None, "tensor": "other", "note": ""}


def test_by_order_and_shape() -> None:
    """Sorted by name, as files are; kinds keep apart what has one shape, numbers count."""
    net = {f"stage.{i}.{kind}": (4,) for i in range(12) for kind in ("weight", "bias", "running_mean")}
    net["head.weight"] = (2, 4)
    given = {
        f"layer{i + 1}.bn.{kind}": np.full(4, 10.0 * i + j)
        for i in range(12)
        for j, kind in enumerate(("bias", "running_mean", "weight"))
    }
    given = dict(sorted({**given, "fc.weight": np.ones((2, 4))}.items()))
    found = transfer(given, net, FILE, match="order")
    assert found.count(Outcome.TAKEN) == len(net)
    assert found.taken["stage.10.bias"][0] == 100 and found.taken["stage.2.weight"][0] == 22
    assert found.entries[0].line() == "taken       stage.0.weight <- layer1.bn.weight"
    with pytest.raises(UserError, match=r"`head.weight` is missing"):
        transfer({"fc.weight": np.ones((3, 4))}, {"head.weight": (2, 4)}, FILE, match="order")


def test_names_in_the_order_people_count() -> None:
    assert in_order(["layer10.a", "layer2.b", "layer2.a", "bn1", "layer2.10", "layer2.9"]) == [
        "bn1", "layer2.9", "layer2.10", "layer2.a", "layer2.b", "layer10.a",
    ]  # fmt: skip
