"""How many samples of a batch each layer of a network is best computed for at a time.

The whole batch at once has every activation of large maps leave the caches before it is read again; one sample at a
time has weights come from memory for each. What a choice costs is the arithmetic of the algorithms that suit the size,
and the bytes that come from beyond the caches, in register multiply-adds as in `winograd_costs`. Like the choice of
algorithms it rests on shapes and fixed costs alone.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from netdsl.ir.graph import Node, Value
from netdsl.ops.base import Call, get
from netdsl.ops.shape import VIEWS
from netdsl_llvm.algorithms import Convolution, best_filter
from netdsl_llvm.target import Target
from netdsl_llvm.winograd_costs import MEMORY_BYTES

FAR_BYTES = 12 << 20
"""Activations of so many bytes lie in memory between one layer and the next; of fewer that part of them does."""
CALL_COST = 8000.0
"""Of one more call of a layer: the barrier, and threads that wait for the last."""


def part_sizes(target: Target, nodes: Sequence[Node], resident: Set[int], batch: int, *, exact: bool) -> list[int]:
    """A divisor of the batch for each of ``nodes``, which run in this order: those that cost least together.

    ``resident`` holds the identities of nodes whose values are known when weights are loaded.
    """
    sizes = [size for size in range(1, batch + 1) if batch % size == 0]
    costs = [_costs(target, node, resident, batch, sizes, exact) for node in nodes]
    borders = [_moved(count * batch) for count in _waiting_bytes(nodes)]
    return cheapest_way(sizes, costs, borders)


def _costs(
    target: Target, node: Node, resident: Set[int], batch: int, sizes: Sequence[int], exact: bool
) -> list[float]:
    """Of a node for the whole batch, in parts of each size."""
    if node.op in VIEWS:  # which mostly move nothing
        return [0.0] * len(sizes)
    call = Call.of(node)
    multiply_adds = get(node.op).cost(call).flops / (2 * target.lanes)
    weights = sum(_bytes(value) for value in node.inputs if id(value.node) in resident)
    moved = sum(map(_bytes, {value for value in (*node.inputs, *node.outputs) if value.type.batched}))

    def part(size: int) -> float:
        """The arithmetic, or the time in which weights come from memory, and what is moved."""
        chosen = None if exact else _of_best_algorithm(target, node.op, call, size)
        run = max(multiply_adds * size, weights / MEMORY_BYTES) if chosen is None else chosen
        return run + _moved(size * moved) + CALL_COST

    return [batch // size * part(size) for size in sizes]


def _of_best_algorithm(target: Target, op: str, call: Call, size: int) -> float | None:
    """Of a convolution that has a choice, for ``size`` samples; None of others."""
    convolution = Convolution.of(op, call, size, resident=True)
    if convolution is None:
        return None
    filter = best_filter(target, convolution, 1)
    return convolution.direct_cost(target) if filter is None else convolution.cost(target, filter)


def _waiting_bytes(nodes: Sequence[Node]) -> list[int]:
    """Of activations of a sample that are there before each node and read by it or after it."""
    last: dict[Value, int] = {}
    for index, node in enumerate(nodes):
        last.update((value, index) for value in node.inputs if value.node.op != "input" and value.type.batched)
    ending = [0] * len(nodes)
    for value, index in last.items():
        ending[index] += _bytes(value)
    waiting, found = 0, []
    for node, end in zip(nodes, ending, strict=True):
        found.append(waiting)
        waiting += sum(_bytes(value) for value in node.outputs if value in last) - end
    return found


def _bytes(value: Value) -> int:
    return 4 * value.type.elements


def _moved(count: int) -> float:
    """What activations of so many bytes cost: the part of them that lies in memory."""
    return min(1.0, count / FAR_BYTES) * count / MEMORY_BYTES


def cheapest_way(sizes: Sequence[int], costs: Sequence[Sequence[float]], borders: Sequence[float]) -> list[int]:
    """One of ``sizes`` for each row of ``costs``; where a row's is not that of the row before, its border is paid."""
    totals = [0.0] * len(sizes)
    ways: list[list[int]] = []
    for row, border in zip(costs, borders, strict=True):
        best = min(range(len(sizes)), key=totals.__getitem__)
        ways.append([index if total <= totals[best] + border else best for index, total in enumerate(totals)])
        totals = [min(total, totals[best] + border) + cost for total, cost in zip(totals, row, strict=True)]
    choice = min(range(len(sizes)), key=totals.__getitem__)
    found: list[int] = []
    for way in reversed(ways):
        found.append(sizes[choice])
        choice = way[choice]
    return found[::-1]
