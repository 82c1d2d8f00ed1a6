"""How fast is half of a batch flipped left to right, and all of it given out as float32?"""

from __future__ import annotations

from typing import Any

import augmenters
import layers
import numpy as np
import pytest
from drawn import Question, each, fastaug, keras
from numpy.typing import NDArray
from oracles import ORACLES
from study import SEED

Array = NDArray[Any]

COUNTS = {32: 256, 299: 16}


def flips(count: int) -> dict[str, tuple[bool, ...]]:
    """Draw which images are flipped."""
    return {"flip_horizontal": tuple((np.random.RandomState(SEED).rand(count) < 0.5).tolist())}


def numpy_batch(question: Question):
    """Convert a whole batch, then write the flipped ones again, into memory that is used again."""
    flipped = np.flatnonzero(question.parameters["flip_horizontal"])
    batch = np.empty(question.images.shape, np.float32)

    def call(calls: int) -> Array:
        for _ in range(calls):
            batch[...] = question.images
            batch[flipped] = question.images[flipped, :, ::-1]
        return batch

    return call


def opencv(question: Question):
    """Flip in uint8 and convert, image by image, into memory that is used again."""
    cv2 = pytest.importorskip("cv2")
    flipped = question.parameters["flip_horizontal"]
    batch = np.empty(question.images.shape, np.float32)

    def call(calls: int) -> Array:
        for _ in range(calls):
            for image, flip, out in zip(question.images, flipped, batch, strict=True):
                out[...] = cv2.flip(image, 1) if flip else image
        return batch

    return call


def albumentations(question: Question):
    """Flip at random, image by image."""
    library = pytest.importorskip("albumentations")
    chain = augmenters.compose([library.HorizontalFlip(p=0.5)], max_value=1)
    return each(question.images, chain)


def keras_layers(question: Question):
    """Flip at random, a batch at a time."""
    flip = layers.layers.RandomFlip("horizontal", seed=SEED)
    return layers.batches(question.images, [flip])


CONTENDERS = {
    "fastaug": fastaug,
    "keras": keras,
    "numpy": numpy_batch,
    "opencv": opencv,
    "albumentations": albumentations,
    "keras_layers": keras_layers,
}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.benchmark(group="flip")
def test_flip(contender, size, compare, pictures):
    images = pictures.load(COUNTS[size], size)
    if contender == "fastaug":
        ORACLES["flip_horizontal"].check(images[:3, :31, :17])
    question = Question(images, flips(len(images)), rescale=None)
    call = CONTENDERS[contender](question)
    check(contender, call(1), question)
    beside = None if contender == "keras" else ("keras", keras(question))
    compare(call, beside, images=len(images))


def check(contender: str, batch: Array, question: Question) -> None:
    """Compare with NumPy: pixels only move, so all are equal to the last bit."""
    assert batch.dtype == np.float32
    mirrored = question.images[:, :, ::-1]
    if contender in ("albumentations", "keras_layers"):
        # They draw which images are flipped; each one must be one or the other.
        flipped = (batch == mirrored).all((1, 2, 3))
        assert 0 < flipped.sum() < len(batch)
    else:
        flipped = np.array(question.parameters["flip_horizontal"])
    expected = np.where(flipped[:, np.newaxis, np.newaxis, np.newaxis], mirrored, question.images)
    np.testing.assert_array_equal(batch, expected)
