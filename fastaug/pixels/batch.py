"""One batch: drawn numbers and source pixels in, a finished batch out.

Order (Keras'): warp -> channel shift -> horizontal flip -> vertical flip -> brightness -> our own
transforms -> preprocessing_function -> rescale -> samplewise -> featurewise -> ZCA.  Flips commute
with the channel shift and are done while warping.  Pure: no files, no state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Stats
from fastaug.kernels.batch import (
    Finish,
    Transforms,
    augment_blocks,
    augment_images,
    finish_images,
)
from fastaug.kernels.lanes import WIDTH as LANES
from fastaug.kernels.launch import COMPILED, Pace, launch, limited_threads
from fastaug.kernels.warp import FILL_MODES
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import Array, as_bits, channels_last, layout_of, source_of, working_dtype
from fastaug.pixels.preprocessing import call_function
from fastaug.pixels.spline import warp_spline
from fastaug.pixels.standardization import Standardization
from fastaug.transforms import Geometric, Photometric, Transform
from fastaug.transforms.geometry import compose
from fastaug.transforms.keras.draws import Draws
from fastaug.transforms.keras.matrices import moves, pull_matrices
from fastaug.transforms.streams import transform_stream

_LARGE = 2**20  # pixels of an image whose rows are shared out among threads, ...
_FEW_LARGE = 2**16  # ... and of images that are fewer than the threads
_OFFSETS = 2**31  # the lanes' offsets into an image are 32 bits wide


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do with every batch, checked and ready for the kernels.

    `plain` warps without vector instructions, with the same result.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    data_format: str = "channels_last"
    fill_mode: str = "nearest"
    cval: float = 0.0
    order: int = 1
    quirks: bool = True
    transforms: tuple[Transform, ...] = ()
    standardization: Standardization = Standardization()
    threads: int | None = None
    plain: bool = False

    @property
    def working_dtype(self) -> np.dtype[Any]:
        """The dtype in which a batch is computed: float64 where that is asked for."""
        return working_dtype(self.dtype)

    @property
    def channel_axis(self) -> int:
        """Where the channels are, from the end."""
        return -3 if self.data_format == "channels_first" else -1


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


def make_batch(
    recipe: Recipe,
    images: Array,
    rows: NDArray[np.intp],
    draws: BatchDraws,
    buffers: BatchBuffers | None = None,
    pace: Pace | None = None,
    stats: Stats | None = None,
) -> Array:
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
    buffers
        Where memory for batches comes from; None takes new memory.
    pace
        What was learned from the batches before, for the number of threads.
    stats
        Where the seconds in `preprocessing_function` are counted.

    Returns
    -------
    (n, ...) batch in `recipe.data_format` and `recipe.dtype`: C-contiguous, the caller's own.

    Raises
    ------
    ValueError
        If `preprocessing_function` returns something that is no image of the same size.
    """
    buffers, pace = buffers or BatchBuffers(), pace or Pace()
    shape = images.shape[1:]
    if not len(rows):
        return buffers.lend((0, *shape), recipe.dtype)
    working, last = recipe.working_dtype, recipe.standardization
    finish = last.finish(shape, recipe.data_format, working)
    photometric = [one for one in recipe.transforms if isinstance(one, Photometric)]
    function, whitening = last.function, last.whitening
    dtype = recipe.dtype if whitening is None else working
    with limited_threads(recipe.threads, pace) as threads:
        plan = _plan(recipe, images, rows, draws)
        if function is not None or photometric:
            batch = _augment(recipe, threads, plan, _nothing(working), working, buffers, pace)
            for transform in photometric:
                drawn = transform.draw(_stream(draws, transform), len(batch))
                transform.apply(channels_last(batch, recipe.data_format), drawn)
            if function is not None:
                with (stats or Stats()).timing("function_s"):
                    call_function(function, batch, recipe.channel_axis, draws.samples)
            batch = _finished(recipe, threads, batch, finish, dtype, buffers)
        else:
            batch = _augment(recipe, threads, plan, finish, dtype, buffers, pace)
        if whitening is not None:
            batch = _whiten(batch, whitening, buffers)
            nothing = _nothing(working)
            batch = _finished(recipe, threads, batch, nothing, recipe.dtype, buffers)
    return batch


def transform_images(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: Draws) -> Array:
    """Return a batch after all that Keras draws, not standardised, in the working dtype."""
    working = recipe.working_dtype
    plan = _plan(replace(recipe, transforms=()), images, rows, BatchDraws(draws, 0, 0, rows))
    with limited_threads(recipe.threads) as threads:
        nothing = _nothing(working)
        return _augment(recipe, threads, plan, nothing, working, BatchBuffers(), Pace())


class _Plan(NamedTuple):
    """The kernel's arguments for the drawn stage."""

    images: Array
    rows: NDArray[np.intp]
    transforms: Transforms


def _augment(
    recipe: Recipe,
    threads: int,
    plan: _Plan,
    finish: Finish,
    dtype: np.dtype[Any],
    buffers: BatchBuffers,
    pace: Pace,
) -> Array:
    """Make a batch from source pixels."""
    count, layout = len(plan.rows), layout_of(plan.images.shape[1:], recipe.data_format)
    batch = buffers.lend((count, *plan.images.shape[1:]), dtype)
    size = layout.height * layout.width
    # The fast path is taken where there is a compiler and a pixel fits into the lanes.
    fast = COMPILED and layout.channels <= LANES and size * layout.channels < _OFFSETS
    plain = None if fast and not recipe.plain else True
    arguments = (*plan, layout, finish, plain, as_bits(batch))
    # Rows are shared out where whole images would leave threads idle, and it shows.
    if threads > 1 and size >= (_FEW_LARGE if count < threads else _LARGE):
        seconds = launch(augment_blocks, *arguments)
    else:
        seconds = launch(augment_images, *arguments, min(threads, count))
    pace.note(threads, count * size, seconds)
    return batch


def _finished(
    recipe: Recipe,
    threads: int,
    batch: Array,
    finish: Finish,
    dtype: np.dtype[Any],
    buffers: BatchBuffers,
) -> Array:
    """Do to a batch what is the same for all images; in place if it keeps its dtype."""
    idle = not (len(finish.steps) or finish.sample_center or finish.sample_normalize)
    if idle and batch.dtype == dtype:
        return batch
    layout = layout_of(batch.shape[1:], recipe.data_format)
    out = batch if batch.dtype == dtype else buffers.lend(batch.shape, dtype)
    launch(finish_images, batch, layout, finish, as_bits(out), min(threads, len(batch)))
    return out


def _plan(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: BatchDraws) -> _Plan:
    """Turn drawn numbers into the kernel's arguments; splines are warped here, by SciPy."""
    height, width = channels_last(images, recipe.data_format).shape[1:3]
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
        images = _spline(recipe, images[rows], matrices, warped)
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
    return _Plan(*source_of(images, rows, recipe.working_dtype), transforms)


def _spline(
    recipe: Recipe, images: Array, matrices: NDArray[np.float64], warped: NDArray[np.bool_]
) -> Array:
    """Warp the images of a batch by SciPy."""
    images = channels_last(images, recipe.data_format).astype(recipe.working_dtype)
    images = warp_spline(images, matrices, warped, recipe.order, recipe.fill_mode, recipe.cval)
    return np.moveaxis(images, -1, 1) if recipe.data_format == "channels_first" else images


def _nothing(dtype: np.dtype[Any]) -> Finish:
    """Return the second half of a recipe that has none."""
    return Finish(np.empty(0, np.int8), np.empty((0, 1), dtype), False, False, 0)


def _whiten(batch: Array, whitening: Array, buffers: BatchBuffers) -> Array:
    """Return the product of each flattened image with a (values, values) matrix."""
    out = buffers.lend(batch.shape, batch.dtype)
    flat = batch.reshape(len(batch), -1)
    np.copyto(out.reshape(flat.shape), flat @ whitening, casting="same_kind")
    return out


def _stream(draws: BatchDraws, transform: Transform) -> np.random.Generator:
    return transform_stream(draws.seed, draws.batches_seen, type(transform).__name__)
