"""Contenders that make batches of a data set in memory, one after the other."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import augmenters
import layers
import numpy as np
import pytest
from checks import check_as_keras, check_loosely
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray
from study import SEED, settings

from fastaug import Generator
from fastaug.machine import usable_cores

Array = NDArray[Any]


def taking(iterator: Any):
    """Return a contender that calls `next()`."""

    def call(calls: int) -> Array:
        for _ in range(calls):
            batch = next(iterator)
        return batch

    return call


def flow(kind: Any, images: Array, batch: int, labels: Array | None = None, **options: Any) -> Any:
    """Return the iterator of a generator with the study's settings, or with others."""
    generator = kind(**(settings(images.shape[1]) | options))
    return generator.flow(images, labels, batch_size=batch, seed=SEED)


def fastaug(images: Array, batch: int, _stack: ExitStack):
    return taking(flow(Generator, images, batch))


def keras(images: Array, batch: int, _stack: ExitStack):
    return taking(flow(ImageDataGenerator, images, batch))


def keras_layers(images: Array, batch: int, _stack: ExitStack):
    return layers.dataset(images, batch)


def albumentations(images: Array, batch: int, _stack: ExitStack):
    """Call the transforms image by image, in this process."""
    pytest.importorskip("albumentations")
    augment = augmenters.study_chain(images.shape[1])
    rows = np.random.default_rng(SEED).permutation(len(images))

    def call(calls: int) -> Array:
        for number in range(calls):
            wanted = np.take(rows, range(number * batch, (number + 1) * batch), mode="wrap")
            made = np.stack([augment(images[row]) for row in wanted])
        return made

    return call


def albumentations_pool(images: Array, batch: int, stack: ExitStack):
    """Make batches in one process for each core."""
    pytest.importorskip("albumentations")
    return augmenters.start_pool(images, batch, usable_cores(), stack)


CONTENDERS = {
    "fastaug": fastaug,
    "keras": keras,
    "keras_layers": keras_layers,
    "albumentations": albumentations,
    "albumentations_pool": albumentations_pool,
}


def check(contender: str, call: Any, images: Array, batch: int, **options: Any) -> None:
    """Compare the first batches with those of a new Keras generator, or loosely."""
    if contender not in ("fastaug", "keras"):
        check_loosely(call(1), images)
        return
    theirs = flow(ImageDataGenerator, images, batch, **options)
    for _ in range(2):
        check_as_keras(call(1), next(theirs))
