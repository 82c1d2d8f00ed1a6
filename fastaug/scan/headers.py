"""What an image file says of itself, without its pixels."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from PIL import ExifTags, Image

from fastaug.files.decode import FORMATS, open_regular


class Header(NamedTuple):
    """Format and colour mode in Pillow's words, size in pixels as stored, EXIF orientation."""

    format: str
    mode: str
    width: int
    height: int
    orientation: int  # 1 where the file says nothing: upright


def read_header(path: str) -> Header:
    """Read the header of an image file.

    Parameters
    ----------
    path
        A regular file, in one of `decode.FORMATS`.

    Raises
    ------
    Exception
        Whatever Pillow raises for a broken header.
    """
    # Decoding tells of what is odd in a file; its header need not tell it again.
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(file, formats=FORMATS)
        # That of the base class: PNG's own decodes all pixels to look for EXIF data behind them.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return Header(str(image.format), image.mode, *image.size, _number(orientation))


def _number(orientation: object) -> int:
    """Return an orientation as Pillow's `exif_transpose` understands it: 1 for what it ignores."""
    return orientation if isinstance(orientation, int) and 2 <= orientation <= 8 else 1
