"""How far the pixels of `decode="fast"` are from others, on the scale of 0 to 255.

    python scaling.py FOLDER [SIZE]     for the JPEG files of a folder, in its class sub-folders

`decode="fast"` has the decoder make a photo smaller, by 2, 4 or 8, and brings the rest to size with
antialiasing.  Beside a whole decode with the same antialiasing, only the decoder's part differs;
beside `decode="exact"`, which takes the nearest pixel as Keras does, the antialiasing differs, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pictures import files_in_turn
from PIL import Image

from fastaug.files.decode import decode_into
from fastaug.files.target import Target

Array = NDArray[Any]

SIZE = 224


@dataclass(frozen=True)
class Difference:
    """Absolute differences of all pixels: their mean, the largest, and how many exceed 16."""

    mean: float
    largest: int
    beyond_16: float

    def __str__(self) -> str:
        return (
            f"{self.mean:.2f} on average, {self.largest} at most, more than 16 in "
            f"{self.beyond_16:.2%} of the values"
        )


def fast(file: str, size: int) -> Array:
    return decoded(file, size, "fast")


def exact(file: str, size: int) -> Array:
    """Decode the whole photo and take the nearest pixels, as Pillow and Keras do."""
    return decoded(file, size, "exact")


def decoded(file: str, size: int, decode: str) -> Array:
    target = Target(size, size, "rgb", "nearest", keep_aspect_ratio=False, decode=decode)
    image = np.empty(target.slot_shape, target.slot_dtype)
    decode_into(file, target, image.reshape(-1))
    return image


def antialiased(file: str, size: int) -> Array:
    """Decode the whole photo by Pillow, and let each pixel count on the way down."""
    with Image.open(file) as photo:
        return np.asarray(photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def difference(files: Sequence[str], size: int, other: Callable[[str, int], Array]) -> Difference:
    """Return how far `decode="fast"` is from another way."""
    apart = [np.abs(fast(file, size).astype(int) - other(file, size)) for file in files]
    values = np.concatenate([one.reshape(-1) for one in apart])
    return Difference(float(values.mean()), int(values.max()), float((values > 16).mean()))


def differences(files: Sequence[str], size: int) -> dict[str, Difference]:
    return {
        "a whole decode, antialiased": difference(files, size, antialiased),
        'decode="exact"': difference(files, size, exact),
    }


def main(folder: str, size: int) -> None:
    """Print the differences of those photos that are large enough to be scaled."""
    files = []
    for file in files_in_turn(Path(folder)):
        with Image.open(file) as photo:
            if min(photo.size) >= 2 * size:
                files.append(str(file))
    print(f"{len(files)} photos, to {size}x{size}")
    if files:
        for name, one in differences(files, size).items():
            print(f"beside {name}: {one}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else SIZE)
