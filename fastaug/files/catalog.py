"""A folder or a data frame -> rows (path, label).  Knows no pixels and opens no image."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.errors import ColumnError, check_flag, check_one_of, listed, users_stacklevel
from fastaug.files.progress import Counted, progress

# Keras' list of extensions (3.15, `Iterator.white_list_formats`).
EXTENSIONS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")

DIRECTORY_CLASS_MODES = ("categorical", "binary", "sparse", "input", None)
DATAFRAME_CLASS_MODES = (*DIRECTORY_CLASS_MODES[:-1], "multi_output", "raw", None)
_WITHOUT_CLASSES = ("input", "multi_output", "raw", None)

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

    @property
    def filepaths(self) -> list[str]:
        """Path of every file: `directory` joined with its name."""
        return [os.path.join(self.directory, name) for name in self.filenames]  # noqa: PTH118


def split_of(subset: str | None, validation_split: float) -> Split:
    """Return the share of the rows that a subset takes: validation comes first, as in Keras."""
    if subset is None:
        return None
    check_one_of("subset", subset, ("training", "validation"))
    return (0, validation_split) if subset == "validation" else (validation_split, 1)


def _part(items: list[Any], split: Split) -> list[Any]:
    if split is None:
        return items
    return items[int(split[0] * len(items)) : int(split[1] * len(items))]


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
    found = [_part(names, split) for _, names in listing]
    numbers = np.repeat(np.arange(len(found), dtype=np.int32), [len(names) for names in found])
    return Catalog(
        directory=str(directory),
        filenames=[name for names in found for name in names],
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
    _check_folder("directory", root)
    _check_classes(classes)
    for name in classes or ():
        _check_folder(f"class {name!r} of directory", root / name)
    if not classes:
        with os.scandir(root) as entries:
            classes = sorted(entry.name for entry in entries if _is_folder(entry))
    # Threads, because network disks let one wait; Keras does the same.
    with progress(f"Scanning {root.name or root}") as counted, ThreadPoolExecutor() as threads:
        found = threads.map(partial(_list_class, root, follow_links, counted), classes)
        return list(zip(classes, found, strict=True))


def list_images(directory: str) -> list[str]:
    """Return the images that lie in a folder itself, by name."""
    with progress(f"Scanning {Path(directory).name or directory}") as counted:
        return sorted(_list_folder(directory, False, counted)[1])


def _check_classes(classes: Any) -> None:
    if classes is None:
        return
    if isinstance(classes, str) or not isinstance(classes, Collection):
        raise TypeError(f"classes={classes!r} is not a list of names of classes")
    for name in classes:
        if not isinstance(name, str):
            raise TypeError(f"classes={classes!r} must hold names of classes, not {name!r}")


def _check_folder(what: str, folder: Path) -> None:
    if not folder.exists():
        raise FileNotFoundError(f"{what}: {str(folder)!r} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"{what}: {str(folder)!r} is not a folder")


def _list_class(root: Path, follow_links: bool, counted: Counted, name: str) -> list[str]:
    """List one class's files, relative to `root`: folders sorted by path, files by name.

    A link back to a folder on the way down ends there instead of going round.
    """
    top = os.path.join(root, name)  # noqa: PTH118 - strings: a Path per file costs seconds
    found = []
    # Folders to list, relative to `top`, each with the real paths on the way down to it.
    pending: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(top),))]
    while pending:
        inside, above = pending.pop()
        folders, files = _list_folder(os.path.join(top, inside), follow_links, counted)  # noqa: PTH118
        found.append((inside, sorted(files)))
        for folder in folders:
            path = os.path.join(inside, folder)  # noqa: PTH118
            real = os.path.realpath(os.path.join(top, path)) if follow_links else path  # noqa: PTH118
            if real not in above:
                pending.append((path, (*above, real)))
    starts = [(os.path.join(name, inside, ""), files) for inside, files in sorted(found)]  # noqa: PTH118
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


def scan_dataframe(
    dataframe: Any,
    directory: str | None,
    x_col: str,
    y_col: str | list[str] | None,
    weight_col: str | None,
    class_mode: str | None,
    classes: Sequence[str] | None,
    split: Split,
    validate_filenames: bool,
) -> Catalog:
    """Read file names, labels and weights from a data frame; its index plays no part.

    Raises
    ------
    ColumnError
        If a column isn't there.
    FileNotFoundError, NotADirectoryError
        If `directory` is missing or no folder, and a name is relative to it.
    TypeError
        If a column holds values of a type that the class mode cannot use.
    ValueError
        If `class_mode="binary"` does not meet two classes.
    """
    folder = str(directory or "")
    check_columns(dataframe, x_col, y_col, weight_col, class_mode)
    _check_classes(classes)
    names = file_names(dataframe, x_col)
    if folder and not all(map(os.path.isabs, names)):
        _check_folder("directory", Path(folder))
    labels = None if class_mode in _WITHOUT_CLASSES else dataframe[y_col].tolist()
    if labels is not None:
        _check_labels(labels, y_col, class_mode, classes)
    elif classes:
        warnings.warn(
            f'`classes` will be ignored given the class_mode="{class_mode}"', stacklevel=4
        )
    rows = _valid_rows(names, folder, x_col) if validate_filenames else list(range(len(names)))
    class_indices: dict[str, int] = {}
    if labels is not None:
        rows, labels, class_indices = _number_labels(rows, labels, y_col, classes)
    rows = _part(rows, split)
    return Catalog(
        directory=folder,
        filenames=[names[row] for row in rows],
        class_indices=class_indices,
        classes=None if labels is None else [labels[row] for row in rows],
        targets=_targets(dataframe, y_col, class_mode, rows),
        weights=None if weight_col is None else np.asarray(dataframe[weight_col])[rows],
    )


def check_columns(
    dataframe: Any, x_col: str, y_col: Any, weight_col: str | None, class_mode: str | None
) -> None:
    """Raise unless the columns are there and suit the class mode."""
    if not hasattr(dataframe, "columns"):
        raise TypeError(f"dataframe must be a pandas data frame, not {dataframe!r:.60}")
    if class_mode in ("categorical", "binary", "sparse") and isinstance(y_col, list):
        raise TypeError(f'If class_mode="{class_mode}", y_col must be one column, not {y_col!r}.')
    if class_mode == "multi_output" and not isinstance(y_col, list):
        raise TypeError(
            f'If class_mode="{class_mode}", y_col must be a list. Received {type(y_col).__name__}.'
        )
    wanted = {"x_col": [x_col], "weight_col": [] if weight_col is None else [weight_col]}
    if class_mode not in ("input", None):
        wanted["y_col"] = y_col if isinstance(y_col, list) else [y_col]
    for argument, columns in wanted.items():
        for column in columns:
            if not isinstance(column, Hashable) or column not in dataframe.columns:
                raise ColumnError(
                    f"{argument}={column!r} is not a column of the data frame, which has "
                    f"{listed(dataframe.columns)}"
                )
    if weight_col is not None and np.asarray(dataframe[weight_col]).dtype.kind not in "iufb":
        raise TypeError(f"Column weight_col={weight_col} must be numeric.")


def file_names(dataframe: Any, x_col: str) -> list[str]:
    """Return a column of file names, or raise unless they are strings."""
    names: list[str] = dataframe[x_col].tolist()
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"All values in column x_col={x_col} must be strings.")
    return names


def _check_labels(
    labels: list[Any], y_col: Any, class_mode: str | None, classes: Sequence[str] | None
) -> None:
    types = (str, list, tuple) if class_mode == "categorical" else (str,)
    for label in labels:
        if not isinstance(label, types):
            raise TypeError(
                f'If class_mode="{class_mode}", y_col="{y_col}" column values must be '
                f"{'type string, list or tuple' if len(types) > 1 else 'strings'}. "
                f"Found {label!r} ({type(label).__name__})."
            )
    if class_mode == "binary":
        count = len(set(classes or labels))
        if count != 2:
            raise ValueError(f'If class_mode="binary" there must be 2 classes. Found {count}.')


def _valid_rows(names: list[str], folder: str, x_col: str) -> list[int]:
    """Return the rows whose file exists and has a known extension; warn about the others."""
    files_in = defaultdict(list)
    for row, name in enumerate(names):
        if name.lower().endswith(EXTENSIONS):
            parent, file = os.path.split(name)
            files_in[parent].append((row, file))
    rows = []
    with progress(f"Checking {Path(folder).name or 'files'}") as counted:
        for parent, files in files_in.items():
            path = os.path.join(folder, parent)  # noqa: PTH118
            plain = _plain_files(path, {file for _, file in files})
            for row, file in counted(files):
                if file in plain or os.path.isfile(os.path.join(path, file)):  # noqa: PTH113, PTH118
                    rows.append(row)
    rows.sort()
    if len(rows) < len(names):
        missing = sorted(set(range(len(names))).difference(rows))
        warnings.warn(
            f'Found {len(missing)} invalid image filename(s) in x_col="{x_col}", the first of '
            f"them {names[missing[0]]!r}. These filename(s) will be ignored.",
            stacklevel=5,
        )
    return rows


def _plain_files(folder: str, wanted: set[str]) -> set[str]:
    """Return those of the names that are files for sure; links and unlisted names may be, too."""
    found: set[str] = set()
    # A folder costs about 6 questions on a local disk, an entry a third of one; far less on others.
    # The dot: a folder that may be listed but not entered has no files.
    if len(wanted) > 8 and os.path.isdir(os.path.join(folder, ".")):  # noqa: PTH112, PTH118
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in islice(entries, 10 * len(wanted)):
                if entry.name in wanted and entry.is_file(follow_symlinks=False):
                    found.add(entry.name)
    return found


def _number_labels(
    rows: list[int], labels: list[Any], y_col: Any, classes: Sequence[str] | None
) -> tuple[list[int], list[Any], dict[str, int]]:
    """Replace labels by class numbers; rows whose labels are not in `classes` are left out."""
    if classes:
        names = list(dict.fromkeys(classes))
    else:
        names = sorted({name for row in rows for name in _names_of(labels[row])})
    indices = {name: number for number, name in enumerate(names)}
    numbers: list[Any] = [None] * len(labels)
    kept: list[int] = []
    unknown: Counter[str] = Counter()
    for row in rows:
        given = _names_of(labels[row])
        unknown.update(name for name in given if name not in indices)
        found = [indices[name] for name in given if name in indices]
        if found or not classes:
            numbers[row] = found[0] if isinstance(labels[row], str) else found
            kept.append(row)
    if unknown:
        warnings.warn(
            f'y_col="{y_col}" holds labels that are not in classes={names!r}: '
            f"{', '.join(f'{name!r} ({count}x)' for name, count in unknown.items())}. "
            f"{len(rows) - len(kept)} row(s) will be ignored.",
            stacklevel=5,
        )
    return kept, numbers, indices


def _names_of(label: Any) -> Sequence[str]:
    return (label,) if isinstance(label, str) else label


def _targets(dataframe: Any, y_col: Any, class_mode: str | None, rows: list[int]) -> Any:
    """Return what `raw` and `multi_output` give out for the rows, or None."""
    if class_mode == "multi_output":
        columns = (dataframe[column].tolist() for column in y_col)
        return [np.array([values[row] for row in rows]) for values in columns]
    if class_mode == "raw":
        return np.asarray(dataframe[y_col])[rows]
    return None


def refuse_names_outside(dataframe: Any, directory: str | Path | None, x_col: str) -> None:
    """Raise a ValueError if file names lead out of `directory`, by themselves or through links.

    Names are looked at whether or not there is such a file, whatever their extension.
    """
    if not directory:
        raise ValueError("root_only=True needs directory, the folder that no name may leave")
    check_columns(dataframe, x_col, None, None, None)
    names = file_names(dataframe, x_col)
    leads_out = cache(partial(_leads_out, os.path.realpath(directory)))
    outside = []
    with progress(f"Checking {Path(directory).name or directory}") as counted:
        for name in counted(names):
            path = os.path.join(directory, name)  # noqa: PTH118
            folder, file = os.path.split(path)
            # What is neither a link nor "..", lies where its folder does.
            if leads_out(path if file in (".", "..") or os.path.islink(path) else folder):  # noqa: PTH114
                outside.append(name)
    if outside:
        raise ValueError(
            f"root_only=True: {len(outside)} of the {len(names)} file names in x_col={x_col!r} "
            f"lead out of directory={str(directory)!r}, the first of them {outside[0]!r}"
        )


def _leads_out(root: str, path: str) -> bool:
    """Tell whether a path is neither the real path `root` nor below it."""
    try:
        real = os.path.realpath(path)
    except ValueError:  # a NUL: such a name leads nowhere
        return False
    return real != root and not real.startswith(os.path.join(root, ""))  # noqa: PTH118


def dataframe_arguments(kwargs: dict[str, Any]) -> tuple[bool, bool]:
    """Check `flow_from_dataframe`'s extra arguments; return `keep_aspect_ratio` and `root_only`.

    Keras' old `has_ext`, `sort` and `drop_duplicates` change nothing but a warning.
    """
    kwargs = dict(kwargs)
    keep_aspect_ratio = bool(kwargs.pop("keep_aspect_ratio", False))
    root_only = kwargs.pop("root_only", False)
    check_flag("root_only", root_only)
    for name, advice in _OLD_DATAFRAME_ARGUMENTS.items():
        if name in kwargs:
            del kwargs[name]
            told = f"{name} is deprecated, {advice}"
            warnings.warn(told, DeprecationWarning, stacklevel=users_stacklevel())
    if kwargs:
        raise TypeError(
            f"flow_from_dataframe() got an unexpected keyword argument {next(iter(kwargs))!r}"
        )
    return keep_aspect_ratio, bool(root_only)


_OLD_DATAFRAME_ARGUMENTS = {
    "has_ext": "filenames in the dataframe have to match the exact filenames in disk.",
    "sort": "batches will be created in the same order than the filenames provided if `shuffle` "
    "is set to `False`.",
    "drop_duplicates": "you can drop duplicates by using the pandas.DataFrame.drop_duplicates "
    "method.",
}
