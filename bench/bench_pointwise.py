"""How fast is one number added to all pixels of an image, clipped to its range, and rescaled?"""

from __future__ import annotations

from typing import Any

import augmenters
import numpy as np
import pytest
from checks import check_as_keras, check_loosely
from drawn import Question, each, fastaug, keras
from numpy.typing import NDArray
from oracles import ORACLES
from study import LARGE, SCALE, SEED

Array = NDArray[Any]

COUNTS = {32: 256, 299: 16}
SHIFT = LARGE["channel_shift_range"]


def shifts(count: int) -> dict[str, tuple[float, ...]]:
    drawn = np.random.RandomState(SEED).uniform(-SHIFT, SHIFT, count)
    return {"channel_shift_intensity": tuple(drawn.tolist())}


def numpy_batch(question: Question):
    """Do a whole batch at once, as NumPy is meant to be used."""
    added = np.array(question.parameters["channel_shift_intensity"], np.float32)
    added = added.reshape(-1, 1, 1, 1)

    def call(calls: int) -> Array:
        for _ in range(calls):
            low = question.images.min((1, 2, 3), keepdims=True)
            high = question.images.max((1, 2, 3), keepdims=True)
            batch = question.images + added
            np.clip(batch, low, high, out=batch)
            batch *= np.float32(question.rescale)
        return batch

    return call


def opencv(question: Question):
    """Look all 256 values up in one table per image, into memory that is used again."""
    cv2 = pytest.importorskip("cv2")
    values = np.arange(256, dtype=np.float32)
    added = question.parameters["channel_shift_intensity"]
    batch = np.empty(question.images.shape, np.float32)

    def call(calls: int) -> Array:
        for _ in range(calls):
            for image, shift, out in zip(question.images, added, batch, strict=True):
                table = np.clip(values + np.float32(shift), image.min(), image.max())
                cv2.LUT(image, table * np.float32(question.rescale), dst=out)
        return batch

    return call


def albumentations(question: Question):
    """Brighten at random by as much."""
    pytest.importorskip("albumentations")
    return each(question.images, augmenters.compose([augmenters.brighten(SHIFT)]))


CONTENDERS = {
    "fastaug": fastaug,
    "keras": keras,
    "numpy": numpy_batch,
    "opencv": opencv,
    "albumentations": albumentations,
}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.benchmark(group="pointwise")
def test_pointwise(contender, size, compare, pictures):
    images = pictures.load(COUNTS[size], size)
    for name in ("channel_shift", "rescale") if contender == "fastaug" else ():
        ORACLES[name].check(images[:3, :31, :17])
    question = Question(images, shifts(len(images)), SCALE)
    call = CONTENDERS[contender](question)
    if contender == "albumentations":
        check_loosely(call(1), images)  # it draws by rules of its own
    else:
        check_as_keras(call(1), question.expected)
    beside = None if contender == "keras" else ("keras", keras(question))
    compare(call, beside, images=len(images))
