"""What annotations say, whatever their format."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fastaug.checks import check_one_of, folder_path, listed
from fastaug.errors import DecodeError

# What an object's mask is: polygons [x, y, x, y ...], or runs of pixels {"counts", "size"}.
Segment: TypeAlias = Any

ON_BAD_BOX = ("raise", "clip", "skip")
CROWD = 255  # in a mask, where nobody said which pixel belongs to which object
_EDGE = 1.0  # pixels by which rounding puts boxes outside


@dataclass(slots=True, eq=False)
class Annotated:
    """A picture and its objects.

    Attributes
    ----------
    path
        Of the file.
    size
        (height, width), or None where only the file knows.
    boxes
        [left, top, right, bottom] each, in pixels from the outer corner of the first one.
    labels
        Class numbers, from 0.
    segments
        What each object's mask is, or None.
    crowds
        Whether each is a crowd, which gets no box.
    """

    path: str
    size: tuple[int, int] | None = None
    boxes: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    crowds: list[bool] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Pictures with their objects, and the names of the classes by their numbers."""

    images: list[Annotated]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.images)


def size_of_file(path: str) -> tuple[int, int]:
    """Return (height, width) of a picture, from its header; DecodeError if there is none."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:
        reason = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise DecodeError(path, reason) from error


def known_class(name: str, classes: Sequence[str], where: str) -> int:
    """Return the number of a class; ValueError with the near ones if it isn't declared."""
    if name in classes:
        return classes.index(name)
    near = difflib.get_close_matches(str(name), classes, n=3) or list(classes)[:10]
    raise ValueError(f"{where}: the class {name!r} isn't declared; near ones are {listed(near)}")


def checked_box(
    box: Sequence[float], size: tuple[int, int], where: str, on_bad_box: str
) -> list[float] | None:
    """Return a box inside its picture, or None where it is to be skipped.

    Raises
    ------
    ValueError
        With `on_bad_box="raise"`, for what is no box, or reaches out of its picture by more than a
        pixel.
    """
    height, width = size
    left, top, right, bottom = (float(number) for number in box)
    why = ""
    if not all(np.isfinite([left, top, right, bottom])):
        why = "a number is not finite"
    elif right <= left or bottom <= top:
        why = "its right or lower side is not beyond the other"
    elif left < -_EDGE or top < -_EDGE or right > width + _EDGE or bottom > height + _EDGE:
        why = f"it reaches out of its picture of {height}x{width} (height x width)"
    if why and on_bad_box == "raise":
        values = [round(number, 3) for number in (left, top, right, bottom)]
        raise ValueError(
            f"{where}: {values} (left, top, right, bottom) is no box: {why}; "
            "on_bad_box='clip' or 'skip' goes on"
        )
    inside = [min(max(left, 0), width), min(max(top, 0), height)]
    inside += [min(max(right, 0), width), min(max(bottom, 0), height)]
    if why and (on_bad_box == "skip" or not all(np.isfinite(inside))):
        return None
    return inside if inside[2] > inside[0] and inside[3] > inside[1] else None


def check_on_bad_box(on_bad_box: str) -> None:
    """Raise unless it is one of ON_BAD_BOX."""
    check_one_of("on_bad_box", on_bad_box, ON_BAD_BOX)


def check_files(what: str, images: Sequence[Annotated]) -> None:
    """Raise a FileNotFoundError that lists some of the files that aren't there."""
    missing = [image.path for image in images if not os.path.isfile(image.path)]  # noqa: PTH113
    if missing:
        some = ", ".join(missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise FileNotFoundError(f"{what} names files that are not there: {some}{more}")


def check_any(what: str, images: Sequence[Annotated]) -> None:
    """Raise a ValueError where there is no picture at all."""
    if not images:
        raise ValueError(f"{what} names no picture")


def class_mask(image: Annotated, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask of a picture, (height, width): 0 where nothing is, else class number + 1.

    What comes later lies above.  Crowds are CROWD.  A pixel belongs to a polygon by the rule of
    Pillow's `ImageDraw.polygon`.
    """
    mask = np.zeros(size, np.uint8)
    for segment, label, crowd in zip(image.segments, image.labels, image.crowds, strict=True):
        value = CROWD if crowd else label + 1
        if isinstance(segment, dict):
            mask[runs_of_pixels(segment)] = value
        elif segment:
            picture = Image.fromarray(mask)
            drawing = ImageDraw.Draw(picture)
            for polygon in segment:
                drawing.polygon([float(number) for number in polygon], fill=value)
            mask = np.array(picture)
    return mask


def runs_of_pixels(segment: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the pixels of runs, (height, width) bool: by columns, off and on in turn.

    References
    ----------
    pycocotools, `maskApi.c`: `rleDecode`, and `rleFrString` for counts that are a string.
    """
    height, width = (int(side) for side in segment["size"])
    counts = segment["counts"]
    if isinstance(counts, str | bytes):
        counts = _counts_of(counts)
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    if len(flat) != height * width:
        raise ValueError(f"runs of {len(flat)} pixels for a mask of {height}x{width}")
    return flat.reshape(width, height).T


def _counts_of(text: str | bytes) -> list[int]:
    """Return the lengths in a string: five bits a character, each a change of the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode() if isinstance(text, str) else text:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def existing_folder(what: str, folder: Any) -> Path:
    """Return a folder as a path; an error that names the argument unless it is one."""
    path = Path(folder_path(what, folder))
    if not path.exists():
        raise FileNotFoundError(f"{what}: {str(path)!r} does not exist")
    if not path.is_dir():
        raise NotADirectoryError(f"{what}: {str(path)!r} is not a folder")
    return path
