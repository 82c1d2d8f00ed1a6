"""Trains with `InputStats` where one side is slow: the model, decoding or augmenting.

    python input_stats_script.py BACKEND

Run by `test_input_stats.py`, once for each Keras backend, in a process of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = sys.argv[1]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from backends import report
from conftest import make_images
from keras import layers
from pools import draw_photos, numbered

from fastaug import Generator, InputStats, batched
from fastaug.sources import files as sources

BATCH, COUNT = 4, 40
STEP_S = 0.03  # what the slow side takes for a batch


class SlowModel(keras.layers.Layer):
    """A layer that computes for about STEP_S, within the compiled step."""

    def call(self, images):
        if keras.backend.backend() == "jax":
            import jax

            wait = jax.ShapeDtypeStruct((), "float32")
            late = jax.pure_callback(_late, wait, images[0, 0, 0, 0])
        else:
            import tensorflow as tf

            late = tf.numpy_function(_late, [images[0, 0, 0, 0]], tf.float32)
            late.set_shape(())
        return images + keras.ops.stop_gradient(late)


def _late(_: Any) -> np.float32:
    time.sleep(STEP_S)
    return np.float32(0)


class SlowLoop(keras.callbacks.Callback):
    """A callback that keeps the loop."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(STEP_S)


def model(slow: bool = False, **options: Any) -> keras.Model:
    """A small model, compiled."""
    parts = [SlowModel()] if slow else []
    made = keras.Sequential([keras.Input((6, 8, 3)), *parts, layers.Flatten(), layers.Dense(1)])
    made.compile("sgd", "mse", **options)
    return made


def slowly(images: np.ndarray) -> np.ndarray:
    time.sleep(STEP_S)
    return images


def flow(generator: Generator) -> Any:
    return generator.flow(make_images(COUNT, 6, 8, 3), np.zeros(COUNT), batch_size=BATCH, seed=3)


def found(iterator: Any, trained: keras.Model, *others: Any, **options: Any) -> dict[str, Any]:
    """Train; return what the callback found in each epoch, and what History has."""
    watching = InputStats(iterator)
    options = {"epochs": 3, "verbose": 0} | options
    started = time.perf_counter()
    history = trained.fit(iterator, callbacks=[watching, *others], **options).history
    lasted = time.perf_counter() - started
    iterator.close()
    return {
        "input_wait": history["input_wait"],
        "logs": sorted(history),
        "function": [one.shares.function for one in watching.epochs],
        "augment": [one.shares.augment for one in watching.epochs],
        "decode": [one.shares.decode for one in watching.epochs],
        "seconds": [one.seconds for one in watching.epochs],
        "advice": [one.advice for one in watching.epochs],
        "lasted": lasted,
    }


def slow_model() -> dict[str, Any]:
    return found(flow(Generator(rotation_range=30)), model(slow=True))


def slow_loop() -> dict[str, Any]:
    return found(flow(Generator(rotation_range=30)), model(), SlowLoop())


def slow_model_on_input_as_slow() -> dict[str, Any]:
    """The input takes half of the model's time: fetched ahead, it costs the model nothing."""
    half = batched(lambda images: (time.sleep(STEP_S / 2), images)[1])
    return found(flow(Generator(preprocessing_function=half)), model(slow=True))


def slow_function() -> dict[str, Any]:
    return found(flow(Generator(preprocessing_function=batched(slowly))), model())


def slow_function_in_steps_per_epoch() -> dict[str, Any]:
    iterator = flow(Generator(preprocessing_function=batched(slowly)))
    return found(iterator, model(), steps_per_epoch=4)


def slow_model_in_steps_per_epoch() -> dict[str, Any]:
    iterator = flow(Generator(rotation_range=30))
    return found(iterator, model(slow=True), steps_per_epoch=4)


def slow_function_and_steps_per_execution() -> dict[str, Any]:
    iterator = flow(Generator(preprocessing_function=batched(slowly)))
    return found(iterator, model(steps_per_execution=4))


def slow_decode() -> dict[str, Any]:
    exact = sources.decode_into

    def slow(*arguments: Any) -> Any:
        time.sleep(STEP_S / BATCH)
        return exact(*arguments)

    sources.decode_into = slow  # of `workers=0`
    with tempfile.TemporaryDirectory() as folder:
        draw_photos(Path(folder) / "a", numbered(COUNT))
        iterator = Generator(workers=0).flow_from_directory(
            folder, (6, 8), class_mode="sparse", batch_size=BATCH, seed=3
        )
        return found(iterator, model())


def slow_validation() -> dict[str, Any]:
    validation = flow(Generator(preprocessing_function=batched(slowly)))
    iterator = flow(Generator(rotation_range=30))
    return found(iterator, model(slow=True), validation_data=validation)


SCENARIOS: list[Callable[[], dict[str, Any]]] = [
    slow_model,
    slow_loop,
    slow_model_on_input_as_slow,
    slow_function,
    slow_function_in_steps_per_epoch,
    slow_model_in_steps_per_epoch,
    slow_function_and_steps_per_execution,
    slow_decode,
    slow_validation,
]

if __name__ == "__main__":
    report([(scenario.__name__, scenario) for scenario in SCENARIOS])
