"""Batches for Keras of image files: folders and data frames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug import keras_legacy
from fastaug.checks import check_flag, check_one_of, folder_path
from fastaug.errors import DecodeError, users_stacklevel
from fastaug.files.catalog import DATAFRAME_CLASS_MODES, DIRECTORY_CLASS_MODES, Catalog, split_of
from fastaug.files.decode import checked_extensions
from fastaug.files.folders import scan_directory, scan_flat
from fastaug.files.masks import mask_paths
from fastaug.files.target import Target, checked_target
from fastaug.iterators.base import BatchIterator
from fastaug.iterators.followed import warn_of_augmented_validation
from fastaug.iterators.followers import FileFollowers
from fastaug.iterators.labels import class_labels
from fastaug.iterators.passes import Position
from fastaug.iterators.saved_pictures import PictureSaver, picture_saver
from fastaug.iterators.substitutes import Substitutes, Unreadable
from fastaug.keras_settings import checked_format, default_dtype, say
from fastaug.pixels.layout import Array, check_dtype
from fastaug.settings import Settings
from fastaug.sources.base import FileReader
from fastaug.sources.opening import open_source

_NUMBERED = ("categorical", "binary", "sparse")
_NAME_NUMBERS = 10_000_000  # Keras draws this many for the names of saved pictures


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What folders and data frames have in common of Keras' options, checked."""

    target: Target
    class_mode: str | None
    batch_size: int
    shuffle: bool
    seed: int | None
    data_format: str
    subset: str | None
    saver: PictureSaver | None
    dtype: str


def checked_options(
    class_modes: Sequence[str | None],
    *,
    target_size: Any,
    color_mode: str,
    interpolation: str,
    keep_aspect_ratio: bool,
    class_mode: str | None,
    batch_size: int,
    shuffle: bool,
    seed: int | None,
    data_format: str | None,
    subset: str | None,
    save_to_dir: str | Path | None,
    save_prefix: str,
    save_format: str,
    dtype: Any,
) -> FileOptions:
    """Return Keras' options of file iterators; an error that names the first wrong one.

    `class_modes` are the accepted ones; the other parameters are Keras'.
    """
    data_format = checked_format(data_format)
    target = checked_target(target_size, color_mode, interpolation, keep_aspect_ratio)
    check_one_of("class_mode", class_mode, class_modes)
    return FileOptions(
        target,
        class_mode,
        batch_size,
        shuffle,
        seed,
        data_format,
        subset,
        picture_saver(save_to_dir, save_prefix, save_format, data_format, numbers=_NAME_NUMBERS),
        check_dtype("dtype", default_dtype() if dtype is None else dtype).name,
    )


class FileIterator(BatchIterator):
    """What folders and data frames share: files that are decoded by processes.

    `catalog` lists the files.
    """

    _source: FileReader
    _name_numbers = _NAME_NUMBERS

    def __init__(
        self,
        catalog: Catalog,
        image_data_generator: Settings | None,
        options: FileOptions,
        *,
        augment: bool = True,
        **targets: Any,
    ) -> None:
        target, data_format = options.target, options.data_format
        self.directory = catalog.directory
        self.filenames = catalog.filenames
        self.class_mode = options.class_mode
        self.samples = len(catalog.filenames)
        if catalog.classes is not None:
            self.class_indices = catalog.class_indices
            self.num_classes = len(catalog.class_indices)
            self.classes = catalog.classes
        self.subset = options.subset
        self._filepaths = catalog.filepaths
        self._targets = catalog.targets
        self._sample_weight = catalog.weights
        self._target = (image_data_generator or Settings()).decoding(target)
        self._opened: list[str] = []  # the paths that the source knows
        self._substitutes = Substitutes(self.samples)
        super().__init__(
            image_data_generator,
            n=self.samples,
            batch_size=options.batch_size,
            shuffle=options.shuffle,
            seed=options.seed,
            image_shape=_image_shape(target, data_format),
            data_format=data_format,
            dtype=options.dtype,
            saver=options.saver,
        )
        followers = None
        if any(targets.get(name) is not None for name in ("masks", "drawn_masks", "boxes")):
            followers = FileFollowers(
                self._settings,
                self._filepaths,
                self._target,
                data_format,
                min(self.batch_size, self.n),
                self._stats,
                **targets,
            )
        self._follow(followers, augment=augment)
        warn_of_augmented_validation(self._settings, options.subset, augment=augment)

    def _gives_images_as_labels(self) -> bool:
        return self.class_mode == "input"

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
        return self._sample_weight

    @property
    def target_size(self) -> tuple[int, int]:
        """Height and width that files are brought to; `image_shape` follows when it is set."""
        return self._target.height, self._target.width

    @target_size.setter
    def target_size(self, value: Any) -> None:
        self._set_target(target_size=value)

    @property
    def color_mode(self) -> str:
        """Colours that files are brought to; `image_shape` follows when it is set."""
        return self._target.color_mode

    @color_mode.setter
    def color_mode(self, value: str) -> None:
        self._set_target(color_mode=value)

    @property
    def interpolation(self) -> str:
        """How files are resized."""
        return self._target.interpolation

    @interpolation.setter
    def interpolation(self, value: str) -> None:
        self._set_target(interpolation=value)

    @property
    def keep_aspect_ratio(self) -> bool:
        """Whether files are cropped to the shape of `target_size` before they are resized."""
        return self._target.keep_aspect_ratio

    @keep_aspect_ratio.setter
    def keep_aspect_ratio(self, value: bool) -> None:
        self._set_target(keep_aspect_ratio=value)

    def _set_target(self, **changes: Any) -> None:
        """Decode to another target, from the next batch on."""
        names = ("target_size", "color_mode", "interpolation", "keep_aspect_ratio")
        if self._followers is not None:
            raise ValueError(
                f"make a new flow for other {', '.join(changes)}: masks or boxes follow"
            )
        target = checked_target(**({name: getattr(self, name) for name in names} | changes))
        self._target = self._settings.decoding(target)
        self.image_shape = _image_shape(target, self.data_format)
        self._reopen()

    def _reopen(self) -> None:
        """Forget what was made and decoded of other files, or to another target."""
        self._read_ahead.forget()
        with self._read_ahead.paused():
            self._source.close()
            self._source = self._make_source()

    @property
    def errors(self) -> list[Unreadable]:
        """Files that can't be read, as (path, reason), with `on_error="skip"`."""
        return self._substitutes.errors

    @property
    def _skips(self) -> bool:
        return self._settings.on_error == "skip"

    def _rows(self, position: Position) -> NDArray[np.intp]:
        rows = super()._rows(position)
        if not self._skips:
            return rows
        order, first = self._order(position.start), position.batch * self.batch_size
        return self._substitutes.replace(order, first, len(rows))

    def _note_files(self, position: Position) -> None:
        """Open the source anew if the paths of a batch are others now, or its target is."""
        with self.lock:
            rows = self._rows(position)
        paths = self.filepaths
        if len(paths) < self.n:
            raise ValueError(f"filepaths holds {len(paths)} paths for {self.n} samples")
        if tuple(self.image_shape) != _image_shape(self._target, self.data_format):
            raise ValueError(
                f"image_shape={self.image_shape} does not fit target_size={self.target_size}, "
                f"color_mode={self.color_mode!r}, data_format={self.data_format!r}: set those"
            )
        if any(paths[row] is not self._opened[row] for row in rows.tolist()):
            self._reopen()

    def _take(self, position: Position) -> Any:
        self._note_files(position)
        batch = super()._take(position)
        if self._skips:
            with self.lock:
                rows = super()._rows(position)
            self._stats.add(skipped=self._substitutes.record_skips(position.seen, rows))
            if position.batch + 1 == len(self):
                self._report()
        return batch

    def _report(self) -> None:
        self._substitutes.report()

    def _make(self, position: Position) -> Any:
        while True:
            try:
                return super()._make(position)
            except DecodeError as error:
                if not self._replace_unreadable(error, position):
                    raise

    def _replace_unreadable(self, error: DecodeError, position: Position) -> bool:
        """Record which files of a batch can't be read; tell whether others now replace them."""
        with self.lock:
            rows = self._rows(position)
        if not self._skips:
            return False
        found = self._substitutes.add(error, rows, self._source.path_of)
        if isinstance(self._followers, FileFollowers):
            found |= self._substitutes.add(error, rows, self._followers.mask_of)
        return found

    def _make_source(self) -> FileReader:
        settings, files = self._settings, list(self.filepaths)
        self._opened = files
        batch_size = min(self.batch_size, self.n)
        return open_source(settings, files, self._target, self.data_format, batch_size, self._stats)

    def _label(self, batch: Array, rows: NDArray[np.intp]) -> Any:
        if self.class_mode is None:
            return batch
        if self.class_mode == "input":
            labels: Any = batch.copy()
        elif self.class_mode == "multi_output":
            labels = [target[rows] for target in self.labels]
        elif self.class_mode == "raw":
            labels = self.labels[rows]
        elif self.class_mode in _NUMBERED:
            # Class numbers beyond 255 would wrap round in uint8.
            dtype = np.float32 if np.dtype(self.dtype).kind == "u" else self.dtype
            one_hot = self.class_mode == "categorical"
            labels = class_labels(self.classes, rows, len(self.class_indices), one_hot, dtype)
        else:
            check_one_of("class_mode", self.class_mode, DATAFRAME_CLASS_MODES)
        weights = self.sample_weight
        return (batch, labels) if weights is None else (batch, labels, weights[rows])


class DirectoryIterator(FileIterator, keras_legacy.DirectoryIterator):  # type: ignore[misc]
    """Batches of the images in a folder of class sub-folders, made by `flow_from_directory`.

    Parameters
    ----------
    directory
        Folder with one sub-folder per class.
    image_data_generator, target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, \
data_format, save_to_dir, save_prefix, save_format, follow_links, subset, interpolation, \
keep_aspect_ratio, dtype
        As in Keras 3.15's `DirectoryIterator`.
    extensions
        Which files are images, with or without the dot, in any case: e.g. (".webp", ".gif"); of an
        animation the first picture is taken.  None: `white_list_formats`, which is Keras' list.
    mask_directory
        Folder of masks with the names of the pictures, whatever the extension: greyscale or palette
        files of class numbers.  `fit` gets them as its labels, or with labels as a dictionary by
        Keras' names.  With `class_mode=None`, pictures may lie in `directory` itself.
    augment
        False gives images as they are: brought to their size and standardised, no more.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If the folder, or that of a class, is missing or is no folder.
    ValueError
        For arguments out of range.
    """

    allowed_class_modes = frozenset(DIRECTORY_CLASS_MODES)

    def __init__(
        self,
        directory: str | Path,
        image_data_generator: Settings | None,
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
        *,
        extensions: Sequence[str] | None = None,
        mask_directory: str | Path | None = None,
        augment: bool = True,
    ) -> None:
        options = checked_options(
            DIRECTORY_CLASS_MODES,
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
        check_flag("follow_links", follow_links)
        if extensions is None:
            ends = tuple(self.white_list_formats)
        else:
            ends = checked_extensions("extensions", extensions)
        self.split = split_of(subset, validation_split_of(image_data_generator))
        folder = folder_path("directory", directory)
        catalog = None
        if mask_directory is not None and classes is None:
            catalog = scan_flat(folder, self.split, ends)
            _check_no_class(folder, catalog, class_mode)
        if catalog is None or class_mode is not None:
            catalog = scan_directory(folder, classes, self.split, follow_links, ends)
        masks = None if mask_directory is None else mask_paths(catalog.filenames, mask_directory)
        say(f"Found {len(catalog.filenames)} images belonging to "
             f"{len(catalog.class_indices)} classes.")  # fmt: skip
        if class_mode == "binary" and len(catalog.class_indices) != 2:
            warnings.warn(
                f"class_mode='binary' gives one number, 0 or 1; there are "
                f"{len(catalog.class_indices)} classes: use 'categorical' or 'sparse'",
                stacklevel=users_stacklevel(),
            )
        super().__init__(catalog, image_data_generator, options, augment=augment, masks=masks)
        self.save_prefix, self.save_format = save_prefix, save_format


def _check_no_class(folder: str, flat: Catalog | None, class_mode: str | None) -> None:
    """Raise where pictures with masks lie in a folder without classes, and classes are wanted."""
    if flat is None or class_mode is None or any(path.is_dir() for path in Path(folder).iterdir()):
        return
    raise ValueError(
        f"{folder!r} holds pictures, but no folder for a class: class_mode=None takes them as they "
        "lie there, with their masks alone as labels"
    )


def validation_split_of(settings: Settings | None) -> float:
    """Return the share that is for validation."""
    return 0.0 if settings is None else settings._validation_split


def _image_shape(target: Target, data_format: str) -> tuple[int, int, int]:
    shape = target.slot_shape
    return (shape[2], *shape[:2]) if data_format == "channels_first" else shape
