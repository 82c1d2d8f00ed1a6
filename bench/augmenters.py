"""Albumentations' transforms for the study's settings, and its pool of processes.

Imports neither Keras nor TensorFlow: the processes of the pool start with this module.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from study import SEED, settings

Array = NDArray[Any]


def borders() -> dict[str, int]:
    """Return OpenCV's names of the fill modes."""
    import cv2

    return {
        "constant": cv2.BORDER_CONSTANT,
        "nearest": cv2.BORDER_REPLICATE,
        "reflect": cv2.BORDER_REFLECT,
        "wrap": cv2.BORDER_WRAP,
    }


def affine(size: int, fill_mode: str = "nearest") -> Any:
    """Return the turns, shifts and zooms."""
    import albumentations

    ranges = settings(size)
    shift, low = ranges["width_shift_range"], ranges.get("zoom_range", [1, 1])[0]
    return albumentations.Affine(
        rotate=(-ranges["rotation_range"], ranges["rotation_range"]),
        translate_percent=dict.fromkeys("xy", (-shift, shift)),
        scale=dict.fromkeys("xy", (1, 1 / low)),  # Keras' zoom below 1 enlarges
        border_mode=borders()[fill_mode],
        p=1,
    )


def brighten(shift: float) -> Any:
    """Return the nearest that it has to Keras' channel shift: brighten, clipped to [0, 255]."""
    import albumentations

    return albumentations.RandomBrightnessContrast(shift / 255, 0, p=1)


def compose(transforms: list[Any], max_value: float = 255) -> Any:
    """Return a function of one image: the transforms, then float32 divided by `max_value`."""
    import albumentations

    chain = albumentations.Compose([*transforms, albumentations.ToFloat(max_value)], seed=SEED)
    return lambda image: chain(image=image)["image"]


def study_chain(size: int) -> Any:
    """Return all that the study does to an image of this size."""
    import albumentations

    chain = [affine(size), albumentations.HorizontalFlip(p=0.5)]
    if "channel_shift_range" in settings(size):
        chain.append(brighten(settings(size)["channel_shift_range"]))
    return compose(chain)


_worker: dict[str, Any] = {}  # what a process of the pool was given when it started


def start_worker(source: Any, slots: Any, shape: tuple[int, ...], batch: int) -> None:
    """Prepare a process of the pool: one thread, images and batches in shared memory."""
    import cv2

    cv2.setNumThreads(1)
    _worker["images"] = np.frombuffer(source, np.uint8).reshape(shape)
    _worker["slots"] = np.frombuffer(slots, np.float32).reshape(-1, batch, *shape[1:])
    _worker["augment"] = study_chain(shape[1])


def fill_slot(slot: int, rows: Array) -> int:
    """Make a batch in shared memory and return where."""
    for out, row in zip(_worker["slots"][slot], rows, strict=True):
        out[...] = _worker["augment"](_worker["images"][row])
    return slot


def start_pool(images: Array, batch: int, processes: int, stack: ExitStack) -> Any:
    """Return a contender: whole batches by processes, ahead of the one that takes them.

    As PyTorch's loader works: a task is a batch, pixels travel in shared memory, and each process
    is two batches ahead.
    """
    context = multiprocessing.get_context("spawn")
    slots_count = 2 * processes
    source = context.RawArray("B", images.nbytes)
    slots = context.RawArray("f", slots_count * batch * images[0].size)
    np.frombuffer(source, np.uint8)[:] = images.reshape(-1)
    batches = np.frombuffer(slots, np.float32).reshape(slots_count, batch, *images.shape[1:])
    arguments = (source, slots, images.shape, batch)
    pool = stack.enter_context(context.Pool(processes, start_worker, arguments))
    rows = np.random.default_rng(SEED).permutation(len(images))

    def call(calls: int) -> Array:
        pending: deque[Any] = deque()
        for number in range(calls):
            if len(pending) == slots_count:
                made = batches[pending.popleft().get()]
            wanted = np.take(rows, range(number * batch, (number + 1) * batch), mode="wrap")
            pending.append(pool.apply_async(fill_slot, (number % slots_count, wanted)))
        while pending:
            made = batches[pending.popleft().get()]
        return made

    return call
