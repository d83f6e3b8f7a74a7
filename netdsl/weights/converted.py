"""Weights of a network, under the names and in the shapes of what ``netdsl convert`` made of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from netdsl.weights.files import Tensor


def as_converted(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """``tensors`` as a converted network calls and shapes them; all others stay as they are.

    The text of a converted network has no blocks, and layers are called with underlines for dots: `layer1.0.conv1` is
    `layer1_0_conv1`. A tensor whose name is not expected gets the one expected name that no tensor has and that is the
    same but for signs. The matrix [F, C*h*w] of a fully connected layer is the filters [F, C, h, w] of the convolution
    that it became: the same numbers in the same order.
    """
    missing = _by_plain_name(name for name in expected if name not in tensors)
    unexpected = _by_plain_name(name for name in tensors if name not in expected)
    renamed = {
        names[0]: missing[plain][0]
        for plain, names in unexpected.items()
        if len(names) == 1 and len(missing.get(plain, ())) == 1
    }
    found = {renamed.get(name, name): tensor for name, tensor in tensors.items()}
    for name, shape in expected.items():
        if name in found and _became_filters(found[name].shape, shape):
            found[name] = found[name].reshape(shape)
    return found


def _by_plain_name(names: Iterable[str]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for name in names:
        layer, _, last = name.rpartition(".")
        table.setdefault(re.sub("[^0-9A-Za-z]", "_", layer).strip("_") + "." + last, []).append(name)
    return table


def _became_filters(matrix: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and matrix == (shape[0], math.prod(shape[1:]))
