"""Batches -> picture files, for `save_to_dir`."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastaug.checks import check_one_of, folder_path
from fastaug.pixels.layout import channels_last

# File systems without hard links.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def picture_saver(
    folder: str | Path | None, prefix: str, extension: str, data_format: str, numbers: int
) -> PictureSaver | None:
    """Return what saves pictures, or None without a folder; see `PictureSaver`."""
    if not folder:
        return None
    if not isinstance(extension, str):
        raise TypeError(f"save_format={extension!r} is not the name of a format, such as 'png'")
    folder = Path(folder_path("save_to_dir", folder))
    return PictureSaver(folder, prefix, extension.removeprefix("."), data_format, numbers)


@dataclass(frozen=True, slots=True)
class PictureSaver:
    """Write every image of a batch to `folder`, as Keras' `save_to_dir` does.

    `numbers` bounds the random number in each file name: 10,000 for arrays, 10,000,000 for files.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder is missing, or the format is unknown.
    """

    folder: Path
    prefix: str
    format: str
    data_format: str
    numbers: int

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise FileNotFoundError(f"save_to_dir: {str(self.folder)!r} is not an existing folder")
        known = sorted(extension[1:] for extension in Image.registered_extensions())
        check_one_of("save_format", self.format.lower(), known)

    def is_for(self, folder: Any, prefix: str, extension: str) -> bool:
        """Tell whether `picture_saver` would give one like this."""
        wanted = Path(folder_path("save_to_dir", folder)), prefix, str(extension).removeprefix(".")
        return (self.folder, self.prefix, self.format) == wanted

    def save(self, batch: NDArray[Any], rows: NDArray[np.intp], rng: np.random.RandomState) -> None:
        """Save a batch; each image's values are spread over 0 to 255."""
        kind = Image.registered_extensions()[f".{self.format.lower()}"]
        for image, row in zip(batch, rows, strict=True):
            stem = f"{self.prefix}_{row}_{rng.randint(self.numbers)}"
            encoded = io.BytesIO()
            self._picture(image).save(encoded, format=kind)
            # Pillow writes most formats without a look at whether all of it was written.
            self._write(stem, encoded.getvalue())

    def _write(self, stem: str, data: bytes) -> None:
        """Write a file under another name first: a full disk leaves no half picture.

        A name that is taken gets a number behind it; Keras would lose the picture that has it.
        """
        name = f"{stem}.{self.format}"
        unfinished = self.folder / f".{name}.{os.getpid()}"
        try:
            unfinished.write_bytes(data)
            for number in count(1):
                if _gets_name(unfinished, self.folder / name):
                    break
                name = f"{stem}_{number}.{self.format}"
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder / name)) from error
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _picture(self, image: NDArray[Any]) -> Image.Image:
        """Convert as Keras 3.15's `array_to_img(scale=True)`."""
        image = channels_last(image, self.data_format).astype(np.float32)
        image -= image.min()
        largest = image.max()
        if largest != 0:
            image /= largest
        pixels = (image * 255).astype(np.uint8)
        channels = pixels.shape[-1]
        if channels not in _MODES:
            raise ValueError(f"save_to_dir can't save images of {channels} channels, only 1, 3, 4")
        return Image.fromarray(pixels[..., 0] if channels == 1 else np.ascontiguousarray(pixels))


def _gets_name(unfinished: Path, name: Path) -> bool:
    """Give a finished file its name, unless another has it, of whichever process."""
    try:
        os.link(unfinished, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if name.exists():
            return False
        unfinished.replace(name)
    return True
