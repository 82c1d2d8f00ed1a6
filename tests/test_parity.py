"""The same seed gives the same pictures and labels as the installed Keras, to the last bit.

Both are iterated with `next()` for three epochs with a short last batch.  Where results are not the
same bits, the tolerance says why; the project's promise, at most one value in 10,000 off by more
than 0.02 of 255, is nowhere needed.
"""

from __future__ import annotations

import itertools
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import SCIPY, make_images
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from oracles import shared_out_by_rows
from PIL import Image

from fastaug import Generator
from fastaug.transforms import program

pytestmark = [
    # Keras 3.15 takes `affine_transform` from where SciPy had it before 1.8.
    pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning"),
    # Images that are not square show Keras' quirks, which is what parity is about.
    pytest.mark.filterwarnings("ignore:.*as in Keras:UserWarning"),
]

NEW_SCIPY = pytest.mark.skipif(
    SCIPY < (1, 16), reason="older SciPy sums coordinates in another order: other pixels at borders"
)

COUNT, BATCH_SIZE, SEED = 7, 3, 11
EPOCHS = 3
SIZES = ((8, 8), (7, 11))
CHANNELS = (1, 3, 4)

# Keras finds an image's mean in float32, a tree of sums whose last steps each round by 2^-17, and
# so does the difference; deviations are at least 50, results below 4.
SAMPLE_CENTER = 4 * 2.0**-17
SAMPLE_STD = SAMPLE_CENTER / 50 + 4 * 3 * 2.0**-24
# BLAS adds up to 308 products below 4 in float32, in an order that may depend on the number of
# rows, one in Keras: the roundings add up like a square root; eight deviations.
WHITENING = 4 * 8 * 308**0.5 * 2.0**-24
# Float64: means and products of matrices are summed up in another order, results below 300.
DOUBLE_SUMS = 1e-12
# Older SciPy sums coordinates in another order, which float64 shows.
DOUBLES = 0.0 if SCIPY >= (1, 16) else 1e-12


def invert_first_channel(image: np.ndarray) -> np.ndarray:
    """Return a new image that is sensitive to what came before and comes after."""
    image = image.copy()
    image[..., 0] = 255 - image[..., 0]
    return np.round(image * 1.5)


OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "rotation": {"rotation_range": 40},
    "width shift by a share": {"width_shift_range": 0.3},
    "height shift by a share": {"height_shift_range": 0.3},
    "shift by pixels, float": {"width_shift_range": 2.5, "height_shift_range": 1.0},
    "shift by pixels, integer": {"width_shift_range": 3, "height_shift_range": 2},
    "shift from a list of pixels": {"width_shift_range": [-2, 0, 3], "height_shift_range": (1, 4)},
    "shift from a list of shares": {"width_shift_range": [0.1, 0.25]},
    "shift by numbers of both kinds": {"width_shift_range": 3, "height_shift_range": 0.2},
    "shift by an integer among other draws": {
        "height_shift_range": 3,
        "rotation_range": 20,
        "shear_range": 10,
        "zoom_range": 0.2,
        "channel_shift_range": 20,
        "horizontal_flip": True,
    },
    "shear": {"shear_range": 30},
    "zoom": {"zoom_range": 0.4},
    "zoom pair": {"zoom_range": [0.6, 1.0]},
    "zoom pair above one": {"zoom_range": (1, 1.8)},
    "horizontal flip": {"horizontal_flip": True},
    "vertical flip": {"vertical_flip": True},
    "channel shift": {"channel_shift_range": 90.0},
    "brightness": {"brightness_range": (0.4, 1.8)},
    "rescale": {"rescale": 1 / 255},
    "preprocessing function": {"preprocessing_function": invert_first_channel},
    "samplewise center": {"samplewise_center": True},
    "samplewise deviation": {"samplewise_center": True, "samplewise_std_normalization": True},
    "featurewise center": {"featurewise_center": True},
    "featurewise deviation": {"featurewise_center": True, "featurewise_std_normalization": True},
    "whitening": {"featurewise_center": True, "zca_whitening": True, "zca_epsilon": 0.1},
    "all": {
        "rotation_range": 60,
        "width_shift_range": 0.2,
        "height_shift_range": 0.15,
        "shear_range": 15,
        "zoom_range": [0.7, 1.2],
        "channel_shift_range": 40.0,
        "brightness_range": [0.6, 1.5],
        "horizontal_flip": True,
        "vertical_flip": True,
        "fill_mode": "reflect",
        "preprocessing_function": np.sqrt,
        "rescale": 1 / 16,
        "featurewise_center": True,
        "featurewise_std_normalization": True,
    },
}
MOVES = {"rotation_range": 60, "width_shift_range": 0.4, "zoom_range": 0.5, "shear_range": 20}
OPTIONS |= {
    f"order {order}, {fill_mode}": MOVES
    | {"interpolation_order": order, "fill_mode": fill_mode, "cval": 77.25}
    for order in (0, 1, 3)
    for fill_mode in ("constant", "nearest", "reflect", "wrap")
}
OPTIONS |= {
    f"brightness, {before}": OPTIONS["brightness"] | options
    for before, options in {
        "below black": {"fill_mode": "constant", "cval": -300, "rotation_range": 40},
        "above white": {"fill_mode": "constant", "cval": 900.5, "rotation_range": 40},
        "order 3": {"interpolation_order": 3, "rotation_range": 40},
    }.items()
}
TOLERANCES = {
    "samplewise center": SAMPLE_CENTER,
    "samplewise deviation": SAMPLE_STD,
    "whitening": WHITENING,
}


def both(**options: Any) -> tuple[ImageDataGenerator, Generator]:
    return ImageDataGenerator(**options), Generator(**options)


def in_format(images: np.ndarray, data_format: str) -> np.ndarray:
    first = data_format == "channels_first"
    return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if first else images


def leaves(batch: Any) -> list[np.ndarray]:
    """Return the arrays of a batch, in order."""
    if isinstance(batch, tuple | list):
        return [array for part in batch for array in leaves(part)]
    return [batch]


def structure(batch: Any) -> Any:
    """Return what a batch is made of, without the values."""
    if isinstance(batch, tuple | list):
        return type(batch), [structure(part) for part in batch]
    return type(batch), batch.shape, batch.dtype


def assert_same_batches(theirs: Any, ours: Any, tolerance: float = 0.0) -> None:
    """Compare three epochs of batches; the tolerance is for pixels alone."""
    assert len(theirs) == len(ours)
    for number in range(EPOCHS * len(theirs)):
        their_batch, our_batch = next(theirs), next(ours)
        assert structure(our_batch) == structure(their_batch)
        images, *labels = leaves(our_batch)
        their_images, *their_labels = leaves(their_batch)
        np.testing.assert_allclose(
            images, their_images, rtol=0, atol=tolerance, err_msg=f"batch {number}"
        )
        for label, their_label in zip(labels, their_labels, strict=True):
            np.testing.assert_array_equal(label, their_label)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", OPTIONS)
def test_flow_gives_the_pictures_of_keras(name: str, data_format: str) -> None:
    options = OPTIONS[name] | {"data_format": data_format}
    if data_format == "channels_first":
        # Keras hands channels first to Pillow as if they were last, and fails.
        options.pop("brightness_range", None)
    for (height, width), channels in itertools.product(SIZES, CHANNELS):
        images = in_format(make_images(COUNT, height, width, channels), data_format)
        theirs, ours = both(**options)
        for generator in (theirs, ours):
            generator.fit(images)
        arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
        labels = np.arange(COUNT)
        assert_same_batches(
            theirs.flow(images, labels, **arguments),
            ours.flow(images, labels, **arguments),
            TOLERANCES.get(name, 0.0),
        )


@pytest.mark.parametrize("name", ["rotation", "shift by pixels, integer", "zoom", "all"])
def test_flow_without_shuffling_gives_the_pictures_of_keras(name: str) -> None:
    images = make_images(COUNT, 7, 11, 3)
    theirs, ours = both(**OPTIONS[name])
    for generator in (theirs, ours):
        generator.fit(images)
    arguments = {"batch_size": BATCH_SIZE, "seed": SEED, "shuffle": False}
    assert_same_batches(theirs.flow(images, **arguments), ours.flow(images, **arguments))


@pytest.mark.parametrize("batch_size", [1, COUNT, COUNT + 3])
def test_batch_size_of_one_and_beyond_the_data_gives_the_pictures_of_keras(batch_size) -> None:
    images = make_images(COUNT, 7, 11, 3)
    theirs, ours = both(**MOVES)
    arguments = {"batch_size": batch_size, "seed": SEED}
    assert_same_batches(theirs.flow(images, **arguments), ours.flow(images, **arguments))


def test_reset_in_the_middle_of_an_epoch_gives_the_pictures_of_keras() -> None:
    images = make_images(COUNT, 8, 8, 3)
    theirs, ours = (one.flow(images, batch_size=2, seed=SEED) for one in both(**MOVES))
    for number in range(20):
        np.testing.assert_array_equal(next(ours), next(theirs), f"batch {number}")
        if number in (0, 2, 3, 9):
            theirs.reset()
            ours.reset()


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 2])
def test_any_seed_gives_the_pictures_of_keras(seed: int) -> None:
    images = make_images(COUNT, 8, 8, 3)
    theirs, ours = both(**MOVES)
    # Keras counts on from the seed and fails where the sum passes 2^32 - 1: two batches are left.
    iterators = [one.flow(images, batch_size=COUNT, seed=seed) for one in (theirs, ours)]
    for _ in range(2):
        np.testing.assert_array_equal(next(iterators[1]), next(iterators[0]))


# Keras' brightness comes back as float32: see the next test.
@pytest.mark.parametrize(
    "name", [name for name, one in OPTIONS.items() if "brightness_range" not in one]
)
def test_float64_gives_the_pictures_of_keras(name: str) -> None:
    images = make_images(COUNT, 7, 11, 3, "float64") + 0.123
    theirs, ours = both(dtype="float64", **OPTIONS[name])
    for generator in (theirs, ours):
        generator.fit(images)
    arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
    tolerance = DOUBLE_SUMS if name in TOLERANCES else DOUBLES
    assert_same_batches(theirs.flow(images, **arguments), ours.flow(images, **arguments), tolerance)


def test_float64_brightness_gives_the_pictures_of_keras_in_float32() -> None:
    images = make_images(COUNT, 7, 11, 3, "float64")
    theirs, ours = both(dtype="float64", rescale=1 / 255, **OPTIONS["brightness"])
    arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
    # Keras goes on in float32 there: rescale and the product, at most 1, are rounded to 2^-24.
    assert_same_batches(theirs.flow(images, **arguments), ours.flow(images, **arguments), 2.0**-23)


def plain_path() -> Any:
    """Return a context in which warps go one number after another."""
    return mock.patch.object(program, "COMPILED", False)


@NEW_SCIPY
@pytest.mark.parametrize("path", [nullcontext, plain_path, shared_out_by_rows])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_float64_gives_the_bits_of_keras_on_every_path(fill_mode: str, order: int, path) -> None:
    # Some images lie outside altogether, and some values beside [0, 255].
    far = {"width_shift_range": 2.0, "height_shift_range": 0.9}
    warps = {"fill_mode": fill_mode, "interpolation_order": order, "cval": 77.25} | MOVES
    changes = {"brightness_range": (0.4, 1.8), "channel_shift_range": 30.0}
    for size, channels in itertools.product(((8, 8), (33, 7), (1, 9), (9, 1)), CHANNELS):
        images = np.random.default_rng(0).uniform(-2, 257, (COUNT, *size, channels))
        for options in (warps, warps | far, warps | changes, warps | changes | far):
            theirs, ours = both(dtype="float64", **options)
            arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
            with path():
                assert_same_batches(
                    theirs.flow(images, **arguments), ours.flow(images, **arguments)
                )


@NEW_SCIPY
@pytest.mark.parametrize("real", [False, True], ids=["white frames", "CIFAR-10"])
def test_float64_images_that_a_warp_lifts_above_white_are_stretched_as_by_keras(
    real: bool, request: pytest.FixtureRequest
) -> None:
    # Between two copies of a white pixel SciPy finds 255.00000000000003 too, which is above white:
    # then Keras stretches the whole image before it changes the brightness.
    if real:
        with np.load(request.getfixturevalue("real_data") / "cifar10/cifar10_subset.npz") as arrays:
            images = arrays["x_train"][:1600]
    else:
        images = make_images(48, 8, 8, 3)
        images[:, [0, -1]] = images[:, :, [0, -1]] = 255
    theirs, ours = (
        one.flow(images, batch_size=16, seed=5)
        for one in both(dtype="float64", rotation_range=30, brightness_range=(0.6, 1.4))
    )
    for number in range(len(theirs)):
        np.testing.assert_array_equal(next(ours), next(theirs), f"batch {number}")


@NEW_SCIPY
def test_whole_numbers_half_way_beside_the_image_are_rounded_as_by_keras() -> None:
    # 127.49999999999999 is rounded down, 127.5 up.
    theirs, ours = both()
    for step in range(50):
        image = make_images(1, 7, 11, 3, seed=step)[0]
        parameters = {"tx": 0.5, "ty": -3 - step / 50}
        np.testing.assert_array_equal(
            ours.apply_transform(image, parameters), theirs.apply_transform(image, parameters)
        )


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", ">f4"]
)
def test_images_of_any_dtype_give_the_pictures_of_keras(dtype: str) -> None:
    images = make_images(COUNT, 8, 8, 3)
    given = images.astype(dtype)
    theirs, ours = both(rescale=1 / 255, **MOVES)
    arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
    assert_same_batches(theirs.flow(given, **arguments), ours.flow(given, **arguments))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("augment", [False, True])
def test_fit_finds_the_statistics_of_keras(augment: bool, data_format: str) -> None:
    options = MOVES | {"horizontal_flip": True, "channel_shift_range": 20, "rescale": 1 / 255}
    options |= {"data_format": data_format}
    for statistics, channels in itertools.product(("featurewise deviation", "whitening"), CHANNELS):
        images = in_format(make_images(COUNT, 7, 11, channels), data_format)
        theirs, ours = both(**options, **OPTIONS[statistics])
        for generator in (theirs, ours):
            generator.fit(images, augment=augment, rounds=2, seed=5)
        for name in ("mean", "std", "zca_whitening_matrix"):
            assert type(getattr(ours, name)) is type(getattr(theirs, name))
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
        tolerance = WHITENING if statistics == "whitening" else 0.0
        assert_same_batches(
            theirs.flow(images, **arguments), ours.flow(images, **arguments), tolerance
        )


def test_fit_without_a_seed_draws_what_keras_draws() -> None:
    images = make_images(COUNT, 8, 8, 3)
    theirs, ours = both(featurewise_center=True, **MOVES)
    states = []
    for generator in (theirs, ours):
        np.random.seed(5)
        generator.fit(images, augment=True, rounds=2)
        states.append(np.random.random_sample(3))
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(*states)


def test_labels_weights_and_other_inputs_are_those_of_keras() -> None:
    images = make_images(COUNT, 8, 8, 3)
    rng = np.random.default_rng(0)
    one_hot, weights = np.eye(4)[rng.integers(0, 4, COUNT)], rng.random(COUNT)
    numbers, words = rng.random((COUNT, 5)), np.array(list("abcdefg"))
    arguments = {"batch_size": BATCH_SIZE, "seed": SEED}
    for x, y, weight in (
        (images, one_hot, None),
        (images, one_hot, weights),
        (images, list(range(COUNT)), list(weights)),
        ((images, numbers), one_hot, weights),
        ([images, [numbers, words]], one_hot, None),
        ((images, [numbers]), None, None),
        (images, None, weights),
    ):
        theirs, ours = (one.flow(x, y, sample_weight=weight, **arguments) for one in both(**MOVES))
        assert_same_batches(theirs, ours)


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_subset_of_arrays_is_that_of_keras(subset: str) -> None:
    images = make_images(12, 8, 8, 3)
    labels, others = np.tile([0, 1, 2], 4), np.arange(12)
    theirs, ours = both(validation_split=0.3, **MOVES)
    arguments = {"batch_size": BATCH_SIZE, "seed": SEED, "subset": subset}
    assert_same_batches(
        theirs.flow((images, others), labels, **arguments),
        ours.flow((images, others), labels, **arguments),
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_random_transform_is_that_of_keras(name: str) -> None:
    theirs, ours = both(**OPTIONS[name])
    for (height, width), channels in itertools.product(SIZES, CHANNELS):
        image = make_images(1, height, width, channels, "float32")[0]
        for seed in range(3):
            parameters = theirs.get_random_transform(image.shape, seed)
            assert ours.get_random_transform(image.shape, seed) == parameters
            expected = theirs.apply_transform(image, parameters)
            found = ours.apply_transform(image, parameters)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(ours.random_transform(image, seed), expected)


@pytest.mark.parametrize("name", OPTIONS)
def test_random_transform_without_a_seed_draws_from_the_global_state_as_keras_does(name) -> None:
    drawn = []
    for generator in both(**OPTIONS[name]):
        np.random.seed(3)
        drawn.append([generator.get_random_transform((7, 11, 3)) for _ in range(4)])
        drawn[-1].append(np.random.random_sample())
    assert drawn[1] == drawn[0]


def test_random_transform_of_an_image_with_channels_first_is_that_of_keras() -> None:
    theirs, ours = both(data_format="channels_first", channel_shift_range=30, **MOVES)
    image = np.moveaxis(make_images(1, 7, 11, 3, "float32")[0], -1, 0)
    for seed in range(5):
        np.testing.assert_array_equal(
            ours.random_transform(image, seed), theirs.random_transform(image, seed)
        )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float64"])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_image_of_another_dtype_is_transformed_as_by_keras(order: int, dtype: str) -> None:
    image = make_images(1, 7, 11, 3)[0].astype(dtype)
    # Far from what an unsigned integer holds: SciPy keeps those in range.
    sky = {"fill_mode": "constant", "cval": -300}
    for options in ({}, {"channel_shift_range": 90}, {"brightness_range": (0.4, 1.8)}, sky):
        if dtype == "float64" and "brightness_range" in options:
            continue  # Keras makes it float32, where we keep what was given
        theirs, ours = both(interpolation_order=order, **MOVES, **options)
        for seed in range(5):
            parameters = theirs.get_random_transform(image.shape, seed)
            expected = theirs.apply_transform(image, parameters)
            found = ours.apply_transform(image, parameters)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=DOUBLES)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"theta": 30},
        {"tx": 2, "ty": -1.5},
        {"zx": 0.5},
        {"shear": 20, "flip_vertical": True},
        {"flip_horizontal": 1},
        {"channel_shift_intensity": -300},
        {"channel_shift_intensity": 0},
        {"brightness": 0},
        {"brightness": 1.3, "theta": 180},
        {"brightness": None, "channel_shift_intensity": None},
    ],
    ids=str,
)
def test_apply_transform_with_some_parameters_is_that_of_keras(parameters) -> None:
    image = make_images(1, 7, 11, 3, "float32")[0]
    before = image.copy()
    theirs, ours = both()
    np.testing.assert_array_equal(
        ours.apply_transform(image, parameters), theirs.apply_transform(image, parameters)
    )
    np.testing.assert_array_equal(image, before)


@NEW_SCIPY
@pytest.mark.parametrize("degrees", [90, 180, 270, -90, 45])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_rotation_by_a_round_angle_is_that_of_keras(fill_mode: str, degrees: int) -> None:
    # Pixels come to lie on the border and half way between two, up to a coordinate's last bit.
    for order, side in itertools.product((0, 1), (3, 8, 15, 16)):
        image = make_images(1, side, side + 1, 3, "float32")[0]
        theirs, ours = both(interpolation_order=order, fill_mode=fill_mode, cval=-7)
        for parameters in ({"theta": degrees}, {"theta": degrees, "tx": 1, "ty": 2}):
            np.testing.assert_array_equal(
                ours.apply_transform(image, parameters), theirs.apply_transform(image, parameters)
            )


STANDARDS = [name for name in OPTIONS if "wise" in name or name in ("rescale", "all", "whitening")]


@pytest.mark.parametrize("name", [*STANDARDS, "preprocessing function"])
def test_standardize_is_that_of_keras(name: str) -> None:
    images = make_images(COUNT, 7, 11, 3, "float32")
    theirs, ours = both(**OPTIONS[name])
    for generator in (theirs, ours):
        generator.fit(images)
    for x in (images, images[2]):
        given = [x.copy(), x.copy()]
        results = [theirs.standardize(given[0]), ours.standardize(given[1])]
        np.testing.assert_array_equal(results[1], results[0])
        # Both change their argument in place up to the first step that makes a new array.
        np.testing.assert_array_equal(given[1], given[0])


def written(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}


def assert_same_files(theirs: Path, ours: Path, count: int) -> None:
    expected, found = written(theirs), written(ours)
    assert list(found) == list(expected)
    assert len(found) == count
    for name, picture in expected.items():
        np.testing.assert_array_equal(found[name], picture, name)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_save_to_dir_writes_the_files_of_keras(
    data_format: str, channels: int, tmp_path: Path
) -> None:
    images = in_format(make_images(COUNT, 7, 11, channels), data_format)
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    options = MOVES | {"samplewise_center": True, "data_format": data_format, "cval": 3.5}
    for generator, folder in zip(both(**options), folders, strict=True):
        folder.mkdir()
        batches = generator.flow(
            images, batch_size=3, seed=SEED, save_to_dir=str(folder), save_prefix="a b"
        )
        for _ in range(6):
            next(batches)
    assert_same_files(*folders, count=2 * COUNT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of small pictures: three classes, several sizes, modes and formats."""
    root = tmp_path_factory.mktemp("pictures")
    kinds = itertools.cycle(
        [("RGB", "png"), ("L", "png"), ("RGBA", "png"), ("RGB", "bmp"), ("L", "ppm"), ("P", "png")]
    )
    sizes = itertools.cycle([(9, 13), (12, 8), (30, 21), (16, 16)])
    for number in range(11):
        (height, width), (mode, extension) = next(sizes), next(kinds)
        pixels = make_images(1, height, width, 4 if mode == "RGBA" else 3, seed=number)[0]
        place = root / "abc"[number % 3]
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(place / f"{number}.{extension}")
    sixteen = make_images(1, 10, 12, 1, "uint16", seed=99)[0, ..., 0] * 250
    Image.fromarray(sixteen.astype(np.uint16)).save(root / "b" / "sixteen bits.png")
    smooth = np.add.outer(np.arange(40) * 3, np.arange(50) * 2)
    smooth = np.stack([smooth, 200 - smooth, smooth[::-1]], axis=-1).astype(np.uint8)
    Image.fromarray(smooth).save(root / "c" / "smooth.jpg")
    (root / "c" / "notes.txt").write_text("no picture")
    return root


FOLDER_COUNT = 13


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_folder_gives_the_pictures_of_keras(
    data_format: str, color_mode: str, folder: Path
) -> None:
    options = OPTIONS["all"] | {"data_format": data_format, "featurewise_center": False}
    del options["featurewise_std_normalization"]
    if data_format == "channels_first":
        del options["brightness_range"]  # Keras fails there, see above
    if color_mode == "grayscale":
        # A 16-bit file passes 255, and a spline of the square root would not be a number.
        options["preprocessing_function"] = np.abs
    theirs, ours = ImageDataGenerator(**options), Generator(workers=0, **options)
    for target_size in ((10, 10), (9, 14)):
        iterators = [
            one.flow_from_directory(
                folder,
                target_size=target_size,
                color_mode=color_mode,
                batch_size=5,
                seed=SEED,
            )
            for one in (theirs, ours)
        ]
        assert iterators[1].n == FOLDER_COUNT
        assert_same_batches(*iterators)


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
def test_labels_of_a_folder_are_those_of_keras(class_mode: str | None, folder: Path) -> None:
    classes = ["b", "a"] if class_mode == "binary" else None
    theirs, ours = (
        one.flow_from_directory(
            folder,
            target_size=(6, 7),
            classes=classes,
            class_mode=class_mode,
            batch_size=4,
            seed=SEED,
            subset="training",
        )
        for one in (
            ImageDataGenerator(validation_split=0.3, rotation_range=20),
            Generator(validation_split=0.3, rotation_range=20, workers=0),
        )
    )
    assert_same_batches(theirs, ours)
    assert ours.filenames == theirs.filenames
    assert ours.filepaths == theirs.filepaths
    assert ours.class_indices == theirs.class_indices
    np.testing.assert_array_equal(ours.classes, theirs.classes)


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize(
    "interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
)
def test_resized_files_are_those_of_keras(
    interpolation: str, keep_aspect_ratio: bool, folder: Path
) -> None:
    for color_mode in ("rgb", "rgba", "grayscale"):
        theirs, ours = (
            one.flow_from_directory(
                folder,
                target_size=(14, 9),
                color_mode=color_mode,
                interpolation=interpolation,
                keep_aspect_ratio=keep_aspect_ratio,
                shuffle=False,
                batch_size=5,
            )
            for one in (ImageDataGenerator(), Generator(workers=0))
        )
        for _ in range(3):
            np.testing.assert_array_equal(next(ours)[0], next(theirs)[0])


def test_folder_read_by_processes_gives_the_pictures_of_keras(folder: Path) -> None:
    arguments = {"target_size": (9, 14), "batch_size": 5, "seed": SEED}
    theirs = ImageDataGenerator(**MOVES).flow_from_directory(folder, **arguments)
    with Generator(workers=2, **MOVES).flow_from_directory(folder, **arguments) as ours:
        assert_same_batches(theirs, ours)


def test_files_saved_from_a_folder_are_those_of_keras(folder: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    generators = ImageDataGenerator(**MOVES), Generator(workers=0, **MOVES)
    for generator, place in zip(generators, folders, strict=True):
        place.mkdir()
        batches = generator.flow_from_directory(
            folder,
            target_size=(9, 14),
            batch_size=5,
            seed=SEED,
            save_to_dir=str(place),
            save_prefix="cat",
            save_format="jpeg",
        )
        for _ in range(3):
            next(batches)
    assert_same_files(*folders, count=FOLDER_COUNT)


@pytest.fixture
def frame(folder: Path) -> pd.DataFrame:
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.*"))
    names = [name for name in names if not name.endswith("txt")]
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "name": names,
            "kind": [name[0] for name in names],
            "half": [("left", "right")[i % 2] for i in range(len(names))],
            "several": [["a"], ["b", "c"], ["c", "a"]] * 4 + [["b"]],
            "number": rng.random(len(names)),
            "other": rng.integers(0, 9, len(names)),
            "weight": rng.random(len(names)),
        },
        index=rng.permutation(len(names)) * 10,
    )


@pytest.mark.parametrize(
    ("class_mode", "y_col"),
    [
        ("categorical", "kind"),
        ("categorical", "several"),
        ("binary", "half"),
        ("sparse", "kind"),
        ("raw", "number"),
        ("raw", ["number", "other"]),
        ("multi_output", ["number", "other"]),
        ("input", "kind"),
        (None, "kind"),
    ],
)
@pytest.mark.parametrize("weight_col", [None, "weight"])
@pytest.mark.filterwarnings("ignore:this subset has no image")
def test_data_frame_gives_the_pictures_and_labels_of_keras(
    weight_col, class_mode, y_col, folder: Path, frame: pd.DataFrame
) -> None:
    options = MOVES | {"validation_split": 0.25, "horizontal_flip": True}
    before = frame.copy(deep=True)
    for subset in (None, "training", "validation"):
        theirs, ours = (
            one.flow_from_dataframe(
                frame,
                directory=str(folder),
                x_col="name",
                y_col=y_col,
                weight_col=weight_col,
                class_mode=class_mode,
                target_size=(9, 14),
                batch_size=3,
                seed=SEED,
                subset=subset,
                interpolation="bilinear",
            )
            for one in (ImageDataGenerator(**options), Generator(workers=0, **options))
        )
        assert_same_batches(theirs, ours)
        assert ours.filenames == theirs.filenames
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_data_frame_of_absolute_names_gives_the_pictures_of_keras(
    data_format: str, color_mode: str, folder: Path, frame: pd.DataFrame
) -> None:
    options = MOVES | {"data_format": data_format, "rescale": 1 / 255}
    frame["name"] = [str(folder / name) for name in frame["name"]]
    frame.loc[-1] = frame.iloc[0]
    frame.loc[-1, "name"] = str(folder / "a" / "missing.png")
    iterators = []
    for generator in (ImageDataGenerator(**options), Generator(workers=0, **options)):
        with pytest.warns(UserWarning, match="Found 1 invalid image filename"):
            iterators.append(
                generator.flow_from_dataframe(
                    frame,
                    x_col="name",
                    y_col="kind",
                    classes=["c", "a", "b"],
                    color_mode=color_mode,
                    target_size=(8, 8),
                    batch_size=4,
                    seed=SEED,
                )
            )
    assert_same_batches(*iterators)
    assert iterators[1].class_indices == iterators[0].class_indices


@pytest.fixture(scope="module")
def some_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Link to a few photos of cats and dogs."""
    root = tmp_path_factory.mktemp("photos")
    for kind in ("cat", "dog"):
        (root / kind).mkdir()
        for path in sorted((photos / "train" / kind).glob("*.jpg"))[:7]:
            (root / kind / path.name).symlink_to(path)
    return root


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_photos_are_those_of_keras(
    interpolation: str, keep_aspect_ratio: bool, some_photos: Path
) -> None:
    options = {
        "rotation_range": 45,
        "width_shift_range": 0.1,
        "height_shift_range": 0.1,
        "zoom_range": [0.8, 1],
        "channel_shift_range": 20,
        "horizontal_flip": True,
        "rescale": 1 / 255,
    }
    theirs, ours = (
        one.flow_from_directory(
            some_photos,
            target_size=(60, 84),
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            class_mode="binary",
            batch_size=6,
            seed=SEED,
        )
        for one in (ImageDataGenerator(**options), Generator(workers=0, **options))
    )
    for _ in range(len(theirs)):
        for found, expected in zip(next(ours), next(theirs), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_photos_read_by_processes_are_those_of_keras(some_photos: Path) -> None:
    arguments = {"target_size": (60, 84), "color_mode": "grayscale", "batch_size": 6, "seed": SEED}
    theirs = ImageDataGenerator(**MOVES).flow_from_directory(some_photos, **arguments)
    with Generator(workers=2, **MOVES).flow_from_directory(some_photos, **arguments) as ours:
        assert_same_batches(theirs, ours)


@pytest.mark.parametrize(
    ("data_format", "dtype"), [("channels_first", "float32"), ("channels_last", "float64")]
)
def test_defaults_of_keras_own_configuration_are_followed(data_format: str, dtype: str) -> None:
    images = in_format(make_images(COUNT, 8, 8, 3, dtype), data_format)
    keras.config.set_image_data_format(data_format)
    keras.config.set_floatx(dtype)
    try:
        theirs, ours = (one.flow(images, batch_size=BATCH_SIZE, seed=SEED) for one in both(**MOVES))
        assert_same_batches(theirs, ours, DOUBLES if dtype == "float64" else 0.0)
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")


@pytest.mark.parametrize(
    "options",
    [
        {"zca_whitening": True},
        {"zca_whitening": True, "featurewise_center": True, "featurewise_std_normalization": True},
        {"featurewise_std_normalization": True},
        {"samplewise_std_normalization": True},
    ],
    ids=str,
)
def test_options_that_need_another_switch_it_on_as_keras_does(options: dict[str, Any]) -> None:
    found = []
    for kind in (ImageDataGenerator, Generator):
        with pytest.warns(UserWarning, match="overrides") as caught:
            generator = kind(**options)
        names = ("featurewise_center", "featurewise_std_normalization", "samplewise_center")
        found.append([len(caught), *(getattr(generator, name) for name in names)])
    assert found[1] == found[0]


def test_generator_that_was_not_fitted_warns_and_goes_on_as_keras_does() -> None:
    images = make_images(3, 8, 8, 3)
    batches = []
    for generator in both(featurewise_center=True, rotation_range=20):
        with pytest.warns(UserWarning, match="hasn't been fit"):
            batches.append(next(generator.flow(images, seed=1)))
    np.testing.assert_array_equal(batches[1], batches[0])


def test_statistics_set_by_hand_are_used_as_by_keras() -> None:
    images = make_images(COUNT, 8, 8, 3)
    mean, deviation = np.array([103.939, 116.779, 123.68]), np.array([[[50.0, 60.0, 70.0]]])
    iterators = []
    for generator in both(featurewise_center=True, featurewise_std_normalization=True, **MOVES):
        generator.mean, generator.std = mean, deviation
        iterators.append(generator.flow(images, batch_size=BATCH_SIZE, seed=SEED))
    # Keras divides by float64 numbers, we by the float32 next to them: 2^-23 of values below 4.
    assert_same_batches(*iterators, 4 * 2.0**-23 + 2.0**-17 / 50)


@pytest.mark.parametrize("name", ["rotation", "shift by pixels, integer", "all"])
def test_empty_arrays_give_an_empty_batch_as_with_keras(name: str) -> None:
    options = OPTIONS[name] | {"featurewise_center": False, "featurewise_std_normalization": False}
    theirs, ours = (one.flow(np.zeros((0, 8, 8, 3)), seed=1) for one in both(**options))
    assert len(ours) == len(theirs) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert next(ours).shape == next(theirs).shape
