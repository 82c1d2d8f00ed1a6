"""Statistics of images in memory, in plain NumPy, to the last bit as Keras finds them."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer
from fastaug.fitting.stored import Statistics, read_statistics, write_statistics
from fastaug.iterators.arrays import check_images
from fastaug.iterators.global_state import global_states
from fastaug.overrides import replaced
from fastaug.pixels.batch import Recipe, transform_images
from fastaug.pixels.layout import Array
from fastaug.pixels.standardization import EPSILON
from fastaug.settings import Settings
from fastaug.transforms.streams import streams_of_call


class FitResult(NamedTuple):
    """What `Generator.fit` finds, in the shape and the dtype of its attributes; None: not asked."""

    mean: Array | None
    std: Array | None
    whitening: Array | None


def fit_statistics(
    settings: Settings, x: Any, augment: bool, rounds: int, seed: int | None
) -> FitResult:
    """Find what the settings need of images; see `Generator.fit`.

    References
    ----------
    Keras 3.15, `ImageDataGenerator.fit`: rescaled first, augmented then, in the generator's dtype.
    """
    check_integer("rounds", rounds, minimum=1)
    recipe = settings.drawn_recipe()
    # A copy, because it is centred in place below.
    images = np.array(check_images(x, recipe.data_format), dtype=recipe.working_dtype)
    if settings.rescale:
        images *= settings.rescale
    if augment:
        images = _augmented(settings, recipe, images, rounds, seed)
    axes = (0, settings.row_axis, settings.col_axis)
    shape = _shape_of_channels(settings, images.shape[settings.channel_axis])
    mean = std = whitening = None
    if settings.featurewise_center:
        mean = np.mean(images, axis=axes).reshape(shape)
        images -= mean
    if settings.featurewise_std_normalization:
        std = np.std(images, axis=axes).reshape(shape)
        images /= std + EPSILON
    if settings.zca_whitening:
        whitening = _whitening(images, settings.zca_epsilon)
    return FitResult(mean, std, whitening)


def _augmented(
    settings: Settings, recipe: Recipe, images: Array, rounds: int, seed: int | None
) -> Array:
    """Return `rounds` augmented copies of all images, drawn one after another as Keras does."""
    policy = settings.policy()
    methods = ("random_transform", "get_random_transform", "apply_transform")
    if any(replaced(settings, name) for name in methods):
        return _augmented_by_methods(settings, images, rounds, seed)
    rows = np.tile(np.arange(len(images)), rounds)
    size = images.shape[settings.row_axis], images.shape[settings.col_axis]
    drawn = policy.draw(streams_of_call(seed, keyed=bool(policy.transforms)), len(rows), size)
    return transform_images(recipe, images, rows, drawn)


def _augmented_by_methods(settings: Any, images: Array, rounds: int, seed: int | None) -> Array:
    """Return the same by methods that the user has replaced, one image at a time as in Keras."""
    stream = nullcontext() if seed is None else global_states(np.random.RandomState(seed), seed)
    with stream:
        copies = [settings.random_transform(image) for _ in range(rounds) for image in images]
    return np.array(copies, images.dtype)


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


def whitening_of_products(products: Array, count: int, epsilon: float) -> Array:
    """Return the whitening matrix from sums of products, (values, values), of centred images.

    Singular values are square roots of these sums' eigenvalues: those below about 1e-8 of the
    largest one are lost in rounding, where `_whitening` keeps some digits of them in float64.
    """
    squares, vectors = np.linalg.eigh(products)
    kept = min(count, len(products))  # so many singular values have images in rows
    singular_values = np.sqrt(np.maximum(squares[-kept:], 0))
    vectors = vectors[:, -kept:]
    whitening: Array = (vectors * (np.sqrt(count) / (singular_values + epsilon))).dot(vectors.T)
    return whitening


def load_statistics(settings: Settings, path: str | Path) -> FitResult:
    """Return the statistics in a file; see `Generator.load_statistics`."""
    stored = read_statistics(path)
    name = f"the statistics in {str(path)!r}"
    # As in `fit`, a factor of 0 is none.
    if not math.isclose(stored.rescale or 1, settings.rescale or 1, rel_tol=1e-9):
        raise ValueError(
            f"{name} were made with rescale={stored.rescale!r}, this generator has "
            f"rescale={settings.rescale!r}; make them with the same one"
        )
    for option, value in (
        ("featurewise_center", stored.mean),
        ("featurewise_std_normalization", stored.std),
        ("zca_whitening", stored.whitening),
    ):
        if getattr(settings, option) and value is None:
            raise ValueError(f"{name} lack what this generator's {option}=True needs")
    if settings.zca_whitening and stored.zca_epsilon != settings.zca_epsilon:
        raise ValueError(
            f"{name} were made with zca_epsilon={stored.zca_epsilon!r}, this generator has "
            f"zca_epsilon={settings.zca_epsilon!r}; make them with the same one"
        )
    dtype = settings.drawn_recipe().working_dtype
    shape = _shape_of_channels(settings, stored.channels)
    whitening = stored.whitening
    if whitening is not None and settings.data_format == "channels_first":
        whitening = _reordered(whitening, len(whitening) // stored.channels, stored.channels)
    return FitResult(
        None if stored.mean is None else stored.mean.reshape(shape).astype(dtype),
        None if stored.std is None else stored.std.reshape(shape).astype(dtype),
        whitening,
    )


def save_statistics(settings: Settings, path: str | Path) -> None:
    """Write a generator's statistics to a file; see `Generator.save_statistics`."""
    sizes = [np.size(value) for value in (settings.mean, settings.std) if value is not None]
    if not sizes:
        raise ValueError("this generator has no statistics to save: call `fit` first")
    channels = sizes[0]
    for name in ("mean", "std"):
        value = getattr(settings, name)
        if value is not None and np.shape(value) != _shape_of_channels(settings, channels):
            raise ValueError(
                f"{name} has the shape {np.shape(value)}, not that of one number per channel, "
                "which `fit` sets"
            )
    whitening = settings.zca_whitening_matrix
    if whitening is not None and settings.data_format == "channels_first":
        whitening = _reordered(whitening, channels, len(whitening) // channels)
    write_statistics(
        path,
        Statistics(
            channels=channels,
            mean=_flat(settings.mean),
            std=_flat(settings.std),
            whitening=None if whitening is None else np.asarray(whitening, np.float64),
            zca_epsilon=None if whitening is None else float(settings.zca_epsilon),
            rescale=None if settings.rescale is None else float(settings.rescale),
        ),
    )


def _shape_of_channels(settings: Settings, channels: int) -> tuple[int, ...]:
    """Return the shape in which `fit` sets one number per channel."""
    shape = [1, 1, 1]
    shape[settings.channel_axis - 1] = channels
    return tuple(shape)


def _flat(value: Any) -> NDArray[np.float64] | None:
    return None if value is None else np.asarray(value, np.float64).reshape(-1)


def _reordered(matrix: Array, outer: int, inner: int) -> Array:
    """Return a matrix of values in the order (inner, outer) for those in (outer, inner)."""
    blocks = matrix.reshape(outer, inner, outer, inner).transpose(1, 0, 3, 2)
    return np.ascontiguousarray(blocks).reshape(matrix.shape)
