"""The settings of the study of 2017.  Imports little: processes of a pool read it too."""

from __future__ import annotations

from typing import Any

SCALE = 1 / 255.0
SMALL: dict[str, Any] = {
    "rotation_range": 45,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "horizontal_flip": True,
    "rescale": SCALE,
}
LARGE: dict[str, Any] = SMALL | {"zoom_range": [0.8, 1], "channel_shift_range": 20}
SEED = 7


def settings(size: int) -> dict[str, Any]:
    """Return the study's settings for CIFAR-10's images or, from 224 on, for photos."""
    return LARGE if size >= 224 else SMALL
