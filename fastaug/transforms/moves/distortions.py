"""Places that give way: an offset for every pixel, in the same warp."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer, check_number
from fastaug.kernels.fields import make_fields
from fastaug.kernels.launch import launch_shares
from fastaug.transforms.arguments import Written, span
from fastaug.transforms.geometry import Pull, Size, moved_by, still

Seeds = NDArray[np.uint64]


def _with_offsets(offsets: NDArray[np.float32], size: Size) -> Pull:
    matrices = still(len(offsets), size).matrices
    return replace(moved_by(matrices, size), offsets=offsets)


def _pair(name: str, value: Any) -> tuple[float, float]:
    """Return two numbers, for x and y; one stands for both."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name}={value!r} must be a number, or one for x and one for y")
    for number in pair:
        check_number(name, number, minimum=0)
    return float(pair[0]), float(pair[1])


@dataclass(frozen=True, slots=True, repr=False)
class Elastic(Written):
    """Shift every pixel by smooth noise, as if seen through water.

    Parameters
    ----------
    alpha
        Strength; a pixel moves by `alpha / 2` times the smoothed noise.  One number, or those of x
        and y.
    sigma
        Standard deviation, in pixels, of the Gaussian that smooths noise from -1 to 1; likewise.
    probability
        Share of the images that are changed.

    References
    ----------
    Simard et al., "Best practices for convolutional neural networks", ICDAR 2003; torchvision 0.29,
    `v2.ElasticTransform`, whose strength is this one in square images.

    Examples
    --------
    >>> Elastic(alpha=120.0, sigma=8.0)
    Elastic(120.0, 8.0)
    """

    alpha: float | tuple[float, float] = 50.0
    sigma: float | tuple[float, float] = 5.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        _pair(self._called("alpha"), self.alpha)
        for sigma in _pair(self._called("sigma"), self.sigma):
            if sigma == 0:
                raise ValueError(f"{self._called('sigma')}={self.sigma!r} must be above 0 pixels")
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Seeds:  # noqa: ARG002
        """Draw a seed for the noise of each image."""
        return rng.integers(0, 2**63, count, dtype=np.uint64)

    def pull(self, numbers: Seeds, size: Size) -> Pull:
        """Add the noise to the coordinates."""
        sigma_x, sigma_y = _pair("sigma", self.sigma)
        alpha_x, alpha_y = _pair("alpha", self.alpha)
        offsets = np.empty((len(numbers), *size, 2), np.float32)
        if len(numbers):
            launch_shares(
                make_fields,
                np.asarray(numbers, np.uint64),
                _gaussian(sigma_y),
                _gaussian(sigma_x),
                np.array([alpha_y / 2, alpha_x / 2], np.float32),
                offsets,
                min(numba.get_num_threads(), len(numbers)),
            )
        return _with_offsets(offsets, size)


def _gaussian(sigma: float) -> NDArray[np.float32]:
    """Return the weights of a Gaussian, cut at 4 sigma."""
    radius = max(1, int(4 * sigma + 0.5))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


class GridNumbers(NamedTuple):
    """Sizes of the cells of n images, relative to each other: (n, steps) each."""

    heights: NDArray[np.float64]
    widths: NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class GridDistortion(Written):
    """Make the cells of a grid wider and narrower, taller and lower.

    Parameters
    ----------
    num_steps
        Cells along each axis.
    distort_limit
        d means cells of 1 - d to 1 + d times their size, before all are made to fit; or a pair of
        what is added to 1.
    probability
        Share of the images that are changed.

    References
    ----------
    Albumentations 2.0, `GridDistortion(normalized=True)`.
    """

    num_steps: int = 5
    distort_limit: float | tuple[float, float] = 0.3
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_integer(self._called("num_steps"), self.num_steps, minimum=1)
        self._check_range("distort_limit", low=-0.99, high=0.99)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> GridNumbers:  # noqa: ARG002
        """Draw the sizes of the cells."""
        low, high = span("distort_limit", self.distort_limit, low=-0.99, high=0.99)
        cells = 1 + low + (high - low) * rng.random((count, 2, self.num_steps))
        return GridNumbers(cells[:, 0], cells[:, 1])

    def pull(self, numbers: GridNumbers, size: Size) -> Pull:
        """Add to the coordinates what the cells have moved."""
        rows = np.stack([_stretched(cells, size[0]) for cells in np.asarray(numbers[0])])
        cols = np.stack([_stretched(cells, size[1]) for cells in np.asarray(numbers[1])])
        offsets = np.empty((len(rows), *size, 2), np.float32)
        offsets[..., 0], offsets[..., 1] = rows[:, :, np.newaxis], cols[:, np.newaxis, :]
        return _with_offsets(offsets, size)


def _stretched(cells: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return how far the source of each pixel of an axis is from its own place."""
    places = np.arange(length, dtype=np.float64)
    source = np.concatenate([[0], np.cumsum(cells / cells.sum())]) * (length - 1)
    return np.interp(places, np.linspace(0, length - 1, len(source)), source) - places
