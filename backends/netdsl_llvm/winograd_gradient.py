"""How a Winograd convolution's filter gradient is cut into chunks of tiles, what it costs, what memory it takes.

With the results Y = A' [U * V] A of a tile, U = G g G' and V = B' d B, the gradient of g is G' S G, where S sums
(A y A') * V over all tiles and y is the gradient of Y: the products again are as many as positions.
"""

from __future__ import annotations

from netdsl.record import record
from netdsl_llvm.tiling import CACHE_LINE
from netdsl_llvm.winograd_costs import SHARED_BYTES, TRANSFORM_COST

PANEL_BYTES = 640 << 10
"""Of transformed inputs and gradients at one position: every register tile of sums reads them again."""
NEAR_BYTES = 4 << 20
"""Of sums: more leave the caches."""
SUM_COST = 1.15
"""Of a multiply-add of the sums: each comes with almost half a load."""


@record
class GradientWork:
    """``rows x cols`` tiles of ``results x results`` positions of the gradient a sample, all samples' in one line."""

    results: int
    kernel: int
    batch: int
    rows: int
    cols: int
    input_blocks: int
    output_vectors: int
    lanes: int

    @property
    def tile(self) -> int:
        """n: inputs along an axis that a tile of results sees."""
        return self.results + self.kernel - 1

    @property
    def positions(self) -> int:
        return self.tile**2

    @property
    def tiles(self) -> int:
        return self.batch * self.rows * self.cols

    @property
    def chunks(self) -> int:
        """Parts that the tiles are summed in, one after the other, always the same."""
        bytes_of_tile = 4 * self.lanes * (self.input_blocks + self.output_vectors)
        return -(-self.tiles * bytes_of_tile // PANEL_BYTES)

    @property
    def chunk(self) -> int:
        """Tiles of a chunk; the last one may have fewer."""
        return -(-self.tiles // self.chunks)

    # -- working memory, in elements -------------------------------------------------------

    @property
    def input_stride(self) -> int:
        """From one position's transformed inputs to the next one's."""
        return self.input_blocks * self.chunk * self.lanes + CACHE_LINE

    @property
    def gradient_stride(self) -> int:
        """From one position's transformed gradients to the next one's."""
        return self.output_vectors * self.chunk * self.lanes + CACHE_LINE

    @property
    def sum_stride(self) -> int:
        """From one position's sums to the next one's."""
        return self.output_vectors * self.input_blocks * self.lanes**2 + CACHE_LINE

    @property
    def sums_leave(self) -> bool:
        """Whether all sums are written once, and so many that the first left the caches when they are read."""
        return self.chunks == 1 and 4 * self.positions * self.sum_stride > NEAR_BYTES

    @property
    def scratch(self) -> int:
        return self.positions * (self.input_stride + self.gradient_stride + self.sum_stride)

    @property
    def cost(self) -> float:
        """On one thread, in multiply-adds of registers."""
        inputs = self.input_blocks * self.lanes
        products = SUM_COST * self.positions * inputs * self.output_vectors * self.tiles
        forth = TRANSFORM_COST * self.positions * self.tiles * (self.input_blocks + self.output_vectors)
        back = TRANSFORM_COST * self.positions * inputs * self.output_vectors
        moved = 8 * self.chunks * self.positions * self.sum_stride / SHARED_BYTES
        return products + forth + back + moved
