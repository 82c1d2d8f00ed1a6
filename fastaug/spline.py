"""Interpolation orders 2 to 5, by SciPy: no kernel of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def warp_spline(
    images: NDArray[Any],
    matrices: NDArray[np.float64],
    warped: NDArray[np.bool_],
    order: int,
    fill_mode: str,
    cval: float,
) -> NDArray[Any]:
    """Warp images channel by channel with `scipy.ndimage.affine_transform`, as Keras 3.15 does.

    Parameters
    ----------
    images
        (n, height, width, channels) float32 or float64.
    matrices
        (n, 3, 3) pull matrices in (row, col, 1); SciPy refuses projective ones.
    warped
        (n,) bool; the other images are copied.
    order, fill_mode, cval
        As SciPy's `order`, `mode` and `cval`.

    Returns
    -------
    A new array of the same shape and dtype.
    """
    ndimage = require_ndimage(order)
    out = images.copy()
    for i in np.flatnonzero(warped):
        for channel in range(images.shape[-1]):
            out[i, ..., channel] = ndimage.affine_transform(
                images[i, ..., channel],
                matrices[i],
                order=order,
                mode=fill_mode,
                cval=cval,
            )
    return out


def require_ndimage(order: int) -> Any:
    """Return `scipy.ndimage`, or raise an ImportError that says what to install."""
    try:
        from scipy import ndimage  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise ImportError(
            f"interpolation_order={order} needs SciPy (orders 0 and 1 do not); "
            "install it with: pip install 'fastaug[spline]'"
        ) from error
    return ndimage
