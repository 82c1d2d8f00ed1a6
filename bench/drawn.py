"""Drawn numbers for one batch, the same for every contender that takes numbers.

Each question is a batch of images with one dictionary of Keras' parameters for each of them; what
Keras' `apply_transform` makes of it is what the others are checked against.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray
from oracles import STILL, policy_of, recipe_of, some_draws
from study import SEED, settings

from fastaug.kernels.launch import Pace
from fastaug.pixels.batch import make_batch
from fastaug.pixels.buffers import BatchBuffers

Array = NDArray[Any]
Parameters = dict[str, tuple[Any, ...]]


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be done with a batch: one number an image for each of Keras' parameters."""

    images: Array
    parameters: Parameters
    rescale: float | None
    fill_mode: str = "nearest"

    @cached_property
    def expected(self) -> Array:
        """What Keras makes of it."""
        return keras(self)(1)

    def of(self, i: int) -> dict[str, Any]:
        """Return image i's dictionary of parameters."""
        return STILL | {name: values[i] for name, values in self.parameters.items()}


def moves(count: int, size: int) -> Parameters:
    """Draw turns, shifts and, for photos, zooms from the study's ranges."""
    rng = np.random.RandomState(SEED)
    ranges = settings(size)
    parameters = {
        "theta": rng.uniform(-1, 1, count) * ranges["rotation_range"],
        "tx": rng.uniform(-1, 1, count) * ranges["height_shift_range"] * size,
        "ty": rng.uniform(-1, 1, count) * ranges["width_shift_range"] * size,
    }
    if "zoom_range" in ranges:
        parameters |= {name: rng.uniform(*ranges["zoom_range"], count) for name in ("zx", "zy")}
    return {name: tuple(values.tolist()) for name, values in parameters.items()}


def fastaug(question: Question, threads: int | None = None):
    """Make the batch as fastaug's iterators do, which keep memory and know how launches went."""
    buffers, pace = BatchBuffers(), Pace()
    count = len(question.images)
    asked = {"fill_mode": question.fill_mode, "rescale": question.rescale, "threads": threads}
    recipe, rows = recipe_of(question.images, asked), np.arange(count)
    size, keras = question.images.shape[1:3], some_draws(count, **question.parameters)
    drawn = policy_of(asked).assemble(keras, {}, size)

    def call(calls: int) -> Array:
        for _ in range(calls):
            batch = make_batch(recipe, question.images, rows, drawn, buffers=buffers, pace=pace)
        return batch

    return call


def keras(question: Question):
    """Transform image by image as Keras' iterators do."""
    generator = ImageDataGenerator(fill_mode=question.fill_mode, rescale=question.rescale)
    count = len(question.images)

    def call(calls: int) -> Array:
        for _ in range(calls):
            batch = np.empty(question.images.shape, np.float32)
            for i in range(count):
                image = question.images[i].astype(np.float32)
                image = generator.apply_transform(image, question.of(i))
                batch[i] = generator.standardize(image)
        return batch

    return call


def each(images: Array, augment: Any):
    """Return a contender that calls a function on every image."""

    def call(calls: int) -> Array:
        for _ in range(calls):
            batch = np.stack([augment(image) for image in images])
        return batch

    return call
