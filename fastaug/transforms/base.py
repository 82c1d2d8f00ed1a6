"""The kinds of transform, as protocols: what a policy asks of them, and what they answer.

A transform is a frozen dataclass.  It draws its numbers once for a batch, and its kind says what
becomes of them.  A class may be of several kinds.

A transform with a field `probability` below 1 is done to a share of the images: the policy draws
which ones, and the transform needs to know nothing of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.geometry import Boxes, Pull, Size

# What a transform draws: an array with the image axis first, or a tuple or a mapping of such.
Numbers: TypeAlias = Any
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What a transform drew for n images, and to which of them it is done: (n,) bool."""

    numbers: Numbers
    applied: Mask

    def of_image(self, i: int) -> Any:
        """Return image i's numbers as plain values."""
        return of_image(self.numbers, i)

    def part(self, i: int) -> Chosen:
        """Return image i's share, as a batch of one."""
        return Chosen(part_of(self.numbers, i), self.applied[i : i + 1])


def of_image(numbers: Numbers, i: int) -> Any:
    """Return one image's share of numbers as plain values; of a mapping, what is done to it."""
    if isinstance(numbers, Mapping):
        return {
            name: value.of_image(i) if isinstance(value, Chosen) else of_image(value, i)
            for name, value in numbers.items()
            if not isinstance(value, Chosen) or value.applied[i]
        }
    if isinstance(numbers, tuple):
        return _like(numbers, [of_image(array, i) for array in numbers])
    return np.asarray(numbers)[i].tolist()


def part_of(numbers: Numbers, i: int) -> Numbers:
    """Return one image's share of numbers, as a batch of one."""
    if isinstance(numbers, Mapping):
        return {
            name: value.part(i) if isinstance(value, Chosen) else part_of(value, i)
            for name, value in numbers.items()
        }
    if isinstance(numbers, tuple):
        return _like(numbers, [part_of(array, i) for array in numbers])
    return numbers[i : i + 1]


def as_batch(numbers: Any) -> Numbers:
    """Return one image's numbers, of `of_image`, as those of a batch of one."""
    if isinstance(numbers, Mapping):
        return {name: as_batch(value) for name, value in numbers.items()}
    if isinstance(numbers, tuple):
        return _like(numbers, [as_batch(number) for number in numbers])
    return np.asarray(numbers)[np.newaxis]


def _like(numbers: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """Return items as a tuple of the same class, which may have names for them."""
    return type(numbers)(*items) if hasattr(numbers, "_fields") else tuple(items)


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What is done to the values of n images: k steps each, all in one pass.

    Attributes
    ----------
    codes
        (n, k) int8, of `fastaug.kernels.colours`; 0 does nothing.
    numbers
        (n, k, m) float64: what each step works with, at most four numbers.
    extremes
        Whether all of them are Keras' own, which need the lowest and the highest value of the
        warped image; these come first.
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

    def where(self, applied: Mask) -> Steps:
        """Return steps that do nothing to the other images."""
        if applied.all():
            return self
        codes = np.where(applied[:, np.newaxis], self.codes, 0).astype(np.int8)
        return Steps(codes, self.numbers, self.extremes)

    def in_order(self, order: NDArray[np.intp]) -> Steps:
        """Return each image's steps in an order of its own, (n, k)."""
        return Steps(
            np.take_along_axis(self.codes, order, axis=1),
            np.take_along_axis(self.numbers, order[..., np.newaxis], axis=1),
        )


def step(code: int, count: int, *columns: Any) -> Steps:
    """Return one step for each of `count` images, with its numbers: (count,) arrays or scalars."""
    numbers = np.zeros((count, 1, max(len(columns), 1)))
    for k, column in enumerate(columns):
        numbers[:, 0, k] = column
    return Steps(np.full((count, 1), code, np.int8), numbers)


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


@dataclass(frozen=True, slots=True, eq=False)
class Partners:
    """What n images get of others of their batch: p partners each.

    Attributes
    ----------
    rows
        (n, p) intp: which images of the batch.
    shares
        (n, p + 1) float64: how much of each image's label is its own, and of each partner; a row
        sums to 1.
    areas
        (n, p, 4) int64, or None: what is pasted from each partner, from row and column to row and
        column; None blends the whole images by their shares.
    shifts
        (n, p, 2) int64: a pasted pixel comes from this many rows and columns further on.
    """

    rows: NDArray[np.intp]
    shares: NDArray[np.float64]
    areas: NDArray[np.int64] | None = None
    shifts: NDArray[np.int64] | None = None


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
class SeesBoxes(Moves, Protocol):
    """Moves pixels, and looks at the images' boxes before it draws."""

    def draw_around(self, rng: np.random.Generator, boxes: Boxes, size: Size) -> Numbers:
        """Draw for images of that size with boxes (n, k, 4), NaN where there are none."""

    def kept(self, numbers: Numbers) -> Mask:
        """Return which of these boxes stay, (n, k) bool."""


@runtime_checkable
class Recolours(Transform, Protocol):
    """Changes each pixel on its own: joins the batch's one pass over the values."""

    def steps(self, numbers: Numbers) -> Steps:
        """Return what is done to the values."""


@runtime_checkable
class Repaints(Transform, Protocol):
    """Needs neighbours, or noise: a pass of its own."""

    def apply(self, images: NDArray[Any], numbers: Numbers, rows: NDArray[np.intp]) -> None:
        """Change, in place, those images (n, height, width, channels) whose numbers are in `rows`.

        They are float32 or float64, with values from 0 to 255, or uint8 if it has an attribute
        `on_bytes` that is true; with channels first, they are a view that is not contiguous.
        """


@runtime_checkable
class Mixes(Transform, Protocol):
    """Needs other images of the batch, which come last."""

    def partners(self, numbers: Numbers, size: Size) -> Partners:
        """Return what each image gets of others, in images of that size."""


def named(transforms: Sequence[Transform]) -> tuple[tuple[str, Transform], ...]:
    """Return transforms with their names: `Solarize`, and the next one of a class `Solarize 2`."""
    seen: Counter[str] = Counter()
    pairs = []
    for transform in transforms:
        name = type(transform).__name__
        seen[name] += 1
        pairs.append((name if seen[name] == 1 else f"{name} {seen[name]}", transform))
    return tuple(pairs)


KINDS = (Moves, Recolours, Repaints, Mixes)
