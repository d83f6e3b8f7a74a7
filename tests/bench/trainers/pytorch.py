"""PyTorch in three ways: layer by layer, the same with channels last, and compiled; SGD is the fused one in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.bench.memory import resident_bytes
from tests.bench.nets import Array
from tests.bench.trainers import Maker, Step
from tests.bench.training_task import LABEL, SGD, TrainingTask

if TYPE_CHECKING:
    import torch

    from tests.bench.torch_model import TrainableNet

PACKAGES = ("torch",)


def _maker(compiled: bool, channels_last: bool) -> Maker:
    def make(task: TrainingTask, threads: int) -> Step:
        import torch

        from tests.bench.torch_model import TrainableNet

        torch.set_num_threads(threads)
        start = resident_bytes()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        graph, _ = task.net()
        net = TrainableNet(graph, task.parameters()).to(memory_format=layout)
        optimizer = _optimizer(net)

        def loss_of(label: torch.Tensor, *images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(net(*images)[0], label)

        program: Any = torch.compile(loss_of) if compiled else loss_of

        def run(inputs: Mapping[str, Array]) -> list[Array]:
            images = [torch.from_numpy(inputs[node.name]).contiguous(memory_format=layout) for node in graph.inputs]
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = float(inputs["lr"])
            loss = program(torch.from_numpy(inputs[LABEL]).long(), *images)
            loss.backward()
            optimizer.step()
            return [loss.detach().numpy()]

        return Step(run, start)

    return make


def _optimizer(net: TrainableNet) -> torch.optim.Optimizer:
    """Weight decay where the graph has it."""
    import torch

    groups = [
        {"params": net.trainable(decay=True)},
        {"params": net.trainable(decay=False), "weight_decay": 0.0},
    ]
    return torch.optim.SGD([group for group in groups if group["params"]], lr=0.0, fused=True, **SGD)


PROGRAMS = {
    "PyTorch": _maker(compiled=False, channels_last=False),
    "PyTorch, channels last": _maker(compiled=False, channels_last=True),
    "torch.compile": _maker(compiled=True, channels_last=True),
}
