"""The study's two models, in Keras 3."""

from __future__ import annotations

from typing import Any

import keras

layers = keras.layers


def cifar_model(shape: tuple[int, ...], classes: int) -> Any:
    """Return the study's network for CIFAR-10: 1.25 million weights at 32x32, adam."""
    model = keras.Sequential([keras.Input(shape)])
    for filters in (32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.25))
    model.add(layers.Flatten())
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def photo_model(size: int) -> Any:
    """Return the study's network for two classes of photos, rmsprop."""
    model = keras.Sequential([keras.Input((size, size, 3))])
    for filters in (32, 32, 64):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    return model
