"""Odd numbers and odd arrays: a defined result, or a ValueError."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.testing import assert_array_equal

from fastaug import Generator

SEED, COUNT, SICK = 5, 4, 2  # the image that holds odd numbers
VALUES = {
    "NaN": np.nan,
    "infinity": np.inf,
    "-infinity": -np.inf,
    "1e30": 1e30,
    "-1e30": -1e30,
    "the largest": np.finfo(np.float32).max,
    "the smallest": np.finfo(np.float32).smallest_subnormal,
    "minus zero": -0.0,
}
# Each leaves images apart: what happens to one shows in no other.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rescale": {"rescale": 1 / 255},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "affine": {"rotation_range": 40, "zoom_range": 0.2, "shear_range": 10},
    "affine, whole pixels": {"rotation_range": 40, "interpolation_order": 0},
    "affine, spline": {"rotation_range": 40, "interpolation_order": 3},
    "affine, constant": {"rotation_range": 40, "fill_mode": "constant", "cval": 9},
    "affine, reflect": {"width_shift_range": 0.4, "fill_mode": "reflect"},
    "channel shift": {"channel_shift_range": 40},
    "brightness": {"brightness_range": (0.5, 1.5), "keras_quirks": False},
    "samplewise": {"samplewise_center": True, "samplewise_std_normalization": True},
    "a mode": {"preprocessing_function": "caffe"},
    "a function": {"preprocessing_function": lambda image: image - 3},
    "bytes": {"dtype": "uint8"},
    "halves": {"dtype": "float16"},
    "doubles": {"dtype": "float64"},
}

# NumPy's words in the user's function, and SciPy's.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered"),
    pytest.mark.filterwarnings("ignore:as in Keras"),
]


def batch_of(images: np.ndarray, **options: Any) -> np.ndarray:
    return next(Generator(**options).flow(images, batch_size=99, shuffle=False, seed=SEED))


def images_with(value: float) -> np.ndarray:
    """Return images one of which holds a value at two places."""
    images = make_images(COUNT, 8, 11, 3, "float32")
    images[SICK, 2, 3, 1] = images[SICK, 5, 7] = value
    return images


@pytest.mark.parametrize("name", OPTIONS)
def test_odd_value_is_no_error_and_shows_in_no_other_image(name):
    healthy = np.arange(COUNT) != SICK
    expected = batch_of(make_images(COUNT, 8, 11, 3, "float32"), **OPTIONS[name])
    for what, value in VALUES.items():
        found = batch_of(images_with(value), **OPTIONS[name])
        assert_array_equal(found, batch_of(images_with(value), **OPTIONS[name]), what)  # defined
        assert_array_equal(found[healthy], expected[healthy], what)


# Keras calls SciPy by a name that is deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["plain", "rescale", "flips", "affine, whole pixels"])
def test_odd_value_is_moved_as_by_keras(name):
    for what, value in VALUES.items():
        images = np.ascontiguousarray(images_with(value)[:, :, :8])  # square: no quirk shows
        theirs = ImageDataGenerator(**OPTIONS[name]).flow(images, shuffle=False, seed=SEED)
        assert_array_equal(batch_of(images, **OPTIONS[name]), next(theirs), what)


@pytest.mark.parametrize("name", ["affine", "affine, constant", "affine, reflect"])
def test_pixels_far_from_an_odd_value_are_healthy(name):
    images = np.float32(100) + make_images(1, 33, 33, 3, "float32")
    plain = batch_of(images, **OPTIONS[name])
    for value in (np.nan, np.inf, 1e30):
        images[0, 16, 16] = value
        found = batch_of(images, **OPTIONS[name])
        changed = np.argwhere((found != plain).any(axis=(0, 3)))
        assert 1 <= len(changed) <= 16  # those that a warp takes from one pixel
        assert np.ptp(changed, axis=0).max() <= 3


def test_odd_value_gives_the_byte_that_is_nearest():
    for what, value in VALUES.items():
        batch = batch_of(images_with(value), dtype="uint8")
        expected = np.uint8(0 if np.isnan(value) else np.clip(value, 0, 255))
        assert_array_equal(batch[SICK, 5, 7], np.full(3, expected), what)
        assert batch[SICK, 2, 3, 1] == expected, what


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_statistics_of_odd_values_are_those_of_keras(value):
    options = {"featurewise_center": True, "featurewise_std_normalization": True}
    images = images_with(value)
    found = []
    for generator in (Generator(**options), ImageDataGenerator(**options)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's
            generator.fit(images)
        found.append((generator.mean, generator.std))
    (mean, std), (their_mean, their_std) = found
    for ours, theirs in ((mean, their_mean), (std, their_std)):
        finite = np.isfinite(theirs)
        assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-5)


# --- Dtypes ---------------------------------------------------------------------------------------

DTYPES = [
    *("bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float64", "longdouble", ">f4", ">u2", "object"),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_of_any_real_dtype_are_what_they_are_in_float32(dtype):
    images = make_images(COUNT, 8, 11, 3) % 2 if dtype == "bool" else make_images(COUNT, 8, 11, 3)
    images = (images // 2).astype(dtype)
    for name in ("plain", "affine", "channel shift", "samplewise"):
        expected = batch_of(images.astype(np.float32), **OPTIONS[name])
        assert_array_equal(batch_of(images, **OPTIONS[name]), expected)


@pytest.mark.parametrize("largest", [2**16 - 1, 2**31, 2**63])
def test_large_integers_are_not_wrapped(largest):
    images = np.full((COUNT, 5, 7, 3), largest, np.uint64)
    assert_array_equal(batch_of(images), np.full((COUNT, 5, 7, 3), largest, np.float32))
    assert_array_equal(batch_of(images, dtype="uint8"), np.full((COUNT, 5, 7, 3), 255, np.uint8))


class NoNumber:
    """What no image is made of."""


@pytest.mark.parametrize(
    "images",
    [
        make_images(2, 5, 7, 3).astype(complex),
        make_images(2, 5, 7, 3).astype(str),
        make_images(2, 5, 7, 3).astype("datetime64[s]"),
        np.zeros((2, 5, 7, 3), [("red", "u1"), ("green", "u1")]),
        np.full((2, 5, 7, 3), NoNumber()),
        np.array([[1, 2], [3]], dtype=object),
    ],
    ids=lambda images: str(images.dtype),
)
def test_what_are_no_numbers_is_a_value_error_with_the_dtype(images):
    with pytest.raises(ValueError, match=r"`x` .*"):
        batch_of(images)


# --- Shapes and memory ----------------------------------------------------------------------------

MEMORY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "every second": lambda images: np.repeat(images, 2, axis=2)[:, :, ::2],
    "backwards": lambda images: images[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "Fortran order": np.asfortranarray,
    "channels apart": lambda images: np.moveaxis(np.moveaxis(images, -1, 0).copy(), 0, -1),
    "one image again and again": lambda images: np.broadcast_to(images[:1], images.shape),
    "masked": np.ma.masked_array,
    "a class of its own": lambda images: images.view(type("Images", (np.ndarray,), {})),
}


@pytest.mark.parametrize("name", MEMORY)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16"])
def test_images_may_lie_anywhere_and_are_not_changed(name, dtype):
    images = MEMORY[name](make_images(COUNT, 8, 11, 3, dtype))
    plain = np.array(images, dtype)
    before = plain.copy()
    images.flags.writeable = False
    for options in (OPTIONS["plain"], OPTIONS["affine"], OPTIONS["samplewise"]):
        found = batch_of(images, **options)
        assert type(found) is np.ndarray
        assert_array_equal(found, batch_of(plain, **options))
    assert_array_equal(images, before)


@pytest.mark.filterwarnings("ignore:the data format")  # 1, 3 or 4 channels are usual
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 33])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_tiny_images_of_any_number_of_channels(data_format, channels):
    sizes = ((1, 1), (1, 7), (7, 1), (2, 2))
    for size, (name, options) in itertools.product(sizes, OPTIONS.items()):
        images = make_images(3, *size, channels)
        if data_format == "channels_first":
            images = np.moveaxis(images, -1, 1)
        if name == "a mode" and channels != 3:
            with pytest.raises(ValueError, match="caffe"):
                batch_of(images, data_format=data_format, **options)
        else:
            batch = batch_of(images, data_format=data_format, **options)
            assert batch.shape == images.shape
            assert np.isfinite(batch).all()


def test_no_images_are_an_empty_batch():
    for options in OPTIONS.values():
        iterator = Generator(**options).flow(np.zeros((0, 5, 7, 3), np.uint8))
        assert next(iterator).shape == (0, 5, 7, 3)


@pytest.mark.parametrize("shape", [(3, 0, 7, 3), (3, 5, 0, 3), (3, 5, 7, 0), (0, 0, 0, 0)], ids=str)
def test_images_without_a_pixel_are_a_value_error(shape):
    with pytest.raises(ValueError, match="without a pixel"):
        batch_of(np.zeros(shape, np.uint8))
