"""The last steps: kernels, NumPy, undoing and words come from the same data, and agree."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from oracles import batch_of, recipe_of

from fastaug import Generator, batched
from fastaug.pixels.standardization import PENDING, Standardization, standardization

SHAPE = (8, 11, 3)
FIRST = "channels_first"


def square_root(image: np.ndarray) -> np.ndarray:
    return np.sqrt(image)


def whitening() -> np.ndarray:
    """A matrix that can be inverted, with numbers of about the size of an image's share."""
    values = int(np.prod(SHAPE))
    rng = np.random.default_rng(3)
    return np.linalg.qr(rng.normal(size=(values, values)))[0]


# What is asked for, the names of what is undone (the last one first), and a word of each line.
CASES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "nothing": ({}, [], []),
    "rescale": ({"rescale": 1 / 255}, ["rescale"], ["rescale"]),
    **{
        mode: (
            {"preprocessing_function": mode},
            [f"preprocessing_function {mode!r}"],
            [f"mode {mode!r}"],
        )
        for mode in ("tf", "caffe", "torch")
    },
    "own": (
        {"samplewise_center": True, "samplewise_normalize": True},
        ["samplewise_std_normalization", "samplewise_center"],
        ["own mean", "own standard deviation"],
    ),
    "features": (
        {"mean": np.float32([[[90, 100, 110]]]), "deviation": np.float32([[[50, 60, 70]]])},
        ["featurewise_std_normalization", "featurewise_center"],
        ["data set's mean", "data set's standard deviation"],
    ),
    "whitening": (
        {"mean": np.float32([[[90, 100, 110]]]), "whitening": whitening()},
        ["zca_whitening", "featurewise_center"],
        ["data set's mean", "whiten"],
    ),
    "all": (
        {
            "preprocessing_function": "caffe",
            "rescale": 1 / 127,
            "samplewise_center": True,
            "samplewise_normalize": True,
            "mean": np.float32([[[0.1, 0.2, 0.3]]]),
            "deviation": np.float32([[[0.5, 0.6, 0.7]]]),
            "whitening": whitening(),
        },
        [
            "zca_whitening",
            "featurewise_std_normalization",
            "featurewise_center",
            "samplewise_std_normalization",
            "samplewise_center",
            "rescale",
            "preprocessing_function 'caffe'",
        ],
        [
            *("mode 'caffe'", "rescale", "own mean", "own standard deviation"),
            *("data set's mean", "data set's standard deviation", "whiten"),
        ],
    ),
}


def in_format(value: Any, data_format: str) -> Any:
    """Bring a statistic, or images, to a data format; the matrix is the same for both here."""
    if not isinstance(value, np.ndarray) or value.ndim == 2 or data_format != FIRST:
        return value
    return np.ascontiguousarray(np.moveaxis(value, -1, -3))


@pytest.mark.parametrize("data_format", ["channels_last", FIRST])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_kernels_numpy_undoing_and_words_agree(case: str, dtype: str, data_format: str) -> None:
    asked, names, words = CASES[case]
    asked = {name: in_format(value, data_format) for name, value in asked.items()}
    asked |= {"dtype": np.dtype(dtype), "data_format": data_format}
    images = in_format(make_images(3, *SHAPE, "float32"), data_format)
    last = recipe_of(images, asked).standardization
    # What the kernels make, ...
    batch = batch_of(images, asked)
    # ... NumPy makes of each image, ...
    by_numpy = np.stack([last.apply(image.astype(dtype)) for image in images])
    # Own statistics are summed up in float64 by the kernels and in the batch's dtype by Keras; the
    # whitening's sums have 264 terms.  Without both, the bits are the same.
    loose = {"own": 1e-4, "all": 1e-3, "whitening": 1e-3}.get(case, 0)
    np.testing.assert_allclose(batch, by_numpy, rtol=0, atol=loose if dtype == "float32" else 1e-9)
    # ... undoing goes back from there, ...
    known = last.known_part
    bare = None
    if known is not None:
        bare = np.stack([known.apply(image.astype(np.float64)) for image in images])
    undone = last.undo(batch, bare)
    assert (list(undone.undone), undone.stopped_by) == (names, None)
    np.testing.assert_allclose(undone.values, images, rtol=0, atol=0.2 if loose else 2e-4)
    # ... and words tell the same, in the same order.
    assert len(last.words) == len(words)
    assert all(word in line for word, line in zip(words, last.words, strict=True))
    options = dict.fromkeys(step.option for step in last.steps)
    assert list(options) == names[::-1]


def test_function_is_called_first_and_can_not_be_undone() -> None:
    asked = {"preprocessing_function": square_root, "rescale": 0.5}
    images = make_images(2, *SHAPE, "float32")
    last = recipe_of(images, asked).standardization
    batch = batch_of(images, asked)
    np.testing.assert_array_equal(batch, np.sqrt(images) * np.float32(0.5))
    np.testing.assert_array_equal(last.apply(images[0].copy()), batch[0])
    undone = last.undo(batch, None)
    assert undone.undone == ("rescale",)
    assert undone.stopped_by == "preprocessing_function 'square_root'"
    np.testing.assert_array_equal(undone.values, np.sqrt(images))
    assert last.words[0] == "call preprocessing_function 'square_root'"


def test_function_of_a_batch_gets_a_batch_of_one() -> None:
    seen = []

    @batched
    def look(images: np.ndarray) -> np.ndarray:
        seen.append(images.shape)
        return images

    last = standardization(3, "channels_last", np.dtype("float32"), preprocessing_function=look)
    last.apply(np.zeros(SHAPE, np.float32))
    last.apply(np.zeros((5, *SHAPE), np.float32))
    assert seen == [(1, *SHAPE), (5, *SHAPE)]


def test_what_is_not_fitted_yet_does_nothing_and_says_so() -> None:
    last = standardization(3, "channels_last", np.dtype("float32"), mean=PENDING, whitening=PENDING)
    image = make_images(1, *SHAPE, "float32")[0]
    np.testing.assert_array_equal(last.apply(image.copy()), image)
    assert all("not yet: call fit first" in line for line in last.words)
    assert len(last.finish(SHAPE, "channels_last", np.dtype("float32")).steps) == 0


def test_singular_whitening_is_not_undone() -> None:
    values = int(np.prod(SHAPE))
    asked = {"whitening": np.ones((values, values)) / values}
    images = make_images(2, *SHAPE, "float32")
    last = recipe_of(images, asked).standardization
    undone = last.undo(batch_of(images, asked), images)
    assert (undone.undone, undone.stopped_by) == ((), "zca_whitening")


@pytest.mark.parametrize(("name", "option"), [("mean", "mean"), ("deviation", "std")])
def test_statistic_of_another_shape_is_refused_by_its_name(name: str, option: str) -> None:
    last = standardization(3, "channels_last", np.dtype("float32"), **{name: np.ones((1, 1, 4))})
    with pytest.raises(ValueError, match=rf"the generator's {option} has shape \(1, 1, 4\)"):
        last.finish(SHAPE, "channels_last", np.dtype("float32"))


def test_statistic_that_is_changed_in_place_counts() -> None:
    generator = Generator(featurewise_center=True, featurewise_std_normalization=True)
    generator.mean, generator.std = np.zeros((1, 1, 3)), np.ones((1, 1, 3)) - 1e-6
    images = make_images(2, *SHAPE)
    with generator.flow(images, batch_size=2, shuffle=False, seed=1) as batches:
        np.testing.assert_array_equal(next(batches), images)
        generator.mean += 7
        np.testing.assert_array_equal(next(batches), images - np.float32(7))
        generator.std += 1
        np.testing.assert_array_equal(next(batches), (images - np.float32(7)) / np.float32(2))


def test_order_is_that_of_the_data() -> None:
    steps = standardization(
        3, "channels_last", np.dtype("float32"), rescale=2.0, samplewise_center=True
    ).steps
    image = make_images(1, *SHAPE, "float32")[0]
    for order in itertools.permutations(steps):
        expected = image.copy()
        for step in order:
            expected = step.apply(expected)
        np.testing.assert_array_equal(Standardization(order).apply(image.copy()), expected)
