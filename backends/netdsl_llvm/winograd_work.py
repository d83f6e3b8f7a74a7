"""How the tiles of a Winograd convolution are cut into blocks and shared out, and what memory it takes."""

from __future__ import annotations

from netdsl.record import record
from netdsl_llvm.tiling import CACHE_LINE
from netdsl_llvm.winograd_filter import WinogradFilter


@record
class Work:
    """``rows x cols`` tiles of ``results x results`` a sample, all samples' in one line, cut into equal blocks.

    ``shared``: all blocks' inputs are transformed before any product, by all threads together; otherwise each thread
    takes whole blocks.
    """

    results: int
    batch: int
    rows: int
    cols: int
    block: int
    shared: bool
    threads: int
    panel: int
    """Tiles multiplied together: the pixels of a register tile."""
    changing: bool = False
    """The weights change from run to run, so that each transforms the filter: all of it ahead of the products, or, if
    ``shared``, a tile at a time by the thread that takes it."""

    @property
    def tiles(self) -> int:
        return self.batch * self.rows * self.cols

    @property
    def blocks(self) -> int:
        return -(-self.tiles // self.block)

    @property
    def panels(self) -> int:
        """Of a block; the last one may have fewer tiles."""
        return -(-self.block // self.panel)

    @property
    def gap(self) -> int:
        """Elements between positions that hold nothing: else all positions of a tile would lie in one cache set."""
        return CACHE_LINE

    def inputs_size(self, f: WinogradFilter) -> int:
        """Elements of transformed inputs that exist at a time."""
        return (self.blocks if self.shared else self.threads) * self.block_size(f)

    def product_stride(self, f: WinogradFilter) -> int:
        """Elements from one position's products to the next one's."""
        return f.vectors * self.block * f.lanes + self.gap

    def products_size(self, f: WinogradFilter) -> int:
        """Elements of the products of one thread."""
        return f.positions * self.product_stride(f)

    def scratch(self, f: WinogradFilter) -> int:
        """Elements of all working memory."""
        return self.inputs_size(f) + self.threads * self.products_size(f) + self.filters_size(f)

    def filters_size(self, f: WinogradFilter) -> int:
        """Elements of the filter tiles transformed in a run that exist at a time."""
        if not self.changing:
            return 0
        return (self.threads if self.shared else f.tiles) * self.made_size(f)

    def made_size(self, f: WinogradFilter) -> int:
        """Elements of a filter tile transformed in a run."""
        return f.positions * (f.position_stride + self.gap)

    def block_size(self, f: WinogradFilter) -> int:
        """Elements of the transformed inputs of a block."""
        return f.positions * (f.input_blocks * f.groups * self.panels * self.panel * f.lanes + self.gap)
