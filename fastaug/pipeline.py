"""One batch: drawn numbers and source pixels in, a finished batch out.

Order (Keras'): warp -> channel shift -> horizontal flip -> vertical flip -> brightness -> our own
transforms -> preprocessing_function -> rescale -> samplewise -> featurewise -> ZCA.  Flips commute
with the channel shift and are done while warping.  Pure: no files, no state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.buffers import empty_batch
from fastaug.draws import Draws, transform_stream
from fastaug.geometry import compose, moves, pull_matrices
from fastaug.kernels.batch import Standards, Transforms, augment
from fastaug.kernels.launch import launch
from fastaug.kernels.warp import FILL_MODES
from fastaug.spline import warp_spline
from fastaug.transforms import Geometric, Photometric, Transform

Array = NDArray[Any]
EPSILON = 1e-6  # what Keras adds to a deviation before it divides by it
DTYPES = ("float16", "float32", "float64", "uint8")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do with every batch, checked and ready for the kernels.

    `mean`, `deviation` and `whitening` are None where that step is off.  The first two broadcast
    against one image in `data_format`; the last is (values, values) of a flattened image.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    data_format: str = "channels_last"
    fill_mode: str = "nearest"
    cval: float = 0.0
    order: int = 1
    quirks: bool = True
    transforms: tuple[Transform, ...] = ()
    preprocessing_function: Callable[[Array], Array] | None = None
    rescale: float | None = None
    samplewise_center: bool = False
    samplewise_normalize: bool = False
    mean: Array | None = None
    deviation: Array | None = None
    whitening: Array | None = None
    threads: int | None = None

    @property
    def working_dtype(self) -> np.dtype[Any]:
        """The dtype in which a batch is computed: float64 where that is asked for."""
        return np.dtype(np.float64 if self.dtype == np.float64 else np.float32)


@dataclass(frozen=True, slots=True)
class BatchDraws:
    """The randomness of one batch of n images.

    `keras` holds Keras' numbers; `seed` and `batches_seen` name the streams from which our own
    transforms draw; `samples` (n,) are the images' numbers in the data set, for messages.
    """

    keras: Draws
    seed: int
    batches_seen: int
    samples: NDArray[np.intp]


def channels_last(images: Array, data_format: str) -> Array:
    """Return a view with the channels behind, of an image or of a batch."""
    return np.moveaxis(images, -3, -1) if data_format == "channels_first" else images


def make_batch(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: BatchDraws) -> Array:
    """Augment and standardise one batch.

    Parameters
    ----------
    recipe
        What to do.
    images
        (any, ...) source images in `recipe.data_format`, of any real dtype; never changed.
    rows
        (n,) which of them make the batch.
    draws
        The batch's randomness.

    Returns
    -------
    (n, ...) batch in `recipe.data_format` and `recipe.dtype`: new, C-contiguous, the caller's own.

    Raises
    ------
    ValueError
        If `preprocessing_function` returns something that is no image of the same size.
    """
    batch = empty_batch((len(rows), *images.shape[1:]), recipe.working_dtype)
    if not batch.size:
        return batch.astype(recipe.dtype)
    plan = _plan(recipe, images, rows, draws)
    standards = _standards(recipe, batch.shape[1:])
    if recipe.preprocessing_function is None and not _photometric(recipe):
        _run(recipe, plan, standards, batch)
    else:
        _run(recipe, plan, standards, batch, standardizing=False)
        _apply_transforms(recipe, batch, draws)
        _preprocess(recipe, batch, draws.samples)
        _run(recipe, plan, standards, batch, transforming=False)
    if recipe.whitening is not None:
        batch = (batch.reshape(len(batch), -1) @ recipe.whitening).reshape(batch.shape)
    return _as_output(batch, recipe.dtype)


def transform_images(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: Draws) -> Array:
    """Return a batch after all that Keras draws, not standardised, in the working dtype."""
    batch = empty_batch((len(rows), *images.shape[1:]), recipe.working_dtype)
    recipe = replace(recipe, transforms=())
    plan = _plan(recipe, images, rows, BatchDraws(draws, 0, 0, rows))
    nothing = _standards(Recipe(dtype=recipe.dtype), images.shape[1:])
    _run(recipe, plan, nothing, batch, standardizing=False)
    return batch


class _Plan(NamedTuple):
    """The kernel's arguments for the drawn stage."""

    images: Array
    rows: NDArray[np.intp]
    transforms: Transforms


def _run(
    recipe: Recipe,
    plan: _Plan,
    standards: Standards,
    batch: Array,
    *,
    transforming: bool = True,
    standardizing: bool = True,
) -> None:
    """Launch the kernel on a batch, for one of its two stages or for both."""
    target = channels_last(batch, recipe.data_format)
    launch(augment, *plan, standards, transforming, standardizing, target, threads=recipe.threads)


def _plan(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: BatchDraws) -> _Plan:
    """Turn drawn numbers into the kernel's arguments; splines are warped here, by SciPy."""
    images = channels_last(images, recipe.data_format)
    height, width = images.shape[1:3]
    keras = draws.keras
    matrices = pull_matrices(keras, height, width, quirks=recipe.quirks)
    warped = moves(keras)
    for transform in recipe.transforms:
        if isinstance(transform, Geometric):
            drawn = transform.draw(_stream(draws, transform), len(rows))
            # Our own come first, so they are the last step on the way back to the source.
            matrices = compose(transform.matrices(drawn, height, width), matrices)
            warped = np.ones(len(rows), bool)
    if recipe.order > 1 and warped.any():
        images = images[rows].astype(recipe.working_dtype)
        images = warp_spline(images, matrices, warped, recipe.order, recipe.fill_mode, recipe.cval)
        rows, warped = np.arange(len(rows)), np.zeros(len(rows), bool)
    shifts, factors = keras.channel_shift_intensity, keras.brightness
    transforms = Transforms(
        matrices=matrices,
        warped=warped,
        flip_vertical=keras.flip_vertical,
        flip_horizontal=keras.flip_horizontal,
        order=min(recipe.order, 1),
        fill_mode=FILL_MODES[recipe.fill_mode],
        cval=float(recipe.cval),
        # Contiguous, because Numba would compile the kernel once more for columns of a matrix.
        shifts=np.ascontiguousarray(() if shifts is None else shifts, recipe.working_dtype),
        factors=np.ascontiguousarray(() if factors is None else factors, np.float32),
        quirks=recipe.quirks,
    )
    return _Plan(*_source(images, rows, recipe.working_dtype), transforms)


def _source(
    images: Array, rows: NDArray[np.intp], dtype: np.dtype[Any]
) -> tuple[Array, NDArray[np.intp]]:
    """Return images of a kind that the kernel reads, without a copy where that is possible.

    Other dtypes and memory layouts would each take seconds to compile for; copying the batch takes
    a small part of the time that its warp does.
    """
    if images.dtype == np.uint8:
        dtype = images.dtype
    if images.dtype != dtype or not (images.flags.c_contiguous and images.flags.aligned):
        images, rows = np.ascontiguousarray(images[rows], dtype), np.arange(len(rows))
    # A read-only view of the plain class: memmaps, read-only and writable arrays share one kernel.
    images = images.view(np.ndarray)
    images.flags.writeable = False
    return images, rows


def _standards(recipe: Recipe, shape: tuple[int, ...]) -> Standards:
    """Turn the recipe's second half into the kernel's arguments."""
    dtype = recipe.working_dtype
    mean = np.zeros((1, 1, 1)) if recipe.mean is None else recipe.mean
    divisor = np.ones((1, 1, 1)) if recipe.deviation is None else recipe.deviation + EPSILON
    return Standards(
        scaled=bool(recipe.rescale),
        scale=dtype.type(recipe.rescale or 1),
        sample_center=recipe.samplewise_center,
        sample_normalize=recipe.samplewise_normalize,
        featurewise=recipe.mean is not None or recipe.deviation is not None,
        mean=_feature_array("mean", mean, shape, recipe),
        divisor=_feature_array("std", divisor, shape, recipe),
    )


def _feature_array(name: str, value: Any, shape: tuple[int, ...], recipe: Recipe) -> Array:
    """Return a statistic as a (1 or height, 1 or width, 1 or channels) array."""
    value = np.asarray(value, recipe.working_dtype)
    try:
        fits = np.broadcast_shapes(value.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"the generator's {name} has shape {value.shape}, which does not broadcast against "
            f"an image of shape {tuple(shape)} ({recipe.data_format})"
        )
    value = value.reshape((1,) * (3 - value.ndim) + value.shape)
    return np.ascontiguousarray(channels_last(value, recipe.data_format))


def _photometric(recipe: Recipe) -> list[Photometric]:
    return [transform for transform in recipe.transforms if isinstance(transform, Photometric)]


def _stream(draws: BatchDraws, transform: Transform) -> np.random.Generator:
    return transform_stream(draws.seed, draws.batches_seen, type(transform).__name__)


def _apply_transforms(recipe: Recipe, batch: Array, draws: BatchDraws) -> None:
    for transform in _photometric(recipe):
        drawn = transform.draw(_stream(draws, transform), len(batch))
        transform.apply(channels_last(batch, recipe.data_format), drawn)


def _preprocess(recipe: Recipe, batch: Array, samples: NDArray[np.intp]) -> None:
    """Call the user's function on every image and keep what it returns."""
    function = recipe.preprocessing_function
    if function is None:
        return
    name = getattr(function, "__name__", repr(function))
    channel_axis = 0 if recipe.data_format == "channels_first" else -1
    one_channel = list(batch.shape[1:])
    one_channel[channel_axis] = 1
    for image, sample in zip(batch, samples, strict=True):
        where = f"preprocessing_function {name!r}, called on sample {sample}"
        try:
            result = np.asarray(function(image))
        except StopIteration as error:
            # TensorFlow would take it for the end of the data.
            raise RuntimeError(f"{where}, raised StopIteration") from error
        except Exception as error:
            if hasattr(error, "add_note"):  # Python 3.11 and later
                error.add_note(f"raised by {where}")
            raise
        if result.dtype.kind not in "biuf":
            raise ValueError(
                f"{where}, returned {result!r:.60}; it must return an array of numbers"
            )
        if result.shape not in (image.shape, tuple(one_channel)):
            raise ValueError(
                f"{where}, returned shape {result.shape}; it must return {image.shape}"
            )
        image[...] = result


def _as_output(batch: Array, dtype: np.dtype[Any]) -> Array:
    """Convert a computed batch to the dtype that was asked for; uint8 is rounded and clipped."""
    if batch.dtype == dtype:
        return batch
    out = empty_batch(batch.shape, dtype)
    if dtype == np.uint8:
        batch = np.clip(np.rint(batch), 0, 255)
    np.copyto(out, batch, casting="unsafe")
    return out
