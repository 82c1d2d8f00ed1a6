"""Crops that look at an image's boxes before they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_integer, check_number
from fastaug.transforms.arguments import Written, size_of
from fastaug.transforms.geometry import Boxes, Pull, Size
from fastaug.transforms.moves.crops import Resize, crop_pull

_ROUNDS = 10  # overlaps that are tried before an image stays whole; torchvision tries for ever


class BoxCrop(NamedTuple):
    """What is cut out of n images, in pixels, (n,) each, and which boxes stay, (n, k) bool."""

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]
    kept: NDArray[np.bool_]


def _box_crop(corners: NDArray[np.int64], kept: NDArray[np.bool_]) -> BoxCrop:
    """Return crops from corners (n, 4): left, top, right, bottom."""
    left, top, right, bottom = corners.T
    return BoxCrop(top, left, bottom - top, right - left, kept)


class _BoxCrop(Written):
    """What both crops share."""

    __slots__ = ()

    size: int | tuple[int, int]
    antialias: bool

    def _check_size(self) -> None:
        size_of(self._called("size"), self.size)
        check_flag(self._called("antialias"), self.antialias)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> BoxCrop:
        """Draw for images without boxes."""
        return self.draw_around(rng, np.empty((count, 0, 4)), size)

    def draw_around(self, rng: np.random.Generator, boxes: Boxes, size: Size) -> BoxCrop:
        """Draw the crop of each image."""
        raise NotImplementedError

    def kept(self, numbers: BoxCrop) -> NDArray[np.bool_]:
        """Return which boxes stay, (n, k)."""
        return np.asarray(numbers.kept, bool)

    def plain(self) -> Resize:
        """Return the same without chance: the whole image."""
        height, width = size_of("size", self.size)
        return Resize((height, width), self.antialias)

    def pull(self, numbers: BoxCrop, size: Size) -> Pull:  # noqa: ARG002
        """Show the crop in the size."""
        out = size_of("size", self.size)
        return crop_pull(numbers[:4], out, antialias=bool(self.antialias))


@dataclass(frozen=True, slots=True, repr=False)
class BoxSafeCrop(_BoxCrop):
    """Cut out a random part that has every box in it, and bring it to one size.

    An image without boxes stays whole.

    Parameters
    ----------
    size
        Of the output: a whole number for a square, or (height, width).
    erosion_rate
        Share, 0 to 1, by which the area around all boxes may be cut into.
    antialias
        Whether what becomes smaller is averaged, as Pillow does.

    References
    ----------
    Albumentations 2.0, `RandomSizedBBoxSafeCrop`.

    Examples
    --------
    >>> BoxSafeCrop(320)
    BoxSafeCrop(320)
    """

    size: int | tuple[int, int]
    erosion_rate: float = 0.0
    antialias: bool = True

    def __post_init__(self) -> None:
        self._check_size()
        self._check_share("erosion_rate")

    def draw_around(self, rng: np.random.Generator, boxes: Boxes, size: Size) -> BoxCrop:
        """Draw each side between the image's and that of the area around all boxes."""
        frame = np.array([0, 0, size[1], size[0]], np.float64)
        u = rng.random((len(boxes), 4))
        found = (~np.isnan(boxes)).sum(axis=(1, 2)) > 0
        low = np.where(np.isnan(boxes), np.inf, boxes).min(axis=1, initial=np.inf)[:, :2]
        high = np.where(np.isnan(boxes), -np.inf, boxes).max(axis=1, initial=-np.inf)[:, 2:]
        around = np.where(found[:, np.newaxis], np.concatenate([low, high], axis=1), frame)
        cut = (around[:, 2:] - around[:, :2]) * (self.erosion_rate / 2)
        cut[~found] = 0
        around[:, :2], around[:, 2:] = around[:, :2] + cut, around[:, 2:] - cut
        corners = frame + u * (around - frame)
        corners = np.concatenate([np.floor(corners[:, :2]), np.ceil(corners[:, 2:])], axis=1)
        return _box_crop(corners.astype(np.int64), np.ones(boxes.shape[:2], bool))


@dataclass(frozen=True, slots=True, repr=False)
class RandomIoUCrop(_BoxCrop):
    """Cut out a random part that overlaps a box by a drawn share, and bring it to one size.

    Boxes whose centre is cut off are dropped, with their labels.  An image without boxes stays
    whole, and so does one for which no part is found.

    Parameters
    ----------
    size
        Of the output: a whole number for a square, or (height, width).
    min_scale, max_scale
        Shares of height and of width.
    min_aspect_ratio, max_aspect_ratio
        Width over height.
    sampler_options
        Overlaps (intersection over union with a box) to choose from; from 1 on the image stays
        whole.
    trials
        How many parts are tried for an overlap before another one is chosen.
    antialias
        Whether what becomes smaller is averaged, as Pillow does.

    References
    ----------
    Liu et al., "SSD: single shot multibox detector", ECCV 2016, section 2.2; torchvision 0.29,
    `v2.RandomIoUCrop`, whose crops keep sizes of their own.

    Examples
    --------
    >>> RandomIoUCrop(300, max_scale=0.9)
    RandomIoUCrop(300, max_scale=0.9)
    """

    size: int | tuple[int, int]
    min_scale: float = 0.3
    max_scale: float = 1.0
    min_aspect_ratio: float = 0.5
    max_aspect_ratio: float = 2.0
    sampler_options: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    trials: int = 40
    antialias: bool = True

    def __post_init__(self) -> None:
        self._check_size()
        for low, high, most in (
            ("min_scale", "max_scale", 1.0),
            ("min_aspect_ratio", "max_aspect_ratio", np.inf),
        ):
            first, last = getattr(self, low), getattr(self, high)
            check_number(self._called(low), first, minimum=0)
            check_number(self._called(high), last, minimum=0)
            if not 0 < first <= last <= most:
                raise ValueError(
                    f"{self._called(low)}={first!r} and {high}={last!r} must be above 0, in order"
                    + (", and at most 1" if most == 1 else "")
                )
        check_integer(self._called("trials"), self.trials, minimum=1)
        if not isinstance(self.sampler_options, list | tuple) or not self.sampler_options:
            raise ValueError(
                f"{self._called('sampler_options')}={self.sampler_options!r} is no list of overlaps"
            )
        for option in self.sampler_options:
            check_number(self._called("sampler_options"), option, minimum=0)
        object.__setattr__(self, "sampler_options", tuple(self.sampler_options))

    def draw_around(self, rng: np.random.Generator, boxes: Boxes, size: Size) -> BoxCrop:
        """Draw the crop of each image: the first that overlaps as asked."""
        count = len(boxes)
        u = rng.random((count, _ROUNDS, 1 + 4 * self.trials))
        corners = np.tile(np.array([0, 0, size[1], size[0]], np.int64), (count, 1))
        kept = np.ones(boxes.shape[:2], bool)
        for i in range(count):
            there = np.isfinite(boxes[i]).all(axis=1)
            found = self._first(u[i], boxes[i, there], size) if there.any() else None
            if found is not None:
                corners[i], kept[i, there] = found[0], found[1]
        return _box_crop(corners, kept)

    def _first(
        self, u: NDArray[np.float64], boxes: Boxes, size: Size
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
        """Return the first crop of an image that does, and which boxes stay; None: all of it."""
        options = np.array(self.sampler_options)
        chosen = options[np.floor(u[:, 0] * len(options)).astype(np.intp)]
        for overlap, trials in zip(chosen, u[:, 1:], strict=True):
            if overlap >= 1:
                return None
            crops = self._crops(trials.reshape(-1, 4), size)
            inside = _centres_inside(crops, boxes)
            overlaps = np.where(inside, _overlaps(crops, boxes), -1.0).max(axis=1)
            fits = np.flatnonzero(self._shaped(crops) & inside.any(axis=1) & (overlaps >= overlap))
            if len(fits):
                return crops[fits[0]], inside[fits[0]]
        return None

    def _crops(self, u: NDArray[np.float64], size: Size) -> NDArray[np.int64]:
        """Return the parts that numbers (m, 4) stand for: left, top, right, bottom."""
        frame = np.array([size[1], size[0]])
        sides = np.floor(frame * (self.min_scale + (self.max_scale - self.min_scale) * u[:, :2]))
        start = np.floor((frame - sides) * u[:, 2:])
        return np.concatenate([start, start + sides], axis=1).astype(np.int64)

    def _shaped(self, crops: NDArray[np.int64]) -> NDArray[np.bool_]:
        wide, tall = crops[:, 2] - crops[:, 0], crops[:, 3] - crops[:, 1]
        ratios = wide / np.maximum(tall, 1)
        there = (wide > 0) & (tall > 0)
        return there & (self.min_aspect_ratio <= ratios) & (ratios <= self.max_aspect_ratio)


def _centres_inside(crops: NDArray[np.int64], boxes: Boxes) -> NDArray[np.bool_]:
    """Tell which boxes (k, 4) have their centre in which crops (m, 4): (m, k)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    start, end = crops[:, np.newaxis, :2], crops[:, np.newaxis, 2:]
    inside = (start < centres) & (centres < end)
    return inside[..., 0] & inside[..., 1]


def _overlaps(crops: NDArray[np.int64], boxes: Boxes) -> NDArray[np.float64]:
    """Return intersection over union of crops (m, 4) and boxes (k, 4): (m, k)."""
    crops = crops[:, np.newaxis]
    sides = np.minimum(crops[..., 2:], boxes[:, 2:]) - np.maximum(crops[..., :2], boxes[:, :2])
    shared = sides.clip(0).prod(axis=2)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (crops, boxes)]
    return shared / (areas[0] + areas[1] - shared)
