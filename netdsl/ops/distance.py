"""Distance to stored points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Const, Expr, Var, select
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Init, Kind, OpDef, ParamSpec, ReceptiveRule, register
from netdsl.ops.fc import require_vector
from netdsl.ops.pointwise import apply_map, sum_to
from netdsl.ops.window import result_type

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value


@register
class Distance(OpDef):
    """How far ``[F]`` is from each of ``points`` stored points: a result of ``[points]``.

    ``norm=l1``: ``y[i] = sum over j of |x[j] - stored[i, j]|``, as a nearest-neighbour classifier compares images.
    ``norm=squared``: ``y[i] = sum over j of (x[j] - stored[i, j])^2``, the radial basis functions of LeCun et al.,
    Proc. IEEE 1998, equation 7. ``stored`` (points, F) comes with the weights and is not learned, so it counts as no
    parameter; until it is given it is drawn from a standard normal distribution.
    """

    name: ClassVar[str] = "distance"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("points", Kind.INT, minimum=1, doc="how many points are stored"),
        Arg("norm", Kind.WORD, "l1", ("l1", "squared"), doc="what is summed: absolute or squared differences"),
    )

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        require_vector(self.name, inputs[0])
        shape = (attrs["points"], inputs[0].shape[0])
        return [ParamSpec("stored", shape, Init("normal"), trainable=False, decay=False)]

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        require_vector(self.name, inputs[0])
        return (result_type(self.name, (attrs["points"],)),)

    def cost(self, call: Call) -> Cost:
        """A difference, its square or magnitude, and a sum; only squares are multiply-accumulates."""
        terms = call.inputs[1].elements
        return Cost(terms if call.attrs["norm"] == "squared" else 0, 3 * terms)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return None

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, stored = arrays
        rows = [x - point for point in stored]
        squared = call.attrs["norm"] == "squared"
        return [np.stack([(np.square(row) if squared else np.abs(row)).sum(axis=1) for row in rows], axis=1)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None, None]
        x, stored = node.inputs
        row = builder.op("reshape", [x], {"shape": (1, *x.type.shape)}).output
        difference = Var(0) - Var(1)
        slope: Expr = Const(2.0) * difference
        if node.attrs["norm"] == "l1":
            slope = select("gt", difference, 0.0, 1.0, select("lt", difference, 0.0, -1.0, 0.0))
        pull = apply_map(builder, slope * Var(2), [row, stored, g])
        to_row = sum_to(builder, pull, row.type)
        to_stored = sum_to(builder, apply_map(builder, -Var(0), [pull]), stored.type)
        return [builder.op("reshape", [to_row], {"shape": x.type.shape}).output, to_stored]
