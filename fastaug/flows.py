"""From a generator to batches: arrays, folders, data frames."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastaug.array_iterator import NumpyArrayIterator
from fastaug.catalog import check_columns, file_names
from fastaug.file_iterators import DataFrameIterator, DirectoryIterator
from fastaug.options import dataframe_arguments
from fastaug.progress import progress


class Flows:
    """The `flow` methods of `Generator`, with Keras' parameters."""

    data_format: str
    dtype: str

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | Path | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Iterate over images in memory, with Keras' parameters; see `NumpyArrayIterator`."""
        return NumpyArrayIterator(**self._with_formats(locals()))

    def flow_from_directory(
        self,
        directory: str | Path,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | Path | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Iterate over a folder of class sub-folders; see `DirectoryIterator`."""
        return DirectoryIterator(**self._with_formats(locals()))

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | Path | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | Path | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Iterate over the files that a data frame names; see `DataFrameIterator`.

        `keep_aspect_ratio` is accepted too, and so are Keras' old `has_ext`, `sort` and
        `drop_duplicates`, which change nothing.  With `root_only=True` a file name that leads out
        of `directory` (absolute and elsewhere, by `..`, through a link) is a ValueError.
        """
        keep_aspect_ratio, root_only = dataframe_arguments(kwargs)
        if root_only:
            _refuse_names_outside(dataframe, directory, x_col)
        if class_mode == "other":
            warnings.warn(
                '`class_mode="other"` is deprecated, please use `class_mode="raw"`.',
                DeprecationWarning,
                stacklevel=2,
            )
            class_mode = "raw"
        options = self._with_formats(locals())
        del options["kwargs"], options["root_only"]
        return DataFrameIterator(**options)

    def _with_formats(self, options: dict[str, Any]) -> dict[str, Any]:
        """Turn the local variables of a `flow` method into its iterator's arguments."""
        options = {name: value for name, value in options.items() if name != "self"}
        formats = {"data_format": self.data_format, "dtype": self.dtype}
        return {**options, **formats, "image_data_generator": self}


def _refuse_names_outside(dataframe: Any, directory: str | Path | None, x_col: str) -> None:
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
