"""Contenders for the warp of a batch; fastaug's and Keras' are in `drawn`."""

from __future__ import annotations

from typing import Any

import augmenters
import layers
import numpy as np
import pytest
from checks import check_as_keras, check_loosely
from drawn import Question, each, fastaug, keras
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]

# OpenCV weighs neighbours by fractions in steps of 1/32 pixel: off by up to 1/64 in each direction
# of a slope of up to 255 a pixel, and rounded to whole numbers.
OPENCV_TOLERANCE = (2 * 255 / 64 + 0.5) / 255


def pull_matrix(question: Question, i: int) -> Array:
    """Compose image i's numbers as Keras documents them: (3, 3), in (x, y), for a square image."""
    numbers = question.of(i)
    theta, centre = np.deg2rad(numbers["theta"]), question.images.shape[1] / 2 - 0.5
    sine, cosine = np.sin(theta), np.cos(theta)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    shift = np.array([[1, 0, numbers["tx"]], [0, 1, numbers["ty"]], [0, 0, 1]])
    zoom = np.diag([numbers["zx"], numbers["zy"], 1])
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = centre, -centre
    return there @ rotation @ shift @ zoom @ back


def scipy_loop(question: Question):
    """Warp channel by channel with SciPy, as the oracle of the tests does."""
    pulls = [pull_matrix(question, i)[[1, 0]][:, [1, 0, 2]] for i in range(len(question.images))]

    def call(calls: int) -> Array:
        for _ in range(calls):
            batch = np.empty(question.images.shape, np.float32)
            for image, pull, out in zip(question.images, pulls, batch, strict=True):
                for channel in range(image.shape[-1]):
                    out[..., channel] = ndimage.affine_transform(
                        image[..., channel].astype(np.float32),
                        pull[:, :2],
                        pull[:, 2],
                        order=1,
                        mode=question.fill_mode,
                    )
            batch *= np.float32(question.rescale)
        return batch

    return call


def opencv(question: Question):
    """Warp in uint8, then convert and rescale through a table, into memory that is used again."""
    cv2 = pytest.importorskip("cv2")
    pulls = [pull_matrix(question, i)[:2] for i in range(len(question.images))]
    table = np.arange(256, dtype=np.float32) * np.float32(question.rescale)
    size = question.images.shape[1:3][::-1]
    options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP}
    options["borderMode"] = augmenters.borders()[question.fill_mode]
    warped = np.empty(question.images.shape[1:], np.uint8)
    batch = np.empty(question.images.shape, np.float32)

    def call(calls: int) -> Array:
        for _ in range(calls):
            for image, pull, out in zip(question.images, pulls, batch, strict=True):
                cv2.warpAffine(image, pull, size, dst=warped, **options)
                cv2.LUT(warped, table, dst=out)
        return batch

    return call


def albumentations(question: Question):
    """Turn, shift and zoom at random, image by image."""
    pytest.importorskip("albumentations")
    size = question.images.shape[1]
    return each(question.images, augmenters.compose([augmenters.affine(size, question.fill_mode)]))


def keras_layers(question: Question):
    """Turn, shift and zoom at random, a batch at a time."""
    moves = layers.moves(question.images.shape[1], question.fill_mode)
    return layers.batches(question.images, [*moves, layers.layers.Rescaling(question.rescale)])


def sees_inside(question: Question) -> Array:
    """Return where (n, height, width) a result depends on no fill mode."""
    height, width = question.images.shape[1:3]
    rows, cols = np.mgrid[0:height, 0:width]
    points = np.stack([cols, rows, np.ones_like(rows)]).reshape(3, -1)
    pulls = np.stack([pull_matrix(question, i)[:2] for i in range(len(question.images))])
    x, y = np.moveaxis((pulls @ points).reshape(-1, 2, height, width), 1, 0)
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def check(contender: str, batch: Array, question: Question) -> None:
    """Check a contender's batch, each as closely as it can be."""
    if contender in ("fastaug", "keras"):
        check_as_keras(batch, question.expected)
    elif contender == "scipy":
        # The product of three matrices in another order: coordinates differ by 1e-13.
        np.testing.assert_allclose(batch, question.expected, rtol=0, atol=1e-5)
    elif contender == "opencv":
        check_opencv(batch, question)
    else:
        # Drawn by their own rules, so no pixel is known.
        check_loosely(batch, question.images)


def check_opencv(batch: Array, question: Question) -> None:
    """Compare with Keras, inside only where OpenCV fills otherwise.

    SciPy's `wrap` has a period of n - 1 pixels, OpenCV's of n; `constant` is blended at the border
    in OpenCV and not in SciPy.
    """
    inside = sees_inside(question)
    if question.fill_mode in ("nearest", "reflect"):
        inside[:] = True
    difference = np.abs(batch - question.expected)[inside]
    assert difference.max() <= OPENCV_TOLERANCE


CONTENDERS = {
    "fastaug": fastaug,
    "keras": keras,
    "scipy": scipy_loop,
    "opencv": opencv,
    "albumentations": albumentations,
    "keras_layers": keras_layers,
}
