"""A folder of class sub-folders -> rows."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from fastaug.checks import listed
from fastaug.errors import users_stacklevel
from fastaug.files.catalog import (
    EXTENSIONS,
    Catalog,
    Split,
    check_folder,
    class_names,
    part_of,
    warn_of_lacking_classes,
)
from fastaug.files.progress import Counted, progress

# Folders that programs leave behind; those of a dot, too.
_NOT_CLASSES = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


def scan_directory(
    directory: str,
    classes: Sequence[str] | None,
    split: Split,
    follow_links: bool,
    extensions: tuple[str, ...] = EXTENSIONS,
) -> Catalog:
    """List the images below each class sub-folder of `directory`.

    Parameters
    ----------
    directory
        Folder with one sub-folder per class.
    classes
        Names of the sub-folders to use, in the order of their numbers; None means all, sorted.
    split
        Share of each class to take, as (start, stop).
    follow_links
        Whether to walk into linked folders; a folder that was seen on the way down is left out.
    extensions
        How names of images end, in lower case.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `directory` or the sub-folder of a class is missing, or is no folder.
    """
    listing = list_classes(directory, classes, follow_links, extensions)
    _warn_of_folders(directory, classes, [name for name, _ in listing], extensions)
    if any(name.lower().endswith(".tiff") for _, names in listing for name in names):
        warnings.warn(
            'Using ".tiff" files with multiple bands will cause distortion. '
            "Please verify your output.",
            stacklevel=4,
        )
    empty = [name for name, names in listing if not names]
    if empty:
        warnings.warn(
            f"no images ({', '.join(extensions)}) in {len(empty)} of the {len(listing)} class "
            f"folders of {directory!r}: {listed(empty[:10])}",
            stacklevel=4,
        )
    parts = [part_of(names, split) for _, names in listing]
    if any(parts):
        there = [name for name, names in listing if names]
        warn_of_lacking_classes(
            there, (name for (name, _), part in zip(listing, parts, strict=True) if part)
        )
    numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(names) for names in parts])
    return Catalog(
        directory=str(directory),
        filenames=[name for names in parts for name in names],
        class_indices={name: number for number, (name, _) in enumerate(listing)},
        classes=numbers,
    )


def _warn_of_folders(
    directory: str, asked: object, classes: list[str], extensions: tuple[str, ...]
) -> None:
    """Warn of a folder without classes, and of classes that nobody meant."""
    if not classes:
        images = list_images(directory, extensions)
        if images:
            warnings.warn(
                f"{directory!r} holds {len(images)} images, but no folder for a class: move them "
                "into one, e.g. images/, or name them in a data frame",
                stacklevel=users_stacklevel(),
            )
    strange = [name for name in classes if name.startswith(".") or name in _NOT_CLASSES]
    if strange and asked is None:
        warnings.warn(
            f"{listed(strange)} in {directory!r} count as classes, as in Keras: remove what no "
            "one needs, or name the classes with classes=[...]",
            stacklevel=users_stacklevel(),
        )


def list_classes(
    directory: str,
    classes: Sequence[str] | None,
    follow_links: bool,
    extensions: tuple[str, ...] = EXTENSIONS,
) -> list[tuple[str, list[str]]]:
    """Return each class and the images below its sub-folder, relative to `directory`.

    Classes come in the order of their numbers, files in that of Keras.  Parameters and errors are
    those of `scan_directory`.
    """
    root = Path(directory)
    check_folder("directory", root)
    classes = class_names(classes)
    for name in classes:
        check_folder(f"class {name!r} of directory", root / name)
    if not classes:
        with os.scandir(root) as entries:
            classes = sorted(entry.name for entry in entries if _is_folder(entry))
    # Threads, because network disks let one wait; Keras does the same.
    with progress(f"Scanning {root.name or root}") as counted, ThreadPoolExecutor() as threads:
        images = threads.map(partial(_list_class, root, follow_links, extensions, counted), classes)
        return list(zip(classes, images, strict=True))


def list_images(directory: str, extensions: tuple[str, ...] = EXTENSIONS) -> list[str]:
    """Return the images that lie in a folder itself, by name."""
    with progress(f"Scanning {Path(directory).name or directory}") as counted:
        return sorted(_list_folder(directory, False, extensions, counted)[1])


def scan_flat(
    directory: str, split: Split = None, extensions: tuple[str, ...] = EXTENSIONS
) -> Catalog | None:
    """Return the pictures that lie in a folder itself, without classes; None if there are none."""
    check_folder("directory", Path(directory))
    names = list_images(directory, extensions)
    part = part_of(names, split)
    return Catalog(directory, part, {}, np.zeros(len(part), np.int32)) if names else None


def _list_class(
    root: Path, follow_links: bool, extensions: tuple[str, ...], counted: Counted, name: str
) -> list[str]:
    """List one class's files, relative to `root`: folders sorted by path, files by name.

    A link back to a folder on the way down ends there instead of going round.
    """
    top = os.path.join(root, name)  # noqa: PTH118 - strings: a Path per file costs seconds
    listings = []
    # Folders to list, relative to `top`, each with the real paths on the way down to it.
    pending: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(top),))]
    while pending:
        inside, above = pending.pop()
        folders, files = _list_folder(
            os.path.join(top, inside),  # noqa: PTH118
            follow_links,
            extensions,
            counted,
        )
        listings.append((inside, sorted(files)))
        for folder in folders:
            path = os.path.join(inside, folder)  # noqa: PTH118
            real = os.path.realpath(os.path.join(top, path)) if follow_links else path  # noqa: PTH118
            if real not in above:
                pending.append((path, (*above, real)))
    starts = [(os.path.join(name, inside, ""), files) for inside, files in sorted(listings)]  # noqa: PTH118
    return [start + file for start, files in starts for file in files]


def _list_folder(
    path: str, follow_links: bool, extensions: tuple[str, ...], counted: Counted
) -> tuple[list[str], list[str]]:
    """Return the folders to walk into and the images of a folder; none if it can't be read."""
    folders, files = [], []
    try:
        with os.scandir(path) as entries:
            for entry in counted(entries):
                if not _is_folder(entry):
                    if entry.name.lower().endswith(extensions):
                        files.append(entry.name)
                elif follow_links or not entry.is_symlink():
                    folders.append(entry.name)
    except OSError:  # as in `os.walk`
        return [], []
    return folders, files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
