"""What happens to single channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_number
from fastaug.kernels import colours
from fastaug.transforms.arguments import Written, span
from fastaug.transforms.base import Steps, step
from fastaug.transforms.geometry import Size
from fastaug.transforms.recolours.tones import Always

Columns = NDArray[Any]
_CHANNELS = colours.NUMBERS


@dataclass(frozen=True, slots=True, repr=False)
class ChannelShift(Written):
    """Add a number to each colour, and clip to 0 and 255.

    Parameters
    ----------
    shift
        s means from -s to s; a pair (lowest, highest).
    per_channel
        Whether each colour has a number of its own; channels from the fourth on share one.
    probability
        Share of the images that are changed.

    References
    ----------
    Albumentations 2.0, `RGBShift`.  ImageDataGenerator's `channel_shift_range` clips to the image's
    own range instead.

    Examples
    --------
    >>> ChannelShift(30)
    ChannelShift(30)
    """

    shift: float | tuple[float, float] = 20
    per_channel: bool = True
    probability: float = 0.5

    def __post_init__(self) -> None:
        self._check_range("shift")
        check_flag(self._called("per_channel"), self.per_channel)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Columns:  # noqa: ARG002
        """Draw a number for each of four channels."""
        low, high = span("shift", self.shift)
        shifts = low + (high - low) * rng.random((count, _CHANNELS))
        return shifts if self.per_channel else shifts[:, :1].repeat(_CHANNELS, axis=1)

    def steps(self, numbers: Columns) -> Steps:
        """Return the numbers to add."""
        return step(colours.ADD, len(numbers), *np.asarray(numbers).T)


@dataclass(frozen=True, slots=True, repr=False)
class ChannelShuffle(Always):
    """Put the colours in another order: of one picture with three channels, or with four and alpha.

    Parameters
    ----------
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomChannelPermutation`; Albumentations 2.0, `ChannelShuffle`.
    """

    probability: float = 0.5

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Columns:  # noqa: ARG002
        """Draw an order of three channels for each image."""
        return rng.random((count, 3)).argsort(axis=1)

    def steps(self, numbers: Columns) -> Steps:
        """Return which channel each comes from; alpha stays."""
        return step(colours.PERMUTE, len(numbers), *np.asarray(numbers).T, 3)


@dataclass(frozen=True, slots=True, repr=False)
class ChannelDrop(Written):
    """Fill one of the colours of a picture with three, or with three and alpha.

    Parameters
    ----------
    fill
        The value, 0 to 255.
    probability
        Share of the images that lose a channel.

    References
    ----------
    Albumentations 2.0, `ChannelDropout`, with one channel.
    """

    fill: float = 0
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_number(self._called("fill"), self.fill, minimum=0)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Columns:  # noqa: ARG002
        """Draw the channel that is dropped: 0, 1 or 2."""
        return rng.integers(0, 3, count)

    def steps(self, numbers: Columns) -> Steps:
        """Return what each channel is filled with, or NaN."""
        fills = np.full((len(numbers), _CHANNELS), np.nan)
        fills[np.arange(len(numbers)), np.asarray(numbers)] = self.fill
        return step(colours.DROP, len(numbers), *fills.T)
