"""Pictures that are benchmarked: real photos where there are some, else drawn ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastaug.demo import draw_folder

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("FASTAUG_TEST_DATA", ROOT.parent / "shared" / "data"))

DIFFERENT = 256  # larger data sets repeat these: time does not depend on what pictures show

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """A folder of JPEG files, and what they are: "real photos" or "drawn pictures"."""

    folder: Path
    kind: str

    def load(self, count: int, size: int) -> Images:
        """Return `count` images (count, size, size, 3), uint8."""
        images = _load(self.folder, size, min(count, DIFFERENT))
        return np.resize(images, (count, *images.shape[1:])) if count > len(images) else images


def find_pictures(temporary: Path) -> Pictures:
    """Return the photos that the tests use; without them, draw some into a temporary folder."""
    photos = DATA / "dogs_vs_cats" / "train"
    if photos.is_dir():
        return Pictures(photos, "real photos")
    draw_folder(temporary, count=DIFFERENT // 2)
    return Pictures(temporary, "drawn pictures")


@cache
def _load(folder: Path, size: int, count: int) -> Images:
    """Decode and resize as Keras' `load_img` does, taking the classes in turn."""
    classes = [sorted(path.glob("*.jpg")) for path in sorted(folder.iterdir())]
    files = [file for pair in zip(*classes, strict=False) for file in pair][:count]
    images = np.empty((len(files), size, size, 3), np.uint8)
    for image, file in zip(images, files, strict=True):
        with Image.open(file) as picture:
            resized = picture.convert("RGB").resize((size, size), Image.Resampling.NEAREST)
        image[...] = np.asarray(resized)
    return images
