"""Weight expressions: what they are, and how rewrites build them.

They are ordinary nodes over parameters, so no pass touches a number: the reference interpreter
evaluates them once, in float64, when weights are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Node, Value
from netdsl.ir.scalar import Expr, Var, sqrt


def weight_nodes(nodes: Iterable[Node]) -> set[Node]:
    """Parameters, constants and all that depends on nothing else (``nodes`` in topological order)."""
    weights: set[Node] = set()
    for node in nodes:
        of_weights = bool(node.inputs) and all(value.node in weights for value in node.inputs)
        if of_weights or node.op in ("param", "const"):
            weights.add(node)
    return weights


def weight_map(build: GraphBuilder, name: str, expr: Expr, *operands: Value) -> Value:
    """An elementwise expression over weights."""
    return build.op("map", operands, {"expr": expr}, name=name).output


def reshaped(build: GraphBuilder, name: str, weight: Value, shape: tuple[int, ...]) -> Value:
    if weight.type.shape == shape:
        return weight
    return build.op("weight_reshape", [weight], {"shape": shape}, name=name).output


def scale_and_shift(build: GraphBuilder, bn: Node) -> tuple[Value, Value]:
    """(s, t), one number a channel, with ``bn(x) = s * x + t``: s = gamma / sqrt(var + eps), t = beta - mean * s."""
    _, gamma, beta, mean, var = bn.main_inputs
    scale = weight_map(build, f"{bn.name}.scale", Var(0) / sqrt(Var(1) + bn.attrs["eps"]), gamma, var)
    shift = weight_map(build, f"{bn.name}.shift", Var(0) - Var(1) * Var(2), beta, mean, scale)
    return scale, shift


def scale_second_axis(build: GraphBuilder, name: str, weight: Value, scale: Value, groups: int) -> Value:
    """``w[a, b, ...] * s[group(a) * B + b]`` for w: (A, B, ...) whose first axis is made of ``groups`` parts.

    This is the input channels of a convolution, and the output channels of a transposed one.
    """
    first, second, *kernel = weight.type.shape
    grouped = reshaped(build, f"{name}.by_group", weight, (groups, first // groups, second, prod(kernel)))
    factors = reshaped(build, f"{name}.factors", scale, (groups, 1, second))
    scaled = weight_map(build, f"{name}.scaled", Var(0) * Var(1), grouped, factors)
    return reshaped(build, name, scaled, weight.type.shape)
