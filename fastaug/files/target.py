"""What every file of a data set is turned into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from fastaug.checks import check_flag, check_one_of, whole_pair

COLOR_MODES = ("rgb", "rgba", "grayscale")  # Keras'
NUMBERS = "numbers"  # of classes, in a mask: grey values, or the indices of a palette
CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1, NUMBERS: 1}
DECODES = ("exact", "fast")
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "hamming": Image.Resampling.HAMMING,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What every file of a data set is turned into.

    `slot_shape` is (height, width, channels).  Slots are uint8, but float32 for `grayscale` and
    masks, whose 16- and 32-bit files keep their values, as in Keras.
    """

    height: int
    width: int
    color_mode: str
    interpolation: str
    keep_aspect_ratio: bool
    decode: str = "exact"
    exif_transpose: bool = False
    scale_16bit: bool = False

    @property
    def slot_shape(self) -> tuple[int, int, int]:
        """Shape of one decoded image: (height, width, channels)."""
        return self.height, self.width, CHANNELS[self.color_mode]

    @property
    def slot_dtype(self) -> np.dtype[Any]:
        """Dtype of one decoded image."""
        deep = self.color_mode in ("grayscale", NUMBERS)
        return np.dtype(np.float32 if deep else np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of one decoded image."""
        return self.height * self.width * CHANNELS[self.color_mode] * self.slot_dtype.itemsize

    @property
    def picks_pixels(self) -> bool:
        """Whether resizing is no more than picking pixels of bytes."""
        return self.interpolation == "nearest" and self.color_mode == "rgb"


def checked_target(
    target_size: Any, color_mode: str, interpolation: str, keep_aspect_ratio: bool
) -> Target:
    """Return the decoder's target, or raise an error that names the argument."""
    height, width = whole_pair("target_size", target_size)
    check_one_of("color_mode", color_mode, COLOR_MODES)
    check_one_of("interpolation", interpolation, INTERPOLATIONS)
    check_flag("keep_aspect_ratio", keep_aspect_ratio)
    return Target(height, width, color_mode, interpolation, bool(keep_aspect_ratio))
