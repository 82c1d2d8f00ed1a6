"""The two kinds of transform, as protocols: what the pipeline asks of them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Transform(Protocol):
    """What both kinds have: numbers are drawn once for a batch."""

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        """Draw the numbers of `count` images, image axis first."""


@runtime_checkable
class Geometric(Transform, Protocol):
    """Moves pixels."""

    def matrices(self, draw: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
        """Return (n, 3, 3) pull matrices: output (row, col, 1) -> source (row, col, 1)."""


@runtime_checkable
class Photometric(Transform, Protocol):
    """Changes values."""

    def steps(self, draw: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return codes (n, k) and numbers (n, k, m) for `kernels.pointwise.change_values`."""
