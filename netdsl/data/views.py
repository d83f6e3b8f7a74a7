"""Several looks at one picture: windows at fixed places, and their mirror images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netdsl.data.base import Float32Array
from netdsl.diagnostics import Code, UserError

COUNTS = (1, 2, 5, 9, 10, 18, 25, 50)
"""1: the centre. 5: the corners and the centre. 9 and 25: a grid of 3x3 and 5x5. 2, 10, 18 and 50: those of half as
many, and mirrored. (10: Krizhevsky et al., NIPS 2012, section 4.1.)"""

MARGIN_SHARE = 7
"""Without a margin of its own, a picture is made larger by a seventh of the window: 256 for 224."""

_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


@dataclass(frozen=True)
class View:
    """A window: ``top`` and ``left`` are shares of the margin."""

    top: float
    left: float
    mirrored: bool = False

    def of(self, images: Float32Array, height: int, width: int) -> Float32Array:
        """The window [N, C, height, width] of pictures [N, C, H, W]."""
        top = int(self.top * (images.shape[2] - height))
        left = int(self.left * (images.shape[3] - width))
        window = images[:, :, top : top + height, left : left + width]
        return np.ascontiguousarray(window[..., ::-1] if self.mirrored else window)


def views(count: int) -> tuple[View, ...]:
    """``count`` looks, one of `COUNTS`. Raises UserError for other numbers."""
    if count not in COUNTS:
        raise UserError.of(Code.BAD_OPTION, f"there are {', '.join(map(str, COUNTS))} looks at a picture, not {count}")
    mirrored = count % 2 == 0
    half = count // 2 if mirrored else count
    places = {1: ((0.5, 0.5),), 5: _CORNERS}.get(half) or _grid(round(half**0.5))
    return tuple(
        View(top, left, turned) for turned in ((False, True) if mirrored else (False,)) for top, left in places
    )


def margin_for(count: int, height: int, margin: int) -> int:
    """The margin that pictures get: their own, or a share of the window's height if more than the centre is seen."""
    return margin or (0 if count <= 2 else max(1, height // MARGIN_SHARE))


def _grid(side: int) -> tuple[tuple[float, float], ...]:
    steps = [number / (side - 1) for number in range(side)]
    return tuple((top, left) for top in steps for left in steps)
