"""`Generator`: ImageDataGenerator's interface.  Options are `Settings`; here are the verbs."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastaug import keras_legacy
from fastaug.checks import check_integer
from fastaug.files.annotations.coco import read_coco
from fastaug.files.annotations.voc import read_voc
from fastaug.files.annotations.yolo import read_yolo
from fastaug.files.dataframes import dataframe_arguments, refuse_names_outside
from fastaug.fitting.arrays import FitResult, fit_statistics, load_statistics, save_statistics
from fastaug.iterators.annotated import AnnotatedIterator
from fastaug.iterators.arrays import NumpyArrayIterator
from fastaug.iterators.base import BatchIterator
from fastaug.iterators.dataframes import DataFrameIterator
from fastaug.iterators.files import DirectoryIterator
from fastaug.overrides import replaceable, replaced
from fastaug.pixels.layout import Array
from fastaug.pixels.one_image import checked_image, transform_image
from fastaug.preview.preview import MAX_IMAGES, Preview, preview_of
from fastaug.settings import Settings
from fastaug.transforms.policy import Drawn
from fastaug.transforms.streams import streams_of_call


class Generator(Settings, keras_legacy.ImageDataGenerator):  # type: ignore[misc]
    """Augment, standardise and batch images for a Keras model, in place of ImageDataGenerator.

    The same seed gives the same pictures as the installed Keras' ImageDataGenerator.  Parameters
    up to `dtype` are Keras'; the others are keyword-only and fastaug's own.

    Parameters
    ----------
    featurewise_center, featurewise_std_normalization
        Subtract the data set's mean, divide by its standard deviation, per channel; needs `fit` or
        `load_statistics`.
    samplewise_center, samplewise_std_normalization
        Subtract each image's own mean, divide by its own standard deviation.
    zca_whitening, zca_epsilon
        Apply ZCA whitening; needs `fit` or `load_statistics`.
    rotation_range
        Largest rotation, in degrees, either way.
    width_shift_range, height_shift_range
        Largest shift: below 1 a share of the size, else pixels; an integer n draws from
        0 to n - 1 pixels, a list draws one of its numbers, both with a random sign.  With
        `keras_quirks` the two directions are swapped, as in Keras.
    brightness_range
        Pair of brightness factors to draw from.
    shear_range
        Largest shear angle, in degrees.
    zoom_range
        Pair of factors to draw from for each direction, or z for [1 - z, 1 + z]; below 1 enlarges.
    channel_shift_range
        Largest number that is added to all channels.
    fill_mode, cval
        What lies outside: "constant" (`cval`), "nearest", "reflect" or "wrap".
    horizontal_flip, vertical_flip
        Flip half of the images, at random.
    rescale
        Factor for all values, after the augmentation and `preprocessing_function`.
    preprocessing_function
        Function of one image, (height, width, channels) float, that returns one of the same shape.
        Called after the augmentation and before `rescale`, in this process: any callable will do.
        Marked with `fastaug.batched`, it gets the whole batch.  "tf", "caffe" and "torch" are the
        modes of `keras.applications`, done by the kernels; so are its `preprocess_input` functions.
    data_format
        "channels_last" or "channels_first"; None means Keras' `image_data_format`.
    validation_split
        Share of the images that `subset="validation"` takes.
    interpolation_order
        0 nearest pixel, 1 linear; 2 to 5 are splines, done by SciPy.
    dtype
        "float32", "float64", "float16" or "uint8" (rounded); None means Keras' `floatx`.
    pool
        As in the fork of 2017: a number of processes, or a `multiprocessing.Pool`, whose size is
        taken.  Means the same as `workers`.
    workers
        Decode processes; None means as many as there are usable cores, 0 decodes in the caller.
    threads
        Threads that kernels use; None means all that `fastaug.set_num_threads` leaves.
    read_ahead
        How many batches are made ahead while the caller is busy with the last one, and how many
        batches of files are decoded ahead of those; 0 makes each one when it is asked for.
    timeout
        Seconds without progress after which reading files gives up.
    on_error
        "raise": a file that can't be read raises `DecodeError`.  "skip": the next sample of the
        epoch that can be read takes its place; a warning at the end of the epoch counts them, and
        `iterator.errors` lists the files.  So it is with pictures that annotations name and that
        are not there.
    decode
        "exact": the pixels of Keras.  "fast": photos at least twice as large as `target_size` are
        decoded at a smaller scale and brought to size with antialiasing; their pixels differ.
    exif_transpose
        Whether photos are turned upright as their EXIF data say; Keras does not.
    scale_16bit
        Whether greyscale of 16 bits is scaled to 0 to 255.  False: as in Keras, values above 255
        are cut to white in "rgb" and "rgba", and kept in "grayscale".
    cache
        Where decoded images are kept, so that files are decoded in the first epoch alone: None for
        nowhere, "memory" (shared by the iterators of this generator), or the path of a folder.
    cache_bytes
        How much memory `cache="memory"` takes at most; None means half of what is free when the
        first iterator is made.
    keras_quirks
        True: exactly what Keras does.  False: what its documentation says, where that differs
        (direction of shifts, centre of images that aren't square, brightness cut to whole numbers,
        sample weights of a subset).
    transforms
        A list of `fastaug.transforms`: augmentations that Keras does not have.
    bounding_box_format
        Of the boxes that come in and go out, by Keras 3's names: "xyxy", "rel_xyxy", "xywh",
        "center_xywh", "yxyx" and so on.
    max_boxes
        How many boxes of an image a batch has room for; None: as many as the image with the most.
    min_visibility, min_area
        What must be left of a box in the picture: a share of its area, and square pixels; a box
        with less is dropped, with its label.
    mask_fill
        What mask pixels from outside of the picture get where `fill_mode` is "constant".
    erase_masks
        Whether holes that are erased in images become `mask_fill` in masks.
    flip_pairs
        Pairs of numbers of keypoints that change places where an image is mirrored; None: those
        that a COCO file names alike but for "left" and "right", else none.
    dim_ordering
        Keras 1's name for `data_format`: "tf", "th" or "default".

    Raises
    ------
    ValueError, TypeError
        For any wrong argument, with its name, its value and what is accepted.

    References
    ----------
    Keras 3.15, `keras.src.legacy.preprocessing.image.ImageDataGenerator`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastaug import Generator
    >>> generator = Generator(rotation_range=45, horizontal_flip=True, rescale=1 / 255)
    >>> images = np.zeros((10, 32, 32, 3), np.uint8)
    >>> batches = generator.flow(images, np.arange(10), batch_size=4, seed=1)
    >>> x, y = next(batches)
    >>> x.shape, x.dtype
    ((4, 32, 32, 3), dtype('float32'))
    """

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
        *,
        masks: Any = None,
        boxes: Any = None,
        box_labels: Any = None,
        keypoints: Any = None,
        augment: bool = True,
    ) -> NumpyArrayIterator:
        """Iterate over images in memory, with Keras' parameters; see `NumpyArrayIterator`."""
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            ignore_class_split=ignore_class_split,
            dtype=self.dtype,
            masks=masks,
            boxes=boxes,
            box_labels=box_labels,
            keypoints=keypoints,
            augment=augment,
        )

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
        *,
        extensions: Sequence[str] | None = None,
        mask_directory: str | Path | None = None,
        augment: bool = True,
    ) -> DirectoryIterator:
        """Iterate over a folder of class sub-folders; see `DirectoryIterator`."""
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
            extensions=extensions,
            mask_directory=mask_directory,
            augment=augment,
        )

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
        *,
        mask_col: str | None = None,
        boxes_col: str | None = None,
        box_labels_col: str | None = None,
        augment: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Iterate over the files that a data frame names; see `DataFrameIterator`.

        `keep_aspect_ratio` is accepted too, and so are Keras' old `has_ext`, `sort` and
        `drop_duplicates`, which change nothing.  With `root_only=True` a file name that leads out
        of `directory` (absolute and elsewhere, by `..`, through a link) is a ValueError.
        """
        keep_aspect_ratio, root_only = dataframe_arguments(kwargs)
        if root_only:
            refuse_names_outside(dataframe, directory, x_col)
        if class_mode == "other":
            warnings.warn(
                '`class_mode="other"` is deprecated, please use `class_mode="raw"`.',
                DeprecationWarning,
                stacklevel=2,
            )
            class_mode = "raw"
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
            validate_filenames=validate_filenames,
            mask_col=mask_col,
            boxes_col=boxes_col,
            box_labels_col=box_labels_col,
            augment=augment,
        )

    def flow_from_coco(
        self,
        path: str | Path,
        directory: str | Path,
        *,
        targets: Sequence[str] = ("boxes",),
        on_bad_box: str = "raise",
        **options: Any,
    ) -> AnnotatedIterator:
        """Iterate over the pictures of a COCO file.

        Parameters
        ----------
        path
            The JSON file.
        directory
            Where the pictures are.
        targets
            What `fit` gets as labels: "boxes" ({"boxes", "labels"}), "masks" (0, or a class number
            + 1, and 255 for crowds), "keypoints" ((n, boxes, points, 3) of x, y, visibility, in the
            order of the boxes; -1, -1, 0 where there is no box), or several, as a dictionary by
            Keras' names.
        on_bad_box
            What happens to boxes that are none, or reach out of their picture: "raise", "clip",
            "skip".
        **options
            Those of `AnnotatedIterator`.
        """
        wanted = targets if isinstance(targets, Sequence) else ()
        annotations = read_coco(
            path,
            directory,
            on_bad_box=on_bad_box,
            segments="masks" in wanted,
            keypoints="keypoints" in wanted,
            upright=bool(self.exif_transpose),
            skips=self.on_error == "skip",
        )
        return AnnotatedIterator(annotations, self, targets=targets, **options)

    def flow_from_yolo(
        self,
        directory: str | Path,
        labels: str | Path | None = None,
        *,
        classes: Sequence[str] | None = None,
        targets: Sequence[str] = ("boxes",),
        on_bad_box: str = "raise",
        **options: Any,
    ) -> AnnotatedIterator:
        """Iterate over the pictures of a folder with YOLO's text files.

        Parameters
        ----------
        directory
            Where the pictures are.
        labels
            Where the text files are; None: `labels` in the place of `images`, or beside them.
        classes
            Names by number; None: those of `data.yaml` or `classes.txt`, or the numbers.
        targets, on_bad_box, **options
            As in `flow_from_coco`; there are no keypoints.
        """
        annotations = read_yolo(
            directory,
            labels,
            classes,
            on_bad_box=on_bad_box,
            upright=bool(self.exif_transpose),
            skips=self.on_error == "skip",
        )
        return AnnotatedIterator(annotations, self, targets=targets, **options)

    def flow_from_voc(
        self,
        annotations: str | Path,
        directory: str | Path,
        *,
        classes: Sequence[str] | None = None,
        difficult: bool = True,
        on_bad_box: str = "raise",
        **options: Any,
    ) -> AnnotatedIterator:
        """Iterate over the pictures of Pascal VOC's XML files.

        Parameters
        ----------
        annotations
            Folder of the XML files.
        directory
            Where the pictures are.
        classes
            Names by number; None: all, by the alphabet.
        difficult
            Whether objects that are marked as difficult count.
        on_bad_box, **options
            As in `flow_from_coco`, but for `targets`: there are only boxes.
        """
        read = read_voc(
            annotations,
            directory,
            classes,
            difficult=difficult,
            on_bad_box=on_bad_box,
            upright=bool(self.exif_transpose),
            skips=self.on_error == "skip",
        )
        return AnnotatedIterator(read, self, **options)

    def describe(self) -> None:
        """Print what happens to every image, in order."""
        print(self.words())  # noqa: T201 - that is what it is for

    def preview(
        self, source: Any, n: int = 16, path: str | Path | None = None, **options: Any
    ) -> Preview:
        """Draw a contact sheet: images, and beside each what the model gets of it.

        The pictures are those of training, to the last bit: the first ones that `next()` gives out.
        They are mapped back to 0 to 255 by undoing the standardisation, never stretched; the sheet
        says what was undone, and what could not be.

        Parameters
        ----------
        source
            Images, rank 4; a folder of class sub-folders, where others take the places of
            broken files; or an iterator of this generator, which stays where it is.
        n
            How many images at most.
        path
            Where to save the sheet; None doesn't.
        **options
            Those of `flow` or `flow_from_directory`, such as `seed` (0), `shuffle` and
            `target_size`; not for an iterator.

        Returns
        -------
        A `fastaug.Preview`: shown by a notebook, with `image`, `batch` and `save(path)`.

        Raises
        ------
        ValueError, TypeError
            For wrong arguments, and for images that have not 1, 3 or 4 channels.
        """
        check_integer("n", n, minimum=1, maximum=MAX_IMAGES)
        if isinstance(source, BatchIterator):
            preview = self._preview_of_iterator(source, n, options)
        elif isinstance(source, str | os.PathLike):
            skipping = copy.copy(self)
            skipping.on_error = "skip"
            with skipping.flow_from_directory(os.fspath(source), **{"seed": 0} | options) as files:
                if not files.n:
                    raise ValueError(f"there is no image in the sub-folders of {str(source)!r}")
                preview = preview_of(files, n, repr(self))
        else:
            with self.flow(source, **{"seed": 0} | options) as arrays:
                preview = preview_of(arrays, n, repr(self))
        if path is not None:
            preview.save(path)
        return preview

    def _preview_of_iterator(
        self, iterator: BatchIterator, n: int, options: dict[str, Any]
    ) -> Preview:
        if iterator.image_data_generator is not self:
            raise ValueError(
                "the iterator was made by another generator: call preview of its own, "
                "iterator.image_data_generator"
            )
        if options:
            raise TypeError(
                f"an iterator has its options already, among them {next(iter(options))}"
            )
        return preview_of(iterator, n, repr(self))

    @replaceable
    def get_random_transform(
        self, img_shape: tuple[int, ...], seed: int | None = None
    ) -> dict[str, Any]:
        """Draw the parameters of one image's augmentation, as Keras does.

        Parameters
        ----------
        img_shape
            Shape of the image, in `data_format`.
        seed
            Seed of the draw; None draws from NumPy's global state.

        Returns
        -------
        Keras' dictionary: `theta`, `tx`, `ty`, `shear`, `zx`, `zy`, `flip_horizontal`,
        `flip_vertical`, `channel_shift_intensity`, `brightness`; and under its name what each of
        `transforms` drew (`Solarize`, and `Solarize 2` for a second one).
        """
        return self._draw_one(img_shape, seed).parameters(0)

    def _draw_one(self, shape: tuple[int, ...], seed: int | None) -> Drawn:
        """Draw for one image of a shape."""
        policy = self.policy()
        streams = streams_of_call(seed, keyed=bool(policy.transforms))
        return policy.draw(streams, 1, (shape[self.row_axis - 1], shape[self.col_axis - 1]))

    @replaceable
    def apply_transform(self, x: Array, transform_parameters: dict[str, Any]) -> Array:
        """Return an image changed by a dictionary of parameters.

        Parameters
        ----------
        x
            One image, rank 3, in `data_format`; not changed.
        transform_parameters
            The dictionary of `get_random_transform`; what is missing in it changes nothing, and
            unknown names are ignored with one warning.

        Returns
        -------
        A new image, of the same shape unless one of `transforms` gives another size.  A float image
        keeps its dtype, and so does one of whole numbers, rounded, where pixels only move.

        Raises
        ------
        ValueError, TypeError
            If `x` is not one image of numbers, or a parameter is no number.
        """
        x = checked_image(x)
        size = x.shape[self.row_axis - 1], x.shape[self.col_axis - 1]
        drawn = self.policy().replay(transform_parameters, size)
        return transform_image(self.drawn_recipe(), x, drawn)

    @replaceable
    def random_transform(self, x: Array, seed: int | None = None) -> Array:
        """Return an image with a random augmentation: a draw, and what `apply_transform` does."""
        x = checked_image(x)
        if replaced(self, "get_random_transform") or replaced(self, "apply_transform"):
            return self.apply_transform(x, self.get_random_transform(x.shape, seed))
        return transform_image(self.drawn_recipe(), x, self._draw_one(x.shape, seed))

    @replaceable
    def standardize(self, x: Array) -> Array:
        """Apply `preprocessing_function`, `rescale` and the standardisations to `x`, as Keras does.

        Parameters
        ----------
        x
            An image or a batch, float; changed in place where NumPy can.  The samplewise steps take
            the mean of all of it.

        Returns
        -------
        The standardised array: `x` itself, or a new one after a function or ZCA.
        """
        self.warn_of_missing_statistics()
        return self.standardization(np.shape(x)[self.channel_axis - 4]).apply(x)

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute mean, deviation and whitening from sample data.

        Parameters
        ----------
        x
            Images, rank 4, in `data_format`; not changed.
        augment, rounds
            Whether to augment the images first, and how many times over.
        seed
            Seed of that augmentation; None draws from NumPy's global state.
        """
        self._set_statistics(fit_statistics(self, x, augment, rounds, seed))

    def load_statistics(self, path: str | Path) -> None:
        """Set `mean`, `std` and `zca_whitening_matrix` from a file, in place of `fit`.

        Parameters
        ----------
        path
            What `fastaug stats`, `fastaug.fit_folder` or `save_statistics` wrote.

        Raises
        ------
        ValueError
            If it is no such file, lacks what an option of this generator needs, or was made with
            another `rescale` or `zca_epsilon`; nothing is set then.
        """
        self._set_statistics(load_statistics(self, path))

    def _set_statistics(self, statistics: FitResult) -> None:
        if statistics.mean is not None:
            self.mean = statistics.mean
        if statistics.std is not None:
            self.std = statistics.std
        if statistics.whitening is not None:
            self.zca_whitening_matrix = statistics.whitening

    def save_statistics(self, path: str | Path) -> None:
        """Write what `fit` has found to a JSON file, for `load_statistics`.

        Raises
        ------
        ValueError
            If there is nothing to write, or it was not set by `fit`.
        """
        save_statistics(self, path)
