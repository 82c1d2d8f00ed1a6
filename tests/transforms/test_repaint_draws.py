"""What repaints draw: distributions, independence of the batch, and arguments that are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from scipy import stats

from fastaug.transforms import (
    CLAHE,
    REPAINTS,
    CoarseDropout,
    Downscale,
    Erase,
    GaussianBlur,
    GaussianNoise,
    GridMask,
    JpegArtifacts,
    MotionBlur,
    SaltAndPepper,
    Sharpness,
)

COUNT = 4000
SIZE = (60, 90)
NEEDED = {GaussianBlur: (5,), Sharpness: ((0.5, 2.0),)}


def drawn(transform: Any, count: int = COUNT, size: tuple[int, int] = SIZE) -> Any:
    return transform.draw(np.random.default_rng(7), count, size)


def parts(numbers: Any) -> tuple[np.ndarray, ...]:
    return numbers if isinstance(numbers, tuple) else (numbers,)


def looks_uniform(values: np.ndarray, low: float, high: float) -> bool:
    return stats.kstest((values - low) / (high - low), "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", REPAINTS)
def test_numbers_of_an_image_do_not_depend_on_the_size_of_the_batch(kind):
    transform = kind(*NEEDED.get(kind, ()))
    for few, many in zip(parts(drawn(transform, 3)), parts(drawn(transform, 8)), strict=True):
        assert len(many) == 8
        np.testing.assert_array_equal(few, many[:3])


@pytest.mark.parametrize("kind", REPAINTS)
def test_probability_is_left_to_the_policy(kind):
    given = NEEDED.get(kind, ())
    never, always = kind(*given, **{"probability": 0.0}), kind(*given, **{"probability": 1.0})
    for one, other in zip(parts(drawn(never, 5)), parts(drawn(always, 5)), strict=True):
        np.testing.assert_array_equal(one, other)
    first, second = make_images(5, *SIZE, 3), make_images(5, *SIZE, 3)
    never.apply(first, drawn(never, 5), np.arange(5))
    always.apply(second, drawn(always, 5), np.arange(5))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != make_images(5, *SIZE, 3))


@pytest.mark.parametrize(
    ("transform", "part", "low", "high"),
    [
        (GaussianBlur(5), 0, 0.1, 2.0),
        (MotionBlur(angle_range=(30, 70)), 1, 30, 70),
        (MotionBlur(), 2, -1, 1),
        (Sharpness((0.5, 2.0)), 0, 0.5, 2.0),
        (CLAHE(), 0, 1, 4),
        (GaussianNoise(sigma=(0.1, 0.2)), 0, 25.5, 51),
        (SaltAndPepper(), 0, 0.01, 0.06),
        (SaltAndPepper(), 1, 0.4, 0.6),
        (Downscale((0.2, 0.9)), 0, 0.2, 0.9),
        *((kind(), -1, 0, 2**53) for kind in (GaussianNoise, SaltAndPepper, Erase, GridMask)),
    ],
)
def test_numbers_are_uniform(transform, part, low, high):
    assert looks_uniform(parts(drawn(transform))[part], low, high)


@pytest.mark.parametrize(
    ("transform", "values"),
    [
        (MotionBlur(), [3, 5, 7]),
        (MotionBlur(8), [3, 5, 7]),
        (MotionBlur((4, 9)), [5, 7, 9]),
        (JpegArtifacts((60, 64)), [60, 61, 62, 63, 64]),
        (JpegArtifacts(30), [30]),
        (GridMask(unit=(4, 7)), [4, 5, 6, 7]),
    ],
)
def test_whole_numbers_are_equally_frequent(transform, values):
    found, counts = np.unique(parts(drawn(transform))[0], return_counts=True)
    np.testing.assert_array_equal(found, values)
    if len(values) > 1:
        assert stats.chisquare(counts).pvalue > 0.01


def erased_as_by_torchvision(rng, size, transform):
    """`RandomErasing.make_params` of torchvision 0.29, with NumPy's generator."""
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(*transform.scale)
        ratio = math.exp(rng.uniform(*np.log(transform.ratio)))
        tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if not (tall < height and wide < width):
            continue
        top = rng.integers(0, height - tall + 1)
        left = rng.integers(0, width - wide + 1)
        return top, left, top + tall, left + wide
    return 0, 0, 0, 0


@pytest.mark.parametrize("size", [(60, 90), (11, 240)])
def test_rectangles_are_those_of_torchvision(size):
    transform = Erase(scale=(0.02, 0.6))
    rng = np.random.default_rng(3)
    expected = np.array([erased_as_by_torchvision(rng, size, transform) for _ in range(COUNT)])
    found = transform.holes(drawn(transform, size=size), size)[:, 0]
    for part in range(4):
        assert stats.ks_2samp(found[:, part], expected[:, part]).pvalue > 0.01
    sides = [holes[:, 2:] - holes[:, :2] for holes in (found, expected)]
    for axis in range(2):
        assert stats.ks_2samp(sides[0][:, axis], sides[1][:, axis]).pvalue > 0.01


def test_image_stays_where_ten_rectangles_do_not_fit():
    transform = Erase(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    numbers = drawn(transform, 4, (8, 8))
    assert not np.any(transform.holes(numbers, (8, 8)))
    images = make_images(4, 8, 8, 3)
    transform.apply(images, numbers, np.arange(4))
    np.testing.assert_array_equal(images, make_images(4, 8, 8, 3))


def test_holes_have_their_numbers_and_sides():
    transform = CoarseDropout((2, 5), (0.25, 0.5), (3, 6))
    holes = transform.holes(drawn(transform), SIZE)
    tall, wide = holes[..., 2] - holes[..., 0], holes[..., 3] - holes[..., 1]
    assert holes.shape == (COUNT, 5, 4)
    _, counts = np.unique(np.count_nonzero(tall, axis=1), return_counts=True)
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 0.01
    assert looks_uniform(tall[:, 0] + np.random.default_rng(0).random(COUNT), 15, 30)
    assert looks_uniform(wide[:, 0] + np.random.default_rng(0).random(COUNT), 3, 7)
    assert holes.min() == 0
    assert holes[..., 2].max() == SIZE[0]
    assert holes[..., 3].max() == SIZE[1]


def test_hole_is_never_larger_than_the_image_nor_empty():
    transform = CoarseDropout(1, (40, 50), (0.01, 0.02))
    holes = transform.holes(drawn(transform, 50, (9, 20)), (9, 20))
    np.testing.assert_array_equal(holes[..., :3:2], np.broadcast_to([0, 9], (50, 1, 2)))
    np.testing.assert_array_equal(holes[..., 3] - holes[..., 1], 1)


def test_grid_keeps_its_share():
    images = np.ones((600, *SIZE, 1), np.float32)
    transform = GridMask(0.6, unit=(0.3, 0.6))
    transform.apply(images, drawn(transform, 600), np.arange(600))
    # 1 - (1 - 0.6)^2; a side is whole pixels, so that of 18 is off by 0.5.
    assert abs(images.mean() - 0.84) < 0.01


def test_seeds_survive_json_of_doubles():
    seeds = drawn(GaussianNoise()).seeds
    np.testing.assert_array_equal(seeds.astype(np.float64).astype(np.int64), seeds)
    assert len(np.unique(seeds)) == COUNT


@pytest.mark.parametrize(
    ("make", "arguments", "error", "words"),
    [
        (GaussianBlur, (4,), ValueError, "kernel_size=4 must be odd, such as 5"),
        (GaussianBlur, (0,), ValueError, "kernel_size=0"),
        (GaussianBlur, (3.0,), TypeError, "kernel_size=3.0 must be an integer"),
        (GaussianBlur, ((3, 5, 7),), ValueError, r"\(width, height\)"),
        (GaussianBlur, (3, 0), ValueError, "sigma=0 must be above 0"),
        (GaussianBlur, (3, (2.0, 1.0)), ValueError, "larger than the second"),
        (GaussianBlur, (3, (1.0,)), ValueError, "sigma"),
        (GaussianBlur, (3, "wide"), TypeError, "sigma must be a number"),
        (GaussianBlur, (3, math.nan), ValueError, "not finite"),
        (MotionBlur, ((2, 7),), ValueError, "at least 3"),
        (MotionBlur, ((4, 4),), ValueError, "no odd number"),
        (MotionBlur, ((3.0, 7.0),), TypeError, "must be an integer"),
        (MotionBlur, ((3, 7), (0, 400)), ValueError, "angle_range.*from 0 to 360"),
        (MotionBlur, ((3, 7), (0, 9), (-2, 0)), ValueError, "direction_range.*from -1 to 1"),
        (Sharpness, (-1,), ValueError, "factor=-1"),
        (CLAHE, (0.5,), ValueError, "clip_limit=0.5.*at least 1"),
        (CLAHE, (2, 8), ValueError, "tile_grid_size=8 must be"),
        (CLAHE, (2, (8, 0)), ValueError, "tile_grid_size"),
        (GaussianNoise, ("0",), TypeError, "mean must be a number"),
        (GaussianNoise, (0, -0.1), ValueError, "sigma=-0.1"),
        (SaltAndPepper, (2,), ValueError, "amount=2.*from 0 to 1"),
        (SaltAndPepper, (0.1, (0.5, 1.5)), ValueError, "salt_vs_pepper"),
        (Erase, (2,), ValueError, "probability=2.*from 0 to 1"),
        (Erase, (1, (0.1, 1.1)), ValueError, "scale"),
        (Erase, (1, 0.1, (0, 1)), ValueError, "ratio=.* must be above 0"),
        (Erase, (1, 0.1, 1, "noise"), ValueError, "value='noise' is not .* 'mean' or 'random'"),
        (Erase, (1, 0.1, 1, 256), ValueError, "values are from 0 to 255"),
        (Erase, (1, 0.1, 1, ()), ValueError, "has no number"),
        (Erase, (1, 0.1, 1, None), TypeError, "value=None"),
        (CoarseDropout, (0,), ValueError, "num_holes_range=0"),
        (CoarseDropout, (1, (0.5, 1.5)), ValueError, "hole_height_range.*from 0 to 1"),
        (CoarseDropout, (1, (0, 5)), ValueError, "hole_height_range"),
        (CoarseDropout, (1, 0.1, 0.1, -1), ValueError, "fill"),
        (GridMask, (1.5,), ValueError, "ratio=1.5"),
        (GridMask, (0.5, (1, 9)), ValueError, "unit"),
        (Downscale, (0,), ValueError, "scale=0 must be above 0"),
        (Downscale, (2,), ValueError, "scale=2"),
        (Downscale, (0.5, "cubic"), ValueError, "'cubic' is not one of 'nearest', 'bilinear'"),
        (JpegArtifacts, (0,), ValueError, "quality=0"),
        (JpegArtifacts, (101,), ValueError, "quality=101.*from 1 to 100"),
        (JpegArtifacts, ((50, 60.5),), TypeError, "must be an integer"),
    ],
)
def test_wrong_argument_is_named(make, arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        make(*arguments)
    assert make.__name__ in str(caught.value)


def test_colour_for_other_channels_is_refused():
    transform = Erase(value=(1, 2))
    images = make_images(1, 9, 9, 3)
    with pytest.raises(ValueError, match=r"value=\(1, 2\) has 2 numbers, but .* 3 channels"):
        transform.apply(images, drawn(transform, 1, (9, 9)), np.arange(1))


def test_jpeg_of_other_channels_is_refused():
    transform = JpegArtifacts()
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        transform.apply(make_images(1, 9, 9, 4), drawn(transform, 1), np.arange(1))
