"""Batches for Keras of images in memory."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug import keras_legacy
from fastaug.checks import check_flag
from fastaug.errors import users_stacklevel
from fastaug.files.catalog import split_of
from fastaug.iterators.base import BatchIterator
from fastaug.iterators.followed import warn_of_augmented_validation
from fastaug.iterators.followers import ArrayFollowers
from fastaug.iterators.passes import Position
from fastaug.iterators.saved_pictures import picture_saver
from fastaug.keras_settings import checked_format, default_dtype
from fastaug.pixels.layout import Array, channels_last, check_dtype, size_of
from fastaug.settings import Settings
from fastaug.sources.arrays import ArraySource
from fastaug.sources.base import Source


class NumpyArrayIterator(BatchIterator, keras_legacy.NumpyArrayIterator):  # type: ignore[misc]
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
    masks, boxes, box_labels, keypoints
        What follows the images, as `Augmenter` takes it.  `fit` gets it as its labels: one kind
        alone, several, or with `y`, as a dictionary by Keras' names.
    augment
        False gives images as they are: brought to their size and standardised, no more.

    Raises
    ------
    ValueError
        For images that are not of rank 4 or not numbers, and for lengths that differ.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Settings | None,
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
        *,
        masks: Any = None,
        boxes: Any = None,
        box_labels: Any = None,
        keypoints: Any = None,
        augment: bool = True,
    ) -> None:
        data_format = checked_format(data_format)
        check_flag("ignore_class_split", ignore_class_split)
        x, others = _split_inputs(x)
        images = check_images(x, data_format)
        y = None if y is None else _as_array("`y` (labels)", y)
        weights = None if sample_weight is None else _as_array("`sample_weight`", sample_weight)
        _check_lengths(images, others, y, weights)
        settings = Settings() if image_data_generator is None else image_data_generator
        part = _subset_slice(subset, len(images), settings, y, ignore_class_split)
        self._images = images[part]
        self._is_reached_into = False  # by a script, for `x`
        self.x_misc = [other[part] for other in others]
        self.y = None if y is None else y[part]
        # A quirk of Keras: a subset is taken of images and labels, but not of the weights.
        rows = slice(None) if settings.keras_quirks else part
        self.sample_weight = None if weights is None else weights[rows]
        _warn_of_fractions(settings, self._images)
        super().__init__(
            image_data_generator,
            n=len(self._images),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            image_shape=self._images.shape[1:],
            data_format=data_format,
            dtype=check_dtype("dtype", default_dtype() if dtype is None else dtype).name,
            saver=picture_saver(save_to_dir, save_prefix, save_format, data_format, numbers=10_000),
        )
        self.save_prefix, self.save_format = save_prefix, save_format
        given = {"masks": masks, "boxes": boxes, "box_labels": box_labels, "keypoints": keypoints}
        followers = None
        if any(value is not None for value in given.values()):
            size = size_of(images.shape[1:], data_format)
            followers = ArrayFollowers(settings, len(images), size, data_format, **given, part=part)
        self._follow(followers, augment=augment)
        warn_of_augmented_validation(settings, subset, augment=augment)

    @property
    def x(self) -> Array:
        """The images.  Whoever has them may change them: nothing is made ahead from then on."""
        if not self._is_reached_into:
            self._is_reached_into = True
            self._read_ahead.forget()
        return self._images

    @x.setter
    def x(self, value: Any) -> None:
        images = check_images(value, self.data_format)
        if len(images) < self.n:
            raise ValueError(f"x holds {len(images)} images for {self.n} samples: make a new flow")
        if self._followers is not None and images.shape[1:] != self.image_shape:
            raise ValueError(
                f"x holds images of {images.shape[1:]}, and masks, boxes or points follow those of "
                f"{tuple(self.image_shape)}: make a new flow"
            )
        self._images = images
        self.image_shape = images.shape[1:]
        self._read_ahead.forget()
        self._source = self._make_source()

    def _ahead(self, position: Position) -> list[Position]:
        return [] if self._is_reached_into else super()._ahead(position)

    def _make_source(self) -> Source:
        return ArraySource(self._images)

    def _label(self, batch: Array, rows: NDArray[np.intp]) -> Any:
        inputs = [batch, *(other[rows] for other in self.x_misc)] if self.x_misc else batch
        if self.y is None:
            return inputs
        if self.sample_weight is None:
            return inputs, self.y[rows]
        return inputs, self.y[rows], self.sample_weight[rows]


def _warn_of_fractions(settings: Settings, images: Array) -> None:
    """Warn of images that Keras' brightness makes black; looks at a few of them."""
    if settings.brightness_range is None or not settings.keras_quirks or not len(images):
        return
    few = np.asarray(images[:: -(-len(images) // 8)])
    if few.max() <= 1 and few.min() >= 0 and few.any():
        warnings.warn(
            "as in Keras, brightness_range cuts values to whole numbers, so that images with "
            "values from 0 to 1 come out black: give them from 0 to 255, with rescale=1/255; "
            "keras_quirks=False does not cut them",
            stacklevel=users_stacklevel(),
        )


def check_images(x: Any, data_format: str) -> Array:
    """Return images as an array, without a copy of one; ValueError unless rank 4 and numbers.

    Warns, as Keras does, unless there are 1, 3 or 4 channels.
    """
    images = _as_array("`x`", x)
    if images.dtype == object:
        with contextlib.suppress(TypeError, ValueError):  # raised below, with the shape
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
    return x[0], [_as_array("each other input in `x`", other) for other in others]


def _as_array(name: str, values: Any) -> Array:
    """Return what a user gave as an array; ValueError that names it where NumPy can't."""
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"{name} can't be made an array: {error}") from None


def _check_lengths(
    x: Array, others: list[Array], y: Array | None, sample_weight: Array | None
) -> None:
    for other in others:
        if x.shape[:1] != other.shape[:1]:
            raise ValueError(
                "All of the arrays in `x` should have the same length. Found a pair with: "
                f"x[0].shape = {x.shape}, x[?].shape = {other.shape}"
            )
    for name, values in (("`y` (labels)", y), ("`sample_weight`", sample_weight)):
        if values is not None and x.shape[:1] != values.shape[:1]:
            raise ValueError(
                f"`x` (images tensor) and {name} should have the same length. "
                f"Found: x.shape = {x.shape}, {name} shape = {values.shape}"
            )


def _subset_slice(
    subset: str | None,
    count: int,
    settings: Settings,
    y: Array | None,
    ignore_class_split: bool,
) -> slice:
    """Return the rows of a subset: validation comes first, as in Keras."""
    if split_of(subset, settings._validation_split) is None:
        return slice(None)
    border = int(count * settings._validation_split)
    if y is not None and not ignore_class_split:
        labels_before, labels_after = np.unique(y[:border]), np.unique(y[border:])
        if not np.array_equal(labels_before, labels_after):
            raise ValueError(
                "Training and validation subsets have different number of classes after the split. "
                "If your numpy arrays are sorted by the label, you might want to shuffle them."
            )
    return slice(None, border) if subset == "validation" else slice(border, None)
