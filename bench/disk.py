"""Contenders that make batches of a folder of JPEG files, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import augmenters
import layers
import numpy as np
import pytest
from alternate import Contender
from checks import check_as_keras, check_loosely
from iterators import taking
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray
from pictures import Photos
from study import SEED, settings

from fastaug import Generator
from fastaug.machine import usable_cores

Array = NDArray[Any]

SIZE, BATCH = 299, 64
# Two batches are made ahead while nobody asks, and two are decoded ahead of those.
AHEAD = 5


@dataclass(frozen=True)
class Reader:
    """A contender over files; it has given out `passed` batches before it was handed over."""

    call: Contender
    drain: Callable[[], object] | None = None
    passed: int = 0
    round_s: float = 0.4


def flow(kind: Any, folder: Path, size: int = SIZE, batch: int = BATCH, **options: Any) -> Any:
    """Return the iterator over a folder of a generator with the study's settings, and others."""
    generator = kind(**(settings(size) | options))
    return generator.flow_from_directory(
        str(folder), target_size=(size, size), batch_size=batch, class_mode="binary", seed=SEED
    )


def fastaug(photos: Photos, stack: ExitStack, **options: Any) -> Reader:
    call = taking(stack.enter_context(flow(Generator, photos.folder, **options)))
    return Reader(call, drain=lambda: call(AHEAD))


def fastaug_cache_memory(photos: Photos, stack: ExitStack) -> Reader:
    """From the second epoch on: the first one decodes, and keeps what it has decoded."""
    iterator = stack.enter_context(flow(Generator, photos.folder, cache="memory"))
    call, passed = taking(iterator), len(iterator)
    call(passed)
    return Reader(call, drain=lambda: call(AHEAD), passed=passed)


def fastaug_cache_folder(photos: Photos, stack: ExitStack) -> Reader:
    """Pass after pass, each by a new iterator, over images that another one has kept."""
    cache = photos.folder.with_name(f"{photos.folder.name}-cache")
    stack.callback(shutil.rmtree, cache)
    options = {"cache": str(cache)}
    with flow(Generator, photos.folder, **options) as first:
        taking(first)(len(first))
    passes = Passes(photos.folder, options)
    stack.callback(passes.close)
    return Reader(passes.take, round_s=0.8)  # a few passes


@dataclass
class Passes:
    """Takes batches of an iterator, and makes a new one for every pass."""

    folder: Path
    options: dict[str, Any]
    iterator: Any = None
    left: int = 0

    def take(self, calls: int) -> Any:
        for _ in range(calls):
            if not self.left:
                self.close()
                self.iterator = flow(Generator, self.folder, **self.options)
                self.left = len(self.iterator)
            batch = next(self.iterator)
            self.left -= 1
        return batch

    def close(self) -> None:
        if self.iterator is not None:
            self.iterator.close()


def keras(photos: Photos, _stack: ExitStack) -> Reader:
    return Reader(taking(flow(ImageDataGenerator, photos.folder)))


def tf_data(photos: Photos, _stack: ExitStack) -> Reader:
    """Keras' layers in tf.data; starting it anew costs little of a long round."""
    return Reader(layers.files(str(photos.folder), SIZE, BATCH), round_s=1)


def albumentations_pool(photos: Photos, stack: ExitStack) -> Reader:
    """Read and augment in one process for each core, with OpenCV; see `tf_data`."""
    pytest.importorskip("albumentations")
    processes = usable_cores()
    call = augmenters.start_file_pool(photos.files, SIZE, BATCH, processes, stack)
    return Reader(call, round_s=1)


CONTENDERS: dict[str, Callable[[Photos, ExitStack], Reader]] = {
    "fastaug_workers_0": lambda photos, stack: fastaug(photos, stack, workers=0),
    "fastaug_workers_1": lambda photos, stack: fastaug(photos, stack, workers=1),
    "fastaug_workers_2": lambda photos, stack: fastaug(photos, stack, workers=2),
    "fastaug_cache_memory": fastaug_cache_memory,
    "fastaug_cache_folder": fastaug_cache_folder,
    "keras": keras,
    "tf_data": tf_data,
    "albumentations_pool": albumentations_pool,
}


def check(contender: str, reader: Reader, photos: Photos, images: Array) -> None:
    """Compare the first batches and labels with those of a new Keras generator, or loosely.

    `images` are some of the photos, of the same size.
    """
    if not contender.startswith(("fastaug", "keras")):
        made = reader.call(1)
        check_loosely(made[0] if isinstance(made, tuple) else made, images)
        return
    check_as_keras_reads(reader.call, photos, reader.passed)


def check_as_keras_reads(call: Contender, photos: Photos, passed: int = 0, count: int = 2) -> None:
    """Compare some batches and their labels with Keras' that come behind so many others."""
    theirs = flow(ImageDataGenerator, photos.folder)
    theirs.total_batches_seen = passed  # what Keras' random numbers depend on beside the seed
    for _ in range(count):
        (batch, labels), (expected, expected_labels) = call(1), next(theirs)
        check_as_keras(batch, expected)
        np.testing.assert_array_equal(labels, expected_labels)
