"""Rectangles that are erased, in images and, if asked, in their masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer, check_number
from fastaug.transforms.arguments import Written, interval
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.layouts import Rows

_ATTEMPTS = 10  # as in torchvision

Areas = NDArray[np.int64]


class HoleNumbers(NamedTuple):
    """Areas as shares of the size, (n, k, 4) of top, left, bottom, right; and a seed, (n,)."""

    areas: NDArray[np.float64]
    seed: NDArray[np.int64]


class _Holes(Written):
    """Fills areas: with a value, with one for each channel, with noise, or with the mean."""

    __slots__ = ()

    def _check_fill(self, name: str) -> None:
        fill = getattr(self, name)
        if isinstance(fill, str):
            if fill not in ("random", "mean"):
                raise ValueError(
                    f"{self._called(name)}={fill!r} must be a number, one for each channel, "
                    "'random' or 'mean'"
                )
            return
        for number in fill if isinstance(fill, tuple | list) else (fill,):
            check_number(self._called(name), number)
            if not 0 <= number <= 255:
                raise ValueError(f"{self._called(name)}={fill!r} must be from 0 to 255")

    def holes(self, numbers: HoleNumbers, size: Size) -> Areas:
        """Return the areas in pixels, (n, k, 4): top, left, bottom, right."""
        return np.rint(np.asarray(numbers[0]) * np.tile(size, 2)).astype(np.int64)

    def _fill(self, images: NDArray[Any], numbers: HoleNumbers, rows: Rows, fill: Any) -> None:
        areas = self.holes(numbers, images.shape[1:3])
        channels = images.shape[-1]
        if isinstance(fill, tuple | list) and len(fill) != channels:
            raise ValueError(f"{self!r}: {len(fill)} values, and images of {channels} channels")
        for i in rows:
            value = fill
            if fill == "mean":
                mean = images[i].mean(axis=(0, 1))
                value = np.rint(mean) if images.dtype == np.uint8 else mean
            rng = None
            for top, left, bottom, right in areas[i].tolist():
                if bottom <= top or right <= left:
                    continue
                if fill == "random":
                    rng = rng or np.random.default_rng(int(numbers[1][i]))
                    shape = bottom - top, right - left, channels
                    value = rng.integers(0, 256, shape, dtype=np.uint8)
                images[i, top:bottom, left:right] = value


@dataclass(frozen=True, slots=True, repr=False)
class Erase(_Holes):
    """Erase a rectangle of random size, shape and place.

    Parameters
    ----------
    probability
        Share of the images in which one is erased.
    scale
        (lowest, highest) share of the image's area.
    ratio
        (lowest, highest) height over width; drawn evenly on a logarithmic scale.
    value
        What it is filled with: a number from 0 to 255, one for each channel, "random" (even noise)
        or "mean" (the image's own, for each channel).

    References
    ----------
    Zhong et al., "Random erasing data augmentation", AAAI 2020; torchvision 0.29,
    `v2.RandomErasing`.

    Examples
    --------
    >>> Erase(0.25, value="random")
    Erase(0.25, value='random')
    """

    probability: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: Any = 0

    def __post_init__(self) -> None:
        self._check_probability()
        interval(self._called("scale"), self.scale, low=0, high=1)
        interval(self._called("ratio"), self.ratio, low=1e-3)
        self._check_fill("value")

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> HoleNumbers:
        """Draw the first of ten rectangles that fits; if none does, nothing is erased."""
        height, width = size
        drawn = rng.random((count, 4 * _ATTEMPTS + 1))
        u, seeds = drawn[:, 1:].reshape(count, _ATTEMPTS, 4), (drawn[:, 0] * 2**32).astype(np.int64)
        low, high = self.scale
        areas = height * width * (low + (high - low) * u[..., 0])
        ends = np.log(self.ratio)
        ratios = np.exp(ends[0] + (ends[1] - ends[0]) * u[..., 1])
        tall, wide = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
        fits = (tall < height) & (wide < width)
        each, first = np.arange(count), fits.argmax(axis=1)
        tall, wide, u = tall[each, first], wide[each, first], u[each, first]
        top = np.floor(u[:, 2] * (height - tall + 1))
        left = np.floor(u[:, 3] * (width - wide + 1))
        pixels = np.stack([top, left, top + tall, left + wide], axis=1)
        pixels[~fits.any(axis=1)] = 0
        return HoleNumbers((pixels / np.tile(size, 2))[:, np.newaxis], seeds)

    def apply(self, images: NDArray[Any], numbers: HoleNumbers, rows: Rows) -> None:
        """Erase in those images."""
        self._fill(images, numbers, rows, self.value)


@dataclass(frozen=True, slots=True, repr=False)
class CoarseDropout(_Holes):
    """Erase several rectangles.

    Parameters
    ----------
    num_holes_range
        (fewest, most) rectangles.
    hole_height_range, hole_width_range
        (lowest, highest) share of the image's height and width.
    fill
        A number from 0 to 255, one for each channel, "random" or "mean".
    probability
        Share of the images that are changed.

    References
    ----------
    DeVries and Taylor, "Cutout", 2017; Albumentations 2.0, `CoarseDropout`.
    """

    num_holes_range: tuple[int, int] = (1, 2)
    hole_height_range: tuple[float, float] = (0.1, 0.2)
    hole_width_range: tuple[float, float] = (0.1, 0.2)
    fill: Any = 0
    probability: float = 0.5

    def __post_init__(self) -> None:
        interval(self._called("num_holes_range"), self.num_holes_range)
        for number in self.num_holes_range:
            check_integer(self._called("num_holes_range"), number, minimum=1)
        interval(self._called("hole_height_range"), self.hole_height_range, low=0, high=1)
        interval(self._called("hole_width_range"), self.hole_width_range, low=0, high=1)
        self._check_fill("fill")
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> HoleNumbers:  # noqa: ARG002
        """Draw how many, their sides and their places."""
        fewest, most = self.num_holes_range
        u = rng.random((count, 2 + 4 * most))
        number = fewest + np.floor(u[:, 0] * (most - fewest + 1))
        sides = u[:, 2:].reshape(count, most, 4)
        ranges = np.array([self.hole_height_range, self.hole_width_range])
        lengths = ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * sides[..., :2]
        start = sides[..., 2:] * (1 - lengths)
        areas = np.concatenate([start, start + lengths], axis=2)
        areas[np.arange(most) >= number[:, np.newaxis]] = 0
        return HoleNumbers(areas, (u[:, 1] * 2**32).astype(np.int64))

    def apply(self, images: NDArray[Any], numbers: HoleNumbers, rows: Rows) -> None:
        """Erase in those images."""
        self._fill(images, numbers, rows, self.fill)


@dataclass(frozen=True, slots=True, repr=False)
class GridMask(_Holes):
    """Erase the squares of a grid.

    Parameters
    ----------
    num_cells_range
        (fewest, most) cells along the shorter side.
    ratio
        Share of a cell's height and width that is erased.
    fill
        A number from 0 to 255, one for each channel, "random" or "mean".
    probability
        Share of the images that are changed.

    References
    ----------
    Chen et al., "GridMask data augmentation", 2020, without its rotation.
    """

    num_cells_range: tuple[int, int] = (3, 7)
    ratio: float = 0.5
    fill: Any = 0
    probability: float = 0.5

    def __post_init__(self) -> None:
        interval(self._called("num_cells_range"), self.num_cells_range)
        for number in self.num_cells_range:
            check_integer(self._called("num_cells_range"), number, minimum=1)
        self._check_share("ratio")
        self._check_fill("fill")
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> HoleNumbers:
        """Draw how many cells there are, and where the grid begins."""
        fewest, most = self.num_cells_range
        u = rng.random((count, 4))
        cells = fewest + np.floor(u[:, 0] * (most - fewest + 1))
        pitch = min(size) / cells
        most_lines = [int(np.ceil(side / (min(size) / most))) + 1 for side in size]
        row, col = (np.arange(lines) for lines in most_lines)
        tops, lefts = (
            (lines - start[:, np.newaxis]) * pitch[:, np.newaxis]
            for lines, start in ((row, u[:, 1]), (col, u[:, 2]))
        )
        grid = np.stack(np.broadcast_arrays(tops[:, :, np.newaxis], lefts[:, np.newaxis]), axis=-1)
        grid = grid.reshape(count, -1, 2)
        ends = grid + self.ratio * pitch[:, np.newaxis, np.newaxis]
        areas = np.concatenate([grid, ends], axis=2) / np.tile(size, 2)
        return HoleNumbers(np.clip(areas, 0, 1), (u[:, 3] * 2**32).astype(np.int64))

    def apply(self, images: NDArray[Any], numbers: HoleNumbers, rows: Rows) -> None:
        """Erase in those images."""
        self._fill(images, numbers, rows, self.fill)
