"""The optimizer's part of a training step: from gradients to new weights.

    gradient -> collected over steps -> clipped by value, by norm -> optimizer -> averaged weights

All of it is ordinary graph, and whatever it remembers is a parameter of the step: checkpoints hold it by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from netdsl.diagnostics import Code, UserError, did_you_mean
from netdsl.division import Division, RankSums
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.scalar import Const, Expr, Var, maximum, minimum, select, sqrt, with_operands
from netdsl.ops import infer_types
from netdsl.ops.base import Init
from netdsl.ops.optimizer import find_optimizer
from netdsl.ops.sgd import plain_sgd
from netdsl.record import record

_STATE = {"init": Init("zeros"), "trainable": False, "decay": False}
AVERAGE = ".average"
"""Ends the name of the state that holds a parameter's moving average."""
_ADDED = 16
"""Numbers that one node adds up."""
NORM_EPS = 1e-6
"""Added to the norm that gradients are divided by."""


@record
class Group:
    """What holds for the parameters whose names match ``pattern`` (``*`` any characters, ``?`` one): a factor on the
    learning rate, and whether weight decay pulls at them; None: as without the group."""

    pattern: str
    rate: float | None = None
    decay: bool | None = None

    def matches(self, name: str) -> bool:
        return fnmatchcase(name, self.pattern)


@record
class UpdateRule:
    """How gradients become new weights, beside the optimizer.

    Of several groups that match a parameter the last one counts, for each of rate and decay. ``frozen`` are patterns of
    parameters that stay as they are. ``clip_norm`` bounds the Euclidean norm of all gradients together (Pascanu et al.,
    ICML 2013), ``clip_value`` each number. Weights change in every ``accumulate``-th step, by the mean of the
    gradients since. ``average`` is the part of the averaged weights that stays in each update (Polyak, Juditsky, 1992,
    with exponential weights).
    """

    groups: tuple[Group, ...] = ()
    frozen: tuple[str, ...] = ()
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    average: float | None = None

    def freezes(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.frozen)

    def rate_of(self, name: str) -> float:
        """The factor on the learning rate of a parameter."""
        rates = [group.rate for group in self._groups_of(name) if group.rate is not None]
        return rates[-1] if rates else 1.0

    def decays(self, name: str, usually: bool) -> bool:
        """Whether weight decay pulls at a parameter."""
        said = [group.decay for group in self._groups_of(name) if group.decay is not None]
        return said[-1] if said else usually

    def _groups_of(self, name: str) -> list[Group]:
        return [group for group in self.groups if group.matches(name)]


EVERY_STEP = UpdateRule()
"""Every gradient goes to the optimizer as it is."""


def require_match(pattern: str, names: Sequence[str]) -> None:
    """Raises UserError unless the pattern matches one of the names."""
    if not any(fnmatchcase(name, pattern) for name in names):
        raise UserError.of(
            Code.TRAIN_SETTING,
            f"no parameter's name matches `{pattern}`",
            notes=(f"names are such as `{names[0]}`; `*` stands for any characters",) if names else (),
            help=did_you_mean(pattern, [*names, *dict.fromkeys(_parents(names))]),
        )


def require_trained(rule: UpdateRule, graph: Graph) -> None:
    """Raises UserError where the rule freezes all that could be trained."""
    trained = [node.name for node in graph.params if node.attrs.get("trainable", True)]
    if trained and all(map(rule.freezes, trained)):
        raise UserError.of(Code.TRAIN_SETTING, f"every parameter of `{graph.name}` is frozen: nothing is trained")


def _parents(names: Sequence[str]) -> Iterator[str]:
    """``layer1.*`` for ``layer1.0.conv1.weight``, and so on inwards."""
    for name in names:
        parts = name.split(".")
        yield from (".".join((*parts[:count], "*")) for count in range(1, len(parts)))


Arrays = Mapping[str, Any]


def first_averages(parameters: Arrays) -> dict[str, Any]:
    """What the moving averages among ``parameters`` start from: the parameters themselves."""
    return {name: parameters[name.removesuffix(AVERAGE)] for name in parameters if name.endswith(AVERAGE)}


def with_averages(parameters: Arrays) -> dict[str, Any]:
    """The parameters with their moving averages in their places, where there are any."""
    return {name: parameters.get(name + AVERAGE, array) for name, array in parameters.items()}


class Updates:
    """Adds the updates to a step. States come before the gradients in the graph, so that an update can run, and its
    gradient's memory be free again, as soon as the gradient is there."""

    def __init__(
        self,
        step: Graph,
        optimizer: tuple[str, Mapping[str, Any]],
        rule: UpdateRule,
        division: Division | None = None,
    ) -> None:
        name, args = optimizer
        self._step, self._rule, self._division = step, rule, division
        self._op = find_optimizer(name)
        self._args = {arg.name: arg.default for arg in self._op.args} | dict(args)
        self._build = GraphBuilder(step, infer_types)
        self._plain = name == "sgd" and not self._args["momentum"]
        moving = [node.output for node in step.params if node.name in step.updates]
        self.trained = [node.output for node in step.params if self._is_trained(node.attrs, node.name)]
        names = () if self._plain else self._op.states(self._args)
        self._states = {param: [self._state(param, name) for name in names] for param in self.trained}
        self._sums = {param: self._state(param, "sum") for param in self.trained if rule.accumulate > 1}
        self._apply = self._applied() if rule.accumulate > 1 else None
        self._numbers = self._further_numbers()
        averaged = [] if rule.average is None else self.trained + moving
        self._averages = {param: self._state(param, AVERAGE[1:]) for param in averaged}
        self._rates = {1.0: step.node("lr").output}

    def _is_trained(self, attrs: Mapping[str, Any], name: str) -> bool:
        return bool(attrs.get("trainable", True)) and not self._rule.freezes(name)

    def _state(self, param: Value, name: str) -> Value:
        self._build.spans = param.node.spans
        return self._build.param(f"{param.node.name}.{name}", param.type.shape, _STATE)

    def _map(self, expr: Expr, operands: list[Value], name: str) -> Value:
        return self._build.op("map", operands, {"expr": expr}, name=name).output

    def _applied(self) -> Value:
        """1 in the steps that change the weights, else 0; counts the steps between."""
        count = self._build.param("optimizer.collected", (), _STATE)
        last = float(self._rule.accumulate - 1)
        following = select("ge", Var(0), last, 0.0, Var(0) + 1.0)
        self._step.updates["optimizer.collected"] = self._map(following, [count], "optimizer.collected.next")
        return self._map(select("ge", Var(0), last, 1.0, 0.0), [count], "optimizer.apply")

    def _further_numbers(self) -> list[Value]:
        """What the optimizer wants to know beside the learning rate; counts the updates if that is anything."""
        numbers = {} if self._plain else self._op.numbers(self._args)
        if not numbers:
            return []
        count = self._build.param("optimizer.count", (), _STATE)
        operands, step = ([count], Const(1.0)) if self._apply is None else ([count, self._apply], Var(1))
        self._step.updates["optimizer.count"] = self._map(Var(0) + step, operands, "optimizer.count.next")
        following = Var(0) + 1.0
        return [self._map(with_operands(expr, [following]), [count], f"optimizer.{n}") for n, expr in numbers.items()]

    def add_all(self, grads: Mapping[Value, Value]) -> None:
        """What gives all parameters, and all that is remembered, their new values."""
        grads = {param: self._ready(param, grad) for param, grad in grads.items()}
        if self._rule.clip_norm is not None and grads:
            factor = self._norm_factor(list(grads.values()), self._rule.clip_norm)
            grads = {p: self._map(Var(0) * Var(1), [g, factor], f"{p.node.name}.clipped") for p, g in grads.items()}
        for param, grad in grads.items():
            self._update(param, grad)
        for param, average in self._averages.items():
            self._move_average(param, average)

    def _ready(self, param: Value, grad: Value) -> Value:
        """The gradient collected so far, its mean, each number bounded."""
        self._build.spans = param.node.spans
        operands: list[Value] = [grad]
        found: Expr = Var(0)
        if self._apply is not None:
            operands.append(self._sums[param])
            found = (Var(0) + Var(1)) * (1.0 / self._rule.accumulate)
        if self._rule.clip_value is not None:
            found = minimum(maximum(found, -self._rule.clip_value), self._rule.clip_value)
        if found == Var(0):
            return grad
        ready = self._map(found, operands, f"{param.node.name}.gradient")
        if self._apply is not None:  # behind who reads the old sum, so that it can be overwritten
            kept = select("gt", Var(2), 0.0, 0.0, Var(0) + Var(1))
            name = self._sums[param].node.name
            self._step.updates[name] = self._map(kept, [*operands, self._apply], f"{name}.next")
        return ready

    def _norm_factor(self, grads: list[Value], limit: float) -> Value:
        """What to multiply all gradients by: ``limit`` over their common norm where that is less than 1."""
        self._build.spans = frozenset()
        squares = [self._build.op("square_sum", [grad], name=f"{grad.name}.squares").output for grad in grads]
        while len(squares) > 1:
            groups = [squares[start : start + _ADDED] for start in range(0, len(squares), _ADDED)]
            squares = [self._build.op("add", group).output if len(group) > 1 else group[0] for group in groups]
        factor = minimum(Const(limit) / (sqrt(Var(0)) + NORM_EPS), 1.0)
        found = self._map(factor, squares, "gradient.factor")
        return found if self._division is None else RankSums(self._step).of_leader(found, self._division)

    def _update(self, param: Value, grad: Value) -> None:
        """One parameter's new value, and its states'."""
        self._build.spans = param.node.spans
        name = param.node.name
        attrs = dict(self._args)
        if not self._rule.decays(name, param.node.attrs.get("decay", True)):
            attrs["weight_decay"] = 0.0
        apply = [] if self._apply is None else [self._apply]
        numbers = [self._rate(self._rule.rate_of(name)), *self._numbers, *apply]
        if self._plain:
            expr = plain_sgd(attrs["weight_decay"])
            expr = select("gt", Var(3), 0.0, expr, Var(0)) if apply else expr
            self._step.updates[name] = self._map(expr, [param, grad, *numbers], f"{name}.{self._op.name}")
            return
        states = self._states[param]
        node = self._build.op(self._op.name, [param, grad, *states, *numbers], attrs, name=f"{name}.{self._op.name}")
        for target, value in zip([param, *states], node.outputs, strict=True):
            self._step.updates[target.node.name] = value

    def _rate(self, factor: float) -> Value:
        """The learning rate times a group's factor."""
        if factor not in self._rates:
            self._rates[factor] = self._map(factor * Var(0), [self._rates[1.0]], f"lr.{factor:g}")
        return self._rates[factor]

    def _move_average(self, param: Value, average: Value) -> None:
        new = self._step.updates.get(param.node.name)
        if new is None or self._rule.average is None:
            return
        self._build.spans = param.node.spans
        expr: Expr = Var(0) + (1.0 - self._rule.average) * (Var(1) - Var(0))
        operands = [average, new]
        if self._apply is not None:
            operands, expr = [*operands, self._apply], select("gt", Var(2), 0.0, expr, Var(0))
        self._step.updates[average.node.name] = self._map(expr, operands, f"{average.node.name}.next")
