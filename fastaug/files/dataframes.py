"""A data frame of file names -> rows."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fastaug.checks import check_flag, folder_path, listed
from fastaug.errors import ColumnError, users_stacklevel
from fastaug.files.catalog import (
    EXTENSIONS,
    Catalog,
    Split,
    check_folder,
    class_names,
    part_of,
    warn_of_lacking_classes,
)
from fastaug.files.progress import progress

_WITHOUT_CLASSES = ("input", "multi_output", "raw", None)


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
    extensions: tuple[str, ...] = EXTENSIONS,
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
    classes = class_names(classes)
    names = file_names(dataframe, x_col)
    if folder and not all(map(os.path.isabs, names)):
        check_folder("directory", Path(folder))
    labels = None if class_mode in _WITHOUT_CLASSES else dataframe[y_col].tolist()
    if labels is not None:
        _check_labels(labels, y_col, class_mode, classes)
    elif classes:
        warnings.warn(
            f'`classes` will be ignored given the class_mode="{class_mode}"', stacklevel=4
        )
    rows = list(range(len(names)))
    if validate_filenames:
        rows = _valid_rows(names, folder, x_col, extensions)
    class_indices: dict[str, int] = {}
    if labels is not None:
        rows, labels, class_indices = _number_labels(rows, labels, y_col, classes)
    whole, rows = rows, part_of(rows, split)
    if labels is not None and rows:
        there, found = (_classes_of(part, labels, class_indices) for part in (whole, rows))
        warn_of_lacking_classes(there, found)
    return Catalog(
        directory=folder,
        filenames=[names[row] for row in rows],
        class_indices=class_indices,
        classes=None if labels is None else [labels[row] for row in rows],
        targets=_targets(dataframe, y_col, class_mode, rows),
        weights=None if weight_col is None else np.asarray(dataframe[weight_col])[rows],
        rows=rows,
    )


def column_of(dataframe: Any, name: str, argument: str, rows: Sequence[int]) -> list[Any]:
    """Return the values of a column in those rows; ColumnError that names the argument."""
    if name not in dataframe.columns:
        raise ColumnError(f"{argument}={name!r} is no column: there are {list(dataframe.columns)}")
    values = dataframe[name].tolist()
    return [values[row] for row in rows]


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
            if list(dataframe.columns).count(column) > 1:
                raise ValueError(
                    f"{argument}={column!r} is the name of more than one column of the data frame, "
                    f"which has {listed(dataframe.columns)}"
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


def _valid_rows(
    names: list[str], folder: str, x_col: str, extensions: tuple[str, ...]
) -> list[int]:
    """Return the rows whose file exists and has a known extension; warn about the others."""
    files_in = defaultdict(list)
    for row, name in enumerate(names):
        if name.lower().endswith(extensions):
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
    files: set[str] = set()
    # A folder costs about 6 questions on a local disk, an entry a third of one; far less on others.
    # The dot: a folder that may be listed but not entered has no files.
    if len(wanted) > 8 and os.path.isdir(os.path.join(folder, ".")):  # noqa: PTH112, PTH118
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in islice(entries, 10 * len(wanted)):
                if entry.name in wanted and entry.is_file(follow_symlinks=False):
                    files.add(entry.name)
    return files


def _number_labels(
    rows: list[int], labels: list[Any], y_col: Any, classes: Sequence[str] | None
) -> tuple[list[int], list[Any], dict[str, int]]:
    """Replace labels by class numbers; rows whose labels are not in `classes` are left out."""
    if classes:
        names = list(classes)
    else:
        names = sorted({name for row in rows for name in _names_of(labels[row])})
    indices = {name: number for number, name in enumerate(names)}
    numbers: list[Any] = [None] * len(labels)
    kept: list[int] = []
    unknown: Counter[str] = Counter()
    for row in rows:
        label_names = _names_of(labels[row])
        unknown.update(name for name in label_names if name not in indices)
        label_numbers = [indices[name] for name in label_names if name in indices]
        if label_numbers or not classes:
            numbers[row] = label_numbers[0] if isinstance(labels[row], str) else label_numbers
            kept.append(row)
    if unknown:
        warnings.warn(
            f'y_col="{y_col}" holds labels that are not in classes={names!r}: '
            f"{', '.join(f'{name!r} ({count}x)' for name, count in unknown.items())}. "
            f"{len(rows) - len(kept)} row(s) will be ignored.",
            stacklevel=5,
        )
    return kept, numbers, indices


def _classes_of(rows: list[int], labels: list[Any], class_indices: dict[str, int]) -> list[str]:
    """Return the names of the classes that rows are of; labels are numbers or lists of them."""
    numbers: set[int] = set()
    for row in rows:
        numbers.update(labels[row] if isinstance(labels[row], list) else (labels[row],))
    return [name for name, number in class_indices.items() if number in numbers]


def _names_of(label: Any) -> Sequence[str]:
    return (label,) if isinstance(label, str) else label


def _targets(dataframe: Any, y_col: Any, class_mode: str | None, rows: list[int]) -> Any:
    """Return what `raw` and `multi_output` give out for the rows, or None."""
    if class_mode == "multi_output":
        return [_output(column, dataframe[column].tolist(), rows) for column in y_col]
    if class_mode == "raw":
        return _as_numbers(np.asarray(dataframe[y_col])[rows])
    return None


def _output(column: Any, values: list[Any], rows: list[int]) -> Any:
    """Return a column of numbers, or of lists of as many numbers each."""
    try:
        output = np.array([values[row] for row in rows])
    except ValueError:  # lists of different lengths
        output = np.array([None])
    if output.dtype.kind not in "biuf":
        found = next((values[row] for row in rows if isinstance(values[row], str)), values[0])
        raise TypeError(
            f'If class_mode="multi_output", column {column!r} of y_col must hold numbers, or lists '
            f"of as many numbers each. Found {found!r} ({type(found).__name__}); class numbers "
            "come from pandas.factorize(column)[0]"
        )
    return output


def _as_numbers(values: Any) -> Any:
    """Return lists of equal length, arrays and mixed numbers as one array of numbers.

    Other objects stay what they are.
    """
    if values.dtype != object:
        return values
    with contextlib.suppress(ValueError):  # lists of different lengths
        numbers = np.array(values.tolist())
        if numbers.dtype.kind in "biuf":
            return numbers
    return values


def refuse_names_outside(dataframe: Any, directory: str | Path | None, x_col: str) -> None:
    """Raise a ValueError if file names lead out of `directory`, by themselves or through links.

    Names are looked at whether or not there is such a file, whatever their extension.
    """
    if directory is None or not (directory := folder_path("directory", directory)):
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
            message = f"{name} is deprecated, {advice}"
            warnings.warn(message, DeprecationWarning, stacklevel=users_stacklevel())
    if kwargs:
        warnings.warn(
            f"flow_from_dataframe() knows no argument {listed(kwargs)}: ignored, as in Keras",
            stacklevel=users_stacklevel(),
        )
    return keep_aspect_ratio, bool(root_only)


_OLD_DATAFRAME_ARGUMENTS = {
    "has_ext": "filenames in the dataframe have to match the exact filenames in disk.",
    "sort": "batches will be created in the same order than the filenames provided if `shuffle` "
    "is set to `False`.",
    "drop_duplicates": "you can drop duplicates by using the pandas.DataFrame.drop_duplicates "
    "method.",
}
