"""Batches for Keras: iterators over arrays, folders and data frames."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from fastaug.batch_iterator import READ_AHEAD, BatchIterator, default_data_format, default_dtype
from fastaug.catalog import (
    DATAFRAME_CLASS_MODES,
    DIRECTORY_CLASS_MODES,
    Catalog,
    scan_dataframe,
    scan_directory,
    split_of,
)
from fastaug.decode import CHANNELS, INTERPOLATIONS, Target
from fastaug.errors import check_integer, check_one_of
from fastaug.labels import ClassLabels
from fastaug.options import DATA_FORMATS, check_dtype, usable_cores
from fastaug.pictures import PictureSaver
from fastaug.pipeline import channels_last
from fastaug.sources import ArraySource, FileSource, LocalFileSource, Source

if TYPE_CHECKING:
    from fastaug.generator import Generator

Array = NDArray[Any]


class NumpyArrayIterator(BatchIterator):
    """Batches of images that are in memory, made by `Generator.flow`.

    Parameters
    ----------
    x
        Images, rank 4, any real dtype; kept as they are (a memory map stays on disk).  Or a pair
        (images, other input or list of other inputs), all of the same length.
    y
        Labels, or None.
    image_data_generator
        The generator whose options are followed.
    batch_size, shuffle, sample_weight, seed, data_format, save_to_dir, save_prefix, save_format, \
subset, ignore_class_split, dtype
        As in Keras 3.15's `NumpyArrayIterator`.

    Raises
    ------
    ValueError
        For images that are not of rank 4 or not numbers, and for lengths that differ.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Generator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | Path | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:
        data_format = _checked_format(data_format)
        x, others = _split_inputs(x)
        _check_lengths(x, others, y, sample_weight)
        images = check_images(x, data_format)
        y = None if y is None else np.asarray(y)
        part = _subset_slice(subset, len(images), image_data_generator, y, ignore_class_split)
        self.x = images[part]
        self.x_misc = [other[part] for other in others]
        self.y = None if y is None else y[part]
        # A quirk of Keras: a subset is taken of images and labels, but not of the weights.
        rows = slice(None) if image_data_generator.keras_quirks else part
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        super().__init__(
            image_data_generator,
            n=len(self.x),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            image_shape=self.x.shape[1:],
            data_format=data_format,
            dtype=check_dtype(default_dtype() if dtype is None else dtype).name,
            saver=_saver(save_to_dir, save_prefix, save_format, data_format, numbers=10_000),
        )

    def _make_source(self) -> Source:
        return ArraySource(self.x)

    def _label(self, batch: Array, rows: NDArray[np.intp]) -> Any:
        inputs = [batch, *(other[rows] for other in self.x_misc)] if self.x_misc else batch
        if self.y is None:
            return inputs
        if self.sample_weight is None:
            return inputs, self.y[rows]
        return inputs, self.y[rows], self.sample_weight[rows]


class FileIterator(BatchIterator):
    """What folders and data frames share: files that are decoded by processes.

    `catalog` lists the files; the other parameters are Keras'.
    """

    def __init__(
        self,
        catalog: Catalog,
        image_data_generator: Generator | None,
        *,
        target: Target,
        class_mode: str | None,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        data_format: str,
        subset: str | None,
        saver: PictureSaver | None,
        dtype: Any,
    ) -> None:
        self.directory = catalog.directory
        self.filenames = catalog.filenames
        self.class_mode = class_mode
        self.samples = len(catalog.filenames)
        if catalog.classes is not None:
            self.class_indices = catalog.class_indices
            self.num_classes = len(catalog.class_indices)
            self.classes = catalog.classes
        self.target_size = (target.height, target.width)
        self.color_mode = target.color_mode
        self.interpolation = target.interpolation
        self.keep_aspect_ratio = target.keep_aspect_ratio
        self.subset = subset
        self._filepaths = catalog.filepaths
        self._targets = catalog.targets
        self._weights = catalog.weights
        self._target = target
        self._class_labels = _class_labels(catalog, class_mode, dtype)
        shape = target.slot_shape
        super().__init__(
            image_data_generator,
            n=self.samples,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            image_shape=(shape[2], *shape[:2]) if data_format == "channels_first" else shape,
            data_format=data_format,
            dtype=dtype,
            saver=saver,
        )

    @property
    def filepaths(self) -> list[str]:
        """Path of every file."""
        return self._filepaths

    @property
    def labels(self) -> Any:
        """Labels of every file: class numbers, or the values of `raw` and `multi_output`."""
        return self._targets if self.class_mode in ("raw", "multi_output") else self.classes

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        """Weight of every file, or None."""
        return self._weights

    def _make_source(self) -> Source:
        generator = self.image_data_generator
        workers = usable_cores() if generator is None else generator.workers
        if workers == 0 or self.n == 0:
            return LocalFileSource(self._filepaths, self._target, self.data_format)
        return FileSource(
            self._filepaths,
            self._target,
            self.data_format,
            workers=workers,
            timeout=120.0 if generator is None else generator.timeout,
            batch_size=min(self.batch_size, self.n),
            read_ahead=READ_AHEAD if generator is None else generator.read_ahead,
        )

    def _label(self, batch: Array, rows: NDArray[np.intp]) -> Any:
        if self.class_mode is None:
            return batch
        if self.class_mode == "input":
            labels: Any = batch.copy()
        elif self.class_mode == "multi_output":
            labels = [target[rows] for target in self._targets]
        elif self._class_labels is not None:
            labels = self._class_labels.batch(rows)
        else:
            labels = self._targets[rows]
        if self._weights is None:
            return batch, labels
        return batch, labels, self._weights[rows]


class DirectoryIterator(FileIterator):
    """Batches of the images in a folder of class sub-folders, made by `flow_from_directory`.

    Parameters
    ----------
    directory
        Folder with one sub-folder per class.
    image_data_generator, target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, \
data_format, save_to_dir, save_prefix, save_format, follow_links, subset, interpolation, \
keep_aspect_ratio, dtype
        As in Keras 3.15's `DirectoryIterator`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If the folder, or that of a class, is missing or is no folder.
    ValueError
        For arguments out of range.
    """

    def __init__(
        self,
        directory: str | Path,
        image_data_generator: Generator | None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | Path | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
    ) -> None:
        data_format = _checked_format(data_format)
        target = _checked_target(target_size, color_mode, interpolation, keep_aspect_ratio)
        check_one_of("class_mode", class_mode, DIRECTORY_CLASS_MODES)
        split = split_of(subset, _validation_split(image_data_generator))
        saver = _saver(save_to_dir, save_prefix, save_format, data_format, numbers=10_000_000)
        catalog = scan_directory(str(directory), classes, split, follow_links)
        _say(f"Found {len(catalog.filenames)} images belonging to "
             f"{len(catalog.class_indices)} classes.")  # fmt: skip
        super().__init__(
            catalog,
            image_data_generator,
            target=target,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=data_format,
            subset=subset,
            saver=saver,
            dtype=check_dtype(default_dtype() if dtype is None else dtype).name,
        )


class DataFrameIterator(FileIterator):
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

    Raises
    ------
    ColumnError
        If a column isn't there.
    TypeError
        If a column holds values of a type that the class mode cannot use.
    ValueError
        For arguments out of range.
    """

    def __init__(
        self,
        dataframe: Any,
        directory: str | Path | None = None,
        image_data_generator: Generator | None = None,
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
    ) -> None:
        data_format = _checked_format(data_format)
        target = _checked_target(target_size, color_mode, interpolation, keep_aspect_ratio)
        check_one_of("class_mode", class_mode, DATAFRAME_CLASS_MODES)
        split = split_of(subset, _validation_split(image_data_generator))
        saver = _saver(save_to_dir, save_prefix, save_format, data_format, numbers=10_000_000)
        catalog = scan_dataframe(
            dataframe,
            None if directory is None else str(directory),
            x_col,
            y_col,
            weight_col,
            class_mode,
            classes,
            split,
            validate_filenames,
        )
        checked = "validated" if validate_filenames else "non-validated"
        belonging = f" belonging to {len(catalog.class_indices)} classes"
        _say(f"Found {len(catalog.filenames)} {checked} image filenames"
             f"{'' if catalog.classes is None else belonging}.")  # fmt: skip
        super().__init__(
            catalog,
            image_data_generator,
            target=target,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=data_format,
            subset=subset,
            saver=saver,
            dtype=check_dtype(default_dtype() if dtype is None else dtype).name,
        )


def check_images(x: Any, data_format: str) -> Array:
    """Return images as an array, without a copy of one; ValueError unless rank 4 and numbers.

    Warns, as Keras does, unless there are 1, 3 or 4 channels.
    """
    images = np.asarray(x)
    if images.dtype == object:
        with contextlib.suppress(TypeError, ValueError):  # told below, with the shape
            images = images.astype(np.float32)
    if images.dtype.kind not in "biuf":
        raise ValueError(
            f"`x` must hold real numbers, not dtype {images.dtype} (shape {images.shape})"
        )
    if images.ndim != 4:
        raise ValueError(
            "`x` (images tensor) should have rank 4: (samples, height, width, channels), with "
            f"channels first for data_format='channels_first'. You passed an array of rank "
            f"{images.ndim}, shape {images.shape}, dtype {images.dtype}"
        )
    if not all(images.shape[1:]):
        raise ValueError(f"`x` holds images without a pixel: its shape is {images.shape}")
    channels = channels_last(images, data_format).shape[-1]
    if channels not in (1, 3, 4):
        warnings.warn(
            f'the data format "{data_format}" expects 1, 3 or 4 channels on axis '
            f"{3 if data_format == 'channels_last' else 1}; the array of shape {images.shape} has "
            f"{channels}",
            stacklevel=4,
        )
    return images


def _split_inputs(x: Any) -> tuple[Any, list[Array]]:
    """Split `x` of `flow` into images and other inputs."""
    if not isinstance(x, tuple | list):
        return x, []
    if len(x) != 2:
        raise ValueError(
            f"`x` is a {type(x).__name__} of {len(x)} items: it must be an array of images, or "
            "(images, other input or list of other inputs)"
        )
    others = x[1] if isinstance(x[1], list) else [x[1]]
    return x[0], [np.asarray(other) for other in others]


def _check_lengths(x: Any, others: list[Array], y: Any, sample_weight: Any) -> None:
    for other in others:
        if len(x) != len(other):
            raise ValueError(
                "All of the arrays in `x` should have the same length. Found a pair with: "
                f"len(x[0]) = {len(x)}, len(x[?]) = {len(other)}"
            )
    for name, values in (("`y` (labels)", y), ("`sample_weight`", sample_weight)):
        if values is not None and len(x) != len(values):
            raise ValueError(
                f"`x` (images tensor) and {name} should have the same length. "
                f"Found: x.shape = {np.shape(x)}, {name} shape = {np.shape(values)}"
            )


def _subset_slice(
    subset: str | None,
    count: int,
    generator: Generator | None,
    y: Array | None,
    ignore_class_split: bool,
) -> slice:
    """Return the rows of a subset: validation comes first, as in Keras."""
    split = split_of(subset, _validation_split(generator))
    if split is None:
        return slice(None)
    border = int(count * _validation_split(generator))
    if y is not None and not ignore_class_split:
        before, behind = np.unique(y[:border]), np.unique(y[border:])
        if not np.array_equal(before, behind):
            raise ValueError(
                "Training and validation subsets have different number of classes after the split. "
                "If your numpy arrays are sorted by the label, you might want to shuffle them."
            )
    return slice(None, border) if subset == "validation" else slice(border, None)


def _validation_split(generator: Generator | None) -> float:
    return 0.0 if generator is None else generator._validation_split


def _class_labels(catalog: Catalog, class_mode: str | None, dtype: Any) -> ClassLabels | None:
    if class_mode not in ("categorical", "binary", "sparse"):
        return None
    # Class numbers beyond 255 would wrap round in uint8.
    dtype = np.float32 if np.dtype(dtype).kind == "u" else dtype
    count = len(catalog.class_indices)
    return ClassLabels(catalog.classes, count, class_mode == "categorical", dtype)


def _checked_format(data_format: str | None) -> str:
    if data_format is None:
        return default_data_format()
    check_one_of("data_format", data_format, DATA_FORMATS)
    return data_format


def _checked_target(
    target_size: Any, color_mode: str, interpolation: str, keep_aspect_ratio: bool
) -> Target:
    """Return the decoder's target, or raise an error that names the argument."""
    if not isinstance(target_size, tuple | list) or len(target_size) != 2:
        raise ValueError(f"target_size={target_size!r} must be (height, width)")
    for size in target_size:
        check_integer("each of target_size (height, width)", size, minimum=1)
    check_one_of("color_mode", color_mode, CHANNELS)
    check_one_of("interpolation", interpolation, INTERPOLATIONS)
    height, width = int(target_size[0]), int(target_size[1])
    return Target(height, width, color_mode, interpolation, bool(keep_aspect_ratio))


def _saver(
    folder: str | Path | None, prefix: str, extension: str, data_format: str, numbers: int
) -> PictureSaver | None:
    if folder is None or folder == "":
        return None
    return PictureSaver(Path(folder), prefix, extension, data_format, numbers)


def _say(message: str) -> None:
    """Print as Keras does, where its interactive logging is on."""
    if keras.config.is_interactive_logging_enabled():
        print(message, flush=True)  # noqa: T201 - Keras prints the same line
