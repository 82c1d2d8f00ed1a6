"""Turn images by a random number of right angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows and columns of the direction that an output (row, col) is pulled from, per quarter turn.
_TURNS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]], dtype=np.float64
)


@dataclass(frozen=True, slots=True)
class QuarterTurn:
    """Turn each image by 0, 90, 180 or 270 degrees counter-clockwise, about its centre.

    For pictures without an upside: satellite, microscopy.  Exact for square images, where a turn
    only moves pixels; other images are turned within their frame, and the fill mode fills the rest.

    Examples
    --------
    >>> import numpy as np
    >>> QuarterTurn().draw(np.random.default_rng(0), 4)
    array([3, 2, 2, 1])
    """

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw the number of quarter turns of each image, 0 to 3."""
        return rng.integers(0, 4, count)

    def matrices(self, draw: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
        """Return (n, 3, 3) pull matrices about the centre ((height - 1) / 2, (width - 1) / 2)."""
        centre = np.array([(height - 1) / 2, (width - 1) / 2])
        matrices = np.zeros((len(draw), 3, 3))
        matrices[:, :2, :2] = _TURNS[draw]
        matrices[:, :2, 2] = centre - _TURNS[draw] @ centre
        matrices[:, 2, 2] = 1
        return matrices
