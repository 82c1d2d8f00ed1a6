"""Flips and turns by right angles: exact, pixels only change their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Pull, Size, flipped, moved_by, still

# Rows and columns of the direction that an output (row, col) is pulled from, per quarter turn.
_TURNS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]], dtype=np.float64
)
Nothing = NDArray[np.bool_]


class _Flip(Written):
    """Draws nothing: the policy draws which images are flipped."""

    __slots__ = ()

    def __post_init__(self) -> None:
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Nothing:  # noqa: ARG002
        """Draw nothing."""
        return np.ones(count, bool)


@dataclass(frozen=True, slots=True, repr=False)
class HorizontalFlip(_Flip):
    """Flip left to right.

    Parameters
    ----------
    probability
        Share of the images that are flipped.

    References
    ----------
    torchvision 0.29, `v2.RandomHorizontalFlip`.

    Examples
    --------
    >>> HorizontalFlip(probability=0.3)
    HorizontalFlip(0.3)
    """

    probability: float = 0.5

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Flip the columns."""
        return flipped(np.stack([np.zeros_like(numbers), numbers], axis=1), size)


@dataclass(frozen=True, slots=True, repr=False)
class VerticalFlip(_Flip):
    """Flip upside down.

    Parameters
    ----------
    probability
        Share of the images that are flipped.

    References
    ----------
    torchvision 0.29, `v2.RandomVerticalFlip`.
    """

    probability: float = 0.5

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Flip the rows."""
        return flipped(np.stack([numbers, np.zeros_like(numbers)], axis=1), size)


@dataclass(frozen=True, slots=True, repr=False)
class Transpose(_Flip):
    """Swap rows and columns.

    Other than square images change their size by it, so it needs `probability=1` for them.

    Parameters
    ----------
    probability
        Share of the images that are transposed.

    References
    ----------
    Albumentations 2.0, `Transpose`.
    """

    probability: float = 0.5

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Take each pixel from where row and column are swapped."""
        swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float64)
        return moved_by(np.broadcast_to(swap, (len(numbers), 3, 3)).copy(), (size[1], size[0]))


@dataclass(frozen=True, slots=True, repr=False)
class QuarterTurn(Written):
    """Turn each image by 0, 90, 180 or 270 degrees counter-clockwise, about its centre.

    For pictures without an upside: satellite, microscopy.  Exact for square images, where a turn
    only moves pixels; other images are turned within their frame, and the fill mode fills the rest.

    Examples
    --------
    >>> import numpy as np
    >>> QuarterTurn().draw(np.random.default_rng(0), 4, (8, 8))
    array([3, 2, 2, 1])
    """

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.int64]:  # noqa: ARG002
        """Draw the number of quarter turns of each image, 0 to 3."""
        return rng.integers(0, 4, count)

    def pull(self, numbers: NDArray[Any], size: Size) -> Pull:
        """Turn about the centre ((height - 1) / 2, (width - 1) / 2)."""
        centre = (np.array(size) - 1) / 2
        matrices = still(len(numbers), size).matrices.copy()
        matrices[:, :2, :2] = _TURNS[numbers]
        matrices[:, :2, 2] = centre - _TURNS[numbers] @ centre
        return Pull(matrices, numbers != 0, still(len(numbers), size).flips, size)
