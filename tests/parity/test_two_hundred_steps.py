"""Two hundred training steps of every family of the zoo, beside PyTorch from equal weights over equal batches.

In float32 the losses stay within 1e-3 of PyTorch's, relative, and each parameter goes the same way. In float64 the
oracle's gradients are PyTorch's at several steps.

A rectifier's gradient jumps at 0, a maximum's where two are equal. In 200 steps of these networks some hundred million
numbers come by, and some come as near to such a place as float32 rounds: two correct programs take different sides,
and from there on differ by what one pixel contributes to a gradient (PyTorch's own float32 and float64 do). At rates
that fit a network to its few batches in 200 steps such differences grow, up to several times a loss. The rates here
lower the loss by a tenth or so: then differences add up and don't grow. What they added up to was below 4e-4 for every
family, where steps that are a tenth too long move the losses by 3e-3 and more. Where a loss hardly moves, how far each
parameter went says more of its gradients, and is compared too. ``test_a_fault_is_seen`` has faults for both.

Dropout's masks are drawn by the rule that netdsl states for them, since no two libraries draw the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from netdsl.autodiff import training_graph
from netdsl.driver import Build, make_executor
from netdsl.ir.graph import Graph, Value
from netdsl.reference import Interpreter
from netdsl.weights.initialize import initial_parameters
from tests.parity.families import FAMILIES, Array, Family, batches

torch = pytest.importorskip("torch")

from tests.parity.twin import Twin  # noqa: E402  (it needs torch)

FULL = os.environ.get("NETDSL_TEST_FULL") == "1"
STEPS, BATCHES, SEED = 200, 4, 5
SGD = {"momentum": 0.9, "weight_decay": 1e-4}
LOSSES = 1e-3
GRADIENTS = 1e-9
MOVED = 0.2
"""Of how far a parameter went in 200 steps, the part that rounding may change."""
COMPARED = (0, 100, 199)
"""The steps whose gradients are compared."""
Parameters = dict[str, Array]


@dataclass(frozen=True)
class Trained:
    """Losses of all steps, and the parameters at the end. Of PyTorch's also those before the steps of ``COMPARED``, and
    the mean loss of the first steps' batches (and dropout) at the end."""

    losses: Array
    after: Parameters
    before: dict[int, Parameters] = field(default_factory=dict)
    first_again: float = float("nan")


@dataclass(frozen=True)
class Case:
    """What both programs are given."""

    family: Family
    graph: Graph
    loss: Value
    parameters: Parameters
    batches: list[Parameters]

    @staticmethod
    def of(family: Family, folder: Path) -> Case:
        graph, loss = family.build(folder)
        parameters: Parameters = dict(initial_parameters(graph.params, 0))
        return Case(family, graph, loss, parameters, batches(graph, family.batch, BATCHES))

    def batch(self, number: int) -> Parameters:
        return self.batches[number % BATCHES]

    def step_graph(self) -> Graph:
        return training_graph(self.graph, self.loss, optimizer=("sgd", SGD))


def with_netdsl(case: Case) -> Trained:
    graph = case.step_graph()
    start = {**initial_parameters(graph.params, 0), **case.parameters}
    build = Build(batch=case.family.batch, threads=1)
    step = make_executor(graph, {node.name: start[node.name] for node in graph.params}, build)
    losses = [
        float(step.step({**case.batch(number), **counters(number, case.family.rate)})["loss"])
        for number in range(STEPS)
    ]
    return Trained(np.array(losses), step.get_parameters())


def with_torch(case: Case, spoil: Callable[[Twin], None] | None = None) -> Trained:
    """``spoil`` puts a fault into the program."""
    torch.set_num_threads(1)
    net = Twin(case.graph, case.parameters, SEED)
    if spoil is not None:
        spoil(net)
    groups = [{"params": net.trainable(decay=True)}, {"params": net.trainable(decay=False), "weight_decay": 0.0}]
    optimizer = torch.optim.SGD([group for group in groups if group["params"]], lr=case.family.rate, **SGD)
    losses, before = [], {}
    for number in range(STEPS):
        if number in COMPARED:
            before[number] = values(case.graph, net)
        loss = net.loss(case.batch(number), number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = values(case.graph, net)  # the next line moves running statistics
    again = [net.loss(case.batch(number), number).item() for number in range(BATCHES)]
    return Trained(np.array(losses), after, before, float(np.mean(again)))


def values(graph: Graph, net: Twin) -> Parameters:
    return {node.name: net.value(node.name).detach().numpy().copy() for node in graph.params}


def counters(number: int, rate: float) -> Parameters:
    return {"lr": np.array(rate, np.float32), "step": np.array(number, np.int32), "seed": np.array(SEED, np.int32)}


def compare(case: Case, found: Trained, expected: Trained) -> None:
    """Losses, and how far each parameter went."""
    np.testing.assert_allclose(found.losses, expected.losses, rtol=LOSSES)
    for name, start in case.parameters.items():
        moved = np.abs(expected.after[name] - start).max()
        difference = np.abs(found.after[name] - expected.after[name]).max()
        # Biases that a batch norm removes get gradients of rounding alone; they go nowhere.
        assert difference <= MOVED * moved + 1e-6, (name, difference, moved)


def gradients(case: Case, parameters: Parameters, number: int) -> tuple[Parameters, Parameters]:
    """The oracle's and PyTorch's in float64. Beginning at 0, SGD's momentum is the gradient."""
    graph = training_graph(case.graph, case.loss, optimizer=("sgd", {"momentum": 0.9}))
    zeros = {node.name: np.zeros(node.types[0].shape) for node in graph.params if node.name not in parameters}
    run = Interpreter(graph).run({**case.batch(number), **counters(number, 0.0)}, {**parameters, **zeros})
    net = Twin(case.graph, {name: array.astype(np.float64) for name, array in parameters.items()}, SEED)
    net.loss(case.batch(number), number).backward()
    names = [node.name for node in case.graph.params if node.attrs["trainable"]]
    return (
        {name: run.updates[f"{name}.momentum"] for name in names},
        {name: net.value(name).grad.numpy() for name in names},
    )


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.always or FULL])
def test_training_follows_the_library(name: str, tmp_path: Path) -> None:
    case = Case.of(FAMILIES[name], tmp_path)
    found, expected = with_netdsl(case), with_torch(case)
    compare(case, found, expected)
    assert expected.first_again < 0.99 * expected.losses[:BATCHES].mean(), (
        "what hardly learns agrees whatever the gradients are"
    )
    for number, parameters in expected.before.items():
        ours, theirs = gradients(case, parameters, number)
        largest = max(np.abs(gradient).max() for gradient in theirs.values())
        for key, gradient in theirs.items():
            scale = max(np.abs(gradient).max(), 1e-4 * largest)
            assert np.abs(ours[key] - gradient).max() <= GRADIENTS * scale, (number, key)


def a_tenth_faster(net: Twin) -> None:
    """Every step a tenth too long."""
    for parameter in net.parameters():
        parameter.register_hook(lambda gradient: 1.1 * gradient)


def one_bias_astray(net: Twin) -> None:
    """The last bias goes half again as far as it should."""
    *_, name = (name for name, _ in net.named_parameters() if name.endswith("bias"))
    net.get_parameter(name).register_hook(lambda gradient: 1.5 * gradient)


@pytest.mark.parametrize("fault", [a_tenth_faster, one_bias_astray])
@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_a_fault_is_seen(name: str, fault: Callable[[Twin], None], tmp_path: Path) -> None:
    case = Case.of(FAMILIES[name], tmp_path)
    with pytest.raises(AssertionError):
        compare(case, with_torch(case), with_torch(case, fault))
