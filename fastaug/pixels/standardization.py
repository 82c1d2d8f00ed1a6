"""A finished batch -> the values before it was standardised, by undoing each step.

Nothing is stretched: what can't be undone is left as it is, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.pixels.batch import EPSILON, Array, Recipe, channels_last
from fastaug.pixels.preprocessing import Mode, fused_mode

Values: TypeAlias = NDArray[np.float64]
Undo: TypeAlias = Callable[[Values], Values]

_WRONG = 1 / 255  # share of the span of values by which a result of undoing may be wrong


class Undone(NamedTuple):
    """Values (n, height, width, channels), which steps were undone, and which one could not be.

    That one, and what came before it, is still in the values; None if nothing is.
    """

    values: Values
    undone: tuple[str, ...]
    stopped_by: str | None


def undo_standardization(recipe: Recipe, batch: Array, bare: Array | None) -> Undone:
    """Undo what comes after the augmentation, the last step first.

    Parameters
    ----------
    recipe
        What the batch was made by.
    batch
        (n, ...) in the recipe's data format and dtype; not changed.
    bare
        The same batch without the steps that come after `rescale`, for the images' own statistics;
        None where it can't be made a second time, because a function of the user's is called.
    """
    values, undone = batch.astype(np.float64), list[str]()
    for name, undo in _steps(recipe, batch.shape[recipe.channel_axis], bare):
        try:
            values = undo(values)
        except np.linalg.LinAlgError:
            return Undone(channels_last(values, recipe.data_format), tuple(undone), name)
        undone.append(name)
    return Undone(channels_last(values, recipe.data_format), tuple(undone), None)


def _steps(recipe: Recipe, channels: int, bare: Array | None) -> Iterator[tuple[str, Undo]]:
    """Yield each step of a recipe, the last one first, with what undoes it."""
    if recipe.whitening is not None:
        yield "zca_whitening", partial(_unwhiten, recipe, bare)
    if recipe.deviation is not None:
        yield "featurewise_std_normalization", partial(np.multiply, recipe.deviation + EPSILON)
    if recipe.mean is not None:
        yield "featurewise_center", partial(np.add, recipe.mean)
    if recipe.samplewise_normalize:
        yield "samplewise_std_normalization", partial(_unscale_samples, bare)
    if recipe.samplewise_center:
        yield "samplewise_center", partial(_uncentre_samples, bare)
    if recipe.rescale:
        yield "rescale", partial(np.multiply, 1 / recipe.rescale)
    function = recipe.preprocessing_function
    if function is None:
        return
    mode = fused_mode(function, channels, recipe.data_format)
    name = function if isinstance(function, str) else getattr(function, "__name__", repr(function))
    yield f"preprocessing_function {name!r}", partial(_undo_mode, mode, recipe.channel_axis)


def _unscale_samples(bare: Array | None, values: Values) -> Values:
    return values * (_known(bare).std((1, 2, 3), keepdims=True) + EPSILON)


def _uncentre_samples(bare: Array | None, values: Values) -> Values:
    return values + _known(bare).mean((1, 2, 3), keepdims=True)


def _known(bare: Array | None) -> Values:
    if bare is None:
        raise np.linalg.LinAlgError("the images' own statistics are not known")
    return bare.astype(np.float64)


def _unwhiten(recipe: Recipe, bare: Array | None, values: Values) -> Values:
    """Solve for what was multiplied; an error where that is not what it must have been."""
    expected = _known(bare)
    if recipe.samplewise_center:
        expected -= expected.mean((1, 2, 3), keepdims=True)
    if recipe.samplewise_normalize:
        expected /= expected.std((1, 2, 3), keepdims=True) + EPSILON
    if recipe.mean is not None:
        expected -= recipe.mean
    if recipe.deviation is not None:
        expected /= recipe.deviation + EPSILON
    flat = values.reshape(len(values), -1)
    whitening = np.asarray(recipe.whitening, np.float64)
    solved = np.asarray(np.linalg.solve(whitening.T, flat.T).T, np.float64).reshape(values.shape)
    # A matrix of fewer images than values is singular, though rounding may hide that.
    if not np.abs(solved - expected).max() <= _WRONG * np.ptp(expected):
        raise np.linalg.LinAlgError("the whitening matrix is singular")
    return solved


def _undo_mode(mode: Mode | None, channel_axis: int, values: Values) -> Values:
    if mode is None:
        raise np.linalg.LinAlgError("a function of the user's has no inverse")
    values = np.moveaxis(values, channel_axis, -1)
    if mode.deviation is not None:
        values = values * np.array(mode.deviation)
    values = values + np.array(mode.mean)
    if mode.divisor is not None:
        values = values * mode.divisor
    if mode.reverse_channels:
        values = values[..., ::-1]
    return np.moveaxis(values, -1, channel_axis)
