"""What the kernel of policies is given, and the scratch memory of its threads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastaug.kernels import lanes
from fastaug.kernels.batch import shape_of
from fastaug.kernels.colours import Noted, make_noted
from fastaug.kernels.launch import inlined, inner
from fastaug.kernels.resampling import Taps, make_taps
from fastaug.kernels.sampling import Band
from fastaug.kernels.tables import Tables, make_tables

_BAND = 8192  # pixels: with all that is made of them half a megabyte, of a core's own cache
_PAGE = 1024  # floats


@inlined
def rows_of_a_band(layout):
    """Return how many rows make a band."""
    return max(1, _BAND // layout.width)


# How the pixels of an image are found.
COPY, RESAMPLE, WARP = range(3)


class Program(NamedTuple):
    """What is drawn for each image of a batch."""

    ways: np.ndarray  # (n,) int8: COPY, RESAMPLE (no turn, order 1) or WARP
    matrices: np.ndarray  # (n, 3, 3) float64, from an output position to one of the source
    flips: np.ndarray  # (n, 2) bool: upside down, left to right, before the matrix
    offsets: np.ndarray  # (n, height, width, 2) float32, added behind the matrix, or (0, 1, 1, 2)
    reduced: np.ndarray  # (n, 2) int64: what the source is made smaller to before a warp
    codes: np.ndarray  # (n, k) int8: see `colours`
    numbers: np.ndarray  # (n, k, m) in the dtype of the computation
    order: int  # 0 or 1
    fill_mode: int  # of warp.FILL_MODES
    margin: float  # how far beside the outermost centres the picture ends, for `constant`
    cval: float
    antialias: bool
    most_taps: int  # that a pixel has along an axis


class Desk(NamedTuple):
    """Scratch memory of one thread, in the dtype of the computation unless it says otherwise."""

    source: np.ndarray  # an image of the source's size + lanes.WIDTH
    bytes: np.ndarray  # uint8: the same, where bytes are enough
    values: np.ndarray  # an image, where the last steps need one and the batch can't hold it
    sums: np.ndarray  # (height,) float64
    picture: np.ndarray  # a band, pixel by pixel
    planes: np.ndarray  # (channels, height * width, and more): the image while its colours change
    line: np.ndarray  # float32: a row of the source + lanes.WIDTH
    rows: Taps
    cols: Taps
    band: Band
    lower: np.ndarray  # float32: a band
    far: np.ndarray  # float32: a band
    runs: np.ndarray  # (rows of a band, 2) int64: from which column to which a row shows the source
    noted: Noted
    tables: Tables


@inner
def apart(pixels):
    """Return how long planes are, so that the same pixel of two does not lie in the same cache set.

    Planes of 224x224 floats would lie whole pages apart; stores then wait for loads, and half of
    the time goes.
    """
    return (pixels // _PAGE + 1) * _PAGE + _PAGE // 3


@inlined
def make_desk(layout, program, operands, direct, whole):
    """Allocate a thread's scratch memory; `whole` tells whether images of bytes become float32."""
    height, width, channels = shape_of(layout)
    dtype = operands.dtype
    count = rows_of_a_band(layout) * width + 1
    tall, wide = max(height, layout.source_height), max(width, layout.source_width)
    pixels = layout.source_height * layout.source_width
    return Desk(
        np.empty(pixels * channels + lanes.WIDTH, dtype),
        np.empty(pixels * channels + lanes.WIDTH if whole else 0, np.uint8),
        np.empty(0 if direct else height * width * channels, dtype),
        np.empty(height, np.float64),
        np.empty(count * channels + lanes.WIDTH, dtype),
        np.empty((channels, apart(height * width) if program.codes.shape[1] else 0), dtype),
        np.empty(layout.source_width * channels + lanes.WIDTH, np.float32),
        make_taps(tall, program.most_taps),
        make_taps(wide, program.most_taps),
        Band(
            np.empty(count, np.float64),
            np.empty(count, np.float64),
            np.empty(count, np.int32),
            np.empty(count, np.float64),
            np.empty(count, np.float64),
            np.empty(lanes.PIXELS * lanes.WIDTH, dtype),
        ),
        np.empty(count, np.float32),
        np.empty(count, np.float32),
        np.empty((rows_of_a_band(layout), 2), np.int64),
        make_noted(channels, program.codes.shape[1], count, dtype),
        make_tables(channels, dtype),
    )
