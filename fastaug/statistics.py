"""Statistics of a data set, and their use on single arrays, in plain NumPy as Keras does it.

Batches are standardised by the kernels; this is for `Generator.fit` and `Generator.standardize`,
whose results must be Keras' to the last bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastaug.array_iterator import check_images
from fastaug.draws import batch_stream, draw_batch
from fastaug.errors import check_integer
from fastaug.options import drawn_recipe_of, ranges_of
from fastaug.pipeline import EPSILON, Array, Recipe, transform_images
from fastaug.preprocessing import apply_mode, batched, mode_of

if TYPE_CHECKING:
    from fastaug.generator import Generator


def fit_statistics(
    generator: Generator, x: Any, augment: bool, rounds: int, seed: int | None
) -> None:
    """Set a generator's `mean`, `std` and `zca_whitening_matrix`; see `Generator.fit`.

    References
    ----------
    Keras 3.15, `ImageDataGenerator.fit`: rescaled first, augmented then, in the generator's dtype.
    """
    check_integer("rounds", rounds, minimum=1)
    recipe = drawn_recipe_of(generator)
    # A copy, because it is centred in place below.
    images = np.array(check_images(x, generator.data_format), dtype=recipe.working_dtype)
    if generator.rescale:
        images *= generator.rescale
    if augment:
        images = _augmented(generator, recipe, images, rounds, seed)
    axes = (0, generator.row_axis, generator.col_axis)
    shape = [1, 1, 1]
    shape[generator.channel_axis - 1] = images.shape[generator.channel_axis]
    if generator.featurewise_center:
        generator.mean = np.mean(images, axis=axes).reshape(shape)
        images -= generator.mean
    if generator.featurewise_std_normalization:
        generator.std = np.std(images, axis=axes).reshape(shape)
        images /= generator.std + EPSILON
    if generator.zca_whitening:
        generator.zca_whitening_matrix = _whitening(images, generator.zca_epsilon)


def _augmented(
    generator: Generator, recipe: Recipe, images: Array, rounds: int, seed: int | None
) -> Array:
    """Return `rounds` augmented copies of all images, drawn one after another as Keras does."""
    rng = np.random if seed is None else batch_stream(seed, 0)
    rows = np.tile(np.arange(len(images)), rounds)
    height, width = images.shape[generator.row_axis], images.shape[generator.col_axis]
    draws = draw_batch(ranges_of(generator), rng, len(rows), height, width)
    return transform_images(recipe, images, rows, draws)


def _whitening(images: Array, epsilon: float) -> Array:
    """Return the ZCA whitening matrix, (values, values), of centred images.

    References
    ----------
    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A.
    """
    count = len(images)
    left, singular_values, _ = np.linalg.svd(images.reshape(count, -1).T, full_matrices=False)
    inverse = np.sqrt(count) / (singular_values + epsilon)
    whitening: Array = (left * inverse).dot(left.T)
    return whitening


def standardize(recipe: Recipe, x: Array) -> Array:
    """Standardise an image or a batch as Keras 3.15's `ImageDataGenerator.standardize` does."""
    function = recipe.preprocessing_function
    if isinstance(function, str):
        mode = mode_of(function, x.shape[recipe.channel_axis])
        if x.dtype.kind != "f":  # Keras' own functions convert whole numbers, too
            x = x.astype(recipe.working_dtype)
        x = apply_mode(mode, x, recipe.channel_axis)
    elif isinstance(function, batched) and x.ndim == 3:
        x = function(x[np.newaxis])[0]
    elif function is not None:
        x = function(x)
    if recipe.rescale:
        x *= recipe.rescale
    if recipe.samplewise_center:
        x -= np.mean(x, keepdims=True)
    if recipe.samplewise_normalize:
        x /= np.std(x, keepdims=True) + EPSILON
    if recipe.mean is not None:
        x -= recipe.mean
    if recipe.deviation is not None:
        x /= recipe.deviation + EPSILON
    if recipe.whitening is not None:
        flat = x.reshape(-1, math.prod(x.shape[-3:]))
        x = np.reshape(flat @ recipe.whitening, x.shape)
    return x
