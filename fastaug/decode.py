"""One file -> one slot: read, decoded and resized exactly as Keras' `load_img` does.

Runs in the decode processes, so it must import neither numba nor keras.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from fastaug.errors import DecodeError

CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "hamming": Image.Resampling.HAMMING,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}
# Pillow knows a format once its plug-in is imported: 25 ms for these, 60 ms for all of Pillow's.
for _plugin in ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Mpo", "Png", "Ppm", "Psd", "Tiff", "WebP"):
    import_module(f"PIL.{_plugin}ImagePlugin")
with contextlib.suppress(ImportError):  # since Pillow 11.3
    import_module("PIL.AvifImagePlugin")
# What the accepted extensions stand for, and the formats that people rename to them.  Others, such
# as EPS, start interpreters or external programs.  JPEG includes MPO.
FORMATS = tuple(
    name
    for name in (
        *("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000"),
        *("PNG", "PPM", "PSD", "TIFF", "WEBP"),
    )
    if name in Image.OPEN
)


@dataclass(frozen=True, slots=True)
class Target:
    """What every file of a data set is turned into.

    `slot_shape` is (height, width, channels).  Slots are uint8, but float32 for `grayscale`, whose
    16- and 32-bit files keep their values, as in Keras.
    """

    height: int
    width: int
    color_mode: str
    interpolation: str
    keep_aspect_ratio: bool

    @property
    def slot_shape(self) -> tuple[int, int, int]:
        """Shape of one decoded image: (height, width, channels)."""
        return self.height, self.width, CHANNELS[self.color_mode]

    @property
    def slot_dtype(self) -> np.dtype[Any]:
        """Dtype of one decoded image."""
        return np.dtype(np.float32 if self.color_mode == "grayscale" else np.uint8)


def decode_file(path: str, target: Target, slot: NDArray[Any]) -> None:
    """Fill `slot` with the image of a file.

    Parameters
    ----------
    path
        The file; a regular one, in one of FORMATS whatever its extension.
    target
        Size, colours and resampling.
    slot
        Array of `target.slot_shape` and `target.slot_dtype`, overwritten.

    Raises
    ------
    DecodeError
        If the file cannot be read, whatever the reason, with its path.

    References
    ----------
    Keras 3.15, `keras.utils.load_img`; results are bit for bit those of Pillow.
    """
    try:
        image = _resize(_decode(_read(path), target.color_mode), target)
        values = np.asarray(image, dtype=slot.dtype)
        slot[...] = values.reshape(slot.shape)
    except MemoryError:
        raise
    # Pillow's plug-ins raise whatever a broken file leads them to (SyntaxError, KeyError,
    # struct.error, DecompressionBombError, ...); all of it means that this file can't be read.
    except Exception as error:
        raise DecodeError(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    # Pillow names its in-memory buffer, which tells nobody anything.
    if "cannot identify image file" in text:
        return f"not an image in one of the formats {', '.join(FORMATS)}"
    return f"{type(error).__name__}: {text}"


def _read(path: str) -> bytes:
    """Return a regular file's bytes; a FIFO would block for ever."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        return file.read()


def _decode(data: bytes, color_mode: str) -> Image.Image:
    """Decode an encoded image into the mode that Keras' `load_img` gives it."""
    if color_mode == "rgb":
        pixels = _decode_jpeg(data)
        if pixels is not None:
            return Image.fromarray(pixels)
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if color_mode == "grayscale":
        # 16- and 32-bit greyscale keep their values.
        return image if image.mode in ("L", "I;16", "I") else image.convert("L")
    mode = color_mode.upper()
    return image if image.mode == mode else image.convert(mode)


def _decode_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Decode a plain colour JPEG, or return None where Pillow must look.

    simplejpeg takes half of Pillow's time and, with libjpeg-turbo's accurate transform and smooth
    upsampling, gives the same bits.  It knows no size limit, so Pillow gets the very large files.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if colorspace != "YCbCr" or height * width > (Image.MAX_IMAGE_PIXELS or 0):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return None
    return pixels


def _resize(image: Image.Image, target: Target) -> Image.Image:
    """Resize as Keras' `load_img` does, with a central crop first for `keep_aspect_ratio`."""
    size = (target.width, target.height)
    if image.size == size:
        return image
    resample = INTERPOLATIONS[target.interpolation]
    if not target.keep_aspect_ratio:
        return image.resize(size, resample)
    width, height = image.size
    crop_height = min(height, (width * target.height) // target.width)
    crop_width = min(width, (height * target.width) // target.height)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return image.resize(size, resample, box=(left, top, left + crop_width, top + crop_height))
