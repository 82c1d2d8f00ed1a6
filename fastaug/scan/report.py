"""A look at a data set before training: what is in its folders, and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from fastaug.checks import check_integer, check_number
from fastaug.files.catalog import EXTENSIONS, FilePaths
from fastaug.files.decode import reason_of
from fastaug.files.folders import list_classes, list_images
from fastaug.files.progress import progress_bar
from fastaug.machine import usable_cores
from fastaug.scan.duplicates import group_by_content
from fastaug.scan.headers import Header, read_header
from fastaug.scan.unreadable import decode_each

TIMEOUT_S = 60.0

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of some numbers."""

    minimum: int
    median: float
    maximum: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A file, by its path in the folder, and what is the matter with it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Copies:
    """Files of a folder that hold the same bytes, and the classes that they are in."""

    files: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leak:
    """Files that hold the same bytes and are in both folders."""

    in_folder: Copies
    in_other: Copies


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What is in a folder.

    Attributes
    ----------
    folder
        The folder, as it was given.
    images
        Number of files that `flow_from_directory` lists; where no sub-folder holds any, of the
        files in the folder itself that have such an extension.
    nbytes
        Size of all these files.
    file_nbytes, widths, heights
        Sizes of the images that can be read, as stored; None if there is none.
    formats, modes, orientations
        How many of them are of each format and colour mode (Pillow's words) and EXIF orientation
        (1: upright, or not said).
    class_indices
        Number of each class, as `flow_from_directory` gives it; empty without classes.
    class_counts
        How many images of each class can be read.
    class_weight
        For `model.fit(class_weight=...)`: n / (classes * count), where n images can be read;
        classes without any are left out.
    unreadable
        Files that can't be decoded.
    ignored
        Files that `flow_from_directory` passes over; folders, whose paths end with "/", too.
    duplicates
        Groups of files with the same bytes; empty files don't count.
    """

    folder: str
    images: int
    nbytes: int
    file_nbytes: Spread | None
    widths: Spread | None
    heights: Spread | None
    formats: dict[str, int]
    modes: dict[str, int]
    orientations: dict[int, int]
    class_indices: dict[str, int]
    class_counts: dict[str, int]
    class_weight: dict[int, float]
    unreadable: tuple[Problem, ...]
    ignored: tuple[Problem, ...]
    duplicates: tuple[Copies, ...]


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What is in one folder or two, and which files are in both."""

    folders: tuple[FolderReport, ...]
    leaks: tuple[Leak, ...]


@dataclass(frozen=True, slots=True)
class _Listing:
    """The files of a folder, by their full paths: their names in it, their sizes in bytes."""

    folder: str
    classes: tuple[str, ...]
    names: dict[str, str]
    sizes: dict[str, int]  # of those that have one

    def class_of(self, path: str) -> str:
        return self.names[path].split(os.sep, 1)[0] if self.classes else ""

    def copies(self, paths: Iterable[str]) -> Copies:
        paths = [path for path in paths if path in self.names]
        classes = sorted({self.class_of(path) for path in paths}) if self.classes else ()
        return Copies(tuple(self.names[path] for path in paths), tuple(classes))


def scan_folder(
    folder: str | Path,
    other: str | Path | None = None,
    *,
    workers: int | None = None,
    timeout: float = TIMEOUT_S,
    progress: bool = False,
) -> ScanReport:
    """Decode all images of a folder, and tell what is in it and what is wrong with it.

    Parameters
    ----------
    folder
        Folder with one sub-folder per class, as for `flow_from_directory`, or with images only.
    other
        Another such folder, for example with the images for validation: files that are in both
        are found.
    workers
        Number of decode processes; None means as many as there are usable cores.
    timeout
        Seconds without progress after which a file counts as unreadable.
    progress
        Whether to show a progress bar, if stderr is a screen.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If a folder is missing or is none.
    ValueError
        If one of two folders is the other, or lies in it, or an argument is out of range.
    WorkerError
        If decode processes can't be started.
    """
    check_number("timeout", timeout)
    if timeout <= 0:
        raise ValueError(f"timeout={timeout!r} must be above 0 seconds")
    if workers is not None:
        check_integer("workers", workers, minimum=1)
    if other is not None:
        _check_not_nested(Path(folder), Path(other))
    listings = [_list(str(path)) for path in (folder, other) if path is not None]
    reading = [
        _read_all(listing, workers or usable_cores(), timeout, progress) for listing in listings
    ]
    sizes = {path: size for listing in listings for path, size in listing.sizes.items()}
    with progress_bar("Comparing", len(sizes), shown=progress) as done:
        groups = group_by_content(sizes, done)
    reports = (
        _report(listing, headers, unreadable, groups)
        for listing, (headers, unreadable) in zip(listings, reading, strict=True)
    )
    return ScanReport(tuple(reports), tuple(_leaks(listings, groups)))


def _check_not_nested(folder: Path, other: Path) -> None:
    """Raise a ValueError if one folder is the other, or is in it: all would be in both."""
    first, second = folder.resolve(), other.resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise ValueError(
            f"{str(folder)!r} and {str(other)!r} can't be compared: one is the other, or lies in it"
        )


def _list(folder: str) -> _Listing:
    """List a folder's images: of its classes, or its own if no sub-folder has any."""
    classes = list_classes(folder, None, follow_links=False)
    names = [name for _, names in classes for name in names]
    if not names and (names := list_images(folder)):
        classes = []
    # pathlib would take seconds for many files.
    paths = FilePaths([os.path.join(folder, name) for name in names])  # noqa: PTH118
    names_of_paths = {paths[row]: name for row, name in enumerate(names)}
    sizes = {}
    for path in names_of_paths:
        with suppress(OSError):  # what has no size can't be read either, which is told
            sizes[path] = os.path.getsize(path)  # noqa: PTH202
    return _Listing(folder, tuple(name for name, _ in classes), names_of_paths, sizes)


def _read_all(
    listing: _Listing, workers: int, timeout: float, progress: bool
) -> tuple[dict[str, Header], dict[str, str]]:
    """Return the headers of the images that can be decoded, and why the others can't, by path."""
    headers: dict[str, Header] = {}
    unreadable: dict[str, str] = {}
    paths = list(listing.names)
    doing = f"Decoding {Path(listing.folder).name or listing.folder}"
    with (
        progress_bar(doing, len(paths), shown=progress) as done,
        closing(decode_each(paths, workers, timeout)) as verdicts,
    ):
        for path, reason in verdicts:
            if reason is not None:
                unreadable[path] = reason
            else:
                try:
                    headers[path] = read_header(path)
                # It was decoded a moment ago, so this is rare; Pillow may raise anything.
                except Exception as error:
                    unreadable[path] = reason_of(error)
            done(1)
    return headers, unreadable


def _report(
    listing: _Listing,
    headers: dict[str, Header],
    unreadable: dict[str, str],
    groups: Iterable[tuple[str, ...]],
) -> FolderReport:
    counts = Counter(listing.class_of(path) for path in headers)
    class_counts = {name: counts[name] for name in listing.classes}
    copies = (listing.copies(group) for group in groups)
    return FolderReport(
        folder=listing.folder,
        images=len(listing.names),
        nbytes=sum(listing.sizes.values()),
        file_nbytes=_spread(listing.sizes[path] for path in headers if path in listing.sizes),
        widths=_spread(header.width for header in headers.values()),
        heights=_spread(header.height for header in headers.values()),
        formats=_counts(header.format for header in headers.values()),
        modes=_counts(header.mode for header in headers.values()),
        orientations=_counts(header.orientation for header in headers.values()),
        class_indices={name: number for number, name in enumerate(listing.classes)},
        class_counts=class_counts,
        class_weight=balanced_weights(list(class_counts.values())),
        unreadable=tuple(Problem(listing.names[path], why) for path, why in unreadable.items()),
        ignored=tuple(_ignored(listing)),
        duplicates=tuple(group for group in copies if len(group.files) > 1),
    )


def balanced_weights(counts: Sequence[int]) -> dict[int, float]:
    """Return the weight of each class that has images: n / (classes * count).

    References
    ----------
    King and Zeng, "Logistic Regression in Rare Events Data", 2001; scikit-learn's
    `compute_class_weight("balanced")`.
    """
    present = {number: count for number, count in enumerate(counts) if count}
    total = sum(present.values())
    return {number: total / (len(present) * count) for number, count in present.items()}


def _spread(values: Iterable[int]) -> Spread | None:
    values = list(values)
    return Spread(min(values), float(median(values)), max(values)) if values else None


def _counts(values: Iterable[_Value]) -> dict[_Value, int]:
    """Return how often each value is there, the most frequent first."""
    return dict(Counter(values).most_common())


def _leaks(listings: Sequence[_Listing], groups: Iterable[tuple[str, ...]]) -> Iterator[Leak]:
    if len(listings) < 2:
        return
    for group in groups:
        leak = Leak(*(listing.copies(group) for listing in listings))
        if leak.in_folder.files and leak.in_other.files:
            yield leak


def _ignored(listing: _Listing) -> Iterator[Problem]:
    """Yield what `flow_from_directory` passes over, in the order of the folders."""
    extensions = f"its extension is not one of {', '.join(EXTENSIONS)}"
    known = set(listing.names.values())
    with os.scandir(listing.folder) as entries:
        others = {*(entry.name for entry in entries)} - known - {*listing.classes}
    for name in sorted(others):
        if os.path.isdir(os.path.join(listing.folder, name)):  # noqa: PTH112, PTH118
            yield Problem(f"{name}/", "a folder without images")
        else:
            yield Problem(name, "not in a class folder" if listing.classes else extensions)
    walk_errors: list[OSError] = []
    for top in listing.classes:
        walk = os.walk(os.path.join(listing.folder, top), onerror=walk_errors.append)  # noqa: PTH118
        for parent, folders, files in walk:
            folders.sort()
            inside = os.path.relpath(parent, listing.folder)
            for name in folders:
                if os.path.islink(os.path.join(parent, name)):  # noqa: PTH114, PTH118
                    path = os.path.join(inside, name)  # noqa: PTH118
                    yield Problem(f"{path}/", "a linked folder")
            for name in sorted(files):
                if (path := os.path.join(inside, name)) not in known:  # noqa: PTH118
                    yield Problem(path, extensions)
    for error in walk_errors:
        path = os.path.relpath(error.filename, listing.folder)
        yield Problem(f"{path}/", f"can't be listed: {error.strerror}")
