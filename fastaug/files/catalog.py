"""The files of a data set as rows (path, label).  Knows no pixels and opens no image."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastaug.checks import check_one_of, listed
from fastaug.errors import users_stacklevel

# Keras' list of extensions (3.15, `Iterator.white_list_formats`).
EXTENSIONS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")

DIRECTORY_CLASS_MODES = ("categorical", "binary", "sparse", "input", None)
DATAFRAME_CLASS_MODES = (*DIRECTORY_CLASS_MODES[:-1], "multi_output", "raw", None)

Split = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The files of a data set, in Keras' order.

    `filenames` are relative to `directory` (or absolute); `classes` holds the class numbers: an
    int32 array for a folder, for a data frame a list whose items are an int or a list of ints, and
    None where the class mode has no classes.
    """

    directory: str
    filenames: list[str]
    class_indices: dict[str, int]
    classes: Any
    targets: Any = None
    weights: NDArray[Any] | None = None
    rows: list[int] | None = None  # of a data frame: which of its rows these are

    @property
    def filepaths(self) -> list[str]:
        """Path of every file: `directory` joined with its name."""
        return [os.path.join(self.directory, name) for name in self.filenames]  # noqa: PTH118


def split_of(subset: str | None, validation_split: float) -> Split:
    """Return the share of the rows that a subset takes: validation comes first, as in Keras."""
    if subset is None:
        return None
    check_one_of("subset", subset, ("training", "validation"))
    if not validation_split:
        warnings.warn(
            f"subset={subset!r} is {'everything' if subset == 'training' else 'nothing at all'} "
            "without a validation_split: Generator(validation_split=0.2)",
            stacklevel=users_stacklevel(),
        )
    return (0, validation_split) if subset == "validation" else (validation_split, 1)


def part_of(items: list[Any], split: Split) -> list[Any]:
    """Return the share of a list that a subset takes."""
    if split is None:
        return items
    return items[int(split[0] * len(items)) : int(split[1] * len(items))]


def class_names(classes: Any) -> list[str]:
    """Return `classes` as a list, empty for None: of a list, an array, a series, a mapping's keys.

    Raises a TypeError unless they are names of classes, a ValueError if one is there twice.
    """
    if classes is None:
        return []
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise TypeError(f"classes={classes!r} is not a list of names of classes")
    names = list(classes)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"classes={classes!r} must hold names of classes, not {name!r}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"classes names {listed(twice)} more than once: {names!r}")
    return list(map(str, names))  # of NumPy, too


def warn_of_lacking_classes(classes: Iterable[str], found: Iterable[str]) -> None:
    """Warn of classes of which a subset has no image, though the whole has."""
    found = set(found)
    lacking = [name for name in classes if name not in found]
    if lacking:
        warnings.warn(
            f"this subset has no image of {listed(lacking[:10])}"
            f"{f' and {len(lacking) - 10} more classes' if len(lacking) > 10 else ''}: the split "
            "takes the first images of each class, or the first rows",
            stacklevel=users_stacklevel(),
        )


def check_folder(what: str, folder: Path) -> None:
    """Raise unless there is such a folder; `what` is its name in the message."""
    if not folder.exists():
        raise FileNotFoundError(f"{what}: {str(folder)!r} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"{what}: {str(folder)!r} is not a folder")


class FilePaths:
    """Paths by row; relative ones are relative to the working folder of when this was made."""

    def __init__(self, filepaths: Sequence[str]) -> None:
        self._filepaths = filepaths
        try:
            self._folder = os.getcwd()  # noqa: PTH109
        except FileNotFoundError:  # it was removed; absolute names still work
            self._folder = ""

    def __len__(self) -> int:
        return len(self._filepaths)

    def __getitem__(self, row: int) -> str:
        return os.path.join(self._folder, self._filepaths[row])  # noqa: PTH118
