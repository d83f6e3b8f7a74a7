"""The training benchmark: equal losses, what its clocks take, and its table of memory."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.bench import memory_table, table
from tests.bench.clocks import CLOCKS, CPU, milliseconds
from tests.bench.options import parsed, parser_for
from tests.bench.peers import OURS
from tests.bench.trainers import FRAMEWORKS, Step, framework, memory_of
from tests.bench.training import AGREEMENT, TOLERANCE, chosen_programs
from tests.bench.training_task import BATCHES, TrainingTask
from tests.bench.turns import compare


@pytest.fixture
def task(tmp_path: Path) -> TrainingTask:
    return TrainingTask.prepare("lenet5", 0, tmp_path)


def losses(step: Step, task: TrainingTask) -> list[np.ndarray]:
    return [loss.copy() for inputs in task.compared() for loss in step(inputs)]


def test_first_losses_are_those_of_pytorch(task: TrainingTask) -> None:
    pytest.importorskip("torch")
    makers = {title: make for name in FRAMEWORKS for title, make in framework(name).PROGRAMS.items()}
    found = compare({title: losses(makers[title](task, 1), task) for title in (OURS, "PyTorch")}, TOLERANCE)
    assert found["PyTorch"]["difference"] < 1e-5


def test_a_timed_step_leaves_the_weights_alone(task: TrainingTask) -> None:
    step = framework(OURS).PROGRAMS[OURS](task, 1)
    first, *others = (step(task.inputs())[0].item() for _ in range(3))
    assert others == [first, first]


def test_batch_norm_trains_as_the_graph_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from netdsl.reference import ReferenceStep
    from netdsl.weights.initialize import initial_parameters
    from tests.bench.torch_model import TrainableNet
    from tests.networks import NETS, batches
    from tests.parity.test_fifty_steps import counters, training_graph

    graph, loss, logits = NETS["resnet"]()
    step_graph = training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.9}))
    parameters = initial_parameters(step_graph.params, 0)
    (batch,) = batches(graph, 1, 8, logits.type.shape[0])
    ours = ReferenceStep(step_graph, parameters, np.float32)
    expected = ours.step({**batch, **counters(0)})["loss"]
    scores_only, table_of = graph.copy()
    scores_only.outputs = {"scores": table_of[logits]}
    scores_only.prune()
    net = TrainableNet(scores_only, parameters)
    (scores,) = net(*(torch.tensor(batch[node.name].astype(np.float32)) for node in scores_only.inputs))
    assert torch.nn.functional.cross_entropy(scores, torch.tensor(batch["label"]).long()).item() == pytest.approx(
        float(expected), rel=1e-5
    )
    for name, array in ours.get_parameters().items():
        if "running" in name:
            np.testing.assert_allclose(getattr(net, "p_" + name.replace(".", "_")), array, rtol=1e-4, atol=1e-6)


def test_the_cpu_clock_does_not_count_waiting() -> None:
    clock = CLOCKS[CPU]
    start = clock.read()
    time.sleep(0.05)
    assert clock.read() - start < 0.04
    assert milliseconds(clock.of_rounds([0.002, 0.001])) == pytest.approx(1.0)


def test_the_cpu_clock_is_for_one_thread() -> None:
    parser = parser_for(None, BATCHES)
    assert parsed(parser, ["--clock", "cpu"]).threads == [1]
    with pytest.raises(SystemExit):
        parsed(parser, ["--clock", "cpu", "--threads", "1", "2"])


def test_leaving_pytorch_out() -> None:
    assert "pytorch" not in chosen_programs(list(framework("pytorch").PROGRAMS))
    with pytest.raises(SystemExit, match="onnxruntime"):
        chosen_programs(["onnxruntime"])


def test_tables_of_least_times_and_memory() -> None:
    programs = {
        OURS: {"difference": 0.0, "least": 2.0, "rounds": 3, "memory": {"peak": 3 << 20, "planned": 2 << 20}},
        "A": {"difference": 1e-6, "least": 5.0, "rounds": 3, "memory": {"peak": 5 << 20}},
        "B": {"failed": "not installed: b"},
    }
    row = {"network": "Net (4)", "samples": 4, "threads": 1, **table.best_peer(programs), "programs": programs}
    machine = {"processor": "P", "vectors": "avx2", "cores": 2, "system": "Linux", "versions": {}}
    document = {"machine": machine, "command": "run", "clock": CPU, "tolerance": 1e-3, "results": [row]}
    text = table.markdown(document, AGREEMENT, "losses")
    assert "| Net (4) | 2 | **5** | – | 2.50 |" in text and "CPU time" in text
    assert "Largest difference of losses to netdsl's: A 1e-06." in text
    assert "| Net (4) | 2 | 3 | 5 | 2.50 |" in memory_table.markdown([row])
    assert "planned 2" in memory_table.plain(row)


def test_memory_is_above_the_start() -> None:
    found = memory_of(Step(lambda inputs: [], 0, 7), {})
    assert found["planned"] == 7 and found.get("peak", 1) > 0
