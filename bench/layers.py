"""Keras' preprocessing layers for the study's settings, alone and in tf.data."""

from __future__ import annotations

from collections import deque
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray
from study import SCALE, SEED, settings

Array = NDArray[Any]


def moves(size: int, fill_mode: str = "nearest") -> list[Any]:
    """Return the turns, shifts and zooms."""
    ranges = settings(size)
    shift = ranges["width_shift_range"]
    options = {"fill_mode": fill_mode, "seed": SEED}
    chain = [
        layers.RandomRotation(ranges["rotation_range"] / 360, **options),
        layers.RandomTranslation(shift, shift, **options),
    ]
    if "zoom_range" in ranges:
        zoom = (ranges["zoom_range"][0] - 1, 0)
        chain.append(layers.RandomZoom(zoom, zoom, **options))
    return chain


def study_chain(size: int) -> list[Any]:
    """Return all that the study does to an image of this size."""
    chain = [layers.RandomFlip("horizontal", seed=SEED), *moves(size)]
    shift = settings(size).get("channel_shift_range", 0)
    if shift:
        chain.append(layers.RandomBrightness(shift / 255, seed=SEED))
    return [*chain, layers.Rescaling(SCALE)]


def batches(images: Array, chain: list[Any]):
    """Return a contender: the layers on the whole batch, in a compiled graph."""
    augment = keras.Sequential(chain)
    source = tf.constant(images)

    @tf.function
    def run(batch):
        return augment(tf.cast(batch, tf.float32), training=True)

    def call(calls: int) -> Array:
        for _ in range(calls):
            made = run(source)
        return made.numpy()

    return call


def dataset(images: Array, batch: int):
    """Return a contender: the study's layers mapped over tf.data, as Keras' guide shows it.

    The data set starts anew with each round, so it does not work ahead while others are timed.
    It does not shuffle, which costs it less than the others.
    """
    augment = keras.Sequential(study_chain(images.shape[1]))
    rows = np.random.default_rng(SEED).permutation(len(images))
    source = tf.data.Dataset.from_tensor_slices(images[rows]).repeat().batch(batch)
    made = source.map(
        lambda images: augment(tf.cast(images, tf.float32), training=True),
        num_parallel_calls=tf.data.AUTOTUNE,
    )

    def call(calls: int) -> Array:
        last = deque(made.take(calls).prefetch(tf.data.AUTOTUNE), maxlen=1)
        return last.pop().numpy()

    return call


def files(folder: str, size: int, batch: int):
    """Return a contender: the same over a folder's files, decoded and shuffled by Keras' function.

    It starts anew with each round, too.
    """
    augment = keras.Sequential(study_chain(size))
    source = keras.utils.image_dataset_from_directory(
        folder,
        label_mode="binary",
        image_size=(size, size),
        batch_size=batch,
        interpolation="nearest",  # as Keras' iterators do; its own default takes longer
        seed=SEED,
        verbose=False,
    )
    made = source.repeat().map(
        lambda images, labels: (augment(images, training=True), labels),
        num_parallel_calls=tf.data.AUTOTUNE,
    )

    def call(calls: int) -> tuple[Array, Array]:
        last = deque(made.take(calls).prefetch(tf.data.AUTOTUNE), maxlen=1)
        images, labels = last.pop()
        return images.numpy(), labels.numpy()

    return call
