"""One batch: what was drawn and source pixels in, a finished batch out.

Order: moves and flips, one warp -> recolours, one pass -> repaints -> preprocessing_function ->
rescale -> samplewise -> featurewise -> ZCA -> mixes.  Keras flips behind its channel shift; flips
commute with that, and are done while warping.  Pure: no files, no state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Counters
from fastaug.kernels.batch import (
    Finish,
    Layout,
    Plan,
    augment_blocks,
    augment_images,
    finish_images,
)
from fastaug.kernels.launch import Pace, launch, launch_shares, limited_threads
from fastaug.kernels.policy import make_images
from fastaug.kernels.warp import FILL_MODES
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import (
    Array,
    as_bits,
    channels_last,
    layout_of,
    resized,
    source_of,
    working_dtype,
)
from fastaug.pixels.mixing import mixed
from fastaug.pixels.preprocessing import call_function
from fastaug.pixels.spline import warp_spline
from fastaug.pixels.standardization import Standardization
from fastaug.transforms.base import Partners
from fastaug.transforms.geometry import Pull, still
from fastaug.transforms.policy import Drawn
from fastaug.transforms.program import (
    check_channels,
    fits_lanes,
    is_still,
    needs_scalars,
    program_of,
)

_LARGE = 2**20  # pixels of an image whose rows are shared out among threads, ...
_FEW_LARGE = 2**16  # ... and of images that are fewer than the threads


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is the same for every batch, checked.

    `order`, `fill_mode` and `cval` are those of the warp.  `plain` warps without vector
    instructions, with the same result.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    data_format: str = "channels_last"
    fill_mode: str = "nearest"
    cval: float = 0.0
    order: int = 1
    standardization: Standardization = Standardization()
    threads: int | None = None
    plain: bool = False

    @property
    def working_dtype(self) -> np.dtype[Any]:
        """The dtype in which a batch is computed: float64 where that is asked for."""
        return working_dtype(self.dtype)


def make_batch(
    recipe: Recipe,
    images: Array,
    rows: NDArray[np.intp],
    drawn: Drawn,
    *,
    samples: NDArray[np.intp] | None = None,
    buffers: BatchBuffers | None = None,
    pace: Pace | None = None,
    stats: Counters | None = None,
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
    drawn
        The batch's randomness.
    samples
        (n,) the images' numbers in the data set, for messages; None means `rows`.
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
    TypeError
        If a transform gives new images instead of changing the ones that it gets.
    """
    work = _Work(recipe, buffers or BatchBuffers(), pace or Pace())
    shape = resized(images.shape[1:], drawn.pull.size, recipe.data_format)
    if not len(rows):
        return work.buffers.lend((0, *shape), recipe.dtype)
    with limited_threads(recipe.threads, work.pace) as threads:
        batch = _made(work, threads, images, rows, drawn, samples, stats or Counters())
    return mix_batch(recipe, batch, drawn.partners, work.buffers)


def _made(
    work: _Work,
    threads: int,
    images: Array,
    rows: NDArray[np.intp],
    drawn: Drawn,
    samples: NDArray[np.intp] | None,
    stats: Counters,
) -> Array:
    """Make a batch, but for its mixes."""
    recipe, last = work.recipe, work.recipe.standardization
    shape = resized(images.shape[1:], drawn.pull.size, recipe.data_format)
    working, function, whitening = recipe.working_dtype, last.function, last.whitening
    finish = last.finish(shape, recipe.data_format, working)
    dtype = recipe.dtype if whitening is None else working
    if function is None and not drawn.passes:
        batch = _augment(work, threads, images, rows, drawn, finish, dtype)
    else:
        # Between passes of ours, images of bytes are bytes: a quarter of the memory.
        ours = all(getattr(each.transform, "on_bytes", False) for each in drawn.passes)
        bytewise = drawn.passes and ours and images.dtype == np.uint8
        kept = np.dtype(np.uint8) if bytewise else working
        batch = _augment(work, threads, images, rows, drawn, _nothing(working), kept)
        _repaint(drawn, channels_last(batch, recipe.data_format))
        if function is not None:
            batch = _finished(work, threads, batch, _nothing(working), working)
            axis = -3 if recipe.data_format == "channels_first" else -1
            with stats.timing("function_s"):
                call_function(function, batch, axis, rows if samples is None else samples)
        batch = _finished(work, threads, batch, finish, dtype)
    return batch if whitening is None else _whitened(work, threads, batch, whitening)


def mix_batch(
    recipe: Recipe, batch: Array, mixes: Sequence[Partners], buffers: BatchBuffers
) -> Array:
    """Return a finished batch whose images are mixed with others of it."""
    with limited_threads(recipe.threads) as threads:
        for partners in mixes:
            batch = mixed(batch, partners, recipe.data_format, buffers, threads)
    return batch


def finish_batch(recipe: Recipe, batch: Array, buffers: BatchBuffers) -> Array:
    """Return a batch, in the working dtype, after all that follows `preprocessing_function`.

    `batch` is one of the buffers', and changed in place where it can be.
    """
    work, last, working = _Work(recipe, buffers, Pace()), recipe.standardization, batch.dtype
    finish = last.finish(batch.shape[1:], recipe.data_format, working)
    with limited_threads(recipe.threads, work.pace) as threads:
        dtype = recipe.dtype if last.whitening is None else working
        batch = _finished(work, threads, batch, finish, dtype)
        if last.whitening is not None:
            batch = _whitened(work, threads, batch, last.whitening)
    return batch


def _repaint(drawn: Drawn, images: Array) -> None:
    """Let transforms change images in place; new ones would be lost without a word."""
    for each in drawn.passes:
        given: Any = each.transform.apply(images, each.numbers, each.rows)  # type: ignore[func-returns-value]
        if given is not None and given is not images:
            raise TypeError(
                f"{each.name}.apply(...) must change its images in place and return None; it "
                f"returned {type(given).__name__}"
            )


def transform_images(recipe: Recipe, images: Array, rows: NDArray[np.intp], drawn: Drawn) -> Array:
    """Return a batch after all that was drawn but mixes, not standardised, in the working dtype."""
    bare = replace(recipe, dtype=recipe.working_dtype, standardization=Standardization())
    return make_batch(bare, images, rows, replace(drawn, partners=()))


@dataclass(frozen=True, slots=True)
class _Work:
    """What all launches for a batch share."""

    recipe: Recipe
    buffers: BatchBuffers
    pace: Pace


def _augment(
    work: _Work,
    threads: int,
    images: Array,
    rows: NDArray[np.intp],
    drawn: Drawn,
    finish: Finish,
    dtype: np.dtype[Any],
) -> Array:
    """Make a batch from source pixels."""
    recipe, pull = work.recipe, drawn.pull
    if recipe.order > 1 and pull.moved.any():
        images = _spline(recipe, images[rows], pull)
        rows, flips = np.arange(len(rows)), pull.flips
        pull = replace(still(len(rows), pull.size), flips=flips)
    images, rows = source_of(images, rows, recipe.working_dtype)
    layout = layout_of(images.shape[1:], recipe.data_format, pull.size)
    batch = work.buffers.lend(
        (len(rows), *resized(images.shape[1:], pull.size, recipe.data_format)), dtype
    )
    if drawn.numbers:
        return _by_policy(work, threads, images, rows, pull, drawn, finish, layout, batch)
    plan = _plan(recipe, pull, drawn)
    plain = None if fits_lanes(layout) and not recipe.plain else True
    arguments = images, rows, plan, layout, finish, plain, as_bits(batch)
    # Rows are shared out where whole images would leave threads idle, and it shows.
    pixels = layout.height * layout.width
    if threads > 1 and pixels >= (_FEW_LARGE if len(rows) < threads else _LARGE):
        seconds = launch(augment_blocks, *arguments)
    else:
        seconds = launch(augment_images, *arguments, min(threads, len(rows)))
    work.pace.note(threads, len(rows) * pixels, seconds)
    return batch


def _by_policy(
    work: _Work,
    threads: int,
    images: Array,
    rows: NDArray[np.intp],
    pull: Pull,
    drawn: Drawn,
    finish: Finish,
    layout: Layout,
    batch: Array,
) -> Array:
    """Make a batch with transforms of our own."""
    recipe, steps = work.recipe, drawn.steps
    check_channels(steps, layout.channels)
    if (
        _is_idle(finish)
        and images.dtype == batch.dtype
        and is_still(pull)
        and not steps.codes.any()
    ):
        return np.take(images, rows, axis=0, out=batch, mode="clip")  # "raise" copies twice
    program = program_of(recipe.order, recipe.fill_mode, recipe.cval, pull, steps, layout, finish)
    scalar = needs_scalars(layout, recipe.working_dtype, plain=recipe.plain)
    shares = min(threads, len(rows))
    arguments = images, rows, program, layout, finish, scalar, as_bits(batch), shares
    work.pace.note(
        threads, len(rows) * layout.height * layout.width, launch_shares(make_images, *arguments)
    )
    return batch


def _plan(recipe: Recipe, pull: Pull, drawn: Drawn) -> Plan:
    """Return what was drawn as the kernels take it."""
    steps = drawn.steps
    return Plan(
        pull.matrices,
        pull.moved,
        pull.flips,
        steps.codes,
        steps.numbers.astype(recipe.working_dtype, copy=False),
        steps.extremes,
        min(recipe.order, 1),
        FILL_MODES[recipe.fill_mode],
        float(recipe.cval),
    )


def _spline(recipe: Recipe, images: Array, pull: Pull) -> Array:
    """Warp the images of a batch by SciPy."""
    images = channels_last(images, recipe.data_format).astype(recipe.working_dtype)
    images = warp_spline(images, pull, recipe.order, recipe.fill_mode, recipe.cval)
    return np.moveaxis(images, -1, 1) if recipe.data_format == "channels_first" else images


def _finished(
    work: _Work, threads: int, batch: Array, finish: Finish, dtype: np.dtype[Any]
) -> Array:
    """Do to a batch what is the same for all images; in place if it keeps its dtype."""
    if _is_idle(finish) and batch.dtype == dtype:
        return batch
    layout = layout_of(batch.shape[1:], work.recipe.data_format)
    out = batch if batch.dtype == dtype else work.buffers.lend(batch.shape, dtype)
    launch(finish_images, batch, layout, finish, as_bits(out), min(threads, len(batch)))
    return out


def _is_idle(finish: Finish) -> bool:
    return not (len(finish.steps) or finish.sample_center or finish.sample_normalize)


def _nothing(dtype: np.dtype[Any]) -> Finish:
    """Return the last steps where there are none."""
    return Finish(np.empty(0, np.int8), np.empty((0, 1), dtype), False, False, 0)


def _whitened(work: _Work, threads: int, batch: Array, whitening: Array) -> Array:
    batch = _whiten(batch, whitening, work.buffers)
    return _finished(work, threads, batch, _nothing(batch.dtype), work.recipe.dtype)


def _whiten(batch: Array, whitening: Array, buffers: BatchBuffers) -> Array:
    """Return the product of each flattened image with a (values, values) matrix."""
    values = math.prod(batch.shape[1:])
    if values != len(whitening):
        raise ValueError(
            f"zca_whitening_matrix was fitted to images of {len(whitening)} values; these have "
            f"{values}, in the shape {batch.shape[1:]}: fit it to images of this size"
        )
    out = buffers.lend(batch.shape, batch.dtype)
    flat = batch.reshape(len(batch), -1)
    np.copyto(out.reshape(flat.shape), flat @ whitening, casting="same_kind")
    return out
