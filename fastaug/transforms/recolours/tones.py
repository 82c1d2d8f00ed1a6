"""Brightness, contrast and other curves of values; values are 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer, check_number
from fastaug.kernels import colours
from fastaug.transforms.arguments import Written, interval, span
from fastaug.transforms.base import Steps, step
from fastaug.transforms.geometry import Size

Column = NDArray[np.float64]
Nothing = NDArray[np.bool_]


class Factor(Written):
    """Draws one factor for each image, around 1."""

    __slots__ = ()

    _argument = ""
    _code = 0

    def __post_init__(self) -> None:
        self._check_range(self._argument, around=1, low=0)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw a factor for each image."""
        low, high = span(self._argument, getattr(self, self._argument), around=1, low=0)
        return low + (high - low) * rng.random(count)

    def steps(self, numbers: Column) -> Steps:
        """Return the step with its factor."""
        return step(self._code, len(numbers), numbers)


class Always(Written):
    """Draws nothing: the policy draws which images are changed."""

    __slots__ = ()

    def __post_init__(self) -> None:
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Nothing:  # noqa: ARG002
        """Draw nothing."""
        return np.ones(count, bool)


@dataclass(frozen=True, slots=True, repr=False)
class Brightness(Factor):
    """Multiply colours by a factor.

    Parameters
    ----------
    brightness
        b means a factor from 1 - b to 1 + b; a pair (lowest, highest).
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.ColorJitter(brightness)`; Pillow's `ImageEnhance.Brightness`.

    Examples
    --------
    >>> Brightness(0.4)
    Brightness(0.4)
    """

    brightness: float | tuple[float, float] = 0.2
    probability: float = 1.0

    _argument = "brightness"
    _code = colours.SCALE


@dataclass(frozen=True, slots=True, repr=False)
class Contrast(Factor):
    """Move colours away from the mean of the grey picture, or towards it.

    Parameters
    ----------
    contrast
        c means a factor from 1 - c to 1 + c; a pair (lowest, highest).  0 is grey all over.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.ColorJitter(contrast)`; Pillow's `ImageEnhance.Contrast`, which rounds the
    mean.
    """

    contrast: float | tuple[float, float] = 0.2
    probability: float = 1.0

    _argument = "contrast"
    _code = colours.BLEND_MEAN


@dataclass(frozen=True, slots=True, repr=False)
class Gamma(Written):
    """Raise colours, as shares of 255, to a power.

    Parameters
    ----------
    gamma
        (lowest, highest) exponent: above 1 makes shadows darker, below 1 lighter.
    gain
        Factor behind it.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.functional.adjust_gamma`; Albumentations 2.0, `RandomGamma`, whose limits
    are a hundred times as large.
    """

    gamma: tuple[float, float] = (0.8, 1.2)
    gain: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        interval(self._called("gamma"), self.gamma, low=0)
        check_number(self._called("gain"), self.gain, minimum=0)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw an exponent for each image."""
        low, high = interval("gamma", self.gamma)
        return low + (high - low) * rng.random(count)

    def steps(self, numbers: Column) -> Steps:
        """Return a curve, linear between whole numbers."""
        return step(colours.GAMMA, len(numbers), numbers, self.gain)


@dataclass(frozen=True, slots=True, repr=False)
class Invert(Always):
    """Replace every colour v by 255 - v.

    Parameters
    ----------
    probability
        Share of the images that are inverted.

    References
    ----------
    torchvision 0.29, `v2.RandomInvert`; Pillow's `ImageOps.invert`.
    """

    probability: float = 0.5

    def steps(self, numbers: Nothing) -> Steps:
        """Return the inversion."""
        return step(colours.INVERT, len(numbers))


@dataclass(frozen=True, slots=True, repr=False)
class Posterize(Always):
    """Keep only the upper bits of colours, which are rounded to whole numbers first.

    Parameters
    ----------
    bits
        How many are kept, from 0 to 8.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomPosterize`; Pillow's `ImageOps.posterize`.
    """

    bits: int = 4
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_integer(self._called("bits"), self.bits, minimum=0, maximum=8)
        self._check_probability()

    def steps(self, numbers: Nothing) -> Steps:
        """Return the bits to keep."""
        return step(colours.POSTERIZE, len(numbers), self.bits)


@dataclass(frozen=True, slots=True, repr=False)
class Solarize(Always):
    """Replace every colour v at or above `threshold` by 255 - v.

    Parameters
    ----------
    threshold
        From 0 (invert everything) to 256 (nothing).
    probability
        Share of the images that are solarised.

    References
    ----------
    Cubuk et al., "AutoAugment", CVPR 2019, table 6; torchvision 0.29, `v2.RandomSolarize`; Pillow's
    `ImageOps.solarize`.

    Examples
    --------
    >>> Solarize(threshold=100)
    Solarize(100)
    """

    threshold: float = 128.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_number(self._called("threshold"), self.threshold)
        if not 0 <= self.threshold <= 256:
            raise ValueError(
                f"{self._called('threshold')}={self.threshold!r} must be from 0 to 256"
            )
        self._check_probability()

    def steps(self, numbers: Nothing) -> Steps:
        """Return the threshold."""
        return step(colours.SOLARIZE, len(numbers), self.threshold)


@dataclass(frozen=True, slots=True, repr=False)
class AutoContrast(Always):
    """Stretch each colour so that its darkest value is 0 and its brightest 255.

    Parameters
    ----------
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomAutocontrast`; Pillow's `ImageOps.autocontrast`.
    """

    probability: float = 0.5

    def steps(self, numbers: Nothing) -> Steps:
        """Return the stretch."""
        return step(colours.STRETCH, len(numbers))


@dataclass(frozen=True, slots=True, repr=False)
class Equalize(Always):
    """Let all values of a colour, rounded to whole numbers, be about as frequent.

    Parameters
    ----------
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomEqualize`; Pillow's `ImageOps.equalize`.
    """

    probability: float = 0.5

    def steps(self, numbers: Nothing) -> Steps:
        """Return the table to be made."""
        return step(colours.EQUALIZE, len(numbers))
