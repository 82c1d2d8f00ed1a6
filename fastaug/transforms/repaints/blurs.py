"""Blur images: out of focus, or in motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer
from fastaug.kernels.filters import blur_images, smear_images
from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.planes import repaint, working_dtype
from fastaug.transforms.repaints.ranges import between, bounds, check_range, whole_between


@dataclass(frozen=True, slots=True, repr=False)
class GaussianBlur(Written):
    """Blur images with a Gaussian of a random width; reflected at the edges.

    Parameters
    ----------
    kernel_size
        Pixels that the Gaussian is cut to: an odd number, or two: (width, height).
    sigma
        Standard deviation of the Gaussian in pixels: a number, or a range from which one is drawn
        for each image.
    probability
        Share of the images that are blurred.

    Raises
    ------
    TypeError, ValueError
        If a kernel size is not odd and positive, or a sigma not positive.

    References
    ----------
    torchvision 0.29, `transforms.v2.GaussianBlur`; here images may be smaller than the kernel.

    Examples
    --------
    >>> import numpy as np
    >>> transform = GaussianBlur(3, sigma=1.0)
    >>> images = np.array([0, 0, 200, 0, 0], np.uint8).reshape(1, 1, 5, 1)
    >>> transform.apply(images, transform.draw(np.random.default_rng(0), 1, (1, 5)), np.arange(1))
    >>> images.ravel()
    array([ 0, 55, 90, 55,  0], dtype=uint8)
    """

    kernel_size: int | tuple[int, int]
    sigma: float | tuple[float, float] = (0.1, 2.0)
    probability: float = 1.0

    def __post_init__(self) -> None:
        name = f"GaussianBlur: kernel_size={self.kernel_size!r}"
        sizes = (
            self.kernel_size
            if isinstance(self.kernel_size, tuple | list)
            else (self.kernel_size, self.kernel_size)
        )
        if len(sizes) != 2:
            raise ValueError(f"{name} must be a number, or two: (width, height)")
        for size in sizes:
            check_integer(name, size, minimum=1)
            if size % 2 == 0:
                raise ValueError(f"{name} must be odd, such as {size + 1}")
        check_range("GaussianBlur: sigma", self.sigma, 0)
        if bounds(self.sigma)[0] == 0:
            raise ValueError(f"GaussianBlur: sigma={self.sigma!r} must be above 0")
        check_range("GaussianBlur: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.float64]:  # noqa: ARG002
        """Draw the standard deviation for each image, in pixels."""
        return between(rng.random((count, 1))[:, 0], self.sigma)

    def apply(self, images: NDArray[Any], numbers: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Blur the images of `rows` (m,) among (n, height, width, channels), in place."""
        across, down = bounds(self.kernel_size)
        dtype = working_dtype(images)
        repaint(
            blur_images,
            images,
            rows,
            gaussian_weights(down // 2, numbers, dtype),
            gaussian_weights(across // 2, numbers, dtype),
        )


def gaussian_weights(
    radius: int, sigmas: NDArray[Any], dtype: type[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """Return (n, radius + 1) weights, of the centre and of the pairs around it; all sum up to 1.

    What would be lost in the rounding of a sum is 0, and costs the kernel nothing.
    """
    distances = np.arange(radius + 1) / np.asarray(sigmas, np.float64)[:, np.newaxis]
    weights = np.exp(-(distances**2) / 2)
    weights /= 2 * weights.sum(axis=1, keepdims=True) - weights[:, :1]
    weights[weights < np.finfo(dtype).eps / 4] = 0
    return weights.astype(dtype)


class Motion(NamedTuple):
    """What `MotionBlur` draws for n images."""

    lengths: NDArray[np.int64]  # pixels, odd
    angles: NDArray[np.float64]  # degrees
    directions: NDArray[np.float64]  # -1 to 1


@dataclass(frozen=True, slots=True, repr=False)
class MotionBlur(Written):
    """Blur images along a line of random length and angle; reflected at the edges.

    Parameters
    ----------
    blur_limit
        Length of the line in pixels: a range from which an odd number is drawn for each image, or
        the largest one, where 3 is the smallest.
    angle_range
        Degrees: 0 is along the rows, 90 along the columns.
    direction_range
        How far the line reaches forward from a pixel, and how far back: 0 as far, 1 only forward,
        -1 only back.  What is not even shifts the picture by up to a quarter of the length.
    probability
        Share of the images that are blurred.

    Raises
    ------
    TypeError, ValueError
        If a range is none, a length is below 3, or there is no odd number among them, an angle is
        not from 0 to 360, or a direction not from -1 to 1.

    References
    ----------
    Albumentations 2.0.8, `MotionBlur(allow_shifted=False)`: as many points as the line is long,
    rounded to whole pixels, each pixel counts once.

    Examples
    --------
    >>> import numpy as np
    >>> transform = MotionBlur(blur_limit=(3, 3), angle_range=(0, 0), direction_range=(0, 0))
    >>> images = np.array([0, 0, 90, 0, 0], np.uint8).reshape(1, 1, 5, 1)
    >>> transform.apply(images, transform.draw(np.random.default_rng(0), 1, (1, 5)), np.arange(1))
    >>> images.ravel()
    array([ 0, 30, 30, 30,  0], dtype=uint8)
    """

    blur_limit: int | tuple[int, int] = (3, 7)
    angle_range: tuple[float, float] = (0.0, 360.0)
    direction_range: tuple[float, float] = (-1.0, 1.0)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("MotionBlur: blur_limit", self.blur_limit, 3, whole=True)
        shortest, longest = self._halves()
        if shortest > longest:
            raise ValueError(f"MotionBlur: blur_limit={self.blur_limit!r} has no odd number in it")
        check_range("MotionBlur: angle_range", self.angle_range, 0, 360)
        check_range("MotionBlur: direction_range", self.direction_range, -1, 1)
        check_range("MotionBlur: probability", self.probability, 0, 1)

    def _halves(self) -> tuple[int, int]:
        """Return the range of halves: the length is twice that and one more."""
        if isinstance(self.blur_limit, tuple | list):
            return self.blur_limit[0] // 2, (self.blur_limit[1] - 1) // 2
        return 1, (self.blur_limit - 1) // 2

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Motion:  # noqa: ARG002
        """Draw a line for each image."""
        uniform = rng.random((count, 3))
        return Motion(
            2 * whole_between(uniform[:, 0], self._halves()) + 1,
            between(uniform[:, 1], self.angle_range),
            between(uniform[:, 2], self.direction_range),
        )

    def apply(self, images: NDArray[Any], numbers: Motion, rows: NDArray[np.intp]) -> None:
        """Blur the images of `rows` (m,) among (n, height, width, channels), in place."""
        shifts, weights = line_weights(*map(np.asarray, numbers))
        margin = int(np.abs(shifts).max(initial=0))
        repaint(smear_images, images, rows, shifts, weights.astype(working_dtype(images)), margin)


def line_weights(
    lengths: NDArray[Any], angles: NDArray[Any], directions: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (n, k, 2) whole shifts along lines, in rows and columns, and (n, k) their weights.

    k is a multiple of four, for the kernel; what is too much weighs nothing.
    """
    steps = -(-int(lengths.max(initial=1)) // 4) * 4
    points = np.arange(steps)
    halves = (lengths // 2)[:, np.newaxis]
    begin = -halves * np.minimum(1 - directions, 1)[:, np.newaxis]
    end = halves * np.minimum(1 + directions, 1)[:, np.newaxis]
    used = points < lengths[:, np.newaxis]
    along = np.where(used, begin + (end - begin) * points / np.maximum(2 * halves, 1), 0)
    radians = np.deg2rad(angles)[:, np.newaxis, np.newaxis]
    towards = np.concatenate([np.sin(radians), np.cos(radians)], axis=2)
    # Halves are rounded to even positions in the kernel, as in Albumentations.
    centres = halves[..., np.newaxis]
    shifts = np.round(centres + along[..., np.newaxis] * towards).astype(np.int64) - centres
    shifts[~used] = 0
    # A line meets a pixel in one go, so equal points follow each other.
    again = np.zeros_like(used)
    again[:, 1:] = np.all(shifts[:, 1:] == shifts[:, :-1], axis=2)
    weights = (used & ~again).astype(np.float64)
    return shifts, weights / weights.sum(axis=1, keepdims=True)
