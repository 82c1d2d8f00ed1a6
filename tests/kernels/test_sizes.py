"""Warps to another size and in perspective: SciPy's bits, whatever the layout, path or threads."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import SCIPY, make_images
from oracles import CVAL, FILL_MODES, policy_of, recipe_of, shared_out_by_rows, some_draws
from scipy import ndimage
from test_kernels import Banded

from fastaug.kernels.policy import make_images as make_images_kernel
from fastaug.pixels import batch as pixels
from fastaug.transforms import Pull, Solarize
from fastaug.transforms.base import Chosen
from fastaug.transforms.geometry import Size, positions, still

pytestmark = pytest.mark.skipif(
    SCIPY < (1, 16), reason="older SciPy sums coordinates in another order: other pixels at borders"
)

SOURCES = ((5, 7), (8, 11), (13, 17))
SIZES = ((3, 4), (9, 6), (16, 21), (1, 30), (30, 1))
COUNT = 3


def affine(size: Size, rng: np.random.Generator) -> np.ndarray:
    """Return matrices that turn, shear, scale and shift by a few pixels."""
    matrices = np.broadcast_to(np.eye(3), (COUNT, 3, 3)).copy()
    matrices[:, :2, :2] += rng.uniform(-0.6, 0.6, (COUNT, 2, 2))
    matrices[:, :2, 2] = rng.uniform(-3, 3, (COUNT, 2))
    return matrices


def projective(size: Size, rng: np.random.Generator) -> np.ndarray:
    """Return the same with a third row: with poles beside the image, and in it for the last."""
    matrices = affine(size, rng)
    matrices[:, 2, :2] = rng.uniform(-0.03, 0.03, (COUNT, 2))
    matrices[-1, 2] = 0.31, -0.27, -0.6
    return matrices


KINDS = {"affine": affine, "perspective": projective}


def pull_of(
    kind: str, size: Size, seed: int = 0, flips: tuple[bool, bool] = (False, False)
) -> Pull:
    matrices = KINDS[kind](size, np.random.default_rng(seed))
    return Pull(matrices, np.ones(COUNT, bool), np.tile(np.array(flips), (COUNT, 1)), size)


def reference(images: np.ndarray, pull: Pull, order: int, fill_mode: str) -> np.ndarray:
    """Warp image by image and channel by channel with SciPy, then flip."""
    how = {"order": order, "mode": fill_mode, "cval": CVAL}

    def warp(channel: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        channel = channel.astype(np.float32)
        if (matrix[2] == (0, 0, 1)).all():
            shape = pull.size
            linear, offset = matrix[:2, :2], matrix[:2, 2]
            return ndimage.affine_transform(channel, linear, offset, output_shape=shape, **how)
        return ndimage.map_coordinates(channel, positions(matrix, pull.size), **how)

    warped = [
        np.stack([warp(channel, matrix) for channel in np.moveaxis(image, -1, 0)], axis=-1)
        for image, matrix in zip(images, pull.matrices, strict=True)
    ]
    turned = [axis for axis, flip in enumerate(pull.flips[0], start=1) if flip]
    return np.flip(np.stack(warped), turned)


def warped(images: np.ndarray, pull: Pull, buffers: Any = None, **asked: Any) -> np.ndarray:
    """Return what fastaug makes of images (n, height, width, channels), channels behind again."""
    asked |= {"cval": CVAL}
    first = asked.get("data_format") == "channels_first"
    if first:
        images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    still_drawn = policy_of({}).assemble(some_draws(COUNT), {}, images.shape[1:3])
    drawn = replace(still_drawn, pull=pull.tidied())
    recipe, rows = recipe_of(images, asked), np.arange(COUNT)
    batch = pixels.make_batch(recipe, images, rows, drawn, buffers=buffers)
    return np.moveaxis(batch, 1, -1) if first else batch


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_another_size_has_the_bits_of_scipy(kind: str, fill_mode: str, order: int) -> None:
    asked = {"order": order, "fill_mode": fill_mode}
    for seed, (source, size) in enumerate(itertools.product(SOURCES, SIZES)):
        pull = pull_of(kind, size, seed)
        # Five channels take the plain path.
        for channels, dtype in itertools.product((1, 3, 4, 5), ("uint8", "float32")):
            images = make_images(COUNT, *source, channels, dtype)
            expected = reference(images, pull, order, fill_mode)
            np.testing.assert_array_equal(
                warped(images, pull, **asked), expected, err_msg=f"{source} {size} {channels}"
            )


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("rows", [nullcontext, shared_out_by_rows], ids=["images", "rows"])
@pytest.mark.parametrize("kind", KINDS)
def test_path_layout_threads_and_flips_change_no_bit(
    kind: str, rows: Any, plain: bool, data_format: str
) -> None:
    # Several bands and blocks of rows: 70 and 33.
    for source, size in (((5, 7), (70, 33)), ((70, 33), (8, 11)), ((13, 17), (13, 17))):
        images = make_images(COUNT, *source, 3)
        for flips, fill_mode, order in itertools.product(
            itertools.product((False, True), repeat=2), FILL_MODES, (0, 1)
        ):
            pull = pull_of(kind, size, 7, flips)
            with rows():
                batch = warped(
                    images,
                    pull,
                    order=order,
                    fill_mode=fill_mode,
                    plain=plain,
                    data_format=data_format,
                )
            np.testing.assert_array_equal(batch, reference(images, pull, order, fill_mode))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_written_beside_a_batch_of_another_size(kind: str, dtype: str) -> None:
    for size, channels, by_rows in itertools.product(SIZES, range(1, 6), (False, True)):
        images, buffers = make_images(COUNT, 8, 11, channels, "float32"), Banded()
        pull = pull_of(kind, size)
        with shared_out_by_rows() if by_rows else nullcontext():
            batch = warped(images, pull, buffers, dtype=np.dtype(dtype))
        buffers.check()
        expected = reference(images, pull, 1, "nearest")
        if dtype == "uint8":
            expected = np.clip(np.rint(expected), 0, 255)
        # SciPy was given float32, which is what float64 is compared in.
        np.testing.assert_array_equal(batch.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_poles_and_huge_coordinates_give_values_of_the_source(
    fill_mode: str, order: int, dtype: str, plain: bool
) -> None:
    size = (9, 12)
    matrices = np.broadcast_to(np.eye(3), (COUNT, 3, 3)).copy()
    matrices[0, 2] = 0, 1, -4  # a pole on the pixels of column 4
    matrices[1, 2] = 0.5, 1e-300, -2  # on those of row 4, and next to nothing beside
    matrices[2, :2] = [1e30, 1e308, -1e308], [-1e308, 1e308, 1e308]  # sums overflow, or are none
    pull = Pull(matrices, np.ones(COUNT, bool), np.zeros((COUNT, 2), bool), size)
    images = make_images(COUNT, 8, 11, 3, "float32")
    asked = {"order": order, "fill_mode": fill_mode, "dtype": np.dtype(dtype), "plain": plain}
    batch = warped(images, pull, **asked)
    assert np.isfinite(batch).all()
    low, high = min(images.min(), CVAL), max(images.max(), CVAL)
    # Weights add up to 1 but for a few roundings.
    assert low - 1e-4 <= batch.min() <= batch.max() <= high + 1e-4
    # Where the third coordinate is zero, pixels come from (0, 0).
    np.testing.assert_array_equal(batch[0, :, 4], np.tile(images[0, 0, 0], (9, 1)))
    np.testing.assert_array_equal(warped(images, pull, **asked | {"plain": not plain}), batch)


@pytest.mark.parametrize("flags", [0, 1], ids=["nearest", "linear"])
def test_perspective_is_that_of_opencv(flags: int) -> None:
    cv2 = pytest.importorskip("cv2")
    images = make_images(COUNT, 60, 80, 3, "float32")
    rng = np.random.default_rng(2)
    pull = pull_of("perspective", (40, 50), 3)
    matrices = np.broadcast_to(np.eye(3), (COUNT, 3, 3)).copy()
    matrices[:, :2, :2] += rng.uniform(-0.1, 0.1, (COUNT, 2, 2))
    matrices[:, :2, 2] = rng.uniform(5, 10, (COUNT, 2))
    matrices[:, 2, :2] = rng.uniform(-1e-3, 1e-3, (COUNT, 2))
    pull = Pull(matrices, pull.moved, pull.flips, pull.size)
    found = warped(images, pull, order=flags)
    swap, inverse = [1, 0, 2], cv2.WARP_INVERSE_MAP  # OpenCV's matrices are in (x, y)
    expected = np.stack(
        [
            cv2.warpPerspective(image, matrix[swap][:, swap], (50, 40), flags=flags | inverse)
            for image, matrix in zip(images, matrices, strict=True)
        ]
    )
    if flags:
        # OpenCV takes steps of 1/32 of a pixel between neighbours that differ by up to 255.
        assert np.abs(found - expected).max() < 2 * 255 / 32
        assert np.abs(found - expected).mean() < 255 / 64
    else:
        assert np.mean(found != expected) < 0.02  # pixels half way between two


def test_images_that_are_not_moved_are_copied_beside_others() -> None:
    images = make_images(COUNT, 8, 11, 3)
    pull = pull_of("perspective", (8, 11))
    identity = still(COUNT, (8, 11))
    moved = np.array([True, False, True])
    matrices = np.where(moved[:, np.newaxis, np.newaxis], pull.matrices, identity.matrices)
    batch = warped(images, Pull(matrices, moved, pull.flips, (8, 11)))
    np.testing.assert_array_equal(batch[1], images[1])
    np.testing.assert_array_equal(batch[[0, 2]], reference(images, pull, 1, "nearest")[[0, 2]])


def test_steps_of_an_image_cost_channels_first_no_compilation() -> None:
    images = make_images(4, 8, 11, 3)

    def run(data_format: str) -> None:
        given = images if data_format == "channels_last" else np.moveaxis(images, -1, 1).copy()
        asked = {"transforms": (Solarize(),), "data_format": data_format}
        policy, recipe = policy_of(asked), recipe_of(given, asked)
        drawn = policy.assemble(
            some_draws(4), {"Solarize": Chosen(np.ones(4, bool), np.ones(4, bool))}, (8, 11)
        )
        pixels.make_batch(recipe, given, np.arange(4), drawn)

    run("channels_last")
    before = len(make_images_kernel.signatures)
    run("channels_first")
    assert len(make_images_kernel.signatures) == before
