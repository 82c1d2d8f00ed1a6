"""How fast are a batch's bytes read and written as float32, with nothing done to them?

No augmentation can be faster.  Rows stand beside the bare loop on one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conversion import conversion, convert_in_parallel
from drawn import Question, fastaug
from numpy.typing import NDArray

Array = NDArray[Any]

COUNTS = {32: 256, 299: 16}


def numpy_copy(images: Array):
    """Let NumPy convert, into memory that is used again."""
    batch = np.empty(images.shape, np.float32)

    def call(calls: int) -> Array:
        for _ in range(calls):
            np.copyto(batch, images)
        return batch

    return call


CONTENDERS = {
    "floor_one_thread": conversion,
    "floor_all_threads": lambda images: conversion(images, convert_in_parallel),
    "numpy": numpy_copy,
    "fastaug_still": lambda images: fastaug(Question(images, {}, rescale=None)),
}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.benchmark(group="floor")
def test_floor(contender, size, compare, pictures):
    images = pictures.load(COUNTS[size], size)
    call = CONTENDERS[contender](images)
    batch = call(1)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, images)
    first = ("floor_one_thread", conversion(images))
    compare(call, None if contender == first[0] else first, images=len(images))
