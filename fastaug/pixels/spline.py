"""Interpolation orders 2 to 5, by SciPy: no kernel of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.geometry import Pull, is_affine, positions


def warp_spline(
    images: NDArray[Any], pull: Pull, order: int, fill_mode: str, cval: float
) -> NDArray[Any]:
    """Warp images channel by channel with `scipy.ndimage.affine_transform`, as Keras 3.15 does.

    Parameters
    ----------
    images
        (n, height, width, channels) float32 or float64.
    pull
        Where the pixels come from.  Its flips are left out; images that it doesn't move are copied.
    order, fill_mode, cval
        As SciPy's `order`, `mode` and `cval`.

    Returns
    -------
    (n, height, width, channels) of the pull's size: a new array of the same dtype.

    References
    ----------
    SciPy 1.17, `ndimage.affine_transform`, and `map_coordinates` for a pull in perspective.
    """
    ndimage = require_ndimage(order)
    out = np.empty((len(images), *pull.size, images.shape[-1]), images.dtype)
    how: dict[str, Any] = {"order": order, "mode": fill_mode, "cval": cval}
    for i, matrix in enumerate(pull.matrices):
        for channel in range(images.shape[-1]):
            source, target = images[i, ..., channel], out[i, ..., channel]
            if not pull.moved[i]:
                target[...] = source
            elif is_affine(matrix):
                affine = matrix[:2, :2], matrix[:2, 2]
                target[...] = ndimage.affine_transform(
                    source, *affine, output_shape=pull.size, **how
                )
            else:
                target[...] = ndimage.map_coordinates(source, positions(matrix, pull.size), **how)
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
