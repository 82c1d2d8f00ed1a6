"""One image and a dictionary of parameters, for `Generator.apply_transform`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastaug.checks import check_number
from fastaug.pixels.batch import Recipe, transform_images
from fastaug.pixels.layout import Array
from fastaug.transforms.keras.draws import Draws

_NEUTRAL = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}
_FLIPS = ("flip_horizontal", "flip_vertical")
_OPTIONAL = ("channel_shift_intensity", "brightness")


def apply_parameters(recipe: Recipe, x: Array, parameters: dict[str, Any]) -> Array:
    """Return image `x` changed by Keras' dictionary of parameters.

    A float image keeps its dtype; an integer one too, rounded, unless a channel shift makes it
    float64, or a brightness float32.

    Raises
    ------
    ValueError
        If `x` is not one image of numbers, or a parameter is unknown.
    """
    if x.ndim != 3 or x.dtype.kind not in "biuf" or not x.size:
        raise ValueError(
            "x must be one image of rank 3 that holds numbers; found shape "
            f"{x.shape}, dtype {x.dtype}"
        )
    unknown = set(parameters).difference(_NEUTRAL, _FLIPS, _OPTIONAL)
    if unknown:
        raise ValueError(f"transform_parameters holds unknown names: {sorted(unknown)}")
    draws = _draws(parameters)
    if x.dtype.kind == "f":
        return _transform(recipe, x, draws).astype(x.dtype, copy=False)
    moved = _transform(recipe, x, replace(draws, channel_shift_intensity=None, brightness=None))
    # As SciPy rounds a warped integer image: halves away from zero, unsigned ones kept in range.
    moved = np.trunc(moved + np.copysign(0.5, moved))
    if x.dtype.kind == "u":
        moved = np.clip(moved, 0, np.iinfo(x.dtype).max)
    moved = moved.astype(x.dtype)
    if draws.channel_shift_intensity is None and draws.brightness is None:
        return moved
    changed = _transform(recipe, moved, _draws({name: parameters.get(name) for name in _OPTIONAL}))
    return changed if draws.brightness is None else changed.astype(np.float32)


def _transform(recipe: Recipe, x: Array, draws: Draws) -> Array:
    """Transform one image; integers are computed in float64, which holds those of 53 bits."""
    dtype = np.dtype(np.float32 if x.dtype in (np.float32, np.float16) else np.float64)
    recipe, images = replace(recipe, dtype=dtype), x[np.newaxis].astype(dtype, copy=False)
    return transform_images(recipe, images, np.zeros(1, np.intp), draws)[0]


def _draws(parameters: dict[str, Any]) -> Draws:
    """Return a dictionary of parameters as the draws of a batch of one."""
    values: dict[str, Any] = {}
    for name, neutral in _NEUTRAL.items():
        value = parameters.get(name, neutral)
        check_number(f"transform_parameters[{name!r}]", value)
        values[name] = np.array([value], np.float64)
    for name in _FLIPS:
        values[name] = np.array([bool(parameters.get(name, False))])
    for name in _OPTIONAL:
        value = parameters.get(name)
        values[name] = None if value is None else np.array([value], np.float64)
    return Draws(**values)
