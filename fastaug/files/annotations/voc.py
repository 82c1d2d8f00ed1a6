"""Pascal VOC's XML: a file for each picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from fastaug.checks import listed
from fastaug.files.annotations.base import (
    Annotated,
    Annotations,
    check_files,
    check_on_bad_box,
    checked_box,
    existing_folder,
    known_class,
)
from fastaug.files.catalog import EXTENSIONS, class_names


def read_voc(
    annotations: str | Path,
    folder: str | Path,
    classes: Sequence[str] | None = None,
    *,
    difficult: bool = True,
    on_bad_box: str = "raise",
    upright: bool = False,
    skips: bool = False,
) -> Annotations:
    """Read Pascal VOC's XML files.

    Parameters
    ----------
    annotations
        Folder of the XML files.
    folder
        Folder of the pictures that they name.
    classes
        Names by number; None: all that there are, by the alphabet.
    difficult
        Whether objects that are marked as difficult count.
    on_bad_box
        What happens to boxes that are none, or reach out of their picture by more than a pixel:
        "raise", "clip" or "skip".
    upright
        Whether photos are turned as their EXIF data say.
    skips
        Whether pictures that can't be read, or aren't there, are left to the iterator, which skips
        them.

    Returns
    -------
    All pictures, by the names of their XML files.  VOC counts pixels from 1, and a box ends with
    its last pixel: 1, 1, 1, 1 is the first one, here 0, 0, 1, 1.

    Raises
    ------
    FileNotFoundError
        If pictures are not there.
    ValueError
        For a file that is no XML, a class that isn't declared, and bad boxes.

    References
    ----------
    Everingham et al., "The Pascal visual object classes challenge", IJCV 2010.
    """
    check_on_bad_box(on_bad_box)
    source, root = existing_folder("annotations", annotations), existing_folder("directory", folder)
    paths = sorted(source.glob("*.xml"))
    if not paths:
        raise ValueError(f"annotations: the folder {str(source)!r} holds no file that ends in .xml")
    trees = [_parse(path) for path in paths]
    names = class_names(classes) if classes is not None else sorted(
        {_text(item, "name", path) for tree, path in zip(trees, paths, strict=True)
         for item in tree.iter("object")}
    )  # fmt: skip
    images = [
        Annotated(str(_picture(tree, path, root))) for tree, path in zip(trees, paths, strict=True)
    ]
    check_files(f"the folder {str(source)!r}", images, skips=skips)
    for image, tree, path in zip(images, trees, paths, strict=True):
        if image.measure(upright=upright, skips=skips) is None:
            continue
        for number, item in enumerate(tree.iter("object"), start=1):
            if difficult or (item.findtext("difficult") or "0").strip() != "1":
                _add(item, image, names, f"{os.fspath(path)}, object {number}", on_bad_box)
    return Annotations(images, names)


def _parse(path: Path) -> ElementTree.Element:
    """Return the outermost element of a file; ValueError unless it is one of VOC."""
    try:
        # Python's parser loads nothing, and ends where entities grow without bounds.
        root = ElementTree.parse(path).getroot()  # noqa: S314
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is no XML file: {error}") from None
    if root.tag != "annotation":
        raise ValueError(
            f"{os.fspath(path)} is no file of VOC: it holds {root.tag!r:.40}, not 'annotation'"
        )
    return root


def _picture(tree: ElementTree.Element, path: Path, root: Path) -> Path:
    """Return the picture of a file: which it names, or which has its name."""
    file = (tree.findtext("filename") or "").strip()
    if file:
        return root / file
    for extension in EXTENSIONS:
        beside = root / f"{path.stem}.{extension}"
        if beside.is_file():
            return beside
    raise ValueError(
        f"{os.fspath(path)} names no picture: it has no 'filename', and {str(root)!r} holds no "
        f"{path.stem!r} that ends in {listed(EXTENSIONS)}"
    )


def _text(item: ElementTree.Element, name: str, path: object) -> str:
    text = (item.findtext(name) or "").strip()
    if not text:
        raise ValueError(f"{path}: an object has no {name!r}")
    return text


def _number(corners: ElementTree.Element, name: str, where: str) -> float:
    text = _text(corners, name, where)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: its {name!r} is {text!r:.40}, no number") from None


def _add(
    item: ElementTree.Element,
    image: Annotated,
    names: Sequence[str],
    where: str,
    on_bad_box: str,
) -> None:
    """Add an object to its picture."""
    label = known_class(_text(item, "name", where), names, where)
    corners = item.find("bndbox")
    if corners is None:
        raise ValueError(f"{where} has no 'bndbox'")
    left, top, right, bottom = (
        _number(corners, name, where) for name in ("xmin", "ymin", "xmax", "ymax")
    )
    assert image.size is not None
    box = checked_box((left - 1, top - 1, right, bottom), image.size, where, on_bad_box)
    if box is not None:
        image.boxes.append(box)
        image.labels.append(label)
        image.segments.append([])
        image.crowds.append(False)
