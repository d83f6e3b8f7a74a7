"""PyTorch in four ways: layer by layer, the same with channels last, traced and frozen, and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.bench.nets import Array, Task
from tests.bench.peers import Maker, Program

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch",)


def _eager(net: torch.nn.Module, example: list[torch.Tensor]) -> Any:
    return net


def _frozen(net: torch.nn.Module, example: list[torch.Tensor]) -> Any:
    """Batch norm folded, weights in oneDNN's layouts."""
    import torch

    return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, tuple(example))))


def _compiled(net: torch.nn.Module, example: list[torch.Tensor]) -> Any:
    import torch

    return torch.compile(net, options={"freezing": True})


def _maker(prepare: Any, channels_last: bool) -> Maker:
    def make(task: Task, threads: int) -> Program:
        import torch

        from tests.bench.torch_model import TorchNet

        torch.set_num_threads(threads)
        graph = task.network.graph()
        layout = torch.channels_last if channels_last else torch.contiguous_format

        def tensors(arrays: Mapping[str, Array]) -> list[torch.Tensor]:
            given = [torch.from_numpy(arrays[node.name]) for node in graph.inputs]
            return [tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor for tensor in given]

        with torch.no_grad():
            net = TorchNet(graph, task.parameters()).eval().to(memory_format=layout)
            program = prepare(net, tensors(task.inputs()))

        def run(inputs: Mapping[str, Array]) -> list[Array]:
            with torch.no_grad():
                return [tensor.numpy() for tensor in program(*tensors(inputs))]

        return run

    return make


PROGRAMS = {
    "PyTorch": _maker(_eager, channels_last=False),
    "PyTorch, channels last": _maker(_eager, channels_last=True),
    "PyTorch, frozen": _maker(_frozen, channels_last=True),
    "torch.compile": _maker(_compiled, channels_last=True),
}
