"""Keras layers' counterparts of the policies, in a process with one thread of TensorFlow.

TensorFlow's threads are chosen once in a process, and other benchmarks want all of them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

NAMES = (
    "rotate",
    "affine",
    "flip",
    "perspective",
    "five_moves",
    "jitter",
    "equalize",
    "blur",
    "noise",
    "erase",
    "mixup",
    "cutmix",
    "rand_augment",
)


def layers_of(name: str) -> list[Any]:
    """Return the layers of a policy."""
    from keras import layers as L

    soft = {"fill_mode": "constant"}

    def perspective() -> Any:
        return L.RandomPerspective(factor=1.0, scale=0.3, fill_value=0.0)

    def turn(degrees: float) -> Any:
        return L.RandomRotation(degrees / 360, **soft)

    def others() -> list[Any]:
        return [
            L.RandomTranslation(0.1, 0.1, **soft),
            L.RandomZoom(0.2, **soft),
            L.RandomShear(x_factor=0.18, **soft),
        ]

    made: dict[str, Callable[[], list[Any]]] = {
        "rotate": lambda: [turn(30)],
        "affine": lambda: [turn(15), *others()],
        "flip": lambda: [L.RandomFlip("horizontal")],
        "perspective": lambda: [perspective()],
        "five_moves": lambda: [turn(30), *others(), perspective()],
        "jitter": lambda: [
            L.RandomColorJitter(
                value_range=(0, 255),
                brightness_factor=0.4,
                contrast_factor=0.4,
                saturation_factor=(0.3, 0.7),
                hue_factor=0.1,
            )
        ],
        "equalize": lambda: [L.Equalization(value_range=(0, 255))],
        "blur": lambda: [L.RandomGaussianBlur(1.0, 5, (0.1, 2.0), value_range=(0, 255))],
        "noise": lambda: [L.Rescaling(1 / 255), L.GaussianNoise(0.1)],
        "erase": lambda: [L.RandomErasing(0.5, (0.02, 0.33), fill_value=0)],
        "mixup": lambda: [L.MixUp(0.2)],
        "cutmix": lambda: [L.CutMix()],
        "rand_augment": lambda: [L.RandAugment(value_range=(0, 255), num_ops=2, factor=0.3)],
    }
    return made[name]()


def serve(pipe: Any, name: str, images: Any, labels: Any) -> None:
    """Make as many batches as a number says, until there is none; 0 asks for the last one."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    chain, source = layers_of(name), tf.constant(images)

    @tf.function
    def run(batch: Any) -> Any:
        values = tf.cast(batch, tf.float32)
        if labels is not None:
            return chain[0]({"images": values, "labels": labels}, training=True)["images"]
        for layer in chain:
            values = layer(values, training=True)
        return values

    batch = None
    while (calls := pipe.recv()) is not None:
        for _ in range(calls):
            batch = run(source)
        pipe.send(np.asarray(batch, np.float32) if calls == 0 else None)


def contender(name: str, images: Any, labels: Any, stack: ExitStack) -> Callable[[int], Any]:
    """Start the process; a call waits for it and leaves the pixels there."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, name, images, labels), daemon=True)
    process.start()
    there.close()
    stack.callback(process.join, 20)
    stack.callback(here.send, None)

    def call(calls: int) -> Any:
        here.send(calls)
        return here.recv()

    return call
