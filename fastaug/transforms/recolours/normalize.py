"""The last step: colours as shares of 255, less a mean, over a deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_number
from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Size

# Of ImageNet's training images, as in torchvision and `keras.applications`' mode "torch".
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, repr=False)
class Normalize(Written):
    """Turn values v into (v / 255 - mean) / std: behind everything else but mixes.

    The result is float32 (or the dtype that was asked for), never bytes.

    Parameters
    ----------
    mean
        A number, one for each channel, or "imagenet" for both.
    std
        A number, or one for each channel; above 0.

    References
    ----------
    torchvision 0.29, `v2.ToDtype(torch.float32, scale=True)` and `v2.Normalize`.

    Examples
    --------
    >>> Normalize(0.5, 0.25)
    Normalize(0.5, 0.25)
    """

    mean: str | float | Sequence[float] = "imagenet"
    std: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.mean, str):
            if self.mean != "imagenet":
                raise ValueError(
                    f"{self._called('mean')}={self.mean!r} must be 'imagenet', a number, or one "
                    "for each channel"
                )
            if self.std is not None:
                raise ValueError(f"{self._called('std')}={self.std!r}: 'imagenet' means both")
            return
        if self.std is None:
            raise ValueError(f"{self._called('std')} is missing: give mean and std, or 'imagenet'")
        for name, value in (("mean", self.mean), ("std", self.std)):
            for number in _tuple(value):
                check_number(self._called(name), number)
        if min(_tuple(self.std)) <= 0:
            raise ValueError(f"{self._called('std')}={self.std!r} must be above 0")
        if len({len(_tuple(self.mean)), len(_tuple(self.std))} - {1}) > 1:
            raise ValueError(
                f"{self._called('mean')}={self.mean!r} and std={self.std!r} differ in length"
            )

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.bool_]:  # noqa: ARG002
        """Draw nothing."""
        return np.ones(count, bool)

    def numbers(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and the deviation of each channel, as shares of 255.

        Raises
        ------
        ValueError
            If there are numbers for another number of channels.
        """
        mean, std = (
            IMAGENET if isinstance(self.mean, str) else (_tuple(self.mean), _tuple(self.std))
        )
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels):
                raise ValueError(
                    f"{self!r}: {len(values)} numbers for {name}, and images of {channels} channels"
                )
        return _repeated(mean, channels), _repeated(std, channels)


def _tuple(value: object) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, Sequence | np.ndarray) else (value,)  # type: ignore[return-value]


def _repeated(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * channels if len(values) == 1 else values
