"""The default passes in their order, and how they are run."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.diagnostics import InternalError
from netdsl.ir.graph import Graph
from netdsl.ops import verify as errors_of
from netdsl.passes.base import Log, Mode, Pass, PassReport
from netdsl.passes.compose_1x1 import Compose1x1
from netdsl.passes.cse import Cse
from netdsl.passes.dead_code import DeadCode
from netdsl.passes.fold_bn import FoldBn
from netdsl.passes.fold_bn_forward import FoldBnForward
from netdsl.passes.fuse_epilogue import FuseEpilogue
from netdsl.passes.merge_maps import MergeMaps
from netdsl.passes.merge_siblings import MergeSiblings
from netdsl.passes.merge_slices import MergeSlices
from netdsl.passes.remove_identity import RemoveIdentity
from netdsl.passes.scale_bn import ScaleBn

DEFAULT: tuple[Pass, ...] = (
    DeadCode(),
    RemoveIdentity(),
    Cse(),
    FoldBn(),
    FoldBnForward(),
    Compose1x1(),
    ScaleBn(),
    MergeMaps(),
    MergeSiblings(),
    MergeSlices(),
    FuseEpilogue(),
)
"""Cleaning first, so that layers meet that have nothing between them. Batch norms move before convolutions are
composed for the same reason. Epilogues come last, because a layer that has one takes part in nothing else."""


def run_passes(
    graph: Graph,
    passes: Sequence[Pass] = DEFAULT,
    *,
    mode: Mode | str = Mode.INFERENCE,
    verify: bool = False,
    copy: bool = True,
) -> tuple[Graph, PassReport]:
    """A rewritten copy of ``graph`` and the record of what was done. ``graph`` itself stays as it is; without ``copy``
    it is what is rewritten, for a graph that was made for nothing else.

    ``mode`` is ``training`` for a graph that will be differentiated or is a training step. With
    ``verify`` the graph is checked after every pass. Raises InternalError if a pass broke it.
    """
    result = graph.copy()[0] if copy else graph
    report = PassReport()
    for item in passes:
        report.passes.append(item.name)
        item.run(result, Log(item.name, Mode(mode), report))
        if verify and (errors := errors_of(result)):
            raise InternalError(f"pass {item.name}: {errors[0]}")
    return result, report
