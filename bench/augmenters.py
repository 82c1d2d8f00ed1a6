"""Albumentations' transforms for the study's settings, and its pool of processes.

Imports neither Keras nor TensorFlow: the processes of the pool start with this module.
"""

from __future__ import annotations

import math
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
    """Prepare a process of the pool: one thread, batches in shared memory.

    `source` is a list of files, or the images in shared memory.
    """
    import cv2

    cv2.setNumThreads(1)
    if isinstance(source, list):
        _worker["load"] = lambda row: read_photo(source[row], shape[1])
    else:
        _worker["load"] = np.frombuffer(source, np.uint8).reshape(shape).__getitem__
    _worker["slots"] = np.frombuffer(slots, np.float32).reshape(-1, batch, *shape[1:])
    _worker["augment"] = study_chain(shape[1])


def read_photo(file: str, size: int) -> Array:
    """Decode and resize a file with OpenCV, by the nearest pixel, as Keras' iterators do."""
    import cv2

    photo = cv2.imread(file, cv2.IMREAD_COLOR_RGB)
    return cv2.resize(photo, (size, size), interpolation=cv2.INTER_NEAREST)


def fill_slot(slot: int, rows: Array) -> int:
    """Make a batch in shared memory and return where."""
    for out, row in zip(_worker["slots"][slot], rows, strict=True):
        out[...] = _worker["augment"](_worker["load"](row))
    return slot


def start_pool(images: Array, batch: int, processes: int, stack: ExitStack) -> Any:
    """Return a contender: batches of images in memory, made by processes."""
    source = multiprocessing.get_context("spawn").RawArray("B", images.nbytes)
    np.frombuffer(source, np.uint8)[:] = images.reshape(-1)
    return pool_of(source, images.shape, batch, processes, stack)


def start_file_pool(
    files: list[str], size: int, batch: int, processes: int, stack: ExitStack
) -> Any:
    """Return a contender: batches of files, read and made by processes."""
    return pool_of(files, (len(files), size, size, 3), batch, processes, stack)


def pool_of(
    source: Any, shape: tuple[int, ...], batch: int, processes: int, stack: ExitStack
) -> Any:
    """Return a contender: whole batches by processes, ahead of the one that takes them.

    As PyTorch's loader works: a task is a batch, pixels travel in shared memory, and each process
    is two batches ahead.
    """
    context = multiprocessing.get_context("spawn")
    slots_count = 2 * processes
    slots = context.RawArray("f", slots_count * batch * math.prod(shape[1:]))
    batches = np.frombuffer(slots, np.float32).reshape(slots_count, batch, *shape[1:])
    arguments = (source, slots, shape, batch)
    pool = stack.enter_context(context.Pool(processes, start_worker, arguments))
    rows = np.random.default_rng(SEED).permutation(shape[0])

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
