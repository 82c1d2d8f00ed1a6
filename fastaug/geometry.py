"""Drawn numbers -> pull matrices.

A pull matrix (2, 3), float64, maps an output position (row, col, 1) to the source position that it
takes its value from.  All geometry of an image is folded into one.  Knows no pixels.

Products of matrices that round are NumPy's, because Keras' are: whether the BLAS behind it fuses
multiplications and additions differs from machine to machine, and with it the last bit.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.draws import Draws

Matrices: TypeAlias = NDArray[np.float64]

# Keras composes in (x, y); swapping both axes of a 3x3 matrix brings it to (row, col).
_SWAP = np.array([1, 0, 2])


def pull_matrices(draws: Draws, height: int, width: int, *, quirks: bool) -> Matrices:
    """Compose rotation, shift, shear and zoom as Keras 3.15's `apply_affine_transform` does.

    Parameters
    ----------
    draws
        The batch's numbers.
    height, width
        Size of the images in pixels.
    quirks
        True: as Keras does, where the height shift moves images horizontally and the width shift
        vertically, and where the centre of an image that is not square has its two coordinates
        swapped.  False: as its documentation says.

    Returns
    -------
    (n, 2, 3) float64 pull matrices in (row, col).
    """
    shift_x, shift_y = (draws.tx, draws.ty) if quirks else (draws.ty, draws.tx)
    centre_x, centre_y = (height, width) if quirks else (width, height)
    matrices = _identities(len(draws))
    # Products with an identity are exact, so leaving unused factors out changes speed alone.
    if draws.theta.any():
        matrices = _rotations(np.deg2rad(draws.theta))
    if shift_x.any() or shift_y.any():
        matrices = matrices @ _shifts(shift_x, shift_y)
    if draws.shear.any():
        matrices = matrices @ _shears(np.deg2rad(draws.shear))
    # So are those with a zoom, a diagonal matrix: one factor for each column.
    matrices[:, :, 0] *= draws.zx[:, np.newaxis]
    matrices[:, :, 1] *= draws.zy[:, np.newaxis]
    matrices = centred(matrices, centre_x / 2 - 0.5, centre_y / 2 - 0.5)
    return np.take(matrices[:, 1::-1], _SWAP, axis=2)


def centred(matrices: Matrices, first: float, second: float) -> Matrices:
    """Make (n, 3, 3) matrices act about the point (first, second) in their own coordinates.

    The first factor only adds to the last column, which is exact; `matrices` is overwritten.
    """
    matrices[:, 0, 2] += first
    matrices[:, 1, 2] += second
    return matrices @ np.array([[1, 0, -first], [0, 1, -second], [0, 0, 1]])


def compose(last: Matrices, first: Matrices) -> Matrices:
    """Pull through `first`, then through `last`: (n, 2, 3) matrices, as one step."""
    linear = last[:, :, :2]
    return np.concatenate([linear @ first[:, :, :2], linear @ first[:, :, 2:] + last[:, :, 2:]], 2)


def moves(draws: Draws) -> NDArray[np.bool_]:
    """Tell for each image, shape (n,), whether it is warped at all."""
    still = (draws.theta == 0) & (draws.tx == 0) & (draws.ty == 0) & (draws.shear == 0)
    return ~(still & (draws.zx == 1) & (draws.zy == 1))


def _identities(count: int) -> Matrices:
    matrices = np.zeros((count, 3, 3))
    matrices[:] = np.eye(3)
    return matrices


def _rotations(radians: NDArray[np.float64]) -> Matrices:
    matrices = _identities(len(radians))
    sines, cosines = np.sin(radians), np.cos(radians)
    matrices[:, 0, 0] = matrices[:, 1, 1] = cosines
    matrices[:, 0, 1], matrices[:, 1, 0] = -sines, sines
    return matrices


def _shifts(first: NDArray[np.float64], second: NDArray[np.float64]) -> Matrices:
    matrices = _identities(len(first))
    matrices[:, 0, 2], matrices[:, 1, 2] = first, second
    return matrices


def _shears(radians: NDArray[np.float64]) -> Matrices:
    matrices = _identities(len(radians))
    matrices[:, 0, 1], matrices[:, 1, 1] = -np.sin(radians), np.cos(radians)
    return matrices


def _zooms(first: NDArray[np.float64], second: NDArray[np.float64]) -> Matrices:
    matrices = _identities(len(first))
    matrices[:, 0, 0], matrices[:, 1, 1] = first, second
    return matrices
