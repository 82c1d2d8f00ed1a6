"""Noise: its distribution, that it repeats nowhere, and what it leaves alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from scipy import stats

from fastaug.transforms import Erase, GaussianNoise, SaltAndPepper


def repainted(transform: Any, images: np.ndarray, numbers: Any) -> np.ndarray:
    copy = images.copy()
    transform.apply(copy, numbers, np.arange(len(images)))
    return copy


def noise_of(dtype: str = "float32", **arguments: Any) -> np.ndarray:
    """Return what is added to three grey images."""
    transform = GaussianNoise(**arguments)
    images = np.full((3, 240, 200, 3), 128, dtype)
    numbers = transform.draw(np.random.default_rng(5), 3, (240, 200))
    return repainted(transform, images, numbers).astype(np.float64) - 128


def test_noise_is_normal():
    noise = noise_of(mean=0.02, sigma=0.08)  # so that none of 430 000 leaves [0, 255]
    normal = (noise.ravel() - 0.02 * 255) / (0.08 * 255)
    assert stats.kstest(normal, "norm").pvalue > 0.01
    assert abs(stats.kurtosis(normal)) < 0.03  # four times its standard error
    assert 4 < np.abs(normal).max() < 5.9


def test_noise_of_bytes_is_that_of_floats_rounded():
    np.testing.assert_array_equal(noise_of("uint8", sigma=0.05), np.rint(noise_of(sigma=0.05)))


def test_noise_is_cut_to_the_range_of_values():
    noise = noise_of(sigma=1.0) + 128
    assert noise.min() == 0
    assert noise.max() == 255


@pytest.mark.parametrize("power", [1, 2])
def test_noise_repeats_nowhere(power):
    noise = noise_of(sigma=0.08) ** power
    noise = (noise - noise.mean()) / noise.std()
    flat = noise.reshape(3, 240, 600)
    for first, second in (
        (noise[..., 0], noise[..., 1]),
        (noise[:, :, 1:], noise[:, :, :-1]),
        (noise[:, 1:], noise[:, :-1]),
        (noise[1:], noise[:-1]),
        (flat[..., :300], flat[..., 300:]),  # pairs are drawn together
    ):
        # Five standard errors of a correlation.
        assert abs(np.mean(first * second)) < 5 / math.sqrt(first.size)


def test_salt_and_pepper_takes_its_shares_of_whole_pixels():
    transform = SaltAndPepper(amount=0.3, salt_vs_pepper=0.25)
    images = make_images(2, 200, 300, 4) // 2 + 64
    numbers = transform.draw(np.random.default_rng(0), 2, (200, 300))
    found = repainted(transform, images, numbers)
    white, black = np.all(found == 255, axis=-1), np.all(found == 0, axis=-1)
    # Four standard errors of a share of 120 000 pixels.
    np.testing.assert_allclose(white.mean(), 0.075, atol=0.003)
    np.testing.assert_allclose(black.mean(), 0.225, atol=0.005)
    np.testing.assert_array_equal(found[~(white | black)], images[~(white | black)])


def test_noise_in_a_hole_is_uniform():
    for dtype in ("uint8", "float32"):
        images = np.full((1, 200, 300, 3), 300 if dtype == "float32" else 7, dtype)
        holes = np.array([[[20, 30, 180, 250]]])
        found = repainted(Erase(value="random"), images, (holes, np.array([9])))
        inside = found[0, 20:180, 30:250].ravel().astype(np.float64)
        if dtype == "uint8":
            assert stats.chisquare(np.bincount(found[0, 20:180, 30:250].ravel())).pvalue > 0.01
        else:
            assert stats.kstest(inside / 255, "uniform").pvalue > 0.01
        found[0, 20:180, 30:250] = images[0, 0, 0]
        np.testing.assert_array_equal(found, images)
