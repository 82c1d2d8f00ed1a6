"""The kinds of transform, as protocols: what a policy asks of them, and what they answer.

A transform is a frozen dataclass.  It draws its numbers once for a batch, and its kind says what
becomes of them.  A class may be of several kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.geometry import Pull, Size

# What a transform draws: an array with the image axis first, or a tuple of such arrays.
Numbers: TypeAlias = Any


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What is done to the values of n images: k steps each, all in one pass.

    Attributes
    ----------
    codes
        (n, k) int8, of `fastaug.kernels.pointwise`; 0 does nothing.
    numbers
        (n, k, m) float64: what each step works with.  The steps there are take one number each.
    extremes
        Whether a step needs the lowest and the highest value of the warped image.  Only Keras' may,
        which come first.
    """

    codes: NDArray[np.int8]
    numbers: NDArray[np.float64]
    extremes: bool = False

    def tidied(self) -> Steps:
        """Return the same with arrays as the kernels take them, which compile anew for others."""
        return Steps(
            np.ascontiguousarray(self.codes, np.int8),
            np.ascontiguousarray(self.numbers, np.float64),
            self.extremes,
        )


@lru_cache(maxsize=64)
def no_steps(count: int) -> Steps:
    """Return steps that do nothing; nobody changes its arrays."""
    return Steps(np.zeros((count, 0), np.int8), np.zeros((count, 0, 1)))


def in_sequence(parts: Sequence[Steps]) -> Steps:
    """Return the steps of several transforms, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.numbers.shape[2] for part in parts)
    padded = [
        np.pad(part.numbers, [(0, 0), (0, 0), (0, most - part.numbers.shape[2])]) for part in parts
    ]
    return Steps(
        np.concatenate([part.codes for part in parts], axis=1),
        np.concatenate(padded, axis=1),
        any(part.extremes for part in parts),
    )


@runtime_checkable
class Transform(Protocol):
    """What all kinds have."""

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Numbers:
        """Draw the numbers of `count` images of that size, image axis first."""


@runtime_checkable
class Moves(Transform, Protocol):
    """Moves pixels: folded into the batch's one warp."""

    def pull(self, numbers: Numbers, size: Size) -> Pull:
        """Return where the pixels come from, in images of that size."""


@runtime_checkable
class Recolours(Transform, Protocol):
    """Changes each value on its own: joins the batch's one pass over the values."""

    def steps(self, numbers: Numbers) -> Steps:
        """Return what is done to the values."""


@runtime_checkable
class Repaints(Transform, Protocol):
    """Needs neighbours, or noise: a pass of its own."""

    def apply(self, images: NDArray[Any], numbers: Numbers) -> None:
        """Change (n, height, width, channels) float images in place."""


KINDS = (Moves, Recolours, Repaints)
