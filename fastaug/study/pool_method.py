"""The method of 2017 on today's Keras: a process pool maps Keras' own transform over each batch.

The random numbers are drawn here, by Keras, in the order in which its own iterators draw them; the
processes load, warp and standardise one image after the other.  So the batches are Keras' to the
last bit, whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from typing import Any

import numpy as np

_START_S = 120
_generator: Any = None  # in the processes of a pool: Keras' generator


@contextmanager
def pool_of(processes: int, options: dict[str, Any]) -> Iterator[Pool]:
    """Give a pool whose processes hold Keras' generator with these options, and have begun."""
    # Not by a fork, as in 2017: TensorFlow's and OpenMP's threads don't survive it.
    context = multiprocessing.get_context("spawn")
    ready = context.Semaphore(0)
    pool = context.Pool(processes, _start_process, (options, ready))
    try:
        for _ in range(processes):
            if not ready.acquire(timeout=_START_S):
                raise TimeoutError(f"a process of the pool did not start within {_START_S} s")
        yield pool
    finally:
        pool.terminate()
        pool.join()


def flow(pool: Pool, options: dict[str, Any], images: Any, labels: Any, **arguments: Any) -> Any:
    """Return Keras' iterator over arrays, with the work done by a pool.

    Parameters
    ----------
    pool, options
        As given and taken by `pool_of`.
    images, labels, **arguments
        As `ImageDataGenerator.flow` takes them.
    """
    iterators, generator = _keras(), _keras().ImageDataGenerator(**options)

    class PoolArrayIterator(iterators.NumpyArrayIterator):  # type: ignore[misc,name-defined]
        """Keras' iterator over arrays, its images changed by a pool."""

        def _get_batches_of_transformed_samples(self, rows: Any) -> Any:
            draw = self.image_data_generator.get_random_transform
            work = [(self.x[row], draw(self.x[row].shape)) for row in rows]
            batch = _gather(pool.map(_transform, work), self.x.shape[1:], self.dtype)
            return batch if self.y is None else (batch, self.y[rows])

    return PoolArrayIterator(images, labels, generator, **({"shuffle": True} | arguments))


def flow_from_directory(pool: Pool, options: dict[str, Any], folder: Any, **arguments: Any) -> Any:
    """Return Keras' iterator over a folder, with the files read and changed by a pool.

    Parameters
    ----------
    pool, options
        As given and taken by `pool_of`.
    folder, **arguments
        As `ImageDataGenerator.flow_from_directory` takes them; images are RGB, labels are single
        numbers.
    """
    iterators, generator = _keras(), _keras().ImageDataGenerator(**options)

    class PoolDirectoryIterator(iterators.DirectoryIterator):  # type: ignore[misc,name-defined]
        """Keras' iterator over a folder, its files read by a pool."""

        def _get_batches_of_transformed_samples(self, rows: Any) -> Any:
            draw = self.image_data_generator.get_random_transform
            work = [(self.filepaths[row], self.target_size, draw(self.image_shape)) for row in rows]
            batch = _gather(pool.map(_load_and_transform, work), self.image_shape, self.dtype)
            return batch, self.classes[rows].astype(self.dtype)

    return PoolDirectoryIterator(str(folder), generator, **arguments)


def _gather(images: Iterable[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    images = list(images)
    batch = np.empty((len(images), *shape), dtype)
    for i, image in enumerate(images):
        batch[i] = image
    return batch


def _keras() -> Any:
    from keras.src.legacy.preprocessing import image  # noqa: PLC0415 - only once it is needed

    return image


def _start_process(options: dict[str, Any], ready: Any) -> None:
    """Prepare a process of a pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent, which ends it
    # Keras' generator computes with NumPy and SciPy; TensorFlow would only take memory here.
    os.environ["KERAS_BACKEND"] = "numpy"
    global _generator  # noqa: PLW0603 - a process of a pool has no other place for it
    _generator = _keras().ImageDataGenerator(**options)
    _transform((np.zeros((8, 8, 3), np.float32), {"theta": 10.0}))  # loads SciPy
    ready.release()


def _transform(work: tuple[Any, dict[str, Any]]) -> Any:
    image, parameters = work
    changed = _generator.apply_transform(image, parameters)
    return _generator.standardize(changed)


def _load_and_transform(work: tuple[str, tuple[int, int], dict[str, Any]]) -> Any:
    path, size, parameters = work
    picture = _keras().image_utils.load_img(path, target_size=size)
    return _transform((_keras().image_utils.img_to_array(picture), parameters))
