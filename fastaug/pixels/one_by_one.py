"""One batch, an image at a time: for methods of the user's, and for functions that draw.

Keras' own loop: parameters, transform, `standardize`, next image, all from NumPy's global state,
which the caller has set.  What the user did not replace is done by the same kernels as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Counters
from fastaug.pixels.batch import Recipe, finish_batch, make_batch, mix_batch
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import Array, size_of
from fastaug.pixels.preprocessing import Function, batched, called_on
from fastaug.pixels.standardization import Standardization
from fastaug.transforms.geometry import Size
from fastaug.transforms.policy import Drawn, Policy
from fastaug.transforms.streams import Streams


@dataclass(frozen=True, slots=True)
class Methods:
    """A generator's methods that the user has replaced; None where they are ours."""

    get_random_transform: Callable[..., dict[str, Any]] | None = None
    apply_transform: Callable[..., Array] | None = None
    standardize: Callable[[Array], Array] | None = None

    def names(self) -> list[str]:
        """Return which they are."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) is not None]


def make_one_by_one(
    recipe: Recipe,
    images: Array,
    rows: NDArray[np.intp],
    policy: Policy,
    streams: Streams,
    size: Size,
    methods: Methods,
    *,
    samples: NDArray[np.intp],
    buffers: BatchBuffers,
    stats: Counters,
    is_exact: Callable[[], bool],
) -> Array:
    """Augment and standardise a batch as Keras 3.15's iterators do, image by image.

    Parameters
    ----------
    recipe, images, rows, samples, buffers, stats
        As for `make_batch`.
    policy, streams, size
        What is drawn, from where, and the (height, width) of an image.
    methods
        What the user has replaced.
    is_exact
        Tells, when all images are made, whether the rest is done in the dtype that they came in.

    Raises
    ------
    ValueError, TypeError
        If a method returns something that is no image, or no dictionary of parameters; names it.
    """
    function, axis = recipe.standardization.function, -1
    if recipe.data_format == "channels_first":
        axis = -3
    made: list[Array] = []
    drawn = _augmented(recipe, images, rows, policy, streams, size, methods)
    for image, sample in zip(drawn, samples, strict=True):
        if methods.standardize is not None:
            image = _checked("standardize", methods.standardize(image), image.shape)  # noqa: PLW2901
        elif function is not None:
            with stats.timing("function_s"):
                image = _called(function, image, axis, sample)  # noqa: PLW2901
        if made and image.shape != made[0].shape:
            raise ValueError(
                f"all images of a batch must have one shape: that of sample {sample} is "
                f"{image.shape}, those before it are {made[0].shape}"
            )
        made.append(image)
    rest = Standardization() if methods.standardize is not None else recipe.standardization.rest
    # What came as float64 is standardised as that, like in Keras.  Functions that draw nothing are
    # left out: their other batches are made as a whole, in the working dtype.
    if is_exact() and any(image.dtype != recipe.working_dtype for image in made):
        made, rest = [rest.apply(image) for image in made], Standardization()
    batch = buffers.lend((len(made), *made[0].shape), recipe.working_dtype)
    for i, image in enumerate(made):
        batch[i] = image
    batch = finish_batch(replace(recipe, standardization=rest), batch, buffers)
    mixes = policy.draw_partners(streams, len(batch), size_of(batch.shape[1:], recipe.data_format))
    return mix_batch(recipe, batch, mixes, buffers)


def _called(function: Function, image: Array, channel_axis: int, sample: Any) -> Array:
    if isinstance(function, batched):
        return called_on(function, image[np.newaxis], channel_axis, sample)[0]
    return called_on(function, image, channel_axis, sample)


def _augmented(
    recipe: Recipe,
    images: Array,
    rows: NDArray[np.intp],
    policy: Policy,
    streams: Streams,
    size: Size,
    methods: Methods,
) -> Iterator[Array]:
    """Yield the augmented images; each one's numbers are drawn when it is asked for."""
    bare = replace(recipe, dtype=recipe.working_dtype, standardization=Standardization())
    draw, apply = methods.get_random_transform, methods.apply_transform
    each = policy.draw_each(streams, len(rows), size)
    for row in rows:
        parameters: Any = None
        drawn: Drawn | None = None
        if draw is None:
            drawn = next(each)
        else:
            parameters = draw(images.shape[1:])
        if apply is None:
            one = np.array([row])
            yield make_batch(bare, images, one, drawn or policy.replay(parameters, size))[0]
        else:
            image = images[row].astype(recipe.working_dtype)
            given = drawn.parameters(0) if drawn is not None else parameters
            yield _checked("apply_transform", apply(image, given), None)


def _checked(method: str, value: Any, shape: tuple[int, ...] | None) -> Array:
    """Return what a method gave as an array; an error that names it unless that is an image."""
    image = np.asarray(value)
    if image.dtype.kind not in "biuf" or image.ndim != 3 or (shape and image.shape != shape):
        raise ValueError(
            f"{method}(...) of your generator must return an image of numbers"
            f"{f' of shape {shape}' if shape else ''}; it returned shape {image.shape}, dtype "
            f"{image.dtype}"
        )
    return image
