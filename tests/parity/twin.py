"""A graph in PyTorch that drops what netdsl's graph drops."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from netdsl.ir.graph import Graph, Node
from netdsl.ops.dropout import keep_mask, keep_scale
from tests.bench.torch_model import TrainableNet

Array = np.ndarray[Any, Any]


class Twin(TrainableNet):
    """A graph whose output is a loss. No two libraries draw the same random numbers, so dropout's masks are drawn by
    the rule that netdsl states for them (``netdsl/ops/dropout.py``), from ``seed`` and the number of the step."""

    def __init__(self, graph: Graph, parameters: Mapping[str, Array], seed: int) -> None:
        super().__init__(graph, parameters)
        self._inputs = [node.name for node in graph.inputs]
        self._seed, self._step = seed, 0

    def layer(self, node: Node, operands: list[torch.Tensor]) -> torch.Tensor:
        share = node.attrs["p"] if node.op == "dropout" else 0
        if not share:
            return super().layer(node, operands)
        [x] = operands
        kept = keep_mask(x.numel(), share, zlib.crc32(node.name.encode()), self._step, self._seed)
        return x * torch.from_numpy(kept.reshape(x.shape)) * keep_scale(share)

    def loss(self, batch: Mapping[str, Array], step: int) -> torch.Tensor:
        """Of one step; floating-point inputs are brought to the parameters' precision."""
        self._step = step
        dtype = next(self.parameters()).dtype
        tensors = [torch.from_numpy(np.asarray(batch[name])) for name in self._inputs]
        [loss] = self(*(tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors))
        return loss
