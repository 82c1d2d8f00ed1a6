"""The warp where a batch has another size than its sources, and in perspective.

Kernels are called as the pipeline calls them, with plans that nothing draws yet.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from conftest import SCIPY, make_images
from oracles import CVAL, FACTORS, SHIFTS, SOLARIZE, draw_of, some_draws
from oracles import reference_channel_shift as shifted
from oracles import reference_keras_brightness as brightened
from oracles import reference_solarize as solarized
from scipy import ndimage
from test_kernels import Banded

from fastaug import pipeline
from fastaug.kernels.batch import Finish, Layout, Plan, augment_blocks, augment_images
from fastaug.kernels.launch import launch
from fastaug.kernels.warp import FILL_MODES as CODES
from fastaug.pipeline import BatchDraws, Recipe, make_batch

SOURCES = ((5, 7), (8, 11), (13, 17))
# Smaller, larger, larger one way only, and three blocks of rows.
OUTPUTS = ((3, 4), (19, 23), (6, 29), (70, 5))
FLIPS = tuple(itertools.product((False, True), repeat=2))
WAYS = tuple(itertools.product(CODES, (0, 1)))
# The four weights add up to 1 but for a few roundings in float64, and one in float32.
SLACK = 255 * 2.0**-23


@dataclass(frozen=True)
class Way:
    """How a warp is asked for."""

    order: int = 1
    fill_mode: str = "nearest"
    flips: tuple[bool, bool] = (False, False)
    planar: bool = False
    plain: bool = False
    by_rows: bool = False

    def warp(self, images: np.ndarray, matrices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return (n, *size, channels) float32 images; fail if anything beside them is touched."""
        count, height, width, channels = images.shape
        shape = (count, *size, channels)
        if self.planar:
            images, shape = np.moveaxis(images, -1, 1), (count, channels, *size)
        images = np.ascontiguousarray(images)
        images.flags.writeable = False
        buffers = Banded()
        out = buffers.lend(shape, np.float32)
        plan = Plan(
            matrices=np.array(matrices, np.float64),
            moved=np.ones(count, bool),
            flips=np.tile(self.flips, (count, 1)),
            codes=np.empty((count, 0), np.int8),
            numbers=np.empty((count, 0, 1), np.float32),
            extremes=False,
            order=self.order,
            fill_mode=CODES[self.fill_mode],
            cval=CVAL,
        )
        layout = Layout(*size, channels, self.planar, height, width)
        finish = Finish(np.empty(0, np.int8), np.empty((0, 1), np.float32), False, False, 0)
        plain = True if self.plain or channels > 4 else None
        arguments = (images, np.arange(count), plan, layout, finish, plain, out)
        if self.by_rows:
            launch(augment_blocks, *arguments)
        else:
            launch(augment_images, *arguments, 2)
        buffers.check()
        return np.moveaxis(out, 1, -1) if self.planar else out

    def warp_all_ways(
        self, images: np.ndarray, matrices: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """Return what the fast path makes; the plain path and shared rows must give its bits."""
        expected = self.warp(images, matrices, size)
        for plain, by_rows in ((False, True), (True, False), (True, True)):
            way = Way(self.order, self.fill_mode, self.flips, self.planar, plain, by_rows)
            np.testing.assert_array_equal(way.warp(images, matrices, size), expected, f"{way}")
        return expected


def affine_pulls(source: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return three (3, 3) pulls about both centres: turned, sheared, and seen from near or far."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2] = (np.array(source) - 1) / 2
    back[:2, 2] = (1 - np.array(size)) / 2
    pulls = []
    for angle, rows, cols, shear in (
        (0.4, 0.9, 1.3, 0.1),
        (-1.9, 1.7, 0.6, 0),
        (2.8, 0.3, 0.4, -1),
    ):
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        scale = np.diag([rows * source[0] / size[0], cols * source[1] / size[1], 1])
        scale[0, 1] = shear
        pulls.append(there @ turn @ scale @ back)
    return np.stack(pulls)


def projective_pulls(source: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return the same in perspective; the last two have a pole between the pixels."""
    pulls = affine_pulls(source, size)
    height, width = size
    pulls[0, 2] = 0.3 / height, -0.2 / width, 1.1
    pulls[1, 2] = 1.01 / height, 0.1 / width, -0.5237
    pulls[2, 2] = -0.31 / height, -1.3 / width, 0.7719
    return pulls


def coordinates(
    pull: np.ndarray, size: tuple[int, int], flips: tuple[bool, bool]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where output pixels come from, undivided, and their third coordinates."""
    rows, cols = np.meshgrid(*(np.arange(float(length)) for length in size), indexing="ij")
    rows = rows[::-1] if flips[0] else rows
    cols = cols[:, ::-1] if flips[1] else cols
    y, x, w = (row[2] + rows * row[0] + cols * row[1] for row in pull)
    return y, x, w


def scipy_projective(
    images: np.ndarray, pulls: np.ndarray, size: tuple[int, int], way: Way
) -> np.ndarray:
    """Divide in NumPy and let SciPy take the pixels, channel by channel."""
    out = np.empty((len(images), *size, images.shape[-1]), np.float32)
    for image, pull, warped in zip(images, pulls, out, strict=True):
        y, x, w = coordinates(pull, size, way.flips)
        for channel in range(images.shape[-1]):
            warped[..., channel] = ndimage.map_coordinates(
                image[..., channel].astype(np.float32),
                [y / w, x / w],
                order=way.order,
                mode=way.fill_mode,
                cval=CVAL,
            )
    return out


def scipy_affine(
    images: np.ndarray, pulls: np.ndarray, size: tuple[int, int], way: Way
) -> np.ndarray:
    """Warp by SciPy, channel by channel, and flip what comes out."""
    out = np.empty((len(images), *size, images.shape[-1]), np.float32)
    for image, pull, warped in zip(images, pulls, out, strict=True):
        for channel in range(images.shape[-1]):
            warped[..., channel] = ndimage.affine_transform(
                image[..., channel].astype(np.float32),
                pull[:2, :2],
                pull[:2, 2],
                output_shape=size,
                order=way.order,
                mode=way.fill_mode,
                cval=CVAL,
            )
    return np.flip(out, [axis for axis, flip in zip((1, 2), way.flips, strict=True) if flip])


KINDS = {
    "affine": pytest.param(
        affine_pulls,
        scipy_affine,
        marks=pytest.mark.skipif(SCIPY < (1, 16), reason="older SciPy sums in another order"),
    ),
    "projective": pytest.param(projective_pulls, scipy_projective),
}


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("pulls_of", "reference"), KINDS.values(), ids=KINDS)
def test_warp_to_another_size_has_the_bits_of_scipy(
    pulls_of: Any, reference: Any, dtype: str, channels: int
) -> None:
    # Flips and memory orders take turns: all of them meet all other things somewhere.
    flips, planar = itertools.cycle(FLIPS), itertools.cycle((False, True, True))
    for source, size, (fill_mode, order) in itertools.product(SOURCES, OUTPUTS, WAYS):
        way = Way(order, fill_mode, next(flips), next(planar))
        images, pulls = make_images(3, *source, channels, dtype), pulls_of(source, size)
        expected = reference(images, pulls, size, way)
        found = way.warp_all_ways(images, pulls, size)
        np.testing.assert_array_equal(found, expected, f"{source} to {size}, {way}")


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("planar", [False, True])
def test_every_flip_in_every_memory_order_has_the_bits_of_scipy(
    flips: tuple[bool, bool], planar: bool
) -> None:
    for (pulls_of, reference), (fill_mode, order) in itertools.product(
        ((affine_pulls, scipy_affine), (projective_pulls, scipy_projective)), WAYS
    ):
        if pulls_of is affine_pulls and SCIPY < (1, 16):
            continue
        way, images = Way(order, fill_mode, flips, planar), make_images(3, 8, 11, 3)
        pulls = pulls_of((8, 11), (6, 29))
        expected = reference(images, pulls, (6, 29), way)
        np.testing.assert_array_equal(way.warp_all_ways(images, pulls, (6, 29)), expected)


def check_range(batch: np.ndarray, images: np.ndarray, fill_mode: str, order: int) -> None:
    """Fail if a value is neither `cval` nor within those of its source."""
    slack = SLACK if order else 0
    for image, source in zip(batch, images, strict=True):
        fits = (image >= source.min() - slack) & (image <= source.max() + slack)
        if fill_mode == "constant":
            fits |= image == CVAL
        assert fits.all()


@pytest.mark.parametrize(("fill_mode", "order"), WAYS)
def test_pole_on_a_pixel_shows_the_first_pixel_there(fill_mode: str, order: int) -> None:
    # All these numbers are exact, so that a row, a column, a diagonal and one pixel have no
    # third coordinate.
    thirds = [[1.0, 0.0, -3.0], [0.0, -0.5, 2.0], [0.25, -0.25, 0.0], [3.0, 1.0, -13.0]]
    pulls = np.stack([[[0.5, 0.25, -2.0], [-0.125, 0.75, 1.0], third] for third in thirds])
    for flips, channels in itertools.product(FLIPS, (1, 3, 5)):
        way, images = Way(order, fill_mode, flips), make_images(4, 8, 11, channels, seed=1)
        found = way.warp_all_ways(images, pulls, (9, 10))
        check_range(found, images, fill_mode, order)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = scipy_projective(images, pulls, (9, 10), way)
        for image, warped, reference, pull in zip(images, found, expected, pulls, strict=True):
            pole = coordinates(pull, (9, 10), flips)[2] == 0
            assert pole.any()
            assert (warped[pole] == image[0, 0]).all()
            np.testing.assert_array_equal(warped[~pole], reference[~pole])


@pytest.mark.parametrize(("fill_mode", "order"), WAYS)
@pytest.mark.parametrize("scale", [1e9, 1e15, 1e18, 1e19, 1e30, 1e300, 8e307])
def test_coordinates_out_of_all_bounds_take_pixels_of_the_source(
    scale: float, fill_mode: str, order: int
) -> None:
    turn = np.array([[0.8, -0.6, 1.0], [0.6, 0.8, -2.0], [0.0, 0.0, 1.0]])
    far, near = turn.copy(), turn.copy()
    far[:2] *= scale
    near[2] = 1 / scale, -1 / scale, 0.3 / scale  # nearly nothing to divide by
    both = far.copy()
    both[2] = near[2]
    upside = -far
    pulls = np.stack([far, near, both, upside])
    for channels in (1, 3, 5):
        images = make_images(4, 5, 7, channels, seed=2)
        found = Way(order, fill_mode).warp_all_ways(images, pulls, (9, 10))
        check_range(found, images, fill_mode, order)


def test_perspective_is_that_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    rows, cols = np.mgrid[0:13, 0:17].astype(np.float32)
    image = np.stack([7 * rows + 3 * cols, 90 + 5 * rows - 4 * cols, 11 * cols], -1)
    pull = affine_pulls((13, 17), (19, 23))[0]
    pull[2] = 0.012, -0.009, 1.05
    swap = np.array([1, 0, 2])  # OpenCV's matrices are in (x, y)
    expected = cv2.warpPerspective(
        image,
        pull[swap][:, swap],
        (23, 19),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    found = Way().warp_all_ways(image[np.newaxis], pull[np.newaxis], (19, 23))[0]
    # OpenCV rounds places to steps of 1/32 pixel: off by up to 1/64 each way, on slopes of up to
    # 11 a pixel in all.
    np.testing.assert_allclose(found, expected, rtol=0, atol=11 / 64)


# Steps of an image.


def drawn_batch(images: np.ndarray, recipe: Recipe, **drawn: Any) -> np.ndarray:
    """Return the batch of `oracles.SEED`, in which the first and the third are solarised."""
    rows = np.arange(len(images))
    return make_batch(
        recipe, images, rows, BatchDraws(some_draws(len(images), **drawn), 7, 0, rows)
    )


def test_steps_of_an_image_are_done_in_their_order() -> None:
    images = make_images(3, 35, 33, 3)
    recipe = Recipe(transforms=(SOLARIZE,))
    drawn = {"channel_shift_intensity": SHIFTS, "brightness": FACTORS}
    expected = solarized(brightened(shifted(images)))
    np.testing.assert_array_equal(drawn_batch(images, recipe, **drawn), expected)


def test_solarize_takes_one_launch_and_no_kernel_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launched: list[Any] = []

    def note(kernel: Any, *arguments: Any) -> float:
        launched.append(kernel)
        return launch(kernel, *arguments)

    monkeypatch.setattr(pipeline, "launch", note)
    images = make_images(3, 8, 11, 3)
    assert draw_of(SOLARIZE, 3).any()
    drawn_batch(images, Recipe())
    compiled = list(augment_images.signatures)
    last = drawn_batch(images, Recipe(transforms=(SOLARIZE,)))
    first = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    recipe = Recipe(transforms=(SOLARIZE,), data_format="channels_first")
    np.testing.assert_array_equal(np.moveaxis(drawn_batch(first, recipe), 1, -1), last)
    assert augment_images.signatures == compiled
    assert launched == [augment_images] * 3
