"""Drawn numbers -> pull matrices.

A pull matrix (3, 3), float64, maps an output position (row, col, 1) to the source position that it
takes its value from, times a third coordinate that is 1 unless the matrix is projective.  All
geometry of an image is folded into one.  Knows no pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import COMPILED
from fastaug.kernels.matrices import compose_matrices, find_moved
from fastaug.transforms.geometry import Matrices
from fastaug.transforms.keras.draws import Draws, Floats

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
    (n, 3, 3) float64 pull matrices in (row, col, 1).
    """
    shift_x, shift_y = (draws.tx, draws.ty) if quirks else (draws.ty, draws.tx)
    width, height = (height, width) if quirks else (width, height)
    centre = width / 2 - 0.5, height / 2 - 0.5
    fused = _blas_fuses()
    if fused is None:
        return multiply_matrices(draws, shift_x, shift_y, centre)
    return _compose(draws, shift_x, shift_y, centre, fused)


def multiply_matrices(
    draws: Draws, shift_x: Floats, shift_y: Floats, centre: tuple[float, float]
) -> Matrices:
    """Compose by NumPy's products of 3x3 matrices, one factor after another like Keras."""
    x, y = centre
    matrices = _rotations(np.deg2rad(draws.theta)) @ _shifts(shift_x, shift_y)
    matrices = matrices @ _shears(np.deg2rad(draws.shear)) @ _zooms(draws.zx, draws.zy)
    matrices = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ matrices
    matrices = matrices @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    return np.ascontiguousarray(matrices[:, _SWAP][:, :, _SWAP])


def _compose(
    draws: Draws, shift_x: Floats, shift_y: Floats, centre: tuple[float, float], fused: bool
) -> Matrices:
    """Compose in compiled code."""
    turns, shears = np.deg2rad(draws.theta), np.deg2rad(draws.shear)
    matrices = np.empty((len(draws), 3, 3))
    compose_matrices(
        np.sin(turns), np.cos(turns), shift_x, shift_y, np.sin(shears), np.cos(shears),
        draws.zx, draws.zy, centre, fused, matrices,
    )  # fmt: skip
    return matrices


@cache
def _blas_fuses() -> bool | None:
    """Tell whether NumPy's matrix product rounds each sum of products once; None: neither way.

    Keras composes its matrices with that product.  The BLAS behind it uses fused multiply-add on
    most processors, and not on others, and the last bit of a coordinate decides at borders.
    """
    if not COMPILED:
        return None
    numbers = np.random.default_rng(0).uniform(0.5, 30, (8, 32))
    theta, tx, ty, shear, zx, zy, shift_x, shift_y = numbers
    never, centre = np.zeros(32, bool), (148.5, 99.0)
    draws = Draws(theta, tx, ty, shear, zx, zy, never, never, None, None)
    expected = multiply_matrices(draws, shift_x, shift_y, centre)
    for fused in (True, False):
        if np.array_equal(_compose(draws, shift_x, shift_y, centre, fused), expected):
            return fused
    return None


def moves(draws: Draws) -> NDArray[np.bool_]:
    """Tell for each image, shape (n,), whether it is warped at all."""
    moved = np.empty(len(draws), bool)
    find_moved(draws.theta, draws.tx, draws.ty, draws.shear, draws.zx, draws.zy, moved)
    return moved


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
