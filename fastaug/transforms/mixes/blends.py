"""Images blended with, or cut into, others of their batch; and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_number
from fastaug.transforms.arguments import Written, interval
from fastaug.transforms.base import Partners
from fastaug.transforms.geometry import Size


class MixNumbers(NamedTuple):
    """Of n images, (n,) each: their partner, their own share, and where a cut is, as shares."""

    partner: NDArray[np.intp]
    share: NDArray[np.float64]
    row: NDArray[np.float64]
    col: NDArray[np.float64]


class _Mix(Written):
    __slots__ = ()

    alpha: float

    def __post_init__(self) -> None:
        check_number(self._called("alpha"), self.alpha)
        if self.alpha <= 0:
            raise ValueError(f"{self._called('alpha')}={self.alpha!r} must be above 0")
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> MixNumbers:  # noqa: ARG002
        """Draw a partner, a share from Beta(alpha, alpha) and a place for each image."""
        partner = rng.permutation(count)
        share = rng.beta(self.alpha, self.alpha, count)
        places = rng.random((count, 2))
        return MixNumbers(partner, share, places[:, 0], places[:, 1])


@dataclass(frozen=True, slots=True, repr=False)
class MixUp(_Mix):
    """Blend each image with another of the batch, and their one-hot labels by the same shares.

    Parameters
    ----------
    alpha
        Of the distribution Beta(alpha, alpha) that an image's own share is drawn from.
    probability
        Share of the images that are blended.

    References
    ----------
    Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; torchvision 0.29,
    `v2.MixUp`, and Keras 3.15, `MixUp`.  Each image has a share of its own here, as in Keras.

    Examples
    --------
    >>> MixUp(0.8)
    MixUp(0.8)
    """

    alpha: float = 0.2
    probability: float = 1.0

    def partners(self, numbers: MixNumbers, size: Size) -> Partners:  # noqa: ARG002
        """Blend whole images."""
        share = np.asarray(numbers.share)
        rows = np.asarray(numbers.partner, np.intp)[:, np.newaxis]
        return Partners(rows, np.stack([share, 1 - share], axis=1))


@dataclass(frozen=True, slots=True, repr=False)
class CutMix(_Mix):
    """Paste a rectangle of another image of the batch, and blend one-hot labels by area.

    Parameters
    ----------
    alpha
        Of the distribution Beta(alpha, alpha) that an image's own share is drawn from.  What is cut
        off at the border is the image's own, and counts.
    probability
        Share of the images that are pasted into.

    References
    ----------
    Yun et al., "CutMix", ICCV 2019; torchvision 0.29, `v2.CutMix`, and Keras 3.15, `CutMix`.  Each
    image has a share and a rectangle of its own here.
    """

    alpha: float = 1.0
    probability: float = 1.0

    def partners(self, numbers: MixNumbers, size: Size) -> Partners:
        """Paste a rectangle about a drawn place."""
        half = np.sqrt(1 - np.asarray(numbers.share)) / 2
        corners = []
        for side, place in zip(size, (numbers.row, numbers.col), strict=True):
            middle = np.floor(np.asarray(place) * side)
            reach = np.floor(half * side)
            corners.append((np.clip(middle - reach, 0, side), np.clip(middle + reach, 0, side)))
        (top, bottom), (left, right) = corners
        areas = np.stack([top, left, bottom, right], axis=1).astype(np.int64)[:, np.newaxis]
        pasted = (bottom - top) * (right - left) / (size[0] * size[1])
        rows = np.asarray(numbers.partner, np.intp)[:, np.newaxis]
        return Partners(rows, np.stack([1 - pasted, pasted], axis=1), areas)


class MosaicNumbers(NamedTuple):
    """Of n images: three partners, (n, 3), and where they meet, (n, 2) shares of the size."""

    partners: NDArray[np.intp]
    centre: NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class Mosaic(Written):
    """Put an image and three others of the batch together, four corners around a drawn place.

    Each image shows the corner that lies at the place where they meet, in its own scale.  Boxes and
    points move along; one-hot labels are blended by area.

    Parameters
    ----------
    center_range
        (lowest, highest) share of height and width at which they meet.
    probability
        Share of the images that become a mosaic.

    References
    ----------
    Bochkovskiy et al., "YOLOv4", 2020, section 3.3; YOLOv5's `load_mosaic`, less its change of
    scale, which `Affine` does here.
    """

    center_range: tuple[float, float] = (0.3, 0.7)
    probability: float = 1.0

    def __post_init__(self) -> None:
        interval(self._called("center_range"), self.center_range, low=0, high=1)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> MosaicNumbers:  # noqa: ARG002
        """Draw three partners and a place for each image."""
        partners = np.stack([rng.permutation(count) for _ in range(3)], axis=1)
        low, high = interval("center_range", self.center_range)
        return MosaicNumbers(partners, low + (high - low) * rng.random((count, 2)))

    def partners(self, numbers: MosaicNumbers, size: Size) -> Partners:
        """Paste four corners: the image's own, upper left, and those of its partners."""
        height, width = size
        others, centre = np.asarray(numbers.partners, np.intp), np.asarray(numbers.centre)
        count = len(others)
        row, col = (np.rint(centre * np.array(size)).astype(np.int64)).T
        none, tall, wide = np.zeros_like(row), np.full_like(row, height), np.full_like(col, width)
        areas = np.stack(
            [
                np.stack([none, none, row, col], axis=1),
                np.stack([none, col, row, wide], axis=1),
                np.stack([row, none, tall, col], axis=1),
                np.stack([row, col, tall, wide], axis=1),
            ],
            axis=1,
        )
        # A picture's lower right corner lies above and to the left of the place, and so on.
        down, across = height - row, width - col
        shifts = np.stack(
            [
                np.stack([down, across], axis=1),
                np.stack([down, -col], axis=1),
                np.stack([-row, across], axis=1),
                np.stack([-row, -col], axis=1),
            ],
            axis=1,
        )
        sides = areas[..., 2:] - areas[..., :2]
        shares = sides.prod(axis=2) / (height * width)
        rows = np.concatenate([np.arange(count)[:, np.newaxis], others], axis=1)
        return Partners(rows, np.concatenate([np.zeros((count, 1)), shares], axis=1), areas, shifts)
