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
from fastaug.files.catalog import EXTENSIONS, Catalog, Split, check_folder, class_names, part_of
from fastaug.files.progress import Counted, progress


def scan_directory(
    directory: str, classes: Sequence[str] | None, split: Split, follow_links: bool
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

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `directory` or the sub-folder of a class is missing, or is no folder.
    """
    listing = list_classes(directory, classes, follow_links)
    if any(name.lower().endswith(".tiff") for _, names in listing for name in names):
        warnings.warn(
            'Using ".tiff" files with multiple bands will cause distortion. '
            "Please verify your output.",
            stacklevel=4,
        )
    empty = [name for name, names in listing if not names]
    if empty:
        warnings.warn(
            f"no images ({', '.join(EXTENSIONS)}) in {len(empty)} of the {len(listing)} class "
            f"folders of {directory!r}: {listed(empty[:10])}",
            stacklevel=4,
        )
    parts = [part_of(names, split) for _, names in listing]
    numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(names) for names in parts])
    return Catalog(
        directory=str(directory),
        filenames=[name for names in parts for name in names],
        class_indices={name: number for number, (name, _) in enumerate(listing)},
        classes=numbers,
    )


def list_classes(
    directory: str, classes: Sequence[str] | None, follow_links: bool
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
        images = threads.map(partial(_list_class, root, follow_links, counted), classes)
        return list(zip(classes, images, strict=True))


def list_images(directory: str) -> list[str]:
    """Return the images that lie in a folder itself, by name."""
    with progress(f"Scanning {Path(directory).name or directory}") as counted:
        return sorted(_list_folder(directory, False, counted)[1])


def _list_class(root: Path, follow_links: bool, counted: Counted, name: str) -> list[str]:
    """List one class's files, relative to `root`: folders sorted by path, files by name.

    A link back to a folder on the way down ends there instead of going round.
    """
    top = os.path.join(root, name)  # noqa: PTH118 - strings: a Path per file costs seconds
    listings = []
    # Folders to list, relative to `top`, each with the real paths on the way down to it.
    pending: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(top),))]
    while pending:
        inside, above = pending.pop()
        folders, files = _list_folder(os.path.join(top, inside), follow_links, counted)  # noqa: PTH118
        listings.append((inside, sorted(files)))
        for folder in folders:
            path = os.path.join(inside, folder)  # noqa: PTH118
            real = os.path.realpath(os.path.join(top, path)) if follow_links else path  # noqa: PTH118
            if real not in above:
                pending.append((path, (*above, real)))
    starts = [(os.path.join(name, inside, ""), files) for inside, files in sorted(listings)]  # noqa: PTH118
    return [start + file for start, files in starts for file in files]


def _list_folder(path: str, follow_links: bool, counted: Counted) -> tuple[list[str], list[str]]:
    """Return the folders to walk into and the images of a folder; none if it can't be read."""
    folders, files = [], []
    try:
        with os.scandir(path) as entries:
            for entry in counted(entries):
                if not _is_folder(entry):
                    if entry.name.lower().endswith(EXTENSIONS):
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
