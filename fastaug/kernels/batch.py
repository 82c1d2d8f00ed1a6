"""The kernel that does a whole batch: one image after another, images in parallel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from fastaug.kernels.launch import parallel
from fastaug.kernels.pointwise import (
    rescale,
    scale_brightness,
    shift_channels,
    standardize_features,
    standardize_sample,
)
from fastaug.kernels.warp import copy_image, warp_image


class Transforms(NamedTuple):
    """What is drawn for each image: arrays (n,), matrices (n, 2, 3) float64."""

    matrices: np.ndarray
    warped: np.ndarray  # bool
    flip_vertical: np.ndarray  # bool
    flip_horizontal: np.ndarray  # bool
    order: int  # 0 or 1
    fill_mode: int  # of warp.FILL_MODES
    cval: float
    shifts: np.ndarray  # in the dtype of the output; (0,) where off
    factors: np.ndarray  # brightness, float32; (0,) where off
    quirks: bool


class Standards(NamedTuple):
    """What is the same for all images; scalars and arrays in the dtype of the output."""

    scaled: bool
    scale: np.floating
    sample_center: bool
    sample_normalize: bool
    featurewise: bool
    mean: np.ndarray  # (1 or height, 1 or width, 1 or channels)
    divisor: np.ndarray  # likewise


@parallel
def augment(images, rows, transforms, standards, transforming, standardizing, out):
    """Augment and standardise a batch.

    Parameters
    ----------
    images
        (any, height, width, channels), uint8 or the dtype of `out`; read only.
    rows
        (n,) which of them make the batch.
    transforms, standards
        What to do in the two stages.
    transforming, standardizing
        Which stages to run.  Without the first, `out` already holds the images.
    out
        (n, height, width, channels) float32 or float64, overwritten.
    """
    for i in prange(len(rows)):
        image = out[i]
        if transforming:
            flip_vertical, flip_horizontal = (
                transforms.flip_vertical[i],
                transforms.flip_horizontal[i],
            )
            if transforms.warped[i]:
                warp_image(
                    images[rows[i]],
                    transforms.matrices[i],
                    flip_vertical,
                    flip_horizontal,
                    transforms.order,
                    transforms.fill_mode,
                    transforms.cval,
                    image,
                )
            else:
                copy_image(images[rows[i]], flip_vertical, flip_horizontal, image)
            if len(transforms.shifts):
                shift_channels(image, transforms.shifts[i])
            if len(transforms.factors):
                scale_brightness(image, transforms.factors[i], transforms.quirks)
        if standardizing:
            if standards.scaled:
                rescale(image, standards.scale)
            if standards.sample_center or standards.sample_normalize:
                standardize_sample(image, standards.sample_center, standards.sample_normalize)
            if standards.featurewise:
                standardize_features(image, standards.mean, standards.divisor)
