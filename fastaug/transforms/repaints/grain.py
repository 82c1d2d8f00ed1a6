"""Noise, and what compression and small sensors leave."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from fastaug.checks import check_integer, check_number
from fastaug.kernels.launch import launch
from fastaug.kernels.noise import add_noise, add_salt, equalize_tiles
from fastaug.transforms.arguments import Written, interval
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.layouts import Rows, check_colours, planes_of, shares_of

Column = NDArray[np.float64]


@lru_cache(maxsize=1)
def _quantiles() -> NDArray[np.float32]:
    """Return 4097 quantiles of the normal distribution, cut at 4.4 deviations."""
    shares = np.clip(np.linspace(0, 1, 4097), 5e-6, 1 - 5e-6)
    return np.array([NormalDist().inv_cdf(share) for share in shares], np.float32)


class NoiseNumbers(NamedTuple):
    """Of n images, (n,) each: a seed, and the deviation of the noise in values of 0 to 255."""

    seed: NDArray[np.int64]
    deviation: Column


@dataclass(frozen=True, slots=True, repr=False)
class GaussianNoise(Written):
    """Add Gaussian noise, to each value its own, and clip to 0 and 255.

    Parameters
    ----------
    mean
        Of the noise, as a share of 255.
    sigma
        Standard deviation, as a share of 255; a pair (lowest, highest).
    probability
        Share of the images that get noise.

    References
    ----------
    torchvision 0.29, `v2.GaussianNoise`.

    Examples
    --------
    >>> GaussianNoise(sigma=(0.02, 0.1))
    GaussianNoise(sigma=(0.02, 0.1))
    """

    mean: float = 0.0
    sigma: float | tuple[float, float] = 0.1
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_number(self._called("mean"), self.mean)
        interval(self._called("sigma"), self._sigmas(), low=0)
        self._check_probability()

    def _sigmas(self) -> Any:
        return self.sigma if isinstance(self.sigma, tuple | list) else (self.sigma, self.sigma)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NoiseNumbers:  # noqa: ARG002
        """Draw a seed and a deviation for each image."""
        u = rng.random((count, 2))
        low, high = self._sigmas()
        seeds = (u[:, 0] * 2**32).astype(np.int64)
        return NoiseNumbers(seeds, 255 * (low + (high - low) * u[:, 1]))

    def apply(self, images: NDArray[Any], numbers: NoiseNumbers, rows: Rows) -> None:
        """Add noise to those images: the same, whether channels come first or last."""
        seeds, deviations = (np.asarray(column) for column in numbers)
        _each(
            images,
            rows,
            lambda flat, chosen: launch(
                add_noise,
                flat,
                chosen,
                seeds.astype(np.uint32),
                np.float32(255 * self.mean),
                deviations.astype(np.float32),
                _quantiles(),
                shares_of(len(chosen)),
            ),
        )


def _each(images: NDArray[Any], rows: Rows, change: Any) -> None:
    """Let a kernel change flat images with the channels last; others are copied there and back."""
    flat = (len(images), -1)
    if images.flags.c_contiguous:
        change(images.reshape(flat), np.asarray(rows, np.intp))
        return
    whole = np.ascontiguousarray(images)
    change(whole.reshape(flat), np.asarray(rows, np.intp))
    images[rows] = whole[rows]


class SaltNumbers(NamedTuple):
    """Of n images, (n,) each: a seed, the share of pixels that change, and of those, white ones."""

    seed: NDArray[np.int64]
    amount: Column
    salt: Column


@dataclass(frozen=True, slots=True, repr=False)
class SaltAndPepper(Written):
    """Make single pixels white or black.

    Parameters
    ----------
    amount
        (lowest, highest) share of the pixels.
    salt_vs_pepper
        (lowest, highest) share of white ones among them.
    probability
        Share of the images that are changed.

    References
    ----------
    Albumentations 2.0, `SaltAndPepper`.
    """

    amount: tuple[float, float] = (0.01, 0.06)
    salt_vs_pepper: tuple[float, float] = (0.4, 0.6)
    probability: float = 1.0

    def __post_init__(self) -> None:
        interval(self._called("amount"), self.amount, low=0, high=1)
        interval(self._called("salt_vs_pepper"), self.salt_vs_pepper, low=0, high=1)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> SaltNumbers:  # noqa: ARG002
        """Draw a seed and two shares for each image."""
        u = rng.random((count, 3))
        (least, most), (low, high) = self.amount, self.salt_vs_pepper
        return SaltNumbers(
            (u[:, 0] * 2**32).astype(np.int64),
            least + (most - least) * u[:, 1],
            low + (high - low) * u[:, 2],
        )

    def apply(self, images: NDArray[Any], numbers: SaltNumbers, rows: Rows) -> None:
        """Change those images."""
        planes, channels = planes_of(images)
        seeds, amounts, salts = (np.asarray(column) for column in numbers)
        launch(
            add_salt,
            planes,
            np.asarray(rows, np.intp),
            channels,
            planes.shape[1],
            seeds.astype(np.uint32),
            amounts,
            salts,
            shares_of(len(rows)),
        )


@dataclass(frozen=True, slots=True, repr=False)
class CLAHE(Written):
    """Equalise parts of a picture, with a limit to how much.

    Pictures in colour keep their hue: red, green and blue are shifted as much as their grey value.

    Parameters
    ----------
    clip_limit
        (lowest, highest) limit: how often a value may be there, relative to even shares.
    tile_grid_size
        Rows and columns of tiles.
    probability
        Share of the images that are changed.

    References
    ----------
    Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994; OpenCV's
    `createCLAHE`.  Albumentations does it to the L of Lab.
    """

    clip_limit: float | tuple[float, float] = (1, 4)
    tile_grid_size: tuple[int, int] = (8, 8)
    probability: float = 0.5

    def __post_init__(self) -> None:
        interval(self._called("clip_limit"), self._limits(), low=0)
        if not isinstance(self.tile_grid_size, tuple | list) or len(self.tile_grid_size) != 2:
            raise ValueError(
                f"{self._called('tile_grid_size')}={self.tile_grid_size!r}: two numbers"
            )
        for number in self.tile_grid_size:
            check_integer(self._called("tile_grid_size"), number, minimum=1)
        self._check_probability()

    def _limits(self) -> Any:
        return (
            self.clip_limit if isinstance(self.clip_limit, tuple | list) else (1, self.clip_limit)
        )

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw a limit for each image."""
        low, high = self._limits()
        return low + (high - low) * rng.random(count)

    def apply(self, images: NDArray[Any], numbers: Column, rows: Rows) -> None:
        """Equalise those images."""
        colours = check_colours("CLAHE", images)
        count, height, width, channels = images.shape
        last = images.flags.c_contiguous
        flat = (images if last else np.moveaxis(images, -1, 1)).reshape(count, -1)
        strides = (height, width, channels, 1) if last else (height, width, 1, height * width)
        grid = int(self.tile_grid_size[0]), int(self.tile_grid_size[1])
        limits = np.asarray(numbers, np.float64)
        chosen = np.asarray(rows, np.intp)
        launch(equalize_tiles, flat, chosen, colours, grid, limits, strides, shares_of(len(rows)))


@dataclass(frozen=True, slots=True, repr=False)
class JpegArtifacts(Written):
    """Leave what a JPEG file loses.

    Parameters
    ----------
    quality
        (lowest, highest), 1 to 100; a number is that one.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.JPEG`; Pillow's files, with colours at half the resolution.
    """

    quality: int | tuple[int, int] = (50, 100)
    probability: float = 1.0

    def __post_init__(self) -> None:
        low, high = self._qualities()
        for number in (low, high):
            check_integer(self._called("quality"), number, minimum=1, maximum=100)
        interval(self._called("quality"), (low, high))
        self._check_probability()

    def _qualities(self) -> tuple[int, int]:
        quality = self.quality
        return (quality[0], quality[1]) if isinstance(quality, tuple | list) else (quality, quality)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.int64]:  # noqa: ARG002
        """Draw a quality for each image."""
        low, high = self._qualities()
        return low + np.floor(rng.random(count) * (high - low + 1)).astype(np.int64)

    def apply(self, images: NDArray[Any], numbers: NDArray[np.int64], rows: Rows) -> None:
        """Encode and decode those images, rounded to bytes; alpha stays."""
        colours = check_colours("JpegArtifacts", images)
        space = "GRAY" if colours == 1 else "RGB"
        for i in rows:
            part = images[i, ..., :colours]
            picture = part if part.dtype == np.uint8 else np.clip(np.rint(part), 0, 255)
            picture = picture.astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(picture[..., 0] if colours == 1 else picture).save(
                file, "JPEG", quality=int(numbers[i])
            )
            part[...] = simplejpeg.decode_jpeg(file.getvalue(), space)


@dataclass(frozen=True, slots=True, repr=False)
class Downscale(Written):
    """Make pictures smaller and larger again by the nearest pixel: coarse pixels.

    Parameters
    ----------
    scale
        (lowest, highest) share of height and width.
    probability
        Share of the images that are changed.

    References
    ----------
    Albumentations 2.0, `Downscale`, with the nearest pixel both ways.
    """

    scale: tuple[float, float] = (0.25, 0.25)
    probability: float = 0.5

    def __post_init__(self) -> None:
        interval(self._called("scale"), self.scale, low=1e-3, high=1)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw a scale for each image."""
        low, high = self.scale
        return low + (high - low) * rng.random(count)

    def apply(self, images: NDArray[Any], numbers: Column, rows: Rows) -> None:
        """Change those images."""
        height, width = images.shape[1:3]
        for i in rows:
            down, across = (_coarse(side, float(numbers[i])) for side in (height, width))
            images[i] = images[i][down[:, np.newaxis], across]


def _coarse(length: int, scale: float) -> NDArray[np.intp]:
    """Return which pixel each pixel of an axis shows."""
    small = max(1, round(length * scale))
    near = np.floor((np.arange(length) + 0.5) * small / length)
    return np.floor((near + 0.5) * length / small).astype(np.intp)
