"""How a contender's batch is checked before it is timed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracles import ORACLES
from study import SCALE

Array = NDArray[Any]

# What fastaug may differ by from Keras, on the scale of pixels: the oracles of all that is drawn.
TOLERANCE = sum(
    ORACLES[name].tolerance
    for name in ("warp_as_keras", "channel_shift", "flip_horizontal", "rescale")
)


def check_as_keras(batch: Array, expected: Array) -> None:
    """Check a batch that must have Keras' pixels, within the tolerance of the oracles."""
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, expected, rtol=0, atol=TOLERANCE)


def check_loosely(batch: Any, images: Array) -> None:
    """Check a batch whose pixels were drawn by other rules than Keras'.

    Shape and range are certain.  Turns and shifts that fill borders with their neighbours leave
    the mean of many pictures near to what it was; a tenth of the range catches a batch that is
    black, not rescaled, or not of these pictures.
    """
    batch = np.asarray(batch)
    assert batch.shape[1:] == images.shape[1:]
    assert batch.dtype == np.float32
    assert batch.min() >= -1e-6
    assert batch.max() <= 1 + 1e-6
    assert abs(batch.mean() - images.mean() * SCALE) < 0.1
    assert batch.std() > 0.05
