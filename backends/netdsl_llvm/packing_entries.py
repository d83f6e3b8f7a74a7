"""What the compiled packing functions and their caller agree on: the name, and the order of the arguments."""

from __future__ import annotations

PACK = "netdsl_pack"
ROWS = ("source", "result", "factors", "bases", "rows", "row_stride", "places", "columns")
WINOGRAD_ROWS = ("source", "result", "factors", "bases", "rows", "row_stride", "channels", "step", "position_stride")
