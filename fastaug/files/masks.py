"""Which mask belongs to which picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fastaug.files.annotations.base import existing_folder, size_of_file
from fastaug.files.catalog import EXTENSIONS

_ENDINGS = ("", "_mask", "_gt", "_label")
_MASK_EXTENSIONS = (*EXTENSIONS, "gif")


def mask_paths(
    filenames: Sequence[str], folder: str | Path, extensions: Sequence[str] = _MASK_EXTENSIONS
) -> list[str]:
    """Return the mask of each picture: of the same name in a folder, with any known extension.

    `a/b.jpg` has `a/b.png` or `b.png`; a name may end with "_mask", "_gt" or "_label".

    Raises
    ------
    FileNotFoundError
        With the first pictures that have none.
    ValueError
        If two pictures of one name, in different folders, have but one mask.
    """
    root = existing_folder("mask_directory", folder)
    there: dict[str, str] = {}
    for base, _, files in os.walk(root, followlinks=True):
        inside = os.path.relpath(base, root)
        for file in sorted(files):
            if file.lower().endswith(tuple(extensions)):
                stem = os.path.splitext(os.path.normpath(os.path.join(inside, file)))[0]  # noqa: PTH118, PTH122
                there.setdefault(stem, os.path.join(base, file))  # noqa: PTH118
    found, missing = [], []
    for name in filenames:
        stem = os.path.splitext(os.path.normpath(name))[0]  # noqa: PTH122
        path = next(
            (
                there[key + end]
                for key in (stem, os.path.basename(stem))  # noqa: PTH119
                for end in _ENDINGS
                if key + end in there
            ),
            None,
        )
        if path is None:
            missing.append(name)
        else:
            found.append(path)
    taken: dict[str, str] = {}
    for name, path in zip(filenames, found, strict=False) if not missing else ():
        other = taken.setdefault(path, name)
        if other != name and os.path.dirname(other) != os.path.dirname(name):  # noqa: PTH120
            raise ValueError(
                f"the pictures {other!r} and {name!r} have but one mask, {path}: put masks into "
                "folders like those of the pictures"
            )
    if missing:
        first = os.path.join(root, os.path.splitext(missing[0])[0])  # noqa: PTH118, PTH122
        raise FileNotFoundError(
            f"{len(missing)} of {len(filenames)} pictures have no mask, the first of them "
            f"{missing[0]!r}: there is no {first}.png, nor any other extension"
        )
    return found


def check_sizes(image: str, mask: str, *, upright: bool = False) -> None:
    """Raise a ValueError unless a mask has its picture's size; reads both headers.

    `upright`: both are turned as their EXIF data say.
    """
    of_image, of_mask = size_of_file(image, upright=upright), size_of_file(mask, upright=upright)
    if of_image == of_mask:
        return
    turned = not upright and size_of_file(image, upright=True) == of_mask
    hint = "; exif_transpose=True turns the picture as its EXIF data say" if turned else ""
    raise ValueError(
        f"the mask {mask} is {of_mask[0]}x{of_mask[1]}, and its picture {image} "
        f"{of_image[0]}x{of_image[1]} (height x width){hint}"
    )
