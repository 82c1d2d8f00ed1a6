"""Every transform beside its reference, and what can be said of the numbers that it draws."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_images
from references import ROWS, SIZE, Reference

import fastaug
from fastaug import Augmenter
from fastaug import transforms as T
from fastaug.transforms.base import of_image

IDS = [type(row.transform).__name__ for row in ROWS]
COMPARED = [row for row in ROWS if row.function is not None]


def certain(transform):
    """Return the transform done to every image."""
    fields = transform.__dataclass_fields__
    return replace(transform, probability=1.0) if "probability" in fields else transform


def images_for(count: int, channels: int, dtype: str) -> np.ndarray:
    """Return whole numbers, whatever the dtype, with all of 0 to 255 in them."""
    return np.rint(make_images(count, *SIZE, channels, "uint8")).astype(dtype)


def test_every_transform_has_a_row():
    assert [type(row.transform) for row in ROWS] == list(T.TRANSFORMS)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("row", COMPARED, ids=[type(row.transform).__name__ for row in COMPARED])
def test_transform_agrees_with_its_reference(row: Reference, dtype: str):
    for channels in row.channels:
        images = images_for(4, channels, dtype)
        before = images.copy()
        transform = certain(row.transform)
        augmenter = Augmenter([transform], seed=5)
        drawn = augmenter.draw(4, SIZE)
        ours = augmenter.apply(drawn, images)
        np.testing.assert_array_equal(images, before, err_msg="the source was changed")
        numbers = drawn.numbers[type(transform).__name__].numbers
        for i, image in enumerate(images):
            expected = row.function(image.astype(np.float64), of_image(numbers, i))
            assert ours[i].shape == expected.shape
            off = np.abs(ours[i] - expected) > row.tolerance
            assert off.mean() <= row.share, (channels, np.abs(ours[i] - expected).max())


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_prints_as_it_is_written_and_comes_back_from_json(row: Reference):
    transform = row.transform
    assert eval(repr(transform), vars(T)) == transform  # noqa: S307 - our own text
    augmenter = Augmenter([transform], seed=3, mask_fill=255)
    again = Augmenter.from_dict(fastaug.augmenter.json.loads(_json(augmenter)))
    assert again.transforms == augmenter.transforms
    assert again.to_dict() == augmenter.to_dict()


def _json(augmenter: Augmenter) -> str:
    return fastaug.augmenter.json.dumps(augmenter.to_dict())


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_channels_first_and_threads_change_no_value(row: Reference):
    channels = row.channels[-1]
    images = images_for(5, channels, "uint8")
    transforms = [certain(row.transform)]
    one = Augmenter(transforms, seed=2, threads=1)(images)
    np.testing.assert_array_equal(Augmenter(transforms, seed=2)(images), one)
    first = Augmenter(transforms, seed=2, data_format="channels_first")
    moved = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    np.testing.assert_array_equal(np.moveaxis(first(moved), 1, -1), one)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_floats_from_0_to_1_are_the_same_pictures(row: Reference):
    if isinstance(row.transform, T.Normalize):
        return
    images = images_for(4, row.channels[-1], "float32")
    transforms = [certain(row.transform)]
    whole = Augmenter(transforms, seed=2)(images)
    shares = Augmenter(transforms, seed=2, value_range=(0, 1))(images / np.float32(255))
    # Where a value lies on a step (posterize, equalize, noise) rounding takes it to either side.
    off = np.abs(shares * 255 - whole) > 0.01
    assert shares.dtype == np.float32
    assert off.mean() < 0.02


def test_step_says_what_is_drawn_anywhere():
    images = images_for(4, 3, "uint8")
    transforms = [T.Rotate(30), T.RandAugment(), T.Erase(), T.GaussianNoise()]
    one, other = Augmenter(transforms, seed=4), Augmenter(transforms, seed=4)
    batches = [one(images) for _ in range(3)]
    np.testing.assert_array_equal(other(images, step=2), batches[2])
    np.testing.assert_array_equal(other(images, step=0), batches[0])
    assert not np.array_equal(batches[0], batches[1])
    assert not np.array_equal(Augmenter(transforms, seed=5)(images), batches[0])


def test_short_batch_shares_its_pictures_with_a_long_one():
    images = images_for(6, 3, "uint8")
    transforms = [T.RandomResizedCrop(16), T.ColorJitter(0.4, 0.4, 0.4, 0.1), T.RandAugment()]
    long, short = (Augmenter(transforms, seed=1)(images[:count]) for count in (6, 2))
    np.testing.assert_array_equal(long[:2], short)


def test_identity_twice():
    images = images_for(4, 3, "uint8")
    for flip in (T.HorizontalFlip(1), T.VerticalFlip(1), T.Transpose(1), T.Invert(1)):
        np.testing.assert_array_equal(Augmenter([flip, flip])(images), images)
    whole = Augmenter([T.RandomCrop(SIZE), T.CenterCrop(SIZE), T.Resize(SIZE), T.Pad(0)])(images)
    np.testing.assert_array_equal(whole, images)


def test_bytes_stay_bytes_and_normalize_gives_floats():
    images = images_for(3, 3, "uint8")
    assert Augmenter([T.Rotate(10), T.GaussianBlur(3), T.MixUp()])(images).dtype == np.uint8
    assert Augmenter([T.Rotate(10), T.Normalize()])(images).dtype == np.float32
    assert Augmenter([T.Rotate(10)], dtype="float16")(images).dtype == np.float16
    assert Augmenter([T.Rotate(10)])(images.astype(np.float64)).dtype == np.float64


# What is drawn.


def kolmogorov_smirnov(values: np.ndarray, low: float, high: float) -> None:
    """Check that values are even from `low` to `high`: 1.63 / sqrt(n) is a chance of 1 in 100."""
    shares = np.sort((values - low) / (high - low))
    distance = np.abs(shares - (np.arange(len(shares)) + 0.5) / len(shares)).max()
    assert distance < 1.63 / np.sqrt(len(shares))


def drawn_by(transform, count: int = 4000, size=(40, 60)):
    return transform.draw(np.random.default_rng(1), count, size)


def test_ranges_are_even():
    kolmogorov_smirnov(drawn_by(T.Rotate((-10, 50))), -10, 50)
    kolmogorov_smirnov(drawn_by(T.Brightness(0.4)), 0.6, 1.4)
    kolmogorov_smirnov(drawn_by(T.Hue((-0.1, 0.3))), -0.1, 0.3)
    kolmogorov_smirnov(drawn_by(T.Gamma((0.5, 2))), 0.5, 2)
    numbers = drawn_by(T.Affine(20, (0.5, 0.1), (0.5, 2), 30))
    for values, low, high in (
        (numbers.angle, -20, 20),
        (numbers.shift_x, -30, 30),
        (numbers.shift_y, -4, 4),
        (numbers.scale, 0.5, 2),
        (numbers.shear_x, -30, 30),
    ):
        kolmogorov_smirnov(values, low, high)
    assert not numbers.shear_y.any()


def test_crops_have_the_area_and_the_shape_that_was_asked_for():
    crop = drawn_by(T.RandomResizedCrop(32, scale=(0.1, 0.4), ratio=(0.5, 2)), size=(400, 600))
    kolmogorov_smirnov(crop.height * crop.width / (400 * 600), 0.1, 0.4)
    kolmogorov_smirnov(np.log(crop.width / crop.height), np.log(0.5), np.log(2))
    assert (crop.top >= 0).all()
    assert (crop.top + crop.height <= 400).all()
    assert (crop.left + crop.width <= 600).all()


def test_shares_of_mixes_are_those_of_a_beta_distribution():
    share = drawn_by(T.MixUp(0.4)).share
    assert abs(share.mean() - 0.5) < 0.03
    assert abs(share.var() - 1 / (4 * (2 * 0.4 + 1))) < 0.01


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_probability_is_the_share_of_images(probability):
    augmenter = Augmenter([T.Invert(probability)], seed=1)
    applied = augmenter.draw(4000, SIZE).numbers["Invert"].applied.mean()
    assert abs(applied - probability) < 4 * np.sqrt(probability * (1 - probability) / 4000) + 1e-9


# Single moves.


def test_elastic_is_smooth_and_moves_by_its_strength():
    transform = T.Elastic(alpha=100, sigma=6)
    size = (120, 160)
    pull = transform.pull(transform.draw(np.random.default_rng(0), 8, size), size)
    # Even noise has a variance of 1/3; a Gaussian leaves 1 / (4 pi sigma^2) of it.
    expected = 50 * np.sqrt(1 / 3 / (4 * np.pi * 36))
    assert abs(pull.offsets.std() / expected - 1) < 0.1
    assert np.abs(np.diff(pull.offsets, axis=1)).max() < 0.7 * pull.offsets.std()
    images = images_for(2, 3, "uint8")
    moved = Augmenter([T.Elastic(0)], seed=0)(images)
    np.testing.assert_array_equal(moved, images)


# Moves together.


def test_moves_that_cancel_each_other_give_the_picture_back():
    images = make_images(2, 40, 40, 3, "uint8")
    both = Augmenter([T.Rotate((30, 30)), T.Rotate((-30, -30))], fill=9)(images)
    np.testing.assert_array_equal(both, images)  # one warp: nothing was lost in between


def test_smaller_and_turned_is_averaged_first():
    images = make_images(2, 120, 160, 3, "uint8")
    straight = Augmenter([T.Resize((30, 40))])(images).astype(float)
    turned = Augmenter([T.Rotate((90, 90)), T.Resize((30, 40))])(
        np.rot90(images, -1, axes=(1, 2)).copy()
    )
    assert turned.shape == straight.shape
    square = make_images(2, 120, 120, 3, "uint8")
    one = Augmenter([T.Resize((30, 30))])(square).astype(float)
    other = Augmenter([T.Rotate((90, 90)), T.Resize((30, 30))])(square)
    np.testing.assert_allclose(np.rot90(one, 1, axes=(1, 2)), other, atol=1.01)


# Bad arguments.


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.Rotate("a"), "Rotate: degrees='a' must be a number, or (lowest, highest)"),
        (lambda: T.Rotate(-3), "Rotate: degrees=-3 is below the smallest accepted value, 0"),
        (lambda: T.Rotate((5, 2)), "the first number is the lowest"),
        (lambda: T.HorizontalFlip(2), "HorizontalFlip: probability=2 must be from 0 to 1"),
        (lambda: T.RandomResizedCrop(0), "RandomResizedCrop: size"),
        (lambda: T.RandomResizedCrop((3, 4, 5)), "must be a whole number, or (height, width)"),
        (lambda: T.RandomResizedCrop(3, scale=(0.5, 2)), "must be from"),
        (lambda: T.ColorJitter(hue=0.7), "must be at most 0.5, half of the circle"),
        (lambda: T.Posterize(9), "Posterize: bits=9 is out of range"),
        (lambda: T.Solarize(300), "must be from 0 to 256"),
        (lambda: T.MixUp(0), "MixUp: alpha=0 must be above 0"),
        (lambda: T.Normalize("cifar"), "must be 'imagenet'"),
        (lambda: T.Normalize(0.5), "std is missing"),
        (lambda: T.Normalize(0.5, 0), "must be above 0"),
        (lambda: T.RandAugment(2, 31), "magnitude=31 is out of range"),
        (lambda: T.AutoAugment("mnist"), "'mnist' is not one of 'imagenet', 'cifar10', 'svhn'"),
        (lambda: T.OneOf([]), "is not a list of transforms"),
        (lambda: T.OneOf([T.MixUp()]), "give it a probability in the policy's own list"),
        (lambda: T.OneOf([T.Invert()], weights=[1, 2]), "are needed, one for each transform"),
        (lambda: T.SomeOf([T.Invert()], 2), "SomeOf: n=2 is out of range"),
        (lambda: Augmenter([T.Rotate]), "is a class; write Rotate(...)"),
        (lambda: Augmenter(T.Rotate(3)), "is not a list of transforms"),
        (lambda: Augmenter([3]), "3 is not a transform"),
        (lambda: Augmenter([], fill_mode="edge"), "fill_mode='edge' is not one of"),
        (lambda: Augmenter([], value_range=(0, 2)), "must be (0, 255) or (0, 1)"),
        (lambda: Augmenter([], bounding_box_format="coco"), "bounding_box_format='coco'"),
        (lambda: Augmenter([T.Normalize(), T.Normalize()]), "more than one Normalize"),
        (
            lambda: T.from_dict({"version": 1, "transforms": [{"name": "RandomCropp"}]}),
            "there is no transform 'RandomCropp'; near ones are RandomCrop",
        ),
        (lambda: T.from_dict({"version": 2, "transforms": []}), "version 2"),
        (
            lambda: T.from_dict({"version": 1, "transforms": [{"name": "Invert", "p": 1}]}),
            "Invert has no ['p']; it takes ['probability']",
        ),
    ],
)
def test_wrong_arguments_are_errors_in_the_users_words(make, words):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("transform", "shape", "words"),
    [
        (T.Hue(0.1), (2, 9, 9, 5), "needs images of 1, 3 or 4 channels; these have 5"),
        (T.ChannelShuffle(1), (2, 9, 9, 1), "channels; these have 1"),
        (T.RandomCrop(20), (2, 9, 9, 3), "smaller than the crop; pad_if_needed=True"),
        (T.Transpose(), (2, 9, 8, 3), "changes the size of images"),
        (T.OneOf([T.Resize(4), T.Invert()]), (2, 9, 8, 3), "take it out of OneOf"),
        (T.Normalize((1, 2), (1, 2)), (2, 9, 8, 3), "2 numbers for mean, and images of 3"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_images_that_do_not_fit_are_errors(transform, shape, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        Augmenter([transform], seed=0)(np.zeros(shape, np.uint8))
