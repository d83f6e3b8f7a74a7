"""Making nodes: one op with its weights, its errors placed in the text."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netdsl.diagnostics import Code, Label, ResourceLimit
from netdsl.elaborate import limits
from netdsl.elaborate.names import Spot
from netdsl.elaborate.sized import plain, unsized
from netdsl.elaborate.state import Env, Run
from netdsl.elaborate.values import UNKNOWN, Known, Tensor, describe, is_number
from netdsl.ir.graph import Node, Value
from netdsl.ir.scalar import Expr, Var
from netdsl.ir.types import TensorType
from netdsl.ops import base as ops
from netdsl.record import struct
from netdsl.source import Span
from netdsl.syntax import tree


@struct
class Place:
    """The full name of a layer or block instance, and the path of its weights."""

    name: str
    weights: str
    shared: bool = False


def place_at(spot: Spot, kind: str) -> Place:
    own = spot.take(kind)
    return Place(spot.scope.prefix + own, spot.scope.weights + own, spot.scope.shared)


def make_op(
    run: Run,
    definition: ops.OpDef,
    operands: Sequence[Tensor],
    attrs: Mapping[str, Any],
    place: Place,
    span: Span,
) -> Known:
    """Append the op and its weights. A tensor, a tuple of them, or UNKNOWN after an error."""
    types = [operand.type for operand in operands]
    use = None
    if run.probe is not None:
        use = run.probe.use(definition, attrs, operands)
        attrs = unsized(attrs)
    try:
        resolved = definition.resolve(attrs, types)
        if definition.shape_operands:
            types = types[: len(definition.operands)]
        specs = definition.parameters(resolved, types)
        all_types = types + [TensorType(spec.shape, False) for spec in specs]
        results = definition.infer(resolved, all_types)
    except ops.ShapeError as error:
        _report(run, error, operands, span)
        return UNKNOWN
    for found in (*all_types, *results):
        _check_size(found, span)
    if not run.claim(place.name, span):
        return UNKNOWN
    if run.probe is not None and use is not None:
        run.probe.weighted(use, tuple(f"{place.weights}.{spec.name}" for spec in specs))
    weights = _weights(run, specs, place, span)
    if weights is None:
        return UNKNOWN
    inputs = [operand.value for operand in operands[: len(types)]] + weights
    node = run.add(Node(definition.name, place.name, inputs, resolved, results, frozenset((span,))), span)
    _warn(run, definition, ops.Call(resolved, tuple(all_types), results), operands, span)
    if run.probe is not None and use is not None:
        run.probe.made(use, node.outputs)
    tensors = tuple(Tensor(value, span) for value in node.outputs)
    return tensors[0] if len(tensors) == 1 else tensors


def _check_size(type: TensorType, span: Span) -> None:
    if type.elements > limits.MAX_ELEMENTS:
        raise ResourceLimit.of(
            Code.LIMIT_SIZE,
            f"a tensor may have at most {limits.MAX_ELEMENTS:,} elements, this has {type.elements:,}",
            span,
        )


def _weights(run: Run, specs: Sequence[ops.ParamSpec], place: Place, span: Span) -> list[Value] | None:
    values = []
    for spec in specs:
        name = f"{place.weights}.{spec.name}"
        present = run.params.get(name)
        if present is None:
            value = _new_weight(run, spec, name, span)
        elif place.shared and present[0].type.shape == spec.shape:
            value = present[0]
        elif place.shared:
            _report_unshareable(run, place, spec, present, span)
            return None
        else:
            run.claim(name, span)
            return None
        values.append(value)
    return values


def _new_weight(run: Run, spec: ops.ParamSpec, name: str, span: Span) -> Value:
    attrs = {"init": spec.init, "trainable": spec.trainable, "decay": spec.decay}
    node = Node("param", name, [], attrs, (TensorType(spec.shape, False),), frozenset((span,)))
    run.taken.setdefault(name, span)
    run.params[name] = (run.add(node, span).output, span)
    return node.output


def _report_unshareable(run: Run, place: Place, spec: ops.ParamSpec, present: tuple[Value, Span], span: Span) -> None:
    first, where = present
    if run.probe is not None:
        run.probe.refused(Code.SHAPE_MISMATCH, span)
    run.error(
        Code.SHAPE_MISMATCH,
        f"the shared layer `{place.weights}` does not fit here",
        span,
        label=f"needs `{spec.name}` of shape {list(spec.shape)}",
        secondary=[Label(where, f"was made with shape {list(first.type.shape)}")] if where != span else (),
        notes=[f"`{spec.name}` has shape {list(first.type.shape)} since its first use"],
    )


def _report(run: Run, error: ops.ShapeError, operands: Sequence[Tensor], span: Span) -> None:
    if run.probe is not None:
        run.probe.refused(error.code, span)
    run.error(
        error.code,
        error.title,
        span,
        label=error.label,
        secondary=operand_labels(operands, span, error.operand_notes),
        notes=error.notes,
        help=error.help,
    )


def operand_labels(operands: Sequence[Tensor], span: Span, remarks: Mapping[int, str]) -> list[Label]:
    """Each operand's shape beside the text that made it; one label a place."""
    labels: dict[Span, Label] = {}
    for number, operand in enumerate(operands):
        text = f"this is {operand.type}"
        if number in remarks:
            text += f": {remarks[number]}"
        if operand.span != span:
            labels.setdefault(operand.span, Label(operand.span, text))
    return list(labels.values())


def _warn(run: Run, definition: ops.OpDef, call: ops.Call, operands: Sequence[Tensor], span: Span) -> None:
    for warning in definition.warnings(call):
        run.warning(
            warning.code,
            warning.title,
            span,
            label=warning.label,
            secondary=operand_labels(operands, span, {}),
            notes=warning.notes,
            help=warning.help,
        )


# -- arithmetic on tensors -------------------------------------------------------------------------

_SIGNS: dict[str, tuple[str, Callable[[Any, Any], Expr]]] = {
    "+": ("add", operator.add),
    "-": ("sub", operator.sub),
    "*": ("mul", operator.mul),
    "/": ("div", operator.truediv),
}
"""The kind that names the layer, and the scalar expression."""


def tensor_arithmetic(run: Run, env: Env, written: tree.Operator, left: Known, right: Known, span: Span) -> Known:
    """``+``, ``-``, ``*`` between tensors and numbers, and ``/`` by a number.

    Two tensors are added or multiplied by the ops of that name, so their shapes follow the same rules.
    """
    sign = written.text
    if isinstance(left, Tensor) and isinstance(right, Tensor) and sign in ("+", "-", "*"):
        if sign == "-":
            right = _map(run, env, "neg", -Var(0), right, span)
        return UNKNOWN if right is UNKNOWN else _combine(run, env, "mul" if sign == "*" else "add", left, right, span)
    kind, combine = _SIGNS.get(sign, ("", operator.add))
    if kind and isinstance(left, Tensor) and is_number(right) and not (sign == "/" and right == 0):
        return _map(run, env, kind, combine(Var(0), float(plain(right))), left, span)
    if kind and isinstance(right, Tensor) and is_number(left) and sign != "/":
        return _map(run, env, kind, combine(float(plain(left)), Var(0)), right, span)
    run.error(
        Code.WRONG_TYPE,
        f"`{sign}` does not work between {describe(left)} and {describe(right)}",
        written.span,
        help="tensors know `+`, `-`, `*`, and `/` by a number other than 0",
    )
    return UNKNOWN


def _map(run: Run, env: Env, kind: str, expr: Expr, tensor: Tensor, span: Span) -> Known:
    return make_op(run, ops.get("map"), [tensor], {"expr": expr}, place_at(env.spot(), kind), span)


def _combine(run: Run, env: Env, op: str, left: Tensor, right: Tensor, span: Span) -> Known:
    return make_op(run, ops.get(op), [left, right], {}, place_at(env.spot(), op), span)
