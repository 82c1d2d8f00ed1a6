"""Containers: what is chosen for each image, and what the chosen operations do."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images
from PIL import Image, ImageEnhance, ImageOps

from fastaug import Augmenter
from fastaug import transforms as T
from fastaug.transforms.containers.operations import OPERATIONS, Operations

IMAGES = make_images(8, 37, 51, 3)


def each_alone(transforms, images=IMAGES) -> list[np.ndarray]:
    return [Augmenter([transform])(images) for transform in transforms]


def test_one_of_does_one_to_each_image():
    transforms = [T.Invert(1), T.HorizontalFlip(1), T.GaussianBlur(5, (2, 2))]
    alone = each_alone(transforms)
    augmenter = Augmenter([T.OneOf(transforms)], seed=3)
    made = augmenter(IMAGES)
    chosen = set()
    for i, image in enumerate(made):
        (which,) = (k for k in range(3) if np.array_equal(alone[k][i], image))
        names = set(augmenter.parameters(i)["OneOf"]) - {"order"}
        assert names == {type(transforms[which]).__name__}
        chosen.add(which)
    assert chosen == {0, 1, 2}


def test_weights_say_how_often():
    order = T.OneOf([T.Invert(), T.Hue(0.1), T.Rotate(3)], weights=[1, 0, 3]).choose(
        np.random.default_rng(0), 4000
    )
    shares = np.bincount(order[:, 0], minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=0.03)


@pytest.mark.parametrize("replace", [False, True])
def test_some_of_does_as_many_as_were_asked_for(replace):
    transforms = [T.Invert(), T.Hue(0.1), T.Rotate(3), T.Shear(2)]
    order = T.SomeOf(transforms, (1, 3), replace).choose(np.random.default_rng(0), 6000)
    numbers = (order >= 0).sum(axis=1)
    np.testing.assert_allclose(
        np.bincount(numbers, minlength=4) / 6000, [0, *[1 / 3] * 3], atol=0.03
    )
    if not replace:
        assert all(len({*row}) == len(row) for row in (row[row >= 0].tolist() for row in order))


def test_random_order_is_an_order_of_its_own_for_each_image():
    pair = [T.Invert(1), T.Solarize(100, 1)]
    orders = [Augmenter(list(each))(IMAGES) for each in (pair, pair[::-1])]
    assert not np.array_equal(*orders)
    made = Augmenter([T.RandomOrder(pair)], seed=1)(IMAGES)
    found = [[np.array_equal(order[i], made[i]) for order in orders] for i in range(len(made))]
    assert all(any(row) for row in found)
    assert {tuple(row) for row in found} == {(True, False), (False, True)}


class Counting:
    """A repaint that says which images it was called for."""

    on_bytes = True

    def __init__(self):
        self.rows = []

    def draw(self, rng, count, size):
        return np.zeros(count)

    def apply(self, images, numbers, rows):
        self.rows.extend(rows.tolist())
        images[rows] = 0


def test_only_what_was_chosen_is_paid_for():
    counting = Counting()
    made = Augmenter([T.OneOf([counting, T.Invert(1)])], seed=0)(IMAGES)
    black = [i for i in range(len(made)) if not made[i].any()]
    assert sorted(counting.rows) == black
    assert 0 < len(black) < len(made)


def test_containers_may_hold_containers():
    transforms = [T.OneOf([T.SomeOf([T.Rotate(20), T.Invert(1)], 2), T.RandAugment(2, 9)])]
    one, other = (Augmenter(transforms, seed=2, threads=n)(IMAGES) for n in (1, 2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, IMAGES)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.OneOf([]), "is not a list of transforms"),
        (lambda: T.OneOf([T.MixUp()]), "mixes images of a batch"),
        (lambda: T.OneOf([T.Rotate]), "is not a transform"),
        (lambda: T.OneOf([T.Invert()], weights=[1, 2]), "1 are needed"),
        (lambda: T.OneOf([T.Invert()], weights=[0]), "all are 0"),
        (lambda: T.SomeOf([T.Invert()], 2), "n=2 is out of range"),
        (lambda: T.AugMix(severity=11), "severity=11"),
        (lambda: T.AugMix(chain_depth=0), "chain_depth"),
        (lambda: T.AugMix(alpha=0), "alpha"),
        (lambda: T.RandAugment(2, 31), "magnitude"),
        (lambda: T.AutoAugment("mnist"), "'imagenet'"),
        (lambda: Augmenter([T.OneOf([T.CenterCrop(9)])])(IMAGES), "changes the size of images"),
    ],
)
def test_bad_arguments_are_told(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert words in str(caught.value)


# The operations, beside Pillow.


def affine(matrix):
    """Return what pulls pixels through a matrix, in Pillow's coordinates of edges."""
    return lambda image, value: image.transform(
        image.size, Image.Transform.AFFINE, matrix(value), Image.Resampling.BILINEAR
    )


PILLOW = {
    "ShearX": affine(lambda v: (1, v, 0, 0, 1, 0)),
    "ShearY": affine(lambda v: (1, 0, 0, v, 1, 0)),
    "TranslateX": affine(lambda v: (1, 0, -int(v), 0, 1, 0)),
    "TranslateY": affine(lambda v: (1, 0, 0, 0, 1, -int(v))),
    "Rotate": lambda image, v: image.rotate(v, Image.Resampling.BILINEAR),
    "Brightness": lambda image, v: ImageEnhance.Brightness(image).enhance(1 + v),
    "Color": lambda image, v: ImageEnhance.Color(image).enhance(1 + v),
    "Contrast": lambda image, v: ImageEnhance.Contrast(image).enhance(1 + v),
    "Sharpness": lambda image, v: ImageEnhance.Sharpness(image).enhance(1 + v),
    "Posterize": lambda image, v: ImageOps.posterize(image, int(v)) if v < 8 else image,
    # Our thresholds are float32: 85.00000000000001 is 85.
    "Solarize": lambda image, v: ImageOps.solarize(image, float(np.float32(v))),
    "AutoContrast": lambda image, v: ImageOps.autocontrast(image),
    "Equalize": lambda image, v: ImageOps.equalize(image),
    "Invert": lambda image, v: ImageOps.invert(image),
    "Identity": lambda image, v: image,
}
MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


def by_pillow(image: np.ndarray, name: str, value: float) -> np.ndarray:
    return np.asarray(PILLOW[name](Image.fromarray(image), value))


def assert_as_pillow(ours: np.ndarray, theirs: np.ndarray, name: str) -> None:
    """Pillow cuts fractions where we round, and warps end half a pixel off at its borders."""
    off = np.abs(ours.astype(int) - theirs) > 1
    # Where a border of the picture crosses the output, its outermost pixels are blended otherwise.
    assert off.mean() <= (0.06 if name in MOVES else 0), (name, off.mean())


@pytest.mark.parametrize("transform", [T.RandAugment(1, 20), T.TrivialAugment()], ids=repr)
def test_each_operation_is_that_of_pillow(transform):
    images, seen = make_images(120, 37, 51, 3), set()
    augmenter = Augmenter([transform], seed=5)
    made = augmenter(images)
    for i, (image, ours) in enumerate(zip(images, made, strict=True)):
        operation = Operations(*augmenter.parameters(i)[type(transform).__name__])
        ((name,), (value,)) = operation
        assert_as_pillow(ours, by_pillow(image, name, value), name)
        seen.add(name)
    assert seen == set(OPERATIONS) - {"Invert"}


def test_autoaugment_does_pairs_of_its_table():
    images = make_images(200, 37, 51, 3)
    augmenter = Augmenter([T.AutoAugment("svhn")], seed=5)
    made = augmenter(images)
    pairs = set()
    for i, (image, ours) in enumerate(zip(images, made, strict=True)):
        names, values = augmenter.parameters(i)["AutoAugment"]
        pairs.add(tuple(names))
        moves = [(n, v) for n, v in zip(names, values, strict=True) if n in MOVES]
        colours = [(n, v) for n, v in zip(names, values, strict=True) if n not in MOVES]
        if len(moves) > 1:
            continue  # two resamplings there, one here
        expected = image
        for name, value in moves + colours:
            expected = by_pillow(expected, name, value)
        worst = moves[0][0] if moves else "colour"
        if not moves or all(name in ("Identity", "Invert") for name, _ in colours):
            assert_as_pillow(ours, expected, worst)
    assert ("ShearX", "Invert") in pairs
    assert len(pairs) > 20


def test_operations_of_randaugment_are_drawn_evenly_and_as_strong_as_asked():
    names, values = T.RandAugment(2, 9).draw(np.random.default_rng(0), 5000, (40, 60))
    kinds, counts = np.unique(names, return_counts=True)
    assert set(kinds) == set(OPERATIONS) - {"Invert"}
    np.testing.assert_allclose(counts / 10000, 1 / 14, atol=0.01)
    # torchvision's table, at 9 of 31.
    for name, strength in {
        "ShearX": 0.09, "ShearY": 0.09, "TranslateX": 60 * 150 / 331 * 0.3, "Rotate": 9.0,
        "TranslateY": 40 * 150 / 331 * 0.3, "Brightness": 0.27, "Color": 0.27, "Sharpness": 0.27,
    }.items():  # fmt: skip
        found = values[names == name]
        np.testing.assert_allclose(np.abs(found), strength, atol=1e-6)
        assert abs((found > 0).mean() - 0.5) < 0.08
    assert set(values[names == "Posterize"]) == {7.0}
    np.testing.assert_allclose(values[names == "Solarize"], 178.5)


# AugMix.


def test_augmix_blends_chains_by_their_shares():
    images = make_images(60, 37, 51, 3)
    transform = T.AugMix(severity=8, mixture_width=2, chain_depth=1)
    augmenter = Augmenter([transform], seed=4)
    made = augmenter(images)
    compared = 0
    for i, (image, ours) in enumerate(zip(images, made, strict=True)):
        names, values, shares = augmenter.parameters(i)["AugMix"]
        expected = shares[0] * image
        for (name,), (value,), share in zip(names, values, shares[1:], strict=True):
            expected = expected + share * by_pillow(image, name, value)
        if not {names[0][0], names[1][0]} & set(MOVES):
            np.testing.assert_allclose(ours, expected, atol=1.6)
            compared += 1
        else:
            assert (np.abs(ours - expected) > 1.6).mean() < 0.12
    assert compared > 5


def test_chains_of_augmix_are_drawn_as_published():
    names, values, shares = T.AugMix(severity=3).draw(np.random.default_rng(0), 4000, (40, 60))
    assert names.shape == (4000, 3, 3)
    lengths = (names != "").sum(axis=2)
    np.testing.assert_allclose(np.bincount(lengths.ravel())[1:] / 12000, 1 / 3, atol=0.02)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares.mean(axis=0), [0.5, *[1 / 6] * 3], atol=0.02)
    assert np.abs(values[names == "Rotate"]).max() == pytest.approx(30 * 2 / 9)
    partial = T.AugMix(all_ops=False).draw(np.random.default_rng(0), 500, (40, 60)).names
    assert not {"Brightness", "Color", "Contrast", "Sharpness"} & set(partial.ravel())


@pytest.mark.parametrize("channels", [1, 4])
def test_augmix_of_other_channels_is_that_of_three(channels):
    images = make_images(6, 37, 51, channels)
    made = Augmenter([T.AugMix(5)], seed=1)(images)
    floats = Augmenter([T.AugMix(5)], seed=1)(images.astype(np.float32))
    assert made.shape == images.shape
    np.testing.assert_allclose(made, floats, atol=2.5)  # chains of bytes are rounded
    if channels == 4:
        moving = Augmenter([T.AugMix(5, all_ops=False)], seed=1)
        assert moving(images).shape == images.shape
