"""`Generator`: ImageDataGenerator's interface.  Checks once, builds the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastaug.cache import MemoryCaches
from fastaug.describe import changed_options, describe
from fastaug.draws import batch_stream, draw_batch
from fastaug.errors import check_flag, users_stacklevel
from fastaug.flows import Flows
from fastaug.keras_settings import default_data_format, default_dtype
from fastaug.options import (
    check_dtype,
    check_options,
    check_split,
    checked_transforms,
    drawn_recipe_of,
    ranges_of,
    recipe_of,
    resolve_data_format,
    resolve_workers,
    visible_quirks,
    zoom_pair,
)
from fastaug.pipeline import Array
from fastaug.preview import Preview, preview_of
from fastaug.statistics import fit_statistics, load_statistics, save_statistics, standardize
from fastaug.transform_image import apply_parameters
from fastaug.transforms import Transform


class Generator(Flows):
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
        `iterator.errors` lists the files.
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
        Augmentations that Keras does not have, from `fastaug.transforms`.
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

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Array], Array] | str | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
        *,
        pool: Any = None,
        workers: int | None = None,
        threads: int | None = None,
        read_ahead: int = 2,
        timeout: float = 120.0,
        on_error: str = "raise",
        decode: str = "exact",
        exif_transpose: bool = False,
        scale_16bit: bool = False,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
        keras_quirks: bool = True,
        transforms: Sequence[Transform] = (),
        dim_ordering: str | None = None,
    ) -> None:
        self._given = {name: value for name, value in locals().items() if name != "self"}
        data_format = resolve_data_format(data_format, dim_ordering)
        self.featurewise_center = featurewise_center
        self.samplewise_center = samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening = zca_whitening
        self.zca_epsilon = zca_epsilon
        self.rotation_range = rotation_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.brightness_range = brightness_range
        self.shear_range = shear_range
        self.zoom_range = zoom_pair(zoom_range)
        self.channel_shift_range = channel_shift_range
        self.fill_mode = fill_mode
        self.cval = cval
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.data_format = data_format or default_data_format()
        self.interpolation_order = interpolation_order
        self.dtype = check_dtype(default_dtype() if dtype is None else dtype).name
        self.workers = resolve_workers(pool, workers)
        self.threads = threads
        self.read_ahead = read_ahead
        self.timeout = timeout
        self.on_error = on_error
        self.decode = decode
        self.exif_transpose = exif_transpose
        self.scale_16bit = scale_16bit
        self.cache = cache
        self.cache_bytes = cache_bytes
        self.memory_caches = MemoryCaches(cache_bytes)
        check_flag("keras_quirks", keras_quirks)
        self.keras_quirks = bool(keras_quirks)
        self.transforms = checked_transforms(transforms)
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        check_split(validation_split)
        self._validation_split = validation_split
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None
        self._quirks_told = False
        check_options(self)
        self._settle_standardization()

    def _settle_standardization(self) -> None:
        """Switch on what an option needs and off what it excludes, with Keras' warnings."""
        for option, other, value in (
            ("zca_whitening", "featurewise_center", True),
            ("zca_whitening", "featurewise_std_normalization", False),
            ("featurewise_std_normalization", "featurewise_center", True),
            ("samplewise_std_normalization", "samplewise_center", True),
        ):
            if getattr(self, option) and bool(getattr(self, other)) is not value:
                setattr(self, other, value)
                warnings.warn(
                    f"This Generator specifies `{option}`, which overrides setting of `{other}`.",
                    stacklevel=3,
                )

    def __repr__(self) -> str:
        changed = changed_options(self._given, type(self))
        return f"Generator({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def describe(self) -> None:
        """Print what happens to every image, in order."""
        print(describe(self))  # noqa: T201 - that is what it is for

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
        A `fastaug.preview.Preview`: shown by a notebook, with `image`, `batch` and `save(path)`.

        Raises
        ------
        ValueError, TypeError
            For wrong arguments, and for images that have not 1, 3 or 4 channels.
        """
        return preview_of(self, source, n, path, options)

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
        `flip_vertical`, `channel_shift_intensity`, `brightness`.
        """
        rng = np.random if seed is None else batch_stream(seed, 0)
        height, width = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        return draw_batch(ranges_of(self), rng, 1, height, width).parameters(0)

    def apply_transform(self, x: Array, transform_parameters: dict[str, Any]) -> Array:
        """Return an image changed by a dictionary of parameters.

        Parameters
        ----------
        x
            One image, rank 3, in `data_format`; not changed.
        transform_parameters
            Keras' dictionary, see `get_random_transform`; missing ones change nothing.

        Returns
        -------
        A new image of the same shape.
        """
        return apply_parameters(drawn_recipe_of(self), np.asarray(x), transform_parameters)

    def random_transform(self, x: Array, seed: int | None = None) -> Array:
        """Return an image with a random augmentation: a draw, then `apply_transform`."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

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
        return standardize(recipe_of(self), x)

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
        fit_statistics(self, x, augment, rounds, seed)

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
        load_statistics(self, path)

    def save_statistics(self, path: str | Path) -> None:
        """Write what `fit` has found to a JSON file, for `load_statistics`.

        Raises
        ------
        ValueError
            If there is nothing to write, or it was not set by `fit`.
        """
        save_statistics(self, path)

    def warn_of_quirks(self, height: int, width: int) -> None:
        """Warn, once, if quirks of Keras show in images of this size."""
        quirks = visible_quirks(self, height, width) if self.keras_quirks else []
        if quirks and not self._quirks_told:
            self._quirks_told = True
            warnings.warn(
                f"as in Keras, {'; and '.join(quirks)}. "
                "keras_quirks=False does what the documentation says.",
                stacklevel=users_stacklevel(),
            )
