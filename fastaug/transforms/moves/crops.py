"""Crops, resizing and padding: pictures of another size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag
from fastaug.transforms.arguments import Written, interval, paddings, size_of
from fastaug.transforms.geometry import Pull, Size, moved_by, stretched

_ATTEMPTS = 10  # as in torchvision

Nothing = NDArray[np.bool_]


class Crop(NamedTuple):
    """What is cut out of n images, in pixels: (n,) each."""

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]


def crop_pull(crop: Any, size: Size, *, antialias: bool) -> Pull:
    """Return the pull that shows a crop in a size."""
    top, left, height, width = (np.asarray(side, np.float64) for side in crop)
    boxes = np.stack([top, left, top + height, left + width], axis=1)
    return moved_by(stretched(boxes, size), size, antialias=antialias)


@dataclass(frozen=True, slots=True, repr=False)
class RandomResizedCrop(Written):
    """Cut out a part of random size and shape, and bring it to one size.

    Parameters
    ----------
    size
        Of the output: a whole number for a square, or (height, width).
    scale
        (lowest, highest) share of the image's area.
    ratio
        (lowest, highest) width over height; drawn evenly on a logarithmic scale.
    antialias
        Whether what becomes smaller is averaged, as Pillow does.

    References
    ----------
    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6; torchvision 0.29,
    `v2.RandomResizedCrop`.

    Examples
    --------
    >>> RandomResizedCrop(224, scale=(0.2, 1.0))
    RandomResizedCrop(224, scale=(0.2, 1.0))
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    antialias: bool = True

    def __post_init__(self) -> None:
        size_of(self._called("size"), self.size)
        interval(self._called("scale"), self.scale, low=1e-9, high=1)
        interval(self._called("ratio"), self.ratio, low=1e-3)
        check_flag(self._called("antialias"), self.antialias)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Crop:
        """Draw the crop of each image: the first of ten that fits, or else the middle."""
        height, width = size
        u = rng.random((count, _ATTEMPTS, 4))
        low, high = self.scale
        areas = height * width * (low + (high - low) * u[..., 0])
        ends = np.log(self.ratio)
        ratios = np.exp(ends[0] + (ends[1] - ends[0]) * u[..., 1])
        wide = np.rint(np.sqrt(areas * ratios)).astype(np.int64)
        tall = np.rint(np.sqrt(areas / ratios)).astype(np.int64)
        fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
        each, first = np.arange(count), fits.argmax(axis=1)
        tall, wide, u = tall[each, first], wide[each, first], u[each, first]
        top = np.floor(u[:, 2] * (height - tall + 1)).astype(np.int64)
        left = np.floor(u[:, 3] * (width - wide + 1)).astype(np.int64)
        found = fits.any(axis=1)
        middle = self._middle(height, width)
        return Crop(
            *(
                np.where(found, side, whole)
                for side, whole in zip((top, left, tall, wide), middle, strict=True)
            )
        )

    def _middle(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the largest crop in the middle whose shape is accepted."""
        low, high = self.ratio
        tall, wide = height, width
        if width / height < low:
            tall = max(1, round(width / low))
        elif width / height > high:
            wide = max(1, round(height * high))
        return (height - tall) // 2, (width - wide) // 2, tall, wide

    def plain(self) -> RandomResizedCrop:
        """Return the same without chance: the largest crop in the middle, of the output's shape."""
        height, width = size_of("size", self.size)
        ratio = width / height
        return RandomResizedCrop(self.size, (1, 1), (ratio, ratio), self.antialias)

    def pull(self, numbers: Crop, size: Size) -> Pull:  # noqa: ARG002
        """Show the crop in the size."""
        return crop_pull(numbers, size_of("size", self.size), antialias=bool(self.antialias))


@dataclass(frozen=True, slots=True, repr=False)
class RandomCrop(Written):
    """Cut out a part of one size at a random place.

    Parameters
    ----------
    size
        A whole number for a square, or (height, width).
    padding
        Pixels added first: on all sides, (left and right, above and below), or (left, above, right,
        below).  They get what the fill mode says.
    pad_if_needed
        Whether images smaller than `size` are padded; otherwise they are an error.

    References
    ----------
    torchvision 0.29, `v2.RandomCrop`.

    Examples
    --------
    >>> RandomCrop(32, padding=4)
    RandomCrop(32, 4)
    """

    size: int | tuple[int, int]
    padding: Any = None
    pad_if_needed: bool = False

    def __post_init__(self) -> None:
        size_of(self._called("size"), self.size)
        if self.padding is not None:
            paddings(self._called("padding"), self.padding)
        check_flag(self._called("pad_if_needed"), self.pad_if_needed)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Crop:
        """Draw the upper left corner of each image's crop."""
        tall, wide = size_of("size", self.size)
        left, above, right, below = paddings("padding", self.padding or 0)
        height, width = size[0] + above + below, size[1] + left + right
        if self.pad_if_needed:
            above, height = (
                (above + tall - height, 2 * tall - height) if height < tall else (above, height)
            )
            left, width = (left + wide - width, 2 * wide - width) if width < wide else (left, width)
        if height < tall or width < wide:
            raise ValueError(
                f"RandomCrop({self.size!r}): images of {size[0]}x{size[1]} (height x width) are "
                "smaller than the crop; pad_if_needed=True pads them, Resize makes them larger"
            )
        u = rng.random((count, 2))
        top = np.floor(u[:, 0] * (height - tall + 1)).astype(np.int64) - above
        start = np.floor(u[:, 1] * (width - wide + 1)).astype(np.int64) - left
        return Crop(top, start, np.full(count, tall), np.full(count, wide))

    def plain(self) -> CenterCrop:
        """Return the same without chance: the middle."""
        return CenterCrop(self.size)

    def pull(self, numbers: Crop, size: Size) -> Pull:  # noqa: ARG002
        """Show the crop."""
        return crop_pull(numbers, size_of("size", self.size), antialias=False)


class _Fixed(Written):
    """Draws nothing: every image gets the same."""

    __slots__ = ()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Nothing:  # noqa: ARG002
        """Draw nothing."""
        return np.ones(count, bool)


@dataclass(frozen=True, slots=True, repr=False)
class CenterCrop(_Fixed):
    """Cut out the middle; where it is larger than the image, the fill mode fills the rest.

    Parameters
    ----------
    size
        A whole number for a square, or (height, width).

    References
    ----------
    torchvision 0.29, `v2.CenterCrop`.
    """

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        size_of(self._called("size"), self.size)

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Show the middle."""
        tall, wide = size_of("size", self.size)
        top, left = round((size[0] - tall) / 2), round((size[1] - wide) / 2)
        ones = np.ones(len(numbers))
        return crop_pull(
            (ones * top, ones * left, ones * tall, ones * wide), (tall, wide), antialias=False
        )


@dataclass(frozen=True, slots=True, repr=False)
class Resize(_Fixed):
    """Bring images to one size.

    Parameters
    ----------
    size
        (height, width); a whole number is what the shorter side becomes, and the other follows.
    antialias
        Whether what becomes smaller is averaged, as Pillow does.

    References
    ----------
    torchvision 0.29, `v2.Resize`.
    """

    size: int | tuple[int, int]
    antialias: bool = True

    def __post_init__(self) -> None:
        size_of(self._called("size"), self.size)
        check_flag(self._called("antialias"), self.antialias)

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Show all of it in the size."""
        if isinstance(self.size, tuple | list):
            out = size_of("size", self.size)
        else:
            short = min(size)
            out = tuple(int(self.size * side / short) for side in size)  # type: ignore[assignment]
        return _whole(len(numbers), size, out, antialias=bool(self.antialias))


def _whole(count: int, size: Size, out: Size, *, antialias: bool) -> Pull:
    """Return the pull that shows whole images in a size."""
    ones = np.ones(count)
    crop = ones * 0, ones * 0, ones * size[0], ones * size[1]
    return crop_pull(crop, out, antialias=antialias)


@dataclass(frozen=True, slots=True, repr=False)
class LargestSide(_Fixed):
    """Bring the longer side to a length, the other one follows.

    Parameters
    ----------
    size
        Pixels of the longer side.
    antialias
        Whether what becomes smaller is averaged, as Pillow does.

    References
    ----------
    Albumentations 2.0, `LongestMaxSize`.
    """

    size: int
    antialias: bool = True

    def __post_init__(self) -> None:
        size_of(self._called("size"), (self.size, self.size))
        check_flag(self._called("antialias"), self.antialias)

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Show all of it."""
        tall, wide = (max(1, round(self.size * side / max(size))) for side in size)
        return _whole(len(numbers), size, (tall, wide), antialias=bool(self.antialias))


@dataclass(frozen=True, slots=True, repr=False)
class Letterbox(_Fixed):
    """Fit images into a frame, with their shape kept; the fill mode fills the rest.

    Parameters
    ----------
    size
        A whole number for a square, or (height, width).
    antialias
        Whether what becomes smaller is averaged, as Pillow does.

    References
    ----------
    YOLOv5's `letterbox`; Keras 3.15, `Resizing(pad_to_aspect_ratio=True)`.
    """

    size: int | tuple[int, int]
    antialias: bool = True

    def __post_init__(self) -> None:
        size_of(self._called("size"), self.size)
        check_flag(self._called("antialias"), self.antialias)

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Show all of it in the middle of the frame."""
        tall, wide = size_of("size", self.size)
        factor = max(size[0] / tall, size[1] / wide)
        ones = np.ones(len(numbers))
        high, broad = tall * factor, wide * factor
        crop = (size[0] - high) / 2 * ones, (size[1] - broad) / 2 * ones, high * ones, broad * ones
        return crop_pull(crop, (tall, wide), antialias=bool(self.antialias))


@dataclass(frozen=True, slots=True, repr=False)
class Pad(_Fixed):
    """Add pixels around images, which get what the fill mode says.

    Parameters
    ----------
    padding
        Pixels on all sides, (left and right, above and below), or (left, above, right, below).

    References
    ----------
    torchvision 0.29, `v2.Pad`.

    Examples
    --------
    >>> Pad((2, 4))
    Pad((2, 4))
    """

    padding: Any

    def __post_init__(self) -> None:
        paddings(self._called("padding"), self.padding)

    def pull(self, numbers: Nothing, size: Size) -> Pull:
        """Show the image and what is around it."""
        left, above, right, below = paddings("padding", self.padding)
        tall, wide = size[0] + above + below, size[1] + left + right
        ones = np.ones(len(numbers))
        crop = -above * ones, -left * ones, tall * ones, wide * ones
        return crop_pull(crop, (tall, wide), antialias=False)
