"""Erase rectangles of images."""

from __future__ import annotations

import numbers as kinds
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.fills import Fill, check_fill, erase
from fastaug.transforms.repaints.ranges import (
    between,
    bounds,
    check_range,
    seeds_of,
    whole_between,
)

_ATTEMPTS = 10


class Holes(NamedTuple):
    """Rectangles in n images, and the seeds of what fills them."""

    holes: NDArray[np.int64]  # (n, k, 4): first row and column, those behind the last; or all 0
    seeds: NDArray[np.int64]  # (n,)


@dataclass(frozen=True, slots=True, repr=False)
class Erase(Written):
    """Erase a rectangle of random size and place.

    Where ten rectangles that are drawn are all larger than the image, it stays as it is.

    Parameters
    ----------
    probability
        Share of the images that are erased.
    scale
        Range of the rectangle's share of the image's area.
    ratio
        Range of its height over its width; the logarithm is uniform.
    value
        What it is filled with: a number from 0 to 255, one for each channel, "mean" (the image's
        own mean of each channel) or "random" (each value another, uniform from 0 to 255).

    Raises
    ------
    TypeError, ValueError
        If a range is none, a share is not from 0 to 1, a ratio not positive, or the value none of
        these; when it is applied, if there is a value for more or fewer channels.

    References
    ----------
    Zhong et al., "Random erasing data augmentation", AAAI 2020, algorithm 1.  Numbers are drawn as
    by torchvision 0.29, `transforms.v2.RandomErasing`; its `value="random"` is noise of the normal
    distribution, for standardised images, here it is that of the paper.

    Examples
    --------
    >>> import numpy as np
    >>> transform = Erase(value=9)
    >>> numbers = transform.draw(np.random.default_rng(3), 1, (4, 6))
    >>> transform.holes(numbers, (4, 6))
    array([[[1, 0, 3, 1]]])
    >>> images = np.zeros((1, 4, 6, 1), np.uint8)
    >>> transform.apply(images, numbers, np.arange(1))
    >>> images[0, :, :, 0]
    array([[0, 0, 0, 0, 0, 0],
           [9, 0, 0, 0, 0, 0],
           [9, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]], dtype=uint8)
    """

    probability: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: Fill = 0

    def __post_init__(self) -> None:
        check_range("Erase: probability", self.probability, 0, 1)
        check_range("Erase: scale", self.scale, 0, 1)
        check_range("Erase: ratio", self.ratio, 0)
        if bounds(self.ratio)[0] == 0:
            raise ValueError(f"Erase: ratio={self.ratio!r} must be above 0")
        check_fill("Erase: value", self.value)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Holes:
        """Draw a rectangle for each image: the first that is smaller than the image, of ten."""
        height, width = size
        uniform = rng.random((count, 1 + 4 * _ATTEMPTS))
        area, ratio, down, right = np.moveaxis(uniform[:, 1:].reshape(count, _ATTEMPTS, 4), -1, 0)
        areas = between(area, self.scale) * height * width
        ratios = np.exp(between(ratio, tuple(np.log(bounds(self.ratio)))))
        heights = np.rint(np.sqrt(areas * ratios)).astype(np.int64)
        widths = np.rint(np.sqrt(areas / ratios)).astype(np.int64)
        fits = (heights < height) & (widths < width)
        chosen = np.arange(count), np.argmax(fits, axis=1)
        tall, wide = heights[chosen], widths[chosen]
        top = np.floor(down[chosen] * (height - tall + 1)).astype(np.int64)
        left = np.floor(right[chosen] * (width - wide + 1)).astype(np.int64)
        hole = np.stack([top, left, top + tall, left + wide], axis=1)
        hole[~fits.any(axis=1)] = 0
        return Holes(hole[:, np.newaxis], seeds_of(uniform[:, 0]))

    def holes(self, numbers: Holes, size: Size) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the rectangles (n, 1, 4): first row, first column, and those behind the last."""
        return np.asarray(numbers[0], np.int64)

    def apply(self, images: NDArray[Any], numbers: Holes, rows: NDArray[np.intp]) -> None:
        """Erase in the images of `rows` (m,) among (n, height, width, channels), in place."""
        holes = self.holes(numbers, images.shape[1:3])
        erase("Erase: value", self.value, images, holes, numbers[1], rows)


@dataclass(frozen=True, slots=True, repr=False)
class CoarseDropout(Written):
    """Erase some rectangles of random sizes and places.

    Parameters
    ----------
    num_holes_range
        How many: a range of whole numbers, or one.
    hole_height_range, hole_width_range
        Their sides: ranges of pixels, if both numbers are whole ones, or of shares of the image's
        side.  No side is below one pixel, or larger than the image's.
    fill
        What they are filled with: see `Erase`.
    probability
        Share of the images that are erased.

    Raises
    ------
    TypeError, ValueError
        If a range is none, a number of holes or of pixels is below 1, a share is not from 0 to 1,
        or `fill` is nothing to fill with.

    References
    ----------
    DeVries and Taylor, "Improved regularization of convolutional neural networks with Cutout",
    2017; Albumentations 2.0.8, `CoarseDropout`.

    Examples
    --------
    >>> import numpy as np
    >>> transform = CoarseDropout(2, hole_height_range=(1, 2), hole_width_range=(0.25, 0.5))
    >>> transform.holes(transform.draw(np.random.default_rng(0), 1, (8, 8)), (8, 8))
    array([[[6, 6, 7, 8],
            [3, 5, 5, 8]]])
    """

    num_holes_range: int | tuple[int, int] = (1, 2)
    hole_height_range: tuple[float, float] = (0.1, 0.2)
    hole_width_range: tuple[float, float] = (0.1, 0.2)
    fill: Fill = 0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("CoarseDropout: num_holes_range", self.num_holes_range, 1, whole=True)
        check_sides("CoarseDropout: hole_height_range", self.hole_height_range)
        check_sides("CoarseDropout: hole_width_range", self.hole_width_range)
        check_fill("CoarseDropout: fill", self.fill)
        check_range("CoarseDropout: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Holes:
        """Draw rectangles for each image; those that it has fewer than the most are all 0."""
        most = bounds(self.num_holes_range)[1]
        uniform = rng.random((count, 2 + 4 * most))
        amounts = whole_between(uniform[:, 0], self.num_holes_range)
        parts = np.moveaxis(uniform[:, 2:].reshape(count, most, 4), -1, 0)
        tall = np.minimum(sides_of(parts[0], self.hole_height_range, size[0]), size[0])
        wide = np.minimum(sides_of(parts[1], self.hole_width_range, size[1]), size[1])
        top = whole_between(parts[2], (0, size[0] - tall))
        left = whole_between(parts[3], (0, size[1] - wide))
        holes = np.stack([top, left, top + tall, left + wide], axis=2)
        holes[np.arange(most) >= amounts[:, np.newaxis]] = 0
        return Holes(holes, seeds_of(uniform[:, 1]))

    def holes(self, numbers: Holes, size: Size) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the rectangles (n, k, 4): first row, first column, and those behind the last."""
        return np.asarray(numbers[0], np.int64)

    def apply(self, images: NDArray[Any], numbers: Holes, rows: NDArray[np.intp]) -> None:
        """Erase in the images of `rows` (m,) among (n, height, width, channels), in place."""
        holes = self.holes(numbers, images.shape[1:3])
        erase("CoarseDropout: fill", self.fill, images, holes, numbers[1], rows)


class Grids(NamedTuple):
    """What `GridMask` draws for n images."""

    units: NDArray[np.int64]  # pixels from a square to the next
    tops: NDArray[np.int64]  # pixels that the first squares are moved down, less than a unit
    lefts: NDArray[np.int64]  # likewise, to the right
    seeds: NDArray[np.int64]


@dataclass(frozen=True, slots=True, repr=False)
class GridMask(Written):
    """Erase squares that lie in a grid, of random width and place.

    Parameters
    ----------
    ratio
        Share of the distance between squares that is kept, from 0 to 1; the squares take the rest
        of it.  0.6 keeps 84% of the area.
    unit
        The distance from a square to the next: a range of pixels, if both numbers are whole ones,
        or of shares of the image's shorter side.
    fill
        What they are filled with: see `Erase`.
    probability
        Share of the images that are erased.

    Raises
    ------
    TypeError, ValueError
        If `ratio` is not from 0 to 1, `unit` no range of whole numbers of at least 2 or of shares
        above 0, or `fill` is nothing to fill with.

    References
    ----------
    Chen et al., "GridMask data augmentation", 2020, section 3.2; their unit for images of 224
    pixels is 96 to 224, and they turn the grid, which is not done here.

    Examples
    --------
    >>> import numpy as np
    >>> transform = GridMask(ratio=0.5, unit=(4, 4))
    >>> images = np.ones((1, 6, 8, 1), np.uint8)
    >>> transform.apply(images, transform.draw(np.random.default_rng(0), 1, (6, 8)), np.arange(1))
    >>> images[0, :, :, 0]
    array([[1, 1, 1, 1, 1, 1, 1, 1],
           [0, 0, 1, 1, 0, 0, 1, 1],
           [0, 0, 1, 1, 0, 0, 1, 1],
           [1, 1, 1, 1, 1, 1, 1, 1],
           [1, 1, 1, 1, 1, 1, 1, 1],
           [0, 0, 1, 1, 0, 0, 1, 1]], dtype=uint8)
    """

    ratio: float = 0.6
    unit: tuple[float, float] = (0.4, 1.0)
    fill: Fill = 0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("GridMask: ratio", self.ratio, 0, 1)
        check_sides("GridMask: unit", self.unit, least=2)
        check_fill("GridMask: fill", self.fill)
        check_range("GridMask: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Grids:
        """Draw a grid for each image."""
        uniform = rng.random((count, 4))
        units = sides_of(uniform[:, 0], self.unit, min(size), least=2)
        return Grids(
            units,
            np.floor(uniform[:, 1] * units).astype(np.int64),
            np.floor(uniform[:, 2] * units).astype(np.int64),
            seeds_of(uniform[:, 3]),
        )

    def holes(self, numbers: Grids, size: Size) -> NDArray[np.int64]:
        """Return the squares (n, k, 4): first row, first column, and those behind the last."""
        units, tops, lefts = (np.asarray(part, np.int64)[:, np.newaxis] for part in numbers[:3])
        erased = units - np.rint(units * self.ratio).astype(np.int64)
        spans = []
        for shifts, side in ((tops, size[0]), (lefts, size[1])):
            most = -(-side // int(units.min(initial=side))) + 1
            begin = shifts + units * (np.arange(most) - 1)
            spans.append((np.clip(begin, 0, side), np.clip(begin + erased, 0, side)))
        (top, bottom), (left, right) = spans
        corners = np.broadcast_arrays(
            top[:, :, np.newaxis],
            left[:, np.newaxis],
            bottom[:, :, np.newaxis],
            right[:, np.newaxis],
        )
        return np.stack(corners, axis=-1).reshape(len(units), -1, 4)

    def apply(self, images: NDArray[Any], numbers: Grids, rows: NDArray[np.intp]) -> None:
        """Erase in the images of `rows` (m,) among (n, height, width, channels), in place."""
        holes = self.holes(numbers, images.shape[1:3])
        erase("GridMask: fill", self.fill, images, holes, numbers[3], rows)


def is_pixels(value: Any) -> bool:
    """Tell whether a range is one of pixels: of whole numbers."""
    return all(isinstance(number, kinds.Integral) for number in bounds(value))


def check_sides(name: str, value: Any, least: int = 1) -> None:
    """Raise unless `value` is a range of pixels or of shares above 0."""
    check_range(name, value, 0)
    if is_pixels(value):
        check_range(name, value, least, whole=True)
    else:
        check_range(name, value, 0, 1)


def sides_of(
    uniform: NDArray[np.float64], value: Any, side: int, least: int = 1
) -> NDArray[np.int64]:
    """Map numbers from [0, 1) to pixels of a side, of at least so many."""
    if is_pixels(value):
        pixels = whole_between(uniform, value)
    else:
        pixels = (between(uniform, value) * side).astype(np.int64)
    return np.maximum(pixels, least)
