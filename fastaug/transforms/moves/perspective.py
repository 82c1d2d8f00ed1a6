"""Pictures seen from another side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Matrices, Pull, Size, moved_by

Corners = NDArray[np.float64]


def homographies(start: Corners, end: Corners) -> Matrices:
    """Return the matrices (n, 3, 3) that map four places to four others, both (n, 4, 2)."""
    count = len(start)
    system, right = np.zeros((count, 8, 8)), np.empty((count, 8))
    for axis in range(2):
        rows = slice(axis, None, 2)
        system[:, rows, 3 * axis : 3 * axis + 2] = start
        system[:, rows, 3 * axis + 2] = 1
        system[:, rows, 6:] = -end[..., axis, np.newaxis] * start
        right[:, rows] = end[..., axis]
    solved = np.linalg.solve(system, right[..., np.newaxis])[..., 0]
    return np.concatenate([solved, np.ones((count, 1))], axis=1).reshape(count, 3, 3)


@dataclass(frozen=True, slots=True, repr=False)
class Perspective(Written):
    """Let the four corners move inwards, each by itself.

    Parameters
    ----------
    distortion_scale
        From 0 (nothing) to 1: a corner moves by up to half of this share of the height and width.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomPerspective`; corners are no whole numbers of pixels here.

    Examples
    --------
    >>> Perspective(0.3)
    Perspective(0.3)
    """

    distortion_scale: float = 0.5
    probability: float = 0.5

    def __post_init__(self) -> None:
        self._check_share("distortion_scale")
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Corners:
        """Draw where the corners go, (n, 4, 2) rows and columns: clockwise from the upper left."""
        inwards = rng.random((count, 4, 2)) * self.distortion_scale * np.array(size) / 2
        return np.where(_corners(size) == 0, inwards, _corners(size) - inwards)

    def pull(self, numbers: Corners, size: Size) -> Pull:
        """Pull what is between the new corners from the whole picture."""
        corners = np.broadcast_to(_corners(size), (len(numbers), 4, 2))
        matrices = homographies(np.asarray(numbers), corners)
        return moved_by(matrices, size)


def _corners(size: Size) -> Corners:
    bottom, right = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, 0], [0, right], [bottom, right], [bottom, 0]])
