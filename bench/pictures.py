"""Pictures that are benchmarked: real photos where there are some, else drawn ones."""

from __future__ import annotations

import os
import shutil
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


@dataclass(frozen=True)
class Photos:
    """JPEG files in a folder of two class sub-folders, as many of each; `kind` as in Pictures."""

    folder: Path
    kind: str

    @property
    def files(self) -> list[str]:
        """All files, the classes in turn."""
        return [str(file) for file in files_in_turn(self.folder)]


def copy_photos(pictures: Pictures, folder: Path, batch: int) -> Photos:
    """Copy so many files that all batches are full: a short one would count as a whole."""
    files = files_in_turn(pictures.folder)
    for file in files[: len(files) // batch * batch]:
        (folder / file.parent.name).mkdir(exist_ok=True)
        shutil.copy(file, folder / file.parent.name)
    return Photos(folder, pictures.kind)


def enlarge_photos(pictures: Pictures, folder: Path, count: int, size: tuple[int, int]) -> Photos:
    """Make photos as large as those of a camera, (width, height), from the first ones."""
    for file in files_in_turn(pictures.folder)[:count]:
        (folder / file.parent.name).mkdir(exist_ok=True)
        with Image.open(file) as picture:
            large = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        large.save(folder / file.parent.name / file.name, quality=90)
    return Photos(folder, f"enlarged from {pictures.kind}")


def files_in_turn(folder: Path) -> list[Path]:
    """Return a folder's JPEG files, taking the classes in turn as long as all have some."""
    classes = [sorted(path.glob("*.jpg")) for path in sorted(folder.iterdir())]
    return [file for pair in zip(*classes, strict=False) for file in pair]


@cache
def _load(folder: Path, size: int, count: int) -> Images:
    """Decode and resize as Keras' `load_img` does, taking the classes in turn."""
    files = files_in_turn(folder)[:count]
    images = np.empty((len(files), size, size, 3), np.uint8)
    for image, file in zip(images, files, strict=True):
        with Image.open(file) as picture:
            resized = picture.convert("RGB").resize((size, size), Image.Resampling.NEAREST)
        image[...] = np.asarray(resized)
    return images
