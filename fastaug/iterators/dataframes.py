"""Batches for Keras of the image files that a data frame names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastaug import keras_legacy
from fastaug.checks import check_flag, folder_path
from fastaug.files.catalog import DATAFRAME_CLASS_MODES, Catalog, split_of
from fastaug.files.dataframes import column_of, scan_dataframe
from fastaug.iterators.files import FileIterator, checked_options, validation_split_of
from fastaug.keras_settings import say
from fastaug.settings import Settings


class DataFrameIterator(FileIterator, keras_legacy.DataFrameIterator):  # type: ignore[misc]
    """Batches of the images that a data frame names, made by `flow_from_dataframe`.

    Parameters
    ----------
    dataframe
        A pandas data frame, or whatever has `columns` and gives columns that have `tolist()`.
    directory
        Folder to which the file names are relative; None for absolute names.
    image_data_generator, x_col, y_col, weight_col, target_size, color_mode, classes, class_mode, \
batch_size, shuffle, seed, data_format, save_to_dir, save_prefix, save_format, subset, \
interpolation, keep_aspect_ratio, dtype, validate_filenames
        As in Keras 3.15's `DataFrameIterator`.
    mask_col
        Column of the masks' file names, relative to `directory`.
    boxes_col, box_labels_col
        Columns of lists: each picture's boxes, in the generator's `bounding_box_format` and in
        pixels of the file, and their labels.
    augment
        False gives images as they are: brought to their size and standardised, no more.

    Raises
    ------
    ColumnError
        If a column isn't there.
    TypeError
        If a column holds values of a type that the class mode cannot use.
    ValueError
        For arguments out of range.
    """

    allowed_class_modes = frozenset(DATAFRAME_CLASS_MODES)

    def __init__(
        self,
        dataframe: Any,
        directory: str | Path | None = None,
        image_data_generator: Settings | None = None,
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
        data_format: str | None = "channels_last",
        save_to_dir: str | Path | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = "float32",
        validate_filenames: bool = True,
        *,
        mask_col: str | None = None,
        boxes_col: str | None = None,
        box_labels_col: str | None = None,
        augment: bool = True,
    ) -> None:
        options = checked_options(
            DATAFRAME_CLASS_MODES,
            target_size=target_size,
            color_mode=color_mode,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=data_format,
            subset=subset,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            dtype=dtype,
        )
        check_flag("validate_filenames", validate_filenames)
        self.split = split_of(subset, validation_split_of(image_data_generator))
        catalog = scan_dataframe(
            dataframe,
            None if directory is None else folder_path("directory", directory),
            x_col,
            y_col,
            weight_col,
            class_mode,
            classes,
            self.split,
            validate_filenames,
            tuple(self.white_list_formats),
        )
        checked = "validated" if validate_filenames else "non-validated"
        belonging = f" belonging to {len(catalog.class_indices)} classes"
        say(f"Found {len(catalog.filenames)} {checked} image filenames"
             f"{'' if catalog.classes is None else belonging}.")  # fmt: skip
        super().__init__(
            catalog,
            image_data_generator,
            options,
            augment=augment,
            **_columns(dataframe, catalog, mask_col, boxes_col, box_labels_col),
        )
        self.save_prefix, self.save_format = save_prefix, save_format


def _columns(
    dataframe: Any,
    catalog: Catalog,
    mask_col: str | None,
    boxes_col: str | None,
    box_labels_col: str | None,
) -> dict[str, Any]:
    """Return what columns say of masks and boxes."""
    if box_labels_col is not None and boxes_col is None:
        raise ValueError(f"box_labels_col={box_labels_col!r} needs boxes_col")
    columns = {"mask_col": mask_col, "boxes_col": boxes_col, "box_labels_col": box_labels_col}
    found = {
        argument: column_of(dataframe, name, argument, catalog.rows or [])
        for argument, name in columns.items()
        if name is not None
    }
    masks = found.get("mask_col")
    if masks is not None:
        masks = [os.path.join(catalog.directory, str(name)) for name in masks]  # noqa: PTH118
        missing = [path for path in masks if not os.path.isfile(path)]  # noqa: PTH113
        if missing:
            raise FileNotFoundError(
                f"mask_col={mask_col!r} names {len(missing)} files that are not there, the first "
                f"of them {missing[0]}"
            )
    return {
        "masks": masks,
        "boxes": found.get("boxes_col"),
        "labels": found.get("box_labels_col"),
    }
