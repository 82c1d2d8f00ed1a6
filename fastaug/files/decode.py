"""One file -> one slot: read, decoded and resized exactly as Keras' `load_img` does.

Where there is room, an image that the nearest pixel resizes is left as it was decoded: whoever
copies it out of the slot resizes it on the way.  Runs in the decode processes, so it must import
neither numba nor keras.
"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
import stat
import struct
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import PIL
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fastaug.checks import check_one_of
from fastaug.errors import DecodeError
from fastaug.files.notices import BOMB, Notice
from fastaug.files.target import INTERPOLATIONS, NUMBERS, Target

# What pixels depend on beside the file and the target.
DECODER = f"simplejpeg {simplejpeg.__version__}, Pillow {PIL.__version__}"
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


_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # of Pillow: greyscale above 8 bits
# With `decode="fast"`, a photo is decoded at a smaller scale if its sides are so many times larger.
_MUCH_LARGER = 2
CLIPPED = (
    "UserWarning",
    (
        "its greyscale values above 255 are cut to white, as in Keras; "
        "Generator(scale_16bit=True) brings them to 0 to 255 instead"
    ),
)
SQUEEZED = (
    "UserWarning",
    (
        "its values are fractions from 0 to 1, which are cut to whole numbers, as in Keras: it "
        "comes out nearly black; save it with values from 0 to 255"
    ),
)
TRANSPARENT = (
    "UserWarning",
    (
        "its palette has transparent colours, which are lost, as in Keras; "
        'color_mode="rgba" keeps them'
    ),
)


def checked_extensions(name: str, value: Any) -> tuple[str, ...]:
    """Return file extensions in lower case, with their dots, or raise for one of no image."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name}={value!r} is not a list of file extensions")
    known = sorted(end for end, kind in Image.registered_extensions().items() if kind in FORMATS)
    found = []
    for extension in value:
        if not isinstance(extension, str):
            raise TypeError(f"each of {name} must be a file extension, not {extension!r}")
        found.append("." + extension.lower().removeprefix("."))
        check_one_of(f"each of {name}", found[-1], known)
    if not found:
        raise ValueError(f"{name}={value!r} names no extension")
    return tuple(found)


class Decoded(NamedTuple):
    """Size of the image that lies in a slot, in pixels, and what the user should hear of it."""

    height: int
    width: int
    notices: tuple[Notice, ...]


def decode_into(path: str, target: Target, memory: NDArray[np.uint8]) -> Decoded:
    """Decode a file to the beginning of `memory`; the image may keep its size if there is room.

    Parameters
    ----------
    path
        The file; a regular one, in one of FORMATS whatever its extension.
    target
        Size, colours and resampling.
    memory
        (nbytes,) C-contiguous, at least `target.nbytes`.  Only where it is larger, and
        `target.picks_pixels`, an image of another size may be left there: three bytes a pixel, with
        a byte of slack behind it.

    Raises
    ------
    DecodeError
        If the file cannot be read, whatever the reason, with its path.

    References
    ----------
    Keras 3.15, `keras.utils.load_img`; results are bit for bit those of Pillow.
    """
    try:
        return _decode_into(_read(path), target, memory)
    except MemoryError:
        raise
    # Pillow's plug-ins raise whatever a broken file leads them to (SyntaxError, KeyError,
    # struct.error, DecompressionBombError, ...); all of it means that this file can't be read.
    except Exception as error:
        raise DecodeError(path, reason_of(error)) from error


def _decode_into(data: bytes, target: Target, memory: NDArray[np.uint8]) -> Decoded:
    slot = memory[: target.nbytes].view(target.slot_dtype).reshape(target.slot_shape)
    notices: tuple[Notice, ...] = ()
    pixels = _shortcut(data, target, memory)
    if pixels is None:
        image, drafted, notices = _decode(data, target)
        image = _resize(image, target, smooth=drafted)
        slot[...] = np.asarray(image, dtype=slot.dtype).reshape(slot.shape)
    elif np.may_share_memory(pixels, memory):
        return Decoded(pixels.shape[0], pixels.shape[1], ())
    elif target.picks_pixels:
        _pick_pixels(pixels, target, slot)
    else:
        slot[...] = np.asarray(_resize(Image.fromarray(pixels), target))
    return Decoded(target.height, target.width, notices)


def reason_of(error: Exception) -> str:
    """Return what is wrong with a file, in words, from what was raised when it was read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    # Pillow names its in-memory buffer, which tells nobody anything.
    if "cannot identify image file" in text:
        return f"not an image in one of the formats {', '.join(FORMATS)}"
    return f"{type(error).__name__}: {text}"


def _read(path: str) -> bytes:
    with open_regular(path) as file:
        return file.read()


def open_regular(path: str) -> BinaryIO:
    """Open a regular file; a FIFO would block for ever."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb")  # noqa: PTH123 - the caller closes it
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise ValueError("not a regular file")


def _shortcut(data: bytes, target: Target, memory: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Decode what simplejpeg can, into `memory` if its own size fits; None where Pillow must."""
    if target.color_mode != "rgb" or (target.exif_transpose and _may_be_turned(data)):
        return None
    if target.decode == "fast" and is_much_larger(_jpeg_size(data), target):
        return None
    if target.picks_pixels and memory.size > target.nbytes:
        return _decode_jpeg(data, memory)
    return _decode_jpeg(data)


def _decode_jpeg(data: bytes, memory: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
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
        if memory is not None and height * width * 3 >= memory.size:
            memory = None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", buffer=memory)
    except ValueError:
        return None
    return pixels


def _decode(data: bytes, target: Target) -> tuple[Image.Image, bool, tuple[Notice, ...]]:
    """Decode by Pillow into the mode that Keras' `load_img` gives.

    Return the image, whether it was decoded at a smaller scale, and notices.
    """
    image, notices = _open(data)
    drafted = False
    if target.decode == "fast" and is_much_larger(image.size, target):
        drafted = image.draft(image.mode, _draft_size(*image.size, target)) is not None
    if target.exif_transpose:
        image = ImageOps.exif_transpose(image)
    if target.color_mode == NUMBERS:
        return class_numbers(image), drafted, notices
    deep = image.mode in _DEEP_MODES
    if deep and target.scale_16bit:
        return _scaled(image, target), drafted, notices
    if target.color_mode == "grayscale" and image.mode in ("L", "I;16", "I"):
        return image, drafted, notices  # 16- and 32-bit greyscale keep their values
    mode = "L" if target.color_mode == "grayscale" else target.color_mode.upper()
    if deep and np.asarray(image).max() > 255:
        notices += (CLIPPED,)
    if image.mode == "F" and _is_squeezed(np.asarray(image)):
        notices += (SQUEEZED,)
    # Where Pillow would drop it, too, with a warning that names no file.
    if mode in ("L", "RGB") and isinstance(image.info.get("transparency"), bytes):
        image.load()
        del image.info["transparency"]
        notices += (TRANSPARENT,)
    return (image if image.mode == mode else image.convert(mode)), drafted, notices


def class_numbers(mask: Image.Image) -> Image.Image:
    """Return the class numbers of a mask: its grey values, or the indices of its palette.

    Raises
    ------
    ValueError
        For a mask in colours, whose values are no numbers of classes.
    """
    if mask.mode in ("P", "1"):
        return Image.fromarray(np.asarray(mask).astype(np.uint8))
    if mask.mode not in ("L", "I", *_DEEP_MODES):
        raise ValueError(
            f"a mask holds a class number for each pixel, as greyscale or as a palette; this is "
            f"{mask.mode}"
        )
    return mask


def is_byte_mask(path: str) -> bool:
    """Tell whether the numbers of a mask have 8 bits, from its header."""
    with Image.open(path) as mask:
        return mask.mode not in ("I", *_DEEP_MODES)


def _open(data: bytes) -> tuple[Image.Image, tuple[Notice, ...]]:
    """Do as `Image.open`, but note where that would warn: its warning names no file.

    To record warnings instead would change the filters of all threads.
    """
    for name in FORMATS:
        factory, accepts = Image.OPEN[name]
        file = io.BytesIO(data)
        try:
            accepted = accepts is None or accepts(data[:16])
            if not accepted or isinstance(accepted, str):  # which says what is missing to read it
                continue
            image = factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
        return image, _check_size(*image.size)
    return Image.open(io.BytesIO(data), formats=FORMATS), ()  # which says why not


def _check_size(width: int, height: int) -> tuple[Notice, ...]:
    """Raise for an image that would take too much memory; note one that takes a lot."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or width * height <= limit:
        return ()
    if width * height > 2 * limit:
        raise Image.DecompressionBombError(
            f"Image size ({width * height} pixels) exceeds limit of {2 * limit} pixels, could be "
            "decompression bomb DOS attack."
        )
    return (
        (BOMB, f"it has more than {limit} pixels, PIL.Image.MAX_IMAGE_PIXELS: could be a "
         "decompression bomb"),
    )  # fmt: skip


def _is_squeezed(values: NDArray[Any]) -> bool:
    """Tell whether values lie from 0 to 1, and are more than these two."""
    return bool(values.min() >= 0 and values.max() <= 1 and (values % 1).any())


def _scaled(image: Image.Image, target: Target) -> Image.Image:
    """Bring greyscale of 16 bits to 0 to 255: with fractions where the slot can hold them."""
    values = np.clip(np.asarray(image, np.float32), 0, 65535) / np.float32(257)
    if target.color_mode == "grayscale":
        return Image.fromarray(values)
    return Image.fromarray(np.rint(values).astype(np.uint8)).convert(target.color_mode.upper())


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of a JPEG, or zeros where Pillow must look."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return 0, 0
    return width, height


def is_much_larger(size: tuple[int, int], target: Target) -> bool:
    """Tell whether an image, (width, height), is decoded at a smaller scale if that is allowed."""
    width, height = _draft_size(*size, target)
    return size[0] >= _MUCH_LARGER * width > 0 and size[1] >= _MUCH_LARGER * height > 0


def _draft_size(width: int, height: int, target: Target) -> tuple[int, int]:
    """Return how wide and high a decoded image must be at least, to be made smaller after that."""
    left, top, right, bottom = crop_of(width, height, target)
    target_width, target_height = target.width, target.height
    if target.exif_transpose:  # it may be turned by 90 degrees after that
        target_width = target_height = max(target_width, target_height)
    if right == left or bottom == top:
        return 0, 0
    return (
        math.ceil(width * target_width / (right - left)),
        math.ceil(height * target_height / (bottom - top)),
    )


def _may_be_turned(data: bytes) -> bool:
    """Tell whether there may be an EXIF orientation, or XMP's."""
    return b"Exif\0\0" in data or b"tiff:Orientation" in data


def crop_of(width: int, height: int, target: Target) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of what is resized: all, or Keras' central crop."""
    if not target.keep_aspect_ratio:
        return 0, 0, width, height
    crop_height = min(height, (width * target.height) // target.width)
    crop_width = min(width, (height * target.width) // target.height)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return left, top, left + crop_width, top + crop_height


def _resize(image: Image.Image, target: Target, smooth: bool = False) -> Image.Image:
    """Resize as Keras' `load_img` does; `smooth` lets no pixel be left out on the way down."""
    size = (target.width, target.height)
    if image.size == size:
        return image
    resample = INTERPOLATIONS[target.interpolation]
    if smooth and target.interpolation == "nearest":
        resample = Image.Resampling.BILINEAR  # which weighs all pixels when it makes smaller
    return image.resize(size, resample, box=crop_of(*image.size, target))


def _pick_pixels(pixels: NDArray[np.uint8], target: Target, slot: NDArray[np.uint8]) -> None:
    """Resize an image by the nearest pixel, without a pass over the whole of it."""
    height, width, _ = pixels.shape
    left, top, right, bottom = crop_of(width, height, target)
    rows = pixels[nearest_taps(top, bottom - top, target.height)]
    cols = nearest_taps(left, right - left, target.width)
    # Pixels as items of three bytes; NumPy takes them in half the time where it may clip.
    items = np.dtype((np.void, pixels.shape[2]))
    np.take(rows.view(items)[..., 0], cols, axis=1, out=slot.view(items)[..., 0], mode="clip")


@lru_cache(maxsize=1024)
def nearest_taps(begin: int, extent: int, count: int) -> NDArray[np.intp]:
    """Return which rows, or columns, of a source the nearest pixel takes.

    Parameters
    ----------
    begin, extent
        Where the part of the source begins that is resized, and how long it is.
    count
        Length of the result.

    References
    ----------
    Pillow 13, `ImagingScaleAffine` in `Geometry.c`: positions are added up, so their rounding
    errors are, too.
    """
    pace = extent / count
    return np.cumsum([begin + pace * 0.5, *[pace] * (count - 1)]).astype(np.intp)
