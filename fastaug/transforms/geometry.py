"""Where the pixels of a batch come from: all of its geometry, as one pull.

A pull matrix (3, 3), float64, maps an output position (row, col, 1) to the source position that it
takes its value from, up to a factor.  Knows no pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrices: TypeAlias = NDArray[np.float64]
Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """Where the pixels of n images come from.

    An output position is flipped first, and then pulled through the matrix.

    Attributes
    ----------
    matrices
        (n, 3, 3) float64 pull matrices in (row, col, 1).
    moved
        (n,) bool: whose matrix is more than the identity.  The others are copied; they keep their
        size.
    flips
        (n, 2) bool: upside down, left to right.  Kept apart from the matrix, because they are
        exact: (width - 1 - col) * a rounds otherwise than col * -a.
    size
        Height and width of the output.
    """

    matrices: Matrices
    moved: NDArray[np.bool_]
    flips: NDArray[np.bool_]
    size: Size

    def __len__(self) -> int:
        return len(self.matrices)

    def tidied(self) -> Pull:
        """Return the same with arrays as the kernels take them, which compile anew for others."""
        return Pull(
            np.ascontiguousarray(self.matrices, np.float64),
            np.ascontiguousarray(self.moved, np.bool_),
            np.ascontiguousarray(self.flips, np.bool_),
            self.size,
        )

    def after(self, first: Pull) -> Pull:
        """Return both as one: images go through `first`, then through this."""
        # Flips in between join the matrix where something is moved behind them.
        joined = self.moved & first.flips.any(axis=1)
        between = np.where(joined[:, np.newaxis], first.flips, False)
        matrices = first.matrices @ _flip_matrices(between, first.size) @ self.matrices
        return Pull(
            np.ascontiguousarray(matrices),
            first.moved | self.moved,
            self.flips ^ (first.flips & ~between),
            self.size,
        )


@lru_cache(maxsize=64)
def still(count: int, size: Size) -> Pull:
    """Return a pull that leaves so many images as they are; nobody changes its arrays."""
    matrices = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    return Pull(matrices, np.zeros(count, bool), np.zeros((count, 2), bool), size)


def _flip_matrices(flips: NDArray[np.bool_], size: Size) -> Matrices:
    """Return what flips do, as (n, 3, 3) matrices."""
    matrices = np.broadcast_to(np.eye(3), (len(flips), 3, 3)).copy()
    for axis in range(2):
        matrices[flips[:, axis], axis, axis] = -1
        matrices[flips[:, axis], axis, 2] = size[axis] - 1
    return matrices


def is_affine(matrix: NDArray[np.float64]) -> bool:
    """Tell whether a (3, 3) matrix keeps parallel lines parallel: its last row is (0, 0, 1)."""
    return bool(matrix[2, 0] == 0 and matrix[2, 1] == 0 and matrix[2, 2] == 1)


def positions(matrix: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Return the source positions of all output pixels: (2, height, width), rows and columns.

    As in the kernels, and in OpenCV's `warpPerspective`, a pixel at infinity comes from (0, 0).
    """
    row, col = np.indices(size, np.float64)
    along_row, along_col, weights = (
        of_axis[2] + row * of_axis[0] + col * of_axis[1] for of_axis in matrix
    )
    finite = weights != 0
    return np.stack(
        [
            np.divide(along, weights, out=np.zeros(size), where=finite)
            for along in (along_row, along_col)
        ]
    )
