"""Where Keras does not do what its documentation says: both behaviours, and when one is told."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image

from fastaug import Generator

# Keras 3.15 takes `affine_transform` from where SciPy had it before 1.8.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import `affine_transform`:DeprecationWarning"
)

HEIGHT, WIDTH = 5, 8


@pytest.fixture
def image() -> np.ndarray:
    return make_images(1, HEIGHT, WIDTH, 3, "float32")[0]


def three(**options: Any) -> tuple[ImageDataGenerator, Generator, Generator]:
    """Return Keras, and ourselves with and without its quirks."""
    return (
        ImageDataGenerator(**options),
        Generator(**options),
        Generator(keras_quirks=False, **options),
    )


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move an image by whole pixels; zeros come in."""
    height, width = image.shape[:2]
    out = np.zeros_like(image)
    for row in range(height):
        for col in range(width):
            if 0 <= row + down < height and 0 <= col + right < width:
                out[row + down, col + right] = image[row, col]
    return out


def test_height_shift_moves_horizontally_only_with_quirks(image: np.ndarray) -> None:
    keras, quirky, documented = three(fill_mode="constant", height_shift_range=[2])
    for seed in range(4):
        # Keras calls it tx and pulls from there, so the picture goes the other way.
        pixels = int(-keras.get_random_transform(image.shape, seed)["tx"])
        assert abs(pixels) == 2
        expected = keras.random_transform(image, seed)
        np.testing.assert_array_equal(expected, moved(image, down=0, right=pixels))
        np.testing.assert_array_equal(quirky.random_transform(image, seed), expected)
        np.testing.assert_array_equal(
            documented.random_transform(image, seed), moved(image, down=pixels, right=0)
        )


def test_width_shift_moves_vertically_only_with_quirks(image: np.ndarray) -> None:
    keras, quirky, documented = three(fill_mode="constant", width_shift_range=[3])
    for seed in range(4):
        pixels = int(-keras.get_random_transform(image.shape, seed)["ty"])
        assert abs(pixels) == 3
        expected = keras.random_transform(image, seed)
        np.testing.assert_array_equal(expected, moved(image, down=pixels, right=0))
        np.testing.assert_array_equal(quirky.random_transform(image, seed), expected)
        np.testing.assert_array_equal(
            documented.random_transform(image, seed), moved(image, down=0, right=pixels)
        )


def test_share_of_the_height_stays_one_without_quirks(image: np.ndarray) -> None:
    # A range of 1 / 5 of the height of 5 is up to one pixel, also where it moves down.
    keras, _, documented = three(height_shift_range=1 / HEIGHT)
    shifts = [documented.get_random_transform(image.shape, seed)["tx"] for seed in range(50)]
    assert 0.9 < max(np.abs(shifts)) <= 1
    assert shifts == [keras.get_random_transform(image.shape, seed)["tx"] for seed in range(50)]


def test_half_turn_of_an_image_that_is_not_square_is_off_centre_only_with_quirks(image) -> None:
    keras, quirky, documented = three(interpolation_order=0)
    parameters = {"theta": 180}
    expected = keras.apply_transform(image, parameters)
    # A turn about (3.5, 2) in (row, col) instead of (2, 3.5); the edge is repeated outside.
    rows, cols = 7 - np.arange(HEIGHT), 4 - np.arange(WIDTH)
    off = image[rows.clip(0, HEIGHT - 1)][:, cols.clip(0, WIDTH - 1)]
    np.testing.assert_array_equal(expected, off)
    np.testing.assert_array_equal(quirky.apply_transform(image, parameters), expected)
    np.testing.assert_array_equal(documented.apply_transform(image, parameters), image[::-1, ::-1])


@pytest.mark.parametrize(
    "parameters", [{"theta": 180.0}, {"zx": 2.0, "zy": 2.0}, {"zx": 0.5, "zy": 3.0}], ids=str
)
def test_centre_of_an_image_stays_only_without_quirks(parameters: dict[str, float]) -> None:
    # One bright pixel in the middle of an odd number of rows and columns.
    image = np.zeros((5, 9, 1), np.float32)
    image[2, 4] = 255
    keras, quirky, documented = three()
    assert documented.apply_transform(image, parameters)[2, 4] == 255
    expected = keras.apply_transform(image, parameters)
    assert expected[2, 4] == 0
    np.testing.assert_array_equal(quirky.apply_transform(image, parameters), expected)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_brightness_is_cut_to_whole_numbers_only_with_quirks(factor: float) -> None:
    image = np.array([[[0.0], [10.9]], [[101.7], [254.2]]], np.float32)
    keras, quirky, documented = three()
    parameters = {"brightness": factor}
    expected = keras.apply_transform(image, parameters)
    cut = np.trunc(np.minimum(np.trunc(image) * factor, 255))
    np.testing.assert_array_equal(expected, cut)
    np.testing.assert_array_equal(quirky.apply_transform(image, parameters), expected)
    # One product in float32.
    np.testing.assert_array_equal(
        documented.apply_transform(image, parameters),
        np.minimum(image * np.float32(factor), 255),
    )


def test_brightness_of_values_beyond_pixels_loses_levels_only_with_quirks() -> None:
    # From -100 to 300 there are 256 levels with quirks: steps of 1.57.
    image = np.linspace(-100, 300, 1000, dtype=np.float32).reshape(25, 40, 1)
    keras, quirky, documented = three()
    parameters = {"brightness": 1.0}
    expected = keras.apply_transform(image, parameters)
    assert len(np.unique(expected)) <= 256
    np.testing.assert_array_equal(quirky.apply_transform(image, parameters), expected)
    # There and back in float32: four steps, rounded by 2^-16 at 300 each.
    found = documented.apply_transform(image, parameters)
    np.testing.assert_allclose(found, image, rtol=0, atol=4 * 2.0**-16)


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_sample_weights_of_a_subset_are_those_of_other_rows_only_with_quirks(subset: str) -> None:
    images = make_images(10, 8, 8, 1)
    rows = np.arange(10)
    arguments = {"sample_weight": rows, "subset": subset, "shuffle": False, "batch_size": 4}
    part = slice(0, 3) if subset == "validation" else slice(3, 10)
    keras, quirky, documented = (
        one.flow(images, rows, ignore_class_split=True, **arguments)
        for one in three(validation_split=0.3)
    )
    for batch in range(len(keras)):
        (_, labels, weights), (_, own_labels, own) = next(quirky), next(documented)
        _, keras_labels, keras_weights = next(keras)
        np.testing.assert_array_equal(labels, keras_labels)
        np.testing.assert_array_equal(weights, keras_weights)
        # As a quirk, weights are counted from the first row of all.
        np.testing.assert_array_equal(weights, rows[4 * batch :][: len(weights)])
        np.testing.assert_array_equal(own_labels, rows[part][4 * batch :][: len(own_labels)])
        np.testing.assert_array_equal(own, own_labels)


SQUARE, OBLONG = (8, 8), (8, 11)
VISIBLE = {
    "shifts that differ": ({"width_shift_range": 0.1, "height_shift_range": 0.2}, SQUARE),
    "one shift": ({"width_shift_range": 0.1}, SQUARE),
    "equal shifts, not square": ({"width_shift_range": 0.1, "height_shift_range": 0.1}, OBLONG),
    "shifts by integers that differ": ({"width_shift_range": 3, "height_shift_range": 2}, SQUARE),
    "rotation, not square": ({"rotation_range": 10}, OBLONG),
    "shear, not square": ({"shear_range": 10}, OBLONG),
    "zoom, not square": ({"zoom_range": 0.1}, OBLONG),
}
INVISIBLE = {
    "nothing": ({}, OBLONG),
    "rotation, square": ({"rotation_range": 10, "shear_range": 5, "zoom_range": 0.1}, SQUARE),
    "equal shifts": ({"width_shift_range": 0.1, "height_shift_range": 0.1}, SQUARE),
    "equal lists": ({"width_shift_range": [1, 2], "height_shift_range": (1, 2)}, SQUARE),
    "flips, not square": ({"horizontal_flip": True, "vertical_flip": True}, OBLONG),
    "channel shift, not square": ({"channel_shift_range": 9}, OBLONG),
}


@pytest.mark.parametrize("name", VISIBLE)
def test_visible_quirk_is_told_once_for_each_generator(name: str) -> None:
    options, size = VISIBLE[name]
    images = make_images(3, *size, 3)
    for _ in range(2):
        generator = Generator(**options)
        with pytest.warns(UserWarning, match=r"as in Keras.*keras_quirks=False") as caught:
            next(generator.flow(images))
        assert len(caught) == 1
        assert caught[0].filename == __file__, "the warning names a line of the user's script"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            next(generator.flow(images))
            next(generator.flow(make_images(3, 11, 8, 3)))


@pytest.mark.parametrize("name", INVISIBLE)
def test_invisible_quirk_is_not_told(name: str) -> None:
    options, size = INVISIBLE[name]
    next(Generator(**options).flow(make_images(3, *size, 3)))


@pytest.mark.parametrize("name", VISIBLE)
def test_nothing_is_told_without_quirks(name: str) -> None:
    options, size = VISIBLE[name]
    next(Generator(keras_quirks=False, **options).flow(make_images(3, *size, 3)))


def test_visible_quirk_is_told_for_folders_and_channels_first(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.fromarray(make_images(1, 9, 9, 3)[0]).save(tmp_path / "cat" / "a.png")
    generator = Generator(rotation_range=10, workers=0, data_format="channels_first")
    with pytest.warns(UserWarning, match="8x11 .*not their centre") as caught:
        generator.flow_from_directory(tmp_path, target_size=(8, 11))
    assert [one.filename for one in caught] == [__file__]


@pytest.mark.parametrize("quirks", [True, False])
def test_square_images_with_equal_shifts_do_not_depend_on_quirks_in_their_numbers(quirks) -> None:
    # The switch changes what numbers mean, never which are drawn.
    options = {"rotation_range": 30, "width_shift_range": 3, "brightness_range": (0.5, 1.5)}
    keras = ImageDataGenerator(**options)
    generator = Generator(keras_quirks=quirks, **options)
    for seed in range(5):
        parameters = generator.get_random_transform((5, 8, 3), seed)
        assert parameters == keras.get_random_transform((5, 8, 3), seed)
