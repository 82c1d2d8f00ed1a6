"""Drawn numbers -> pull matrices, in one compiled loop."""

from __future__ import annotations

from numba.core import types
from numba.extending import intrinsic

from fastaug.kernels.launch import inner


@intrinsic
def _fused(_, one, other, summand):
    """Return one * other + summand, rounded once."""

    def generate(_context, builder, _signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@inner
def add_product(summand, one, other, fused):
    """Return summand + one * other, rounded once or twice."""
    return _fused(one, other, summand) if fused else summand + one * other


@inner
def compose_matrices(
    sines,
    cosines,
    shifts_x,
    shifts_y,
    shear_sines,
    shear_cosines,
    zooms_x,
    zooms_y,
    centre,
    fused,
    out,
):
    """Compose rotation, shift, shear and zoom about a centre, all arrays (n,) float64.

    Terms that are products with 0 or 1 in Keras' matrices are exact and left out.

    Parameters
    ----------
    centre
        (x, y)
    fused
        Whether sums of products are rounded once, as the BLAS of most processors does it.
    out
        (n, 3, 3) float64 pull matrices in (row, col, 1), overwritten.
    """
    x, y = centre
    for i in range(len(out)):
        sine, cosine = sines[i], cosines[i]
        shift_x, shift_y = shifts_x[i], shifts_y[i]
        for row in range(2):
            # A row of the rotation ...
            first, second = (cosine, -sine) if row == 0 else (sine, cosine)
            # ... times the shift, the shear, the zoom, and the way to the centre and back.
            third = add_product(first * shift_x, second, shift_y, fused)
            second = add_product(first * -shear_sines[i], second, shear_cosines[i], fused)
            first, second = first * zooms_x[i], second * zooms_y[i]
            third += x if row == 0 else y
            third = add_product(first * -x, second, -y, fused) + third
            # From (x, y) to (row, col).
            out[i, 1 - row, 0], out[i, 1 - row, 1], out[i, 1 - row, 2] = second, first, third
        out[i, 2, 0], out[i, 2, 1], out[i, 2, 2] = 0.0, 0.0, 1.0


@inner
def find_moved(theta, tx, ty, shear, zx, zy, moved):
    """Tell for each image whether any of these numbers moves a pixel: (n,) bool."""
    for i in range(len(moved)):
        still = theta[i] == 0 and tx[i] == 0 and ty[i] == 0 and shear[i] == 0
        moved[i] = not (still and zx[i] == 1 and zy[i] == 1)
