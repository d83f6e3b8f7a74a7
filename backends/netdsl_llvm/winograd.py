"""Winograd's minimal filtering of small kernels: the transforms, as matrices from their points.

A tile of m x m results of an r x r correlation is ``A' [(G g G') * (B' d B)] A`` over the n x n inputs d it sees,
n = m + r - 1: n * n products instead of m * m * r * r (Winograd, Arithmetic Complexity of Computations, 1980; Lavin
and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). The rows of the three matrices belong to n - 1
points and infinity, where polynomials are multiplied by values (Toom and Cook).
"""

from __future__ import annotations

import math
from functools import cache

from netdsl.record import record

Matrix = tuple[tuple[float, ...], ...]

POINTS = {
    4: (0.0, 1.0, -1.0),
    6: (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2)),
    8: (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0),
}
"""By tile size. They err least where with every a there are -a, 1/a and -1/a: no row outgrows the others. Among six
such points those of least error are near these, which make products that are exact."""

RESULTS = {3: (2, 4, 6), 5: (2,)}
"""Results along an axis of a tile, by kernel size."""
TRAINED_RESULTS = {3: (2, 4), 5: (2,)}
"""Where weights change: filters of larger tiles take longer to transform in every step than their products save."""


@record
class Transforms:
    """One axis of F(results, kernel): ``inputs`` is B' (n x n), ``filter`` is G (n x r), ``results`` is A' (m x n)."""

    inputs: Matrix
    filter: Matrix
    results: Matrix


@cache
def transforms(results: int, kernel: int) -> Transforms:
    """Of F(results, kernel). KeyError where there are no points for tiles of this size."""
    size = results + kernel - 1
    points = POINTS[size]
    inputs = [_product([q for q in points if q != p], size) for p in points] + [_product(points, size)]
    scales = [math.prod(p - q for q in points if q != p) for p in points]
    filter = [[p**k / scale for k in range(kernel)] for p, scale in zip(points, scales, strict=True)]
    filter.append([float(k == kernel - 1) for k in range(kernel)])
    back = [[*(p**i for p in points), float(i == results - 1)] for i in range(results)]
    return Transforms(_matrix(inputs), _matrix(filter), _matrix(back))


def _product(roots: list[float] | tuple[float, ...], size: int) -> list[float]:
    """Coefficients of the monic polynomial with these roots, lowest first, in ``size`` places."""
    coefficients = [1.0]
    for root in roots:
        shifted = [0.0, *coefficients]
        coefficients = [high - root * low for high, low in zip(shifted, [*coefficients, 0.0], strict=True)]
    return [*coefficients, *[0.0] * (size - len(coefficients))]


def _matrix(rows: list[list[float]]) -> Matrix:
    """Sums of products that are zero or whole but for rounding become so: fewer terms, and signs that pair up."""
    return tuple(tuple(_clean(value) for value in row) for row in rows)


def _clean(value: float) -> float:
    near = round(value * 64) / 64
    return near + 0.0 if abs(value - near) < 1e-12 else value
