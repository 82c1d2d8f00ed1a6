"""Add noise to images.  A seed is drawn for each; the noise follows from it and from the place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_number
from fastaug.kernels.noise import add_normal_noise, add_salt_and_pepper
from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.planes import repaint
from fastaug.transforms.repaints.ranges import between, check_range, seeds_of


class NormalNoise(NamedTuple):
    """What `GaussianNoise` draws for n images."""

    deviations: NDArray[np.float64]  # in values from 0 to 255
    seeds: NDArray[np.int64]


@dataclass(frozen=True, slots=True, repr=False)
class GaussianNoise(Written):
    """Add noise of the normal distribution, another number to each value.

    Results are cut to 0 to 255, and rounded where images are of bytes.

    Parameters
    ----------
    mean
        Of the noise, as a share of the range of values: 0.1 makes images brighter by 25.5.
    sigma
        Its standard deviation, likewise; a number, or a range from which one is drawn for each
        image.
    probability
        Share of the images that get noise.

    Raises
    ------
    TypeError, ValueError
        If `mean` is not a number, or `sigma` neither a number of at least 0 nor a range of such.

    References
    ----------
    torchvision 0.29, `transforms.v2.GaussianNoise`, which cuts the noise to whole numbers where
    here sums are rounded.

    Examples
    --------
    >>> import numpy as np
    >>> transform = GaussianNoise(sigma=0.1)
    >>> images = np.full((1, 100, 100, 3), 128, np.uint8)
    >>> numbers = transform.draw(np.random.default_rng(0), 1, (100, 100))
    >>> transform.apply(images, numbers, np.arange(1))
    >>> round(float(images.std()))
    26
    """

    mean: float = 0.0
    sigma: float | tuple[float, float] = 0.1
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_number("GaussianNoise: mean", self.mean)
        check_range("GaussianNoise: sigma", self.sigma, 0)
        check_range("GaussianNoise: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NormalNoise:  # noqa: ARG002
        """Draw the standard deviation and the seed for each image."""
        uniform = rng.random((count, 2))
        return NormalNoise(255 * between(uniform[:, 0], self.sigma), seeds_of(uniform[:, 1]))

    def apply(self, images: NDArray[Any], numbers: NormalNoise, rows: NDArray[np.intp]) -> None:
        """Add noise to the images of `rows` (m,) among (n, height, width, channels), in place."""
        deviations, seeds = numbers
        repaint(
            add_normal_noise,
            images,
            rows,
            np.asarray(seeds, np.int64),
            np.float32(255 * self.mean),
            np.asarray(deviations, np.float32),
        )


class Specks(NamedTuple):
    """What `SaltAndPepper` draws for n images."""

    amounts: NDArray[np.float64]  # share of the pixels
    salt: NDArray[np.float64]  # share of those that become white
    seeds: NDArray[np.int64]


@dataclass(frozen=True, slots=True, repr=False)
class SaltAndPepper(Written):
    """Make random pixels white or black, in all channels.

    Parameters
    ----------
    amount
        Share of the pixels, from 0 to 1: a number, or a range from which one is drawn for each
        image.  Each pixel is chosen on its own, so their number varies.
    salt_vs_pepper
        Share of the chosen pixels that become white, likewise.
    probability
        Share of the images that get noise.

    Raises
    ------
    TypeError, ValueError
        If a share is neither a number from 0 to 1 nor a range of such.

    References
    ----------
    Albumentations 2.0.8, `SaltAndPepper`, which changes an exact number of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> transform = SaltAndPepper(amount=0.5, salt_vs_pepper=0.2)
    >>> images = np.full((1, 100, 100, 3), 128, np.uint8)
    >>> numbers = transform.draw(np.random.default_rng(0), 1, (100, 100))
    >>> transform.apply(images, numbers, np.arange(1))
    >>> [round(float(np.mean(images == value)), 1) for value in (0, 128, 255)]
    [0.4, 0.5, 0.1]
    """

    amount: float | tuple[float, float] = (0.01, 0.06)
    salt_vs_pepper: float | tuple[float, float] = (0.4, 0.6)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("SaltAndPepper: amount", self.amount, 0, 1)
        check_range("SaltAndPepper: salt_vs_pepper", self.salt_vs_pepper, 0, 1)
        check_range("SaltAndPepper: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Specks:  # noqa: ARG002
        """Draw the shares and the seed for each image."""
        uniform = rng.random((count, 3))
        return Specks(
            between(uniform[:, 0], self.amount),
            between(uniform[:, 1], self.salt_vs_pepper),
            seeds_of(uniform[:, 2]),
        )

    def apply(self, images: NDArray[Any], numbers: Specks, rows: NDArray[np.intp]) -> None:
        """Add noise to the images of `rows` (m,) among (n, height, width, channels), in place."""
        amounts, salt, seeds = map(np.asarray, numbers)
        most = 2.0**32 - 1
        repaint(
            add_salt_and_pepper,
            images,
            rows,
            seeds.astype(np.int64),
            (amounts * salt * most).astype(np.uint32),
            (amounts * most).astype(np.uint32),
        )
