"""One image and what was drawn for it, for `Generator.apply_transform`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastaug.pixels.batch import Recipe, transform_images
from fastaug.pixels.layout import Array
from fastaug.transforms.base import no_steps
from fastaug.transforms.geometry import still
from fastaug.transforms.policy import Drawn


def checked_image(x: Any) -> Array:
    """Return an image as an array; ValueError unless it is one, of numbers."""
    x = np.asarray(x)
    if x.ndim != 3 or x.dtype.kind not in "biuf" or not x.size:
        raise ValueError(
            "x must be one image of rank 3 that holds numbers; found shape "
            f"{x.shape}, dtype {x.dtype}"
        )
    return x


def transform_image(recipe: Recipe, x: Array, drawn: Drawn) -> Array:
    """Return image `x`, of `checked_image`, changed by what was drawn.

    A float image keeps its dtype.  An integer one does so where pixels only move, rounded; what
    changes values makes it float64, or, where that ends with Keras' brightness, float32.
    """
    if x.dtype.kind == "f":
        return _transformed(recipe, x, drawn).astype(x.dtype, copy=False)
    values = drawn.steps.codes.shape[1] or drawn.passes
    moved = _transformed(recipe, x, replace(drawn, steps=no_steps(1), passes=()))
    # As SciPy rounds a warped integer image: halves away from zero, unsigned ones kept in range.
    moved = np.trunc(moved + np.copysign(0.5, moved))
    if x.dtype.kind == "u":
        moved = np.clip(moved, 0, np.iinfo(x.dtype).max)
    moved = moved.astype(x.dtype)
    if not values:
        return moved
    changed = _transformed(recipe, moved, replace(drawn, pull=still(1, drawn.pull.size)))
    keras_alone = drawn.steps.codes.shape[1] == len(drawn.keras.values()) and not drawn.passes
    ends_bright = drawn.keras.brightness is not None and keras_alone
    return changed.astype(np.float32) if ends_bright else changed


def _transformed(recipe: Recipe, x: Array, drawn: Drawn) -> Array:
    """Transform one image; integers are computed in float64, which holds those of 53 bits."""
    dtype = np.dtype(np.float32 if x.dtype in (np.float32, np.float16) else np.float64)
    recipe, images = replace(recipe, dtype=dtype), x[np.newaxis].astype(dtype, copy=False)
    return transform_images(recipe, images, np.zeros(1, np.intp), drawn)[0]
