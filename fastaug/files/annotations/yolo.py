"""YOLO's text files: a line for each object, in shares of the picture."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path

from fastaug.files.annotations.base import (
    Annotated,
    Annotations,
    check_any,
    check_on_bad_box,
    checked_box,
    existing_folder,
    size_of_file,
)
from fastaug.files.folders import list_images


def read_yolo(
    folder: str | Path,
    labels: str | Path | None = None,
    classes: Sequence[str] | None = None,
    *,
    on_bad_box: str = "raise",
) -> Annotations:
    """Read YOLO's text files of the pictures in a folder.

    Parameters
    ----------
    folder
        Where the pictures are.
    labels
        Where the text files are; None: in a folder `labels` in the place of `images`, as
        Ultralytics has it, or else beside the pictures.
    classes
        Names by number; None: those of a `data.yaml` or `classes.txt` in or above the folders, or
        the numbers.
    on_bad_box
        What happens to boxes that are none, or reach out of their picture by more than a pixel:
        "raise", "clip" or "skip".

    Returns
    -------
    All pictures, by name; one without a text file, or with an empty one, has no object.

    Raises
    ------
    ValueError
        For a line that is no object, with its file and number.
    """
    check_on_bad_box(on_bad_box)
    root = existing_folder("directory", folder)
    texts = existing_folder("labels", labels) if labels is not None else _labels_of(root)
    names = list(classes) if classes is not None else _names(root, texts)
    images = [Annotated(str(root / name)) for name in list_images(str(root))]
    check_any(f"the folder {str(root)!r}", images)
    highest = -1
    for image in images:
        text = texts / (Path(image.path).stem + ".txt")
        if text.is_file():
            highest = max(highest, _read(image, text, names, on_bad_box))
    return Annotations(images, names or [str(number) for number in range(highest + 1)])


def _labels_of(root: Path) -> Path:
    """Return where Ultralytics looks for text files: the last `images` of a path is `labels`."""
    parts = list(root.parts)
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        beside = Path(*parts[:place], "labels", *parts[place + 1 :])
        if beside.is_dir():
            return beside
    return root


def _names(root: Path, texts: Path) -> list[str]:
    """Return names of classes from the files that say them."""
    for folder in dict.fromkeys((root, texts, root.parent, texts.parent, root.parent.parent)):
        plain = folder / "classes.txt"
        if plain.is_file():
            return [line.strip() for line in plain.read_text().splitlines() if line.strip()]
        for name in ("data.yaml", "dataset.yaml"):
            if (folder / name).is_file():
                return _names_of_yaml((folder / name).read_text())
    return []


def _names_of_yaml(text: str) -> list[str]:
    """Return what `names:` says, as a list in one line, or as lines with a dash or a number."""
    found = re.search(r"^names:[ \t]*(\[.*?\]|\{.*?\})", text, re.MULTILINE | re.DOTALL)
    if found:
        bare = re.sub(r"(?<=[\[,{:])\s*([A-Za-z_][^,\]}:'\"]*)", r" '\1'", found.group(1))
        value = ast.literal_eval(bare)
        return [str(name) for name in (value.values() if isinstance(value, dict) else value)]
    block = re.search(r"^names:[ \t]*\n((?:[ \t]*(?:-|\d+:).*\n?)+)", text, re.MULTILINE)
    if not block:
        return []
    lines = [line.strip() for line in block.group(1).splitlines() if line.strip()]
    return [re.sub(r"^(?:-|\d+:)\s*", "", line).strip("'\" ") for line in lines]


def _read(image: Annotated, text: Path, names: Sequence[str], on_bad_box: str) -> int:
    """Add the objects of a text file to its picture; return the highest class number."""
    image.size = size_of_file(image.path)
    height, width = image.size
    highest = -1
    for number, line in enumerate(text.read_text().splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"{os.fspath(text)}, line {number}"
        try:
            label, *values = int(float(words[0])), *(float(word) for word in words[1:])
        except ValueError:
            raise ValueError(f"{where}: {line!r} is no object: class and numbers") from None
        if len(values) < 4 or (len(values) > 4 and len(values) % 2) or label < 0:
            raise ValueError(
                f"{where}: {line!r} is no object: class, center x, center y, width, height; or "
                "class and the points of a polygon"
            )
        if names and label >= len(names):
            raise ValueError(f"{where}: class {label} isn't declared; there are {len(names)}")
        polygon = len(values) > 4
        if polygon:
            xs, ys = [x * width for x in values[::2]], [y * height for y in values[1::2]]
            box = [min(xs), min(ys), max(xs), max(ys)]
            outline = [number for pair in zip(xs, ys, strict=True) for number in pair]
        else:
            x, y, wide, tall = values
            box = [(x - wide / 2) * width, (y - tall / 2) * height]
            box += [(x + wide / 2) * width, (y + tall / 2) * height]
        checked = checked_box(box, (height, width), where, on_bad_box)
        highest = max(highest, label)
        if checked is not None:
            image.boxes.append(checked)
            image.labels.append(label)
            image.segments.append([outline] if polygon else [])
            image.crowds.append(False)
    return highest
