"""COCO's JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastaug.files.annotations.base import (
    Annotated,
    Annotations,
    check_any,
    check_files,
    check_on_bad_box,
    checked_box,
    existing_folder,
)


def read_coco(path: str | Path, folder: str | Path, *, on_bad_box: str = "raise") -> Annotations:
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

    Returns
    -------
    All pictures, in the file's order; classes are numbered by the ids of their categories.

    Raises
    ------
    FileNotFoundError
        If the file, or pictures that it names, are not there.
    ValueError
        If it is no such file; for ids that are not declared, or declared twice; for bad boxes.

    References
    ----------
    https://cocodataset.org/#format-data
    """
    check_on_bad_box(on_bad_box)
    root, what = existing_folder("directory", folder), os.fsdecode(path)
    content = _load(what)
    categories = {item["id"]: item["name"] for item in content["categories"]}
    ids = sorted(categories)
    images: dict[Any, Annotated] = {}
    for item in content["images"]:
        if item["id"] in images:
            raise ValueError(f"{what}: there are two images of the id {item['id']}")
        size = (item["height"], item["width"]) if {"height", "width"} <= set(item) else None
        images[item["id"]] = Annotated(str(root / item["file_name"]), size)
    check_any(what, list(images.values()))
    check_files(what, list(images.values()))
    for item in content["annotations"]:
        _add(item, images, ids, what, on_bad_box)
    return Annotations(list(images.values()), [str(categories[number]) for number in ids])


def _load(path: str) -> Mapping[str, Any]:
    """Return a file's content; ValueError unless it has what a COCO file has."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, Mapping) or not isinstance(content.get(name), list):
            raise ValueError(f"{path} is no COCO file: it has no list {name!r}")
    return content


def _add(
    item: Mapping[str, Any],
    images: Mapping[Any, Annotated],
    ids: Sequence[Any],
    what: str,
    on_bad_box: str,
) -> None:
    """Add an annotation to its picture."""
    where = f"{what}: annotation {item.get('id')}"
    if item.get("image_id") not in images:
        raise ValueError(f"{where} is of image_id {item.get('image_id')!r}, which isn't there")
    if item.get("category_id") not in ids:
        raise ValueError(
            f"{where} has category_id {item.get('category_id')!r}, which isn't declared; declared "
            f"are {list(ids)[:20]}"
        )
    image = images[item["image_id"]]
    left, top, width, height = item["bbox"]
    size = image.size or (2**31, 2**31)
    where = f"{where} of {image.path}"
    box = checked_box((left, top, left + width, top + height), size, where, on_bad_box)
    if box is None:
        return
    image.boxes.append(box)
    image.labels.append(ids.index(item["category_id"]))
    image.segments.append(item.get("segmentation") or [])
    image.crowds.append(bool(item.get("iscrowd", 0)))
