"""Saturation, hue, and all four of a colour jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels import colours
from fastaug.transforms.arguments import Written, span
from fastaug.transforms.base import Steps, in_sequence, step
from fastaug.transforms.geometry import Size
from fastaug.transforms.recolours.tones import Always, Column, Factor, Nothing


@dataclass(frozen=True, slots=True, repr=False)
class Saturation(Factor):
    """Move colours away from the grey picture, or towards it.

    Parameters
    ----------
    saturation
        s means a factor from 1 - s to 1 + s; a pair (lowest, highest).  0 is grey.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.ColorJitter(saturation)`; Pillow's `ImageEnhance.Color`.
    """

    saturation: float | tuple[float, float] = 0.2
    probability: float = 1.0

    _argument = "saturation"
    _code = colours.BLEND_GREY


@dataclass(frozen=True, slots=True, repr=False)
class Hue(Written):
    """Turn the hue.

    Parameters
    ----------
    hue
        h means a turn of -h to h of the whole circle, at most 0.5; a pair (lowest, highest).
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.ColorJitter(hue)`.

    Examples
    --------
    >>> Hue(0.1)
    Hue(0.1)
    """

    hue: float | tuple[float, float] = 0.05
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_hue(self._called("hue"), self.hue)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw a turn for each image."""
        low, high = span("hue", self.hue)
        return low + (high - low) * rng.random(count)

    def steps(self, numbers: Column) -> Steps:
        """Return the turn."""
        return step(colours.TURN_HUE, len(numbers), numbers)


def _check_hue(name: str, hue: float | tuple[float, float]) -> None:
    low, high = span(name, hue)
    if low < -0.5 or high > 0.5:
        raise ValueError(f"{name}={hue!r} must be at most 0.5, half of the circle")


@dataclass(frozen=True, slots=True, repr=False)
class Grayscale(Always):
    """Make pictures grey; they keep their channels.

    Parameters
    ----------
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomGrayscale`; weights of ITU-R BT.601.
    """

    probability: float = 0.1

    def steps(self, numbers: Nothing) -> Steps:
        """Return a saturation of 0."""
        return step(colours.BLEND_GREY, len(numbers), 0.0)


class JitterNumbers(NamedTuple):
    """Factors and the turn of n images, (n,) each, and in which order they are done: (n, 4)."""

    brightness: Column
    contrast: Column
    saturation: Column
    hue: Column
    order: NDArray[np.intp]


@dataclass(frozen=True, slots=True, repr=False)
class ColorJitter(Written):
    """Change brightness, contrast, saturation and hue, in an order drawn for each image.

    Parameters
    ----------
    brightness, contrast, saturation
        x means a factor from 1 - x to 1 + x; a pair (lowest, highest).
    hue
        h means a turn of -h to h of the whole circle, at most 0.5; a pair (lowest, highest).
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.ColorJitter`, which draws one order for a batch.

    Examples
    --------
    >>> ColorJitter(0.4, 0.4, 0.4, 0.1)
    ColorJitter(0.4, 0.4, 0.4, 0.1)
    """

    brightness: float | tuple[float, float] = 0.0
    contrast: float | tuple[float, float] = 0.0
    saturation: float | tuple[float, float] = 0.0
    hue: float | tuple[float, float] = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            self._check_range(name, around=1, low=0)
        _check_hue(self._called("hue"), self.hue)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> JitterNumbers:  # noqa: ARG002
        """Draw three factors, a turn and an order for each image."""
        factors = self.brightness, self.contrast, self.saturation
        ranges = [span("", factor, around=1, low=0) for factor in factors] + [span("", self.hue)]
        low, high = np.array(ranges).T
        u = rng.random((count, 8))
        values = low + (high - low) * u[:, :4]
        brightness, contrast, saturation, hue = values.T
        return JitterNumbers(brightness, contrast, saturation, hue, u[:, 4:].argsort(axis=1))

    def steps(self, numbers: JitterNumbers) -> Steps:
        """Return those that change anything, in their order."""
        brightness, contrast, saturation, hue, order = numbers
        count = len(brightness)
        columns = [
            step(code, count, drawn)
            for code, drawn in (
                (colours.SCALE, brightness),
                (colours.BLEND_MEAN, contrast),
                (colours.BLEND_GREY, saturation),
                (colours.TURN_HUE, hue),
            )
        ]
        return _without_neutral(in_sequence(columns)).in_order(np.asarray(order, np.intp))


def _without_neutral(steps: Steps) -> Steps:
    """Return the steps less those that change nothing: a factor of 1, a turn of 0."""
    neutral = np.where(steps.codes == colours.TURN_HUE, 0.0, 1.0)
    codes = np.where(steps.numbers[..., 0] == neutral, 0, steps.codes).astype(np.int8)
    return Steps(codes, steps.numbers)
