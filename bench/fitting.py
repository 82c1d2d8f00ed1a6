"""Contenders that feed `fit` of a model that does next to nothing."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from iterators import flow
from numpy.typing import NDArray

from fastaug import Generator

Array = NDArray[Any]

ROUND_S = 0.8  # setting up `fit` costs hundredths of a second

CLASSES = 10


class SameBatch(keras.utils.PyDataset):
    """Hands out one batch again and again, the way that our iterators are asked for theirs."""

    def __init__(self, batch: tuple[Array, Array], steps: int) -> None:
        super().__init__()
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return self.batch


def build_model(size: int) -> Any:
    """Return the average of all pixels, and ten weights for each channel."""
    layers = [
        keras.Input((size, size, 3)),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(CLASSES),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return model


def fitting(size: int, batches: Any, steps: int | None = None):
    """Return a contender: `fit` on so many passes of so many steps; it gives the last loss."""
    model = build_model(size)

    def call(passes: int) -> float:
        history = model.fit(batches, epochs=passes, steps_per_epoch=steps, verbose=0)
        return history.history["loss"][-1]

    return call


def fastaug(images: Array, batch: int):
    """Fit on our batches; a pass shows every image once."""
    labels = np.arange(len(images)) % CLASSES
    return fitting(images.shape[1], flow(Generator, images, batch, labels))


def one_batch(images: Array, batch: int) -> tuple[Array, Array]:
    """Return a batch as our iterators give them out, to be used again and again."""
    return next(flow(Generator, images[:batch], batch, np.arange(batch) % CLASSES))


def constant_tensor(images: Array, batch: int):
    """Fit on one tensor that TensorFlow already holds: nothing feeds it faster."""
    same = tf.data.Dataset.from_tensors(one_batch(images, batch)).repeat()
    return fitting(images.shape[1], same, len(images) // batch)


def constant_batches(images: Array, batch: int):
    """Fit on a Keras data set that returns the same arrays each time."""
    return fitting(images.shape[1], SameBatch(one_batch(images, batch), len(images) // batch))


CONTENDERS = {
    "fastaug": fastaug,
    "constant_tensor": constant_tensor,
    "constant_batches": constant_batches,
}
