"""Blurs and sharpness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer
from fastaug.kernels.filters import blur_images, convolve_images
from fastaug.kernels.launch import launch
from fastaug.transforms.arguments import Written, interval, span
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.layouts import Rows, lines_of, shares_of

Column = NDArray[np.float64]

# Pillow's ImageFilter.SMOOTH.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / np.float32(13)


def _odd(name: str, value: Any) -> None:
    check_integer(name, value, minimum=1)
    if value % 2 == 0:
        raise ValueError(f"{name}={value!r} must be odd")


@dataclass(frozen=True, slots=True, repr=False)
class GaussianBlur(Written):
    """Blur by a Gaussian; borders are mirrored about the outermost pixels.

    Parameters
    ----------
    kernel_size
        Odd number of pixels that are blended, along x and y; a pair is (x, y).
    sigma
        (lowest, highest) standard deviation in pixels; a number is that one.
    probability
        Share of the images that are blurred.

    References
    ----------
    torchvision 0.29, `v2.GaussianBlur`.

    Examples
    --------
    >>> GaussianBlur(5)
    GaussianBlur(5)
    """

    kernel_size: int | tuple[int, int] = 5
    sigma: float | tuple[float, float] = (0.1, 2.0)
    probability: float = 1.0

    def __post_init__(self) -> None:
        for size in self._sizes():
            _odd(self._called("kernel_size"), size)
        if self._sigmas()[0] <= 0:
            raise ValueError(f"{self._called('sigma')}={self.sigma!r} must be above 0 pixels")
        self._check_probability()

    def _sizes(self) -> tuple[int, int]:
        size = self.kernel_size
        return (size[0], size[1]) if isinstance(size, tuple | list) else (size, size)

    def _sigmas(self) -> tuple[float, float]:
        pair = self.sigma if isinstance(self.sigma, tuple | list) else (self.sigma, self.sigma)
        return interval(self._called("sigma"), pair)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw the deviation of each image's Gaussian."""
        low, high = self._sigmas()
        return low + (high - low) * rng.random(count)

    def apply(self, images: NDArray[Any], numbers: Column, rows: Rows) -> None:
        """Blur those images."""
        lines = lines_of(images, rows)
        across, down = (_gaussians(np.asarray(numbers), size) for size in self._sizes())
        shares = shares_of(len(lines.rows))
        launch(
            blur_images,
            lines.images,
            lines.rows,
            lines.channels,
            down,
            across,
            lines.owners,
            shares,
        )


def _gaussians(sigmas: Column, size: int) -> NDArray[np.float32]:
    """Return the weights of Gaussians, (n, size)."""
    places = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (places / sigmas[:, np.newaxis]) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


class Motion(NamedTuple):
    """How n cameras moved, (n,) each: pixels, and degrees counter-clockwise."""

    length: NDArray[np.int64]
    angle: Column


@dataclass(frozen=True, slots=True, repr=False)
class MotionBlur(Written):
    """Blur along a line of random length and direction, as a moving camera does.

    Parameters
    ----------
    blur_limit
        (shortest, longest) length of the line in pixels, rounded to odd numbers.
    angle_range
        (lowest, highest) degrees, counter-clockwise from the horizontal.
    probability
        Share of the images that are blurred.

    References
    ----------
    Albumentations 2.0, `MotionBlur`; the line is drawn with soft edges here.
    """

    blur_limit: int | tuple[int, int] = (3, 7)
    angle_range: tuple[float, float] = (0, 360)
    probability: float = 1.0

    def __post_init__(self) -> None:
        for number in self._limits():
            check_integer(self._called("blur_limit"), number, minimum=3)
        interval(self._called("blur_limit"), self._limits())
        interval(self._called("angle_range"), self.angle_range)
        self._check_probability()

    def _limits(self) -> tuple[int, int]:
        limit = self.blur_limit
        return (limit[0], limit[1]) if isinstance(limit, tuple | list) else (3, limit)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Motion:  # noqa: ARG002
        """Draw the length and the direction of each line."""
        u = rng.random((count, 2))
        low, high = self._limits()
        halves = low // 2 + np.floor(u[:, 0] * (high // 2 - low // 2 + 1))
        first, last = self.angle_range
        return Motion(2 * halves.astype(np.int64) + 1, first + (last - first) * u[:, 1])

    def apply(self, images: NDArray[Any], numbers: Motion, rows: Rows) -> None:
        """Blur those images."""
        lengths, angles = np.asarray(numbers[0]), np.asarray(numbers[1])
        size = 2 * (int(lengths.max()) // 2) + 1
        weights = np.stack(
            [_line(length, angle, size) for length, angle in zip(lengths, angles, strict=True)]
        )
        _convolve(images, rows, weights, np.zeros(len(weights)), keeps_border=False)


def _line(length: int, angle: float, size: int) -> NDArray[np.float32]:
    """Return a line through the middle of (size, size), of weights that sum to 1."""
    row, col = np.indices((size, size)) - size // 2
    turn = np.deg2rad(angle)
    along = np.abs(col * np.cos(turn) - row * np.sin(turn))
    beside = np.abs(col * np.sin(turn) + row * np.cos(turn))
    weights = np.clip(1 - beside, 0, 1) * np.clip(length / 2 + 0.5 - along, 0, 1)
    return (weights / weights.sum()).astype(np.float32)


def _convolve(
    images: NDArray[Any],
    rows: Rows,
    weights: NDArray[np.float32],
    factors: Column,
    *,
    keeps_border: bool,
) -> None:
    lines = lines_of(images, rows)
    launch(
        convolve_images,
        lines.images,
        lines.rows,
        lines.channels,
        weights,
        factors.astype(np.float32),
        keeps_border,
        lines.owners,
        shares_of(len(lines.rows)),
    )


def sharpen(images: NDArray[Any], factors: Column, rows: Rows) -> None:
    """Move images away from, or towards, what Pillow's SMOOTH makes of them; borders stay."""
    weights = np.broadcast_to(_SMOOTH, (len(factors), 3, 3)).copy()
    _convolve(images, rows, weights, np.asarray(factors), keeps_border=True)


@dataclass(frozen=True, slots=True, repr=False)
class Sharpness(Written):
    """Make pictures sharper or softer.

    Parameters
    ----------
    sharpness
        s means a factor from 1 - s to 1 + s; a pair (lowest, highest).  0 is blurred, 1 changes
        nothing, 2 is twice as sharp.
    probability
        Share of the images that are changed.

    References
    ----------
    Pillow's `ImageEnhance.Sharpness`; torchvision 0.29, `v2.RandomAdjustSharpness`.
    """

    sharpness: float | tuple[float, float] = 0.9
    probability: float = 0.5

    def __post_init__(self) -> None:
        self._check_range("sharpness", around=1, low=0)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw a factor for each image."""
        low, high = span("sharpness", self.sharpness, around=1, low=0)
        return low + (high - low) * rng.random(count)

    def apply(self, images: NDArray[Any], numbers: Column, rows: Rows) -> None:
        """Sharpen those images."""
        sharpen(images, np.asarray(numbers), rows)
