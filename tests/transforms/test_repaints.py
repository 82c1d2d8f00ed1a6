"""Repaints beside slow obvious references: SciPy, Pillow, plain NumPy, and OpenCV where it is."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from PIL import Image, ImageEnhance
from scipy import ndimage

from fastaug.kernels.launch import limited_threads
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

SIZES = [(5, 7), (8, 11), (13, 17), (40, 29)]
ROUNDED = 0.5  # whole numbers are at most that far from the exact ones


def repainted(transform: Any, images: np.ndarray, numbers: Any, rows: Any = None) -> np.ndarray:
    """Return a repainted copy in the same layout."""
    copy = np.empty_like(images)  # keeps the order of the axes in memory
    copy[...] = images
    transform.apply(copy, numbers, np.arange(len(images)) if rows is None else np.array(rows))
    return copy


def channels_first(images: np.ndarray) -> np.ndarray:
    """Return the same images as a view of a batch with channels first."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(images, -1, 1)), 1, -1)


def each_channel(image: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.stack([function(image[..., c]) for c in range(image.shape[-1])], axis=-1)


# References: of one float64 image (height, width, channels), the transform, and its numbers.


def gaussian_blurred(image, transform, sigma):
    sizes = transform.kernel_size
    for axis, size in enumerate(sizes[::-1] if isinstance(sizes, tuple) else (sizes, sizes)):
        at = np.arange(size) - size // 2
        weights = np.exp(-(at**2) / (2 * sigma**2))
        image = ndimage.correlate1d(image, weights / weights.sum(), axis=axis, mode="mirror")
    return image


def motion_blurred(image, _, length, angle, direction):
    half = length // 2
    first = -half * (1 - direction) if direction > 0 else -half
    last = half * (1 + direction) if direction < 0 else half
    kernel = np.zeros((length, length))
    for along in np.linspace(first, last, length):
        row = round(half + along * math.sin(math.radians(angle)))
        col = round(half + along * math.cos(math.radians(angle)))
        kernel[row, col] = 1
    kernel /= kernel.sum()
    return each_channel(image, lambda plane: ndimage.correlate(plane, kernel, mode="mirror"))


def sharpened(image, _, factor):
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = image.copy()
    inner = np.s_[1:-1, 1:-1]
    smooth[inner] = each_channel(image, lambda plane: ndimage.correlate(plane, kernel))[inner]
    return np.clip(smooth + factor * (image - smooth), 0, 255)


def equalized_levels(levels, transform, limit):
    """CLAHE of whole levels (height, width), as in the book: pad, count, clip, interpolate."""
    (height, width), (down, across) = levels.shape, transform.tile_grid_size
    if height % down or width % across:
        by = [(0, down - height % down), (0, across - width % across)]
        padded = np.pad(levels, by, mode="reflect")
    else:
        padded = levels
    tall, wide = padded.shape[0] // down, padded.shape[1] // across
    tables = np.empty((down, across, 256))
    for y, x in np.ndindex(down, across):
        tile = padded[y * tall : (y + 1) * tall, x * wide : (x + 1) * wide]
        counts = np.bincount(tile.ravel(), minlength=256)
        most = max(int(limit * tile.size / 256), 1)
        excess = np.maximum(counts - most, 0).sum()
        counts = np.minimum(counts, most) + excess // 256
        rest = excess % 256
        if rest:
            counts[:: max(256 // rest, 1)][:rest] += 1
        # In float32, as OpenCV does: what is a half decides about a level.
        scale = np.float32(255) / np.float32(tile.size)
        tables[y, x] = np.rint(np.cumsum(counts).astype(np.float32) * scale)
    rows = np.clip(np.arange(height) / tall - 0.5, 0, down - 1)
    cols = np.clip(np.arange(width) / wide - 0.5, 0, across - 1)
    at = np.stack([*np.meshgrid(rows, cols, indexing="ij"), levels])
    return ndimage.map_coordinates(tables, at, order=1, mode="nearest")


def equalized(image, transform, limit):
    if image.shape[-1] not in (3, 4):
        whole = np.rint(image).astype(int)
        equal = each_channel(whole, lambda plane: equalized_levels(plane, transform, limit))
        return np.clip(image + equal - whole, 0, 255)
    # In float32 and in this order, for the same reason.
    red, green, blue = np.moveaxis(image[..., :3].astype(np.float32), -1, 0)
    parts = np.float32([0.299, 0.587, 0.114])
    luma = np.rint(red * parts[0] + green * parts[1] + blue * parts[2]).astype(np.float64)
    change = equalized_levels(luma.astype(int), transform, limit) - luma
    result = image.copy()
    result[..., :3] = np.clip(image[..., :3] + change[..., np.newaxis], 0, 255)
    return result


def erased(image, transform, holes, _):
    value = transform.value if isinstance(transform, Erase) else transform.fill
    result = image.copy()
    for top, left, bottom, right in holes:
        result[top:bottom, left:right] = image.mean(axis=(0, 1)) if value == "mean" else value
    return result


def grid_erased(image, transform, unit, top, left, _):
    erased = unit - round(unit * transform.ratio)
    result = image.copy()
    for row, col in np.ndindex(image.shape[:2]):
        if (row - top) % unit < erased and (col - left) % unit < erased:
            result[row, col] = transform.fill
    return result


def downscaled(image, transform, scale):
    size = image.shape[:2]
    small = [max(round(side * scale), 1) for side in size]
    for ratios, to in (([1 / scale] * 2, small), (np.divide(small, size), size)):
        at = np.indices(to)
        ratio = np.reshape(ratios, (2, 1, 1))
        edge = np.reshape(image.shape[:2], (2, 1, 1)) - 1
        if transform.interpolation == "nearest":
            rows, cols = np.minimum((at * ratio).astype(int), edge)
            image = image[rows, cols]
        else:
            at = (at + 0.5) * ratio - 0.5
            image = each_channel(
                image,
                lambda plane, at=at: ndimage.map_coordinates(plane, at, mode="nearest", order=1),
            )
    return image


def written_as_jpeg(image, _, quality):
    whole = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(whole if image.shape[-1] == 3 else whole[..., 0]).save(
        data, "JPEG", quality=int(quality)
    )
    return np.asarray(Image.open(data), np.float64).reshape(image.shape)


@dataclass(frozen=True)
class Row:
    """A transform beside its reference; `floats` is how far off images of float32 may be."""

    transform: Any
    reference: Callable[..., np.ndarray]
    floats: float
    channels: tuple[int, ...] = (1, 3, 4, 5)


# Sums of some float32 numbers up to 255 are off by some times 255 * 2^-24 = 1.5e-5.
SUMS = 5e-4
ORACLES = {
    "blur of 3": Row(GaussianBlur(3), gaussian_blurred, SUMS),
    "blur of 5": Row(GaussianBlur(5, sigma=(0.5, 3.0)), gaussian_blurred, SUMS),
    "blur of 9 by 1": Row(GaussianBlur((9, 1), sigma=2.0), gaussian_blurred, SUMS),
    "blur of 7 by 13": Row(GaussianBlur((7, 13), sigma=(2.0, 5.0)), gaussian_blurred, SUMS),
    "blur of 23, narrow": Row(GaussianBlur(23, sigma=(0.1, 2.0)), gaussian_blurred, SUMS),
    "motion": Row(MotionBlur(), motion_blurred, SUMS),
    "long motion": Row(MotionBlur((9, 15), direction_range=(-0.5, 0)), motion_blurred, SUMS),
    # The distance from the smoothed value is up to 255, times the factor.
    "sharpness": Row(Sharpness((0.0, 3.0)), sharpened, 3 * SUMS),
    # Positions between tiles are float32, too: tables differ by up to 255 from tile to tile.
    "equalised": Row(CLAHE(), equalized, SUMS),
    "equalised, few tiles": Row(CLAHE(2.5, tile_grid_size=(2, 3)), equalized, SUMS),
    "erased": Row(Erase(value=7.25), erased, 0),
    "erased by the mean": Row(Erase(value="mean"), erased, SUMS),
    "erased by a colour": Row(Erase(value=(9, 200, 31.5)), erased, 0, (3,)),
    "holes": Row(CoarseDropout((1, 4), fill=3), erased, 0),
    "holes in pixels": Row(CoarseDropout(5, (1, 2), (2, 9)), erased, 0),
    "grid": Row(GridMask(), grid_erased, 0),
    "grid in pixels": Row(GridMask(0.5, unit=(2, 5), fill=100), grid_erased, 0),
    "coarse": Row(Downscale((0.1, 1.0)), downscaled, 0),
    "soft": Row(Downscale((0.1, 1.0), "bilinear"), downscaled, SUMS),
    # The same library, on the same whole numbers.
    "JPEG": Row(JpegArtifacts((1, 100)), written_as_jpeg, 0, (1, 3)),
}
NOISE = {
    "noise": GaussianNoise(),
    "salt and pepper": SaltAndPepper(0.3),
    "erased by noise": Erase(value="random"),
}
ALL = {name: row.transform for name, row in ORACLES.items()} | NOISE


def numbers_of(numbers: Any, i: int) -> tuple[Any, ...]:
    """Return one image's numbers as arguments."""
    return tuple(part[i] for part in numbers) if isinstance(numbers, tuple) else (numbers[i],)


def test_every_repaint_has_a_row():
    assert {type(transform) for transform in ALL.values()} == set(REPAINTS)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}-{size[1]}")
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("name", ORACLES)
def test_repaint_is_the_reference(name, dtype, size):
    row = ORACLES[name]
    for channels in row.channels:
        images = make_images(4, *size, channels, dtype, seed=size[0])
        if dtype != "uint8":
            images = np.clip(images + np.float32(0.125), 0, 255).astype(dtype)
        numbers = row.transform.draw(np.random.default_rng(size), 4, size)
        found = repainted(row.transform, images, numbers)
        assert found.dtype == images.dtype
        expected = [
            row.reference(image.astype(np.float64), row.transform, *numbers_of(numbers, i))
            for i, image in enumerate(images)
        ]
        off = ROUNDED + SUMS if dtype == "uint8" else row.floats
        np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=off)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", ALL)
def test_channels_first_gives_the_same_bits(name, dtype):
    transform = ALL[name]
    for channels in ORACLES[name].channels if name in ORACLES else (1, 3, 4, 5):
        images = make_images(3, 13, 17, channels, dtype)
        numbers = transform.draw(np.random.default_rng(1), 3, (13, 17))
        expected = repainted(transform, images, numbers)
        assert np.any(expected != images)
        view = channels_first(images)
        np.testing.assert_array_equal(repainted(transform, view, numbers), expected)
        wide = np.zeros((3, 13, 34, channels), dtype)
        wide[:, :, ::2] = images
        transform.apply(wide[:, :, ::2], numbers, np.arange(3))
        np.testing.assert_array_equal(wide[:, :, ::2], expected)
        assert not np.any(wide[:, :, 1::2])


@pytest.mark.parametrize("name", ALL)
def test_images_that_are_not_chosen_stay_as_they_are(name):
    transform = ALL[name]
    images = make_images(5, 13, 17, 3)
    numbers = transform.draw(np.random.default_rng(2), 5, (13, 17))
    expected = repainted(transform, images, numbers)
    for view in (images, channels_first(images)):
        found = repainted(transform, view, numbers, rows=[3, 1])
        np.testing.assert_array_equal(found[[1, 3]], expected[[1, 3]])
        np.testing.assert_array_equal(found[[0, 2, 4]], images[[0, 2, 4]])
        np.testing.assert_array_equal(repainted(transform, view, numbers, rows=[]), images)


@pytest.mark.parametrize("name", ALL)
def test_number_of_threads_changes_no_bit(name):
    transform = ALL[name]
    images = make_images(5, 13, 17, 3)
    numbers = transform.draw(np.random.default_rng(2), 5, (13, 17))
    found = []
    for threads in (1, 2):
        with limited_threads(threads):
            found.append(repainted(transform, images, numbers))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", ALL)
def test_image_of_one_pixel_can_be_repainted(name):
    images = make_images(2, 1, 1, 3)
    numbers = ALL[name].draw(np.random.default_rng(2), 2, (1, 1))
    assert repainted(ALL[name], images, numbers).shape == (2, 1, 1, 3)


# Pillow and OpenCV, who round on the way.


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_sharpness_is_that_of_pillow(factor):
    images = make_images(1, 13, 17, 3)
    expected = ImageEnhance.Sharpness(Image.fromarray(images[0])).enhance(factor)
    found = repainted(Sharpness(factor), images, np.array([factor]))[0].astype(float)
    # Pillow rounds the smoothed image, and cuts the result to a whole number.
    off = 0.5 * abs(1 - factor) + 1
    np.testing.assert_allclose(found, np.asarray(expected), rtol=0, atol=off)


@pytest.mark.parametrize("size", [3, 5, 11])
def test_blur_is_that_of_opencv(size):
    cv2 = pytest.importorskip("cv2")
    images = make_images(1, 31, 42, 3)
    found = repainted(GaussianBlur(size, 1.4), images, np.array([1.4]))[0]
    expected = cv2.GaussianBlur(images[0], (size, size), 1.4)
    # OpenCV's weights are whole numbers over 256.
    np.testing.assert_allclose(found.astype(int), expected, rtol=0, atol=1)


@pytest.mark.parametrize("grid", [(8, 8), (3, 5), (2, 7)])
def test_equalised_channel_is_that_of_opencv(grid):
    cv2 = pytest.importorskip("cv2")
    for size in ((40, 56), (31, 42), (6, 9)):
        images = make_images(1, *size, 1)
        found = repainted(CLAHE(2.5, grid), images, np.array([2.5]))[0, ..., 0]
        expected = cv2.createCLAHE(2.5, grid[::-1]).apply(images[0, ..., 0].copy())
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("interpolation", "code"), [("nearest", 0), ("bilinear", 1)])
def test_downscaling_is_that_of_opencv(interpolation, code):
    cv2 = pytest.importorskip("cv2")
    images = make_images(1, 31, 42, 3, "float32")
    for scale in (0.14, 0.25, 0.3, 0.77):
        small = cv2.resize(images[0], None, fx=scale, fy=scale, interpolation=code)
        expected = cv2.resize(small, (42, 31), interpolation=code)
        found = repainted(Downscale(scale, interpolation), images, np.array([scale]))[0]
        # OpenCV's positions are float32: 42 pixels are wrong by 4e-6, values differ by up to 255.
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3)


# Without the compiler.


def test_repaints_run_as_plain_python_with_the_same_results():
    names = (
        "blur of 3",
        "motion",
        "sharpness",
        "equalised, few tiles",
        "erased by the mean",
        "soft",
    )
    test = f"{Path(__file__).name}::test_repaint_is_the_reference"
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"{test}[{name}-uint8-5-7]" for name in names),
        ],
        cwd=Path(__file__).parent,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(names)} passed" in run.stdout
