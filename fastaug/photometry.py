"""Drawn numbers -> an image's own steps, which change its values; `geometry.py` moves its pixels.

Each step is a code and some numbers, see `kernels.pointwise.change_values`.  Knows no pixels.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.draws import Draws
from fastaug.kernels.pointwise import (
    SCALE_BRIGHTNESS,
    SCALE_BRIGHTNESS_AS_KERAS,
    SHIFT_CHANNELS,
)

# Codes (n, k), or one for all of them, and numbers (n, k, m).
Steps: TypeAlias = tuple[Any, NDArray[Any]]


def keras_steps(draws: Draws, *, quirks: bool) -> list[Steps]:
    """Return channel shift and brightness, where they are on; these need an image's extremes."""
    steps: list[Steps] = []
    if draws.channel_shift_intensity is not None:
        steps.append((SHIFT_CHANNELS, draws.channel_shift_intensity.reshape(-1, 1, 1)))
    if draws.brightness is not None:
        code = SCALE_BRIGHTNESS_AS_KERAS if quirks else SCALE_BRIGHTNESS
        steps.append((code, draws.brightness.reshape(-1, 1, 1)))
    return steps


def join_steps(
    steps: list[Steps], count: int, dtype: np.dtype[Any]
) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Put steps side by side, the numbers padded with zeros: codes (n, k) and numbers (n, k, m)."""
    length = depth = 0
    for _, numbers in steps:
        length, depth = length + numbers.shape[1], max(depth, numbers.shape[2])
    codes, padded = np.empty((count, length), np.int8), np.zeros((count, length, depth), dtype)
    start = 0
    for code, numbers in steps:
        stop = start + numbers.shape[1]
        codes[:, start:stop], padded[:, start:stop, : numbers.shape[2]] = code, numbers
        start = stop
    return codes, padded
