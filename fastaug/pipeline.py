"""One batch: drawn numbers and source pixels in, a finished batch out.

Order (Keras'): warp -> channel shift -> horizontal flip -> vertical flip -> brightness -> our own
transforms -> preprocessing_function -> rescale -> samplewise -> featurewise -> ZCA.  Flips commute
with the channel shift and are done while warping.  Pure: no files, no state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.buffers import BatchBuffers
from fastaug.draws import Draws, transform_stream
from fastaug.geometry import compose, moves, pull_matrices
from fastaug.kernels.batch import (
    Finish,
    Layout,
    Plan,
    augment_blocks,
    augment_images,
    finish_images,
)
from fastaug.kernels.lanes import WIDTH as LANES
from fastaug.kernels.launch import COMPILED, Pace, launch, limited_threads
from fastaug.kernels.pointwise import DIVIDE, MULTIPLY, REVERSE_CHANNELS, SUBTRACT
from fastaug.kernels.warp import FILL_MODES
from fastaug.photometry import join_steps, keras_steps
from fastaug.preprocessing import Function, Mode, call_function, fused_mode
from fastaug.spline import warp_spline
from fastaug.stats import Stats
from fastaug.transforms import Geometric, Photometric, Transform

Array = NDArray[Any]
EPSILON = 1e-6  # what Keras adds to a deviation before it divides by it
DTYPES = ("float16", "float32", "float64", "uint8")
_LARGE = 2**20  # pixels of an image whose rows are shared out among threads, ...
_FEW_LARGE = 2**16  # ... and of images that are fewer than the threads
_OPERAND = 1024  # pixels: the operands of small images are repeated, for longer loops
_OFFSETS = 2**31  # the lanes' offsets into an image are 32 bits wide


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do with every batch, checked and ready for the kernels.

    `mean`, `deviation` and `whitening` are None where that step is off.  The first two broadcast
    against one image in `data_format`; the last is (values, values) of a flattened image.
    `preprocessing_function` is a function or the name of a mode.  `plain` warps without vector
    instructions, with the same result.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    data_format: str = "channels_last"
    fill_mode: str = "nearest"
    cval: float = 0.0
    order: int = 1
    quirks: bool = True
    transforms: tuple[Transform, ...] = ()
    preprocessing_function: Function | str | None = None
    rescale: float | None = None
    samplewise_center: bool = False
    samplewise_normalize: bool = False
    mean: Array | None = None
    deviation: Array | None = None
    whitening: Array | None = None
    threads: int | None = None
    plain: bool = False

    @property
    def working_dtype(self) -> np.dtype[Any]:
        """The dtype in which a batch is computed: float64 where that is asked for."""
        return np.dtype(np.float64 if self.dtype == np.float64 else np.float32)

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


def channels_last(images: Array, data_format: str) -> Array:
    """Return a view with the channels behind, of an image or of a batch."""
    return np.moveaxis(images, -3, -1) if data_format == "channels_first" else images


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
    function, working = recipe.preprocessing_function, recipe.working_dtype
    mode = fused_mode(function, shape[recipe.channel_axis], recipe.data_format)
    finish = _finish(recipe, mode, shape)
    dtype = recipe.dtype if recipe.whitening is None else working
    with limited_threads(recipe.threads, pace) as threads:
        work = _work(recipe, images, rows, draws)
        if callable(function) and mode is None:
            batch = _augment(recipe, threads, work, _nothing(working), working, buffers, pace)
            with (stats or Stats()).timing("function_s"):
                call_function(function, batch, recipe.channel_axis, draws.samples)
            batch = _finished(recipe, threads, batch, finish, dtype, buffers)
        else:
            batch = _augment(recipe, threads, work, finish, dtype, buffers, pace)
        if recipe.whitening is not None:
            batch = _whiten(batch, recipe.whitening, buffers)
            nothing = _nothing(working)
            batch = _finished(recipe, threads, batch, nothing, recipe.dtype, buffers)
    return batch


def transform_images(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: Draws) -> Array:
    """Return a batch after all that Keras draws, not standardised, in the working dtype."""
    working = recipe.working_dtype
    work = _work(replace(recipe, transforms=()), images, rows, BatchDraws(draws, 0, 0, rows))
    with limited_threads(recipe.threads) as threads:
        nothing = _nothing(working)
        return _augment(recipe, threads, work, nothing, working, BatchBuffers(), Pace())


class _Work(NamedTuple):
    """The kernel's arguments for the drawn stage."""

    images: Array
    rows: NDArray[np.intp]
    plan: Plan


def _augment(
    recipe: Recipe,
    threads: int,
    work: _Work,
    finish: Finish,
    dtype: np.dtype[Any],
    buffers: BatchBuffers,
    pace: Pace,
) -> Array:
    """Make a batch from source pixels."""
    count, layout = len(work.rows), _layout(work.images.shape[1:], recipe.data_format)
    batch = buffers.lend((count, *work.images.shape[1:]), dtype)
    size = layout.height * layout.width
    # The fast path is taken where there is a compiler and a pixel fits into the lanes.
    fast = COMPILED and layout.channels <= LANES and size * layout.channels < _OFFSETS
    plain = None if fast and not recipe.plain else True
    arguments = (*work, layout, finish, plain, _as_bits(batch))
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
    layout = _layout(batch.shape[1:], recipe.data_format)
    out = batch if batch.dtype == dtype else buffers.lend(batch.shape, dtype)
    launch(finish_images, batch, layout, finish, _as_bits(out), min(threads, len(batch)))
    return out


def _layout(shape: tuple[int, ...], data_format: str) -> Layout:
    """Return how images of a shape lie in memory."""
    planar = data_format == "channels_first"
    height, width, channels = (*shape[1:], shape[0]) if planar else shape
    return Layout(height, width, channels, planar, source_height=height, source_width=width)


def _as_bits(batch: Array) -> Array:
    """Return a batch as kernels know it: float16 as uint16."""
    return batch.view(np.uint16) if batch.dtype == np.float16 else batch


def _work(recipe: Recipe, images: Array, rows: NDArray[np.intp], draws: BatchDraws) -> _Work:
    """Turn drawn numbers into the kernel's arguments; splines are warped here, by SciPy."""
    height, width = channels_last(images, recipe.data_format).shape[1:3]
    keras = draws.keras
    matrices = pull_matrices(keras, height, width, quirks=recipe.quirks)
    moved = moves(keras)
    steps = keras_steps(keras, quirks=recipe.quirks)
    extremes = bool(steps)
    for transform in recipe.transforms:
        drawn = transform.draw(_stream(draws, transform), len(rows))
        if isinstance(transform, Photometric):
            steps.append(transform.steps(drawn))
        elif isinstance(transform, Geometric):
            # Our own come first, so they are the last step on the way back to the source.
            matrices = compose(transform.matrices(drawn, height, width), matrices)
            moved = np.ones(len(rows), bool)
    if recipe.order > 1 and moved.any():
        images = _spline(recipe, images[rows], matrices, moved)
        rows, moved = np.arange(len(rows)), np.zeros(len(rows), bool)
    flips = np.empty((len(rows), 2), bool)
    flips[:, 0], flips[:, 1] = keras.flip_vertical, keras.flip_horizontal
    codes, numbers = join_steps(steps, len(rows), recipe.working_dtype)
    plan = Plan(
        matrices=matrices,
        moved=moved,
        flips=flips,
        codes=codes,
        numbers=numbers,
        extremes=extremes,
        order=min(recipe.order, 1),
        fill_mode=FILL_MODES[recipe.fill_mode],
        cval=float(recipe.cval),
    )
    return _Work(*_source(images, rows, recipe.working_dtype), plan)


def _spline(
    recipe: Recipe, images: Array, matrices: NDArray[np.float64], moved: NDArray[np.bool_]
) -> Array:
    """Warp the images of a batch by SciPy."""
    images = channels_last(images, recipe.data_format).astype(recipe.working_dtype)
    images = warp_spline(images, matrices, moved, recipe.order, recipe.fill_mode, recipe.cval)
    return np.moveaxis(images, -1, 1) if recipe.data_format == "channels_first" else images


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


def _nothing(dtype: np.dtype[Any]) -> Finish:
    """Return the second half of a recipe that has none."""
    return Finish(np.empty(0, np.int8), np.empty((0, 1), dtype), False, False, 0)


def _finish(recipe: Recipe, mode: Mode | None, shape: tuple[int, ...]) -> Finish:
    """Turn the recipe's second half into the kernel's arguments."""
    steps = _constant_steps(recipe.rescale, mode)
    before = len(steps)
    if recipe.mean is not None:
        steps.append((SUBTRACT, _feature_array("mean", recipe.mean, shape, recipe)))
    if recipe.deviation is not None:
        divisor = recipe.deviation + EPSILON
        steps.append((DIVIDE, _feature_array("std", divisor, shape, recipe)))
    values = tuple(operand for _, operand in steps), shape, recipe.data_format
    constant = len(steps) == before  # no arrays
    return Finish(
        np.array([step for step, _ in steps], np.int8),
        (_constant_operands if constant else _operands)(*values, recipe.working_dtype),
        recipe.samplewise_center,
        recipe.samplewise_normalize,
        before,
    )


def _constant_steps(rescale: float | None, mode: Mode | None) -> list[tuple[int, Any]]:
    """Return the steps of a mode and of `rescale`, with their operands."""
    steps: list[tuple[int, Any]] = []
    if mode is not None:
        if mode.reverse_channels:
            steps.append((REVERSE_CHANNELS, 0.0))
        if mode.divisor is not None:
            steps.append((DIVIDE, mode.divisor))
        steps.append((SUBTRACT, mode.mean))
        if mode.deviation is not None:
            steps.append((DIVIDE, mode.deviation))
    if rescale:
        steps.append((MULTIPLY, rescale))
    return steps


def _operands(
    values: tuple[Any, ...], shape: tuple[int, ...], data_format: str, dtype: np.dtype[Any]
) -> Array:
    """Return the steps' operands, (steps, some rows * width * channels), channels last."""
    height, width, channels = _layout(shape, data_format)[:3]
    by_row = any(np.ndim(value) == 3 and len(value) > 1 for value in values)
    rows = height if by_row else max(1, _OPERAND // width)
    operands = np.empty((len(values), rows, width, channels), dtype)
    for operand, value in zip(operands, values, strict=True):
        operand[...] = value
    return operands.reshape(len(values), rows * width * channels)


_constant_operands = lru_cache(maxsize=64)(_operands)


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


def _whiten(batch: Array, whitening: Array, buffers: BatchBuffers) -> Array:
    """Return the product of each flattened image with a (values, values) matrix."""
    out = buffers.lend(batch.shape, batch.dtype)
    flat = batch.reshape(len(batch), -1)
    np.copyto(out.reshape(flat.shape), flat @ whitening, casting="same_kind")
    return out


def _stream(draws: BatchDraws, transform: Transform) -> np.random.Generator:
    return transform_stream(draws.seed, draws.batches_seen, type(transform).__name__)
