"""YOLO's text files: a line for each object, in shares of the picture."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from fastaug.checks import listed
from fastaug.errors import users_stacklevel
from fastaug.files.annotations.base import (
    Annotated,
    Annotations,
    check_on_bad_box,
    checked_box,
    existing_folder,
)
from fastaug.files.catalog import class_names
from fastaug.files.folders import list_images

_HIGHEST = 99_999  # of classes without names; more is something else than a class


def read_yolo(
    folder: str | Path,
    labels: str | Path | None = None,
    classes: Sequence[str] | None = None,
    *,
    on_bad_box: str = "raise",
    upright: bool = False,
    skips: bool = False,
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
    upright
        Whether photos are turned as their EXIF data say.
    skips
        Whether pictures that can't be read are left to the iterator, which skips them.

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
    names = class_names(classes) if classes is not None else _names(root, texts)
    images = [Annotated(str(root / name)) for name in list_images(str(root))]
    if not images:
        inside = sorted(path.name for path in root.iterdir() if path.is_dir())[:10]
        raise ValueError(
            f"the folder {str(root)!r} holds no picture"
            f"{f'; name one of its folders: {listed(inside)}' if inside else ''}"
        )
    highest, read = -1, 0
    for image in images:
        text = texts / (Path(image.path).stem + ".txt")
        if text.is_file():
            image.measure(upright=upright, skips=skips)
            highest, read = max(highest, _read(image, text, names, on_bad_box)), read + 1
    if not read:
        warnings.warn(
            f"none of the {len(images)} pictures in {str(root)!r} has a text file in "
            f"{str(texts)!r}, so that there is no object: labels= names another folder",
            stacklevel=users_stacklevel(),
        )
    return Annotations(images, names or [str(number) for number in range(highest + 1)])


def _labels_of(root: Path) -> Path:
    """Return where Ultralytics looks for text files: the last `images` of a path is `labels`."""
    parts = list(root.absolute().parts)
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        beside = Path(*parts[:place], "labels", *parts[place + 1 :])
        if beside.is_dir():
            return beside
    return root


def _names(root: Path, texts: Path) -> list[str]:
    """Return names of classes from the files that say them."""
    root, texts = root.absolute(), texts.absolute()
    for folder in dict.fromkeys((root, texts, root.parent, texts.parent, root.parent.parent)):
        plain = folder / "classes.txt"
        if plain.is_file():
            return [line.strip() for line in _text_of(plain).splitlines() if line.strip()]
        for name in ("data.yaml", "dataset.yaml", "data.yml"):
            if (folder / name).is_file():
                return _names_of_yaml(_text_of(folder / name), str(folder / name))
    return []


def _text_of(path: Path) -> str:
    """Return a file's text; ValueError if it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)} is no text file: {error}") from None


# A name in quotes or without, and behind it what ends it.
_NAME = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\n\[\]{}]*?)"""


def _names_of_yaml(text: str, path: str) -> list[str]:
    """Return what `names:` says: a list or a mapping by number, in brackets or line by line."""
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines()]
    begin = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if begin is None:
        return []
    rest = lines[begin].partition(":")[2].strip()
    if rest:  # in brackets, perhaps of several lines
        whole = " ".join([rest, *lines[begin + 1 :]])
        inside = re.match(rf"[\[{{]((?:\s*{_NAME}\s*,)*\s*{_NAME})\s*[\]}}]", whole)
        items = re.findall(rf"\s*({_NAME})\s*(?:,|$)", inside.group(1)) if inside else []
        items = [item for item in items if item.strip()]
    else:
        items = []
        for line in filter(None, lines[begin + 1 :]):
            if not re.match(r"\s|-", line):
                break
            items.append(re.sub(r"^-\s*", "", line.strip()))
    numbered = [re.match(r"(\d+)\s*:\s+(.+)", item) for item in items]
    if all(numbered):
        by_number = {int(pair[1]): pair[2] for pair in numbered if pair}
        items = [
            by_number.get(number, str(number)) for number in range(max(by_number, default=-1) + 1)
        ]
    if not items:
        raise ValueError(f"{path}: its 'names' hold no name of a class: {rest!r:.80}")
    return [_bare(item) for item in items]


def _bare(name: str) -> str:
    """Return a name without its quotes."""
    name = name.strip()
    quoted = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
    return name[1:-1] if quoted else name


def _read(image: Annotated, text: Path, names: Sequence[str], on_bad_box: str) -> int:
    """Add the objects of a text file to its picture; return the highest class number."""
    highest = -1
    for number, line in enumerate(_text_of(text).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"{os.fspath(text)}, line {number}"
        label, values = _numbers(words, line, where)
        if names and label >= len(names):
            raise ValueError(
                f"{where}: class {label} isn't declared; there are {len(names)}: "
                f"{listed(names[:10])}{', ...' if len(names) > 10 else ''}"
            )
        if label > _HIGHEST and not names:
            raise ValueError(
                f"{where}: class {label} is more than {_HIGHEST}, and no file names the classes: "
                "classes= does"
            )
        highest = max(highest, label)
        if image.size is None:
            continue
        height, width = image.size
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
        if checked is not None:
            image.boxes.append(checked)
            image.labels.append(label)
            image.segments.append([outline] if polygon else [])
            image.crowds.append(False)
    return highest


def _numbers(words: Sequence[str], line: str, where: str) -> tuple[int, list[float]]:
    """Return the class and the numbers of a line; ValueError if they are no object."""
    try:
        label, *values = (float(word) for word in words)
    except ValueError:
        raise ValueError(f"{where}: {line!r:.80} is no object: class and numbers") from None
    if label < 0 or not label.is_integer():
        raise ValueError(f"{where}: {line!r:.80} is no object: a class is a number from 0")
    if len(values) < 4 or (len(values) > 4 and len(values) % 2):
        raise ValueError(
            f"{where}: {line!r:.80} is no object: class, center x, center y, width, height; or "
            "class and the points of a polygon"
        )
    return int(label), values
