"""How fast are the random numbers of a batch drawn?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from study import LARGE, SEED

from fastaug import Generator
from fastaug.transforms.keras.draws import draw_batch
from fastaug.transforms.streams import batch_stream

SIZE = 299
NUMBERS = 8  # an image with the study's settings: turn, shifts, zooms, flips, channel shift


def fastaug(count: int):
    """Draw all images' numbers at once."""
    ranges = Generator(**LARGE).policy().keras.ranges

    def call(calls: int) -> Any:
        for _ in range(calls):
            draws = draw_batch(ranges, batch_stream(SEED, 0), count, SIZE, SIZE)
        return draws

    return call


def keras(count: int):
    """Seed the global state, then draw image by image, as Keras' iterators do."""
    generator = ImageDataGenerator(**LARGE)

    def call(calls: int) -> list[dict[str, Any]]:
        for _ in range(calls):
            np.random.seed(SEED)
            drawn = [generator.get_random_transform((SIZE, SIZE, 3)) for _ in range(count)]
        return drawn

    return call


def numpy_bare(count: int):
    """Draw as many doubles with NumPy and make nothing of them: the floor."""

    def call(calls: int) -> Any:
        for _ in range(calls):
            doubles = np.random.RandomState(SEED).random_sample((count, NUMBERS))
        return doubles

    return call


CONTENDERS = {"fastaug": fastaug, "keras": keras, "numpy_bare": numpy_bare}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("batch", [32, 256])
@pytest.mark.benchmark(group="draw")
def test_draw(contender, batch, compare):
    call = CONTENDERS[contender](batch)
    drawn, expected = call(1), keras(batch)(1)
    if contender == "fastaug":
        assert [drawn.parameters(i) for i in range(batch)] == expected
    elif contender == "numpy_bare":
        flips = [numbers["flip_horizontal"] for numbers in expected]
        np.testing.assert_array_equal(drawn[:, 5] < 0.5, flips)  # the same doubles
    compare(call, None if contender == "keras" else ("keras", keras(batch)), images=batch)
