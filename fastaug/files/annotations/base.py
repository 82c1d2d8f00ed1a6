"""What annotations say, whatever their format."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastaug.checks import check_one_of, folder_path, listed
from fastaug.errors import DecodeError
from fastaug.files.annotations.keypoints import Keypoints
from fastaug.files.annotations.polygons import fill_polygon

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
        (height, width) that the annotations are of, or None where only the file knows.
    boxes
        [left, top, right, bottom] each, in pixels from the outer corner of the first one.
    labels
        Class numbers, from 0.
    segments
        What each object's mask is, or None.
    crowds
        Whether each is a crowd, which gets no box.
    keypoints
        x, y and visibility of all points of each; nothing where they are not wanted.
    error
        Why the file can't be read, where such files are skipped; its objects are not listed then.
    """

    path: str
    size: tuple[int, int] | None = None
    boxes: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    crowds: list[bool] = field(default_factory=list)
    keypoints: list[list[float]] = field(default_factory=list)
    error: DecodeError | None = None

    def measure(self, *, upright: bool, skips: bool) -> tuple[int, int] | None:
        """Return the size, that of the file if nothing else is said.

        None, with `error`, where the file can't be read and such files are skipped.
        """
        if self.size is None and self.error is None:
            try:
                self.size = size_of_file(self.path, upright=upright)
            except DecodeError as error:
                if not skips:
                    raise
                self.error = error
        return self.size


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Pictures with their objects, the names of the classes by their numbers, and keypoints."""

    images: list[Annotated]
    class_names: list[str]
    keypoints: Keypoints = Keypoints()

    def __len__(self) -> int:
        return len(self.images)


_ORIENTATION = 0x0112  # of EXIF; from 5 on it is turned by 90 degrees


def size_of_file(path: str, *, upright: bool = False) -> tuple[int, int]:
    """Return (height, width) of a picture, from its header; DecodeError if there is none.

    `upright`: as its EXIF data turn it.
    """
    try:
        with Image.open(path) as image:
            turned = upright and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
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
    try:
        left, top, right, bottom = (float(number) for number in box)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: {box!r:.80} is no box: it must be four numbers") from None
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


def check_files(what: str, images: Sequence[Annotated], *, skips: bool = False) -> None:
    """Raise a FileNotFoundError that lists some of the files that aren't there.

    With `skips`, only if none is there: else those that are missing get their `error`.
    """
    missing = [image for image in images if not os.path.isfile(image.path)]  # noqa: PTH113
    if missing and (not skips or len(missing) == len(images)):
        some = ", ".join(image.path for image in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        every = f" (all {len(images)})" if len(missing) == len(images) > 1 else ""
        raise FileNotFoundError(f"{what} names files that are not there{every}: {some}{more}")
    for image in missing:
        image.error = DecodeError(image.path, "there is no such file")


def checked_segment(segment: Segment, where: str) -> Segment:
    """Return a segment as `class_mask` takes it, [] for none; ValueError if it is something else.

    One polygon may come without a list around it; some programs write [[]] for none.
    """
    if not segment:
        return []
    if isinstance(segment, Mapping):
        _check_runs(segment, where)
        return dict(segment)
    if isinstance(segment, list | tuple) and isinstance(segment[0], int | float):
        segment = [segment]
    if isinstance(segment, list | tuple):
        segment = [polygon for polygon in segment if polygon != []]
    for polygon in segment if isinstance(segment, list | tuple) else [segment]:
        points = np.asarray(polygon if isinstance(polygon, list | tuple) else [])
        numbers = points.ndim == 1 and points.dtype.kind in "iuf" and np.isfinite(points).all()
        if not numbers or len(points) < 6 or len(points) % 2:
            raise ValueError(
                f"{where}: {polygon!r:.80} is no polygon: it must be x, y, x, y ... of three "
                "points or more"
            )
    return list(segment)


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number from 0, perhaps one with a point."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and value >= 0


def _check_runs(segment: Mapping[str, Any], where: str) -> None:
    """Raise a ValueError unless runs fill a mask."""
    if not {"counts", "size"} <= set(segment):
        raise ValueError(
            f"{where}: a segmentation of the keys {sorted(map(str, segment))} has no 'counts' and "
            "'size'"
        )
    try:
        _lengths_of(segment)
    except ValueError as error:
        raise ValueError(f"{where}: its runs of pixels are none: {error}") from None


def class_mask(image: Annotated, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask of a picture, (height, width): 0 where nothing is, else class number + 1.

    What comes later lies above.  Crowds are CROWD.  A pixel belongs to a polygon if its centre
    does (`fill_polygon`), and to an object if it belongs to one of its polygons.
    """
    mask = np.zeros(size, np.uint8)
    for segment, label, crowd in zip(image.segments, image.labels, image.crowds, strict=True):
        value = CROWD if crowd else label + 1
        if isinstance(segment, dict):
            height, width = segment["size"]
            if (height, width) != size:
                raise ValueError(
                    f"{image.path} is {size[0]}x{size[1]}, and runs of pixels that its annotations "
                    f"hold are of {height}x{width} (height x width)"
                )
            mask[runs_of_pixels(segment)] = value
        else:
            for polygon in segment or ():
                fill_polygon(mask, polygon, value)
    return mask


def runs_of_pixels(segment: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the pixels of runs, (height, width) bool: by columns, off and on in turn.

    References
    ----------
    pycocotools, `maskApi.c`: `rleDecode`, and `rleFrString` for counts that are a string.
    """
    lengths, (height, width) = _lengths_of(segment)
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(width, height).T


def _lengths_of(segment: Mapping[str, Any]) -> tuple[list[int], tuple[int, int]]:
    """Return the lengths of runs, and the (height, width) of the mask that they fill, or raise."""
    size, counts = segment["size"], segment["counts"]
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(map(is_whole, size)):
        raise ValueError(f"'size' is {size!r:.80}, not [height, width]")
    lengths = _counts_of(counts) if isinstance(counts, str | bytes) else counts
    if not isinstance(lengths, list | tuple) or not all(map(is_whole, lengths)):
        raise ValueError(f"'counts' is {counts!r:.80}, not a list of lengths, or one as a string")
    height, width = size
    if sum(lengths) != height * width:
        raise ValueError(f"lengths of {sum(lengths)} pixels in all for a mask of {height}x{width}")
    return [int(length) for length in lengths], (int(height), int(width))


def _counts_of(text: str | bytes) -> list[int]:
    """Return the lengths in a string: five bits a character, each a change of the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode() if isinstance(text, str) else text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"'counts' is {text!r:.80}, which is no string of pycocotools")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError(f"'counts' is {text!r:.80}, which is cut off")
    return counts


def existing_folder(what: str, folder: Any) -> Path:
    """Return a folder as a path; an error that names the argument unless it is one."""
    path = Path(folder_path(what, folder))
    if not path.exists():
        raise FileNotFoundError(f"{what}: {str(path)!r} does not exist")
    if not path.is_dir():
        raise NotADirectoryError(f"{what}: {str(path)!r} is not a folder")
    return path
