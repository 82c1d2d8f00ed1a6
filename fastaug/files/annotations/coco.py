"""COCO's JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastaug.checks import listed
from fastaug.files.annotations.base import (
    Annotated,
    Annotations,
    check_files,
    check_on_bad_box,
    checked_box,
    checked_segment,
    existing_folder,
    is_whole,
)
from fastaug.files.annotations.keypoints import KeypointReader, Keypoints


def read_coco(
    path: str | Path,
    folder: str | Path,
    *,
    on_bad_box: str = "raise",
    segments: bool = True,
    keypoints: bool = False,
    upright: bool = False,
    skips: bool = False,
) -> Annotations:
    """Read what a COCO file says of the pictures in a folder.

    Parameters
    ----------
    path
        The JSON file, with "images", "annotations" and "categories".
    folder
        Where the pictures are.
    on_bad_box
        What happens to boxes that are none, or reach out of their picture by more than a pixel:
        "raise", "clip" or "skip".
    segments
        Whether masks are wanted: without, segmentations are not looked at.
    keypoints
        Whether keypoints are.
    upright
        Whether photos are turned as their EXIF data say; the file is of what they are then.
    skips
        Whether pictures that can't be read, or aren't there, are left to the iterator, which skips
        them.

    Returns
    -------
    All pictures, in the file's order; classes are numbered by the ids of their categories.

    Raises
    ------
    FileNotFoundError
        If the file, or pictures that it names, are not there.
    ValueError
        If it is no such file; for ids that are not declared, or declared twice; for bad boxes,
        segmentations and keypoints.

    References
    ----------
    https://cocodataset.org/#format-data
    """
    check_on_bad_box(on_bad_box)
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path={path!r} is not the name of a file")
    root, what = existing_folder("directory", folder), os.fsdecode(path)
    content = _load(what)
    named = _by_id(content, "categories", "category", "name", what)
    ids = sorted(named, key=lambda number: (isinstance(number, str), number))
    categories = {number: named[number] for number in ids}
    images = {
        number: Annotated(str(root / _file_name(item, what)), _size(item, what))
        for number, item in _by_id(content, "images", "image", "file_name", what).items()
    }
    if not images:
        raise ValueError(f"{what} names no picture: its list 'images' is empty")
    check_files(what, list(images.values()), skips=skips)
    numbers = {number: label for label, number in enumerate(categories)}
    for image in images.values():
        image.measure(upright=upright, skips=skips)
    points = KeypointReader(categories, content["annotations"], what) if keypoints else None
    for place, item in enumerate(content["annotations"]):
        _add(item, place, images, numbers, what, on_bad_box, segments, points)
    return Annotations(
        list(images.values()),
        [str(item["name"]) for item in categories.values()],
        points.of_all if points else Keypoints(),
    )


def _load(path: str) -> Mapping[str, Any]:
    """Return a file's content; ValueError unless it has what a COCO file has."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise ValueError(f"{path} is no COCO file: its lists are nested too deep") from None
    except ValueError as error:  # no JSON, no text, a number of thousands of digits
        empty = "it is empty" if not os.path.getsize(path) else error  # noqa: PTH202
        raise ValueError(f"{path} is no JSON file: {empty}") from None
    parts = ("images", "annotations", "categories")
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} is no COCO file: it must be an object with the lists {listed(parts)}, and is "
            f"{content!r:.40}"
        )
    for name in parts:
        if name not in content:
            raise ValueError(
                f"{path} is no COCO file: it has no list {name!r}; it has {listed(content)}"
            )
        if not isinstance(content[name], list):
            raise ValueError(
                f"{path} is no COCO file: its {name!r} is no list, but {content[name]!r:.40}"
            )
    return content


def _by_id(
    content: Mapping[str, Any], part: str, one: str, name: str, what: str
) -> dict[Any, Mapping[str, Any]]:
    """Return the items of a list by their ids; ValueError if one lacks its id or `name`."""
    found: dict[Any, Mapping[str, Any]] = {}
    for place, item in enumerate(content[part]):
        for key in ("id", name):
            if not isinstance(item, Mapping) or not _is_id(item.get(key)):
                raise ValueError(f"{what}: {one} {place} of {part!r} has no {key!r}: {item!r:.80}")
        if item["id"] in found:
            raise ValueError(f"{what}: there are two {part} of the id {item['id']!r}")
        found[item["id"]] = item
    return found


def _is_id(value: Any) -> bool:
    """Tell whether a value is a word or a number that can be told from others."""
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int | str) and not isinstance(value, bool)


def _file_name(item: Mapping[str, Any], what: str) -> str:
    """Return the name of an image's file; ValueError if it is none."""
    name = item["file_name"]
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"{what}: the file_name of image {item['id']!r} is {name!r:.80}, no name")
    return name


def _size(item: Mapping[str, Any], what: str) -> tuple[int, int] | None:
    """Return the (height, width) that an image is said to have, None if nothing is said."""
    height, width = item.get("height") or 0, item.get("width") or 0
    if not is_whole(height) or not is_whole(width):
        raise ValueError(
            f"{what}: image {item['id']!r} ({item['file_name']}) has the height {height!r:.40} and "
            f"the width {width!r:.40}; they must be whole numbers, or left out"
        )
    return (int(height), int(width)) if height and width else None


def _add(
    item: Any,
    place: int,
    images: Mapping[Any, Annotated],
    numbers: Mapping[Any, int],
    what: str,
    on_bad_box: str,
    segments: bool,
    points: KeypointReader | None,
) -> None:
    """Add an annotation to its picture."""
    if not isinstance(item, Mapping):
        raise ValueError(f"{what}: annotation {place} is no object of JSON: {item!r:.80}")
    where = f"{what}: annotation {item.get('id', f'in place {place}')}"
    image = _declared(item, "image_id", images, where)
    label = _declared(item, "category_id", numbers, where)
    if image.error is not None:
        return
    where = f"{where} of {image.path}"
    crowd = item.get("iscrowd") or 0
    if crowd not in (0, 1):
        raise ValueError(f"{where}: its iscrowd is {crowd!r:.80}; it must be 0 or 1")
    box = checked_box(_corners(item, where), image.size, where, on_bad_box)
    if box is None:
        return
    image.boxes.append(box)
    image.labels.append(label)
    image.segments.append(checked_segment(item.get("segmentation"), where) if segments else [])
    image.crowds.append(crowd == 1)
    if points is not None:
        image.keypoints.append(points.read(item, where))


def _declared(item: Mapping[str, Any], key: str, declared: Mapping[Any, Any], where: str) -> Any:
    """Return what an annotation's id stands for; ValueError if that isn't declared."""
    number = item.get(key)
    if not _is_id(number) or number not in declared:
        some = listed(list(declared)[:10]) or "none"
        more = ", ..." if len(declared) > 10 else ""
        raise ValueError(
            f"{where} has {key} {number!r}, which isn't declared; there are {some}{more}"
        )
    return declared[number]


def _corners(item: Mapping[str, Any], where: str) -> list[float]:
    """Return (left, top, right, bottom) of an annotation's [left, top, width, height]."""
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ValueError(f"{where}: its bbox {box!r:.80} is not [left, top, width, height]")
    try:
        left, top, width, height = map(float, box)
    except OverflowError:
        left = top = width = height = math.inf
    return [left, top, left + width, top + height]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
