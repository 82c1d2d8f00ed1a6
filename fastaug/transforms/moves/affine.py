"""Rotations, shifts, scales and shears about the centre of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_number
from fastaug.transforms.arguments import Written, interval, span
from fastaug.transforms.geometry import Matrices, Pull, Size, about_centre, moved_by

Column = NDArray[np.float64]


class AffineNumbers(NamedTuple):
    """What is drawn for n images, (n,) each: degrees and pixels."""

    angle: Column  # clockwise
    shift_x: Column  # to the right
    shift_y: Column  # down
    scale: Column  # above 1 enlarges
    shear_x: Column
    shear_y: Column


def affine_linear(angle: Column, scale: Any, shear_x: Column, shear_y: Column) -> Matrices:
    """Return the linear part of pull matrices, (n, 2, 2) in rows and columns.

    References
    ----------
    torchvision 0.29, `_get_inverse_affine_matrix`.
    """
    turn, along, across = np.deg2rad(angle), np.deg2rad(shear_x), np.deg2rad(shear_y)
    a = np.cos(turn - across) / np.cos(across)
    b = -np.cos(turn - across) * np.tan(along) / np.cos(across) - np.sin(turn)
    c = np.sin(turn - across) / np.cos(across)
    d = -np.sin(turn - across) * np.tan(along) / np.cos(across) + np.cos(turn)
    linear = np.empty((len(turn), 2, 2))
    linear[:, 0, 0], linear[:, 0, 1], linear[:, 1, 0], linear[:, 1, 1] = a, -c, -b, d
    return linear / np.reshape(scale, (-1, 1, 1))


def affine_pull(numbers: AffineNumbers, size: Size) -> Pull:
    """Return the pull of drawn numbers."""
    linear = affine_linear(numbers.angle, numbers.scale, numbers.shear_x, numbers.shear_y)
    shift = np.stack([numbers.shift_y, numbers.shift_x], axis=1)
    return moved_by(about_centre(linear, shift, size), size)


def _draw_affine(
    rng: np.random.Generator, count: int, ranges: tuple[tuple[float, float], ...]
) -> AffineNumbers:
    """Draw evenly from six ranges, all numbers of an image together."""
    low, high = np.array(ranges).T
    return AffineNumbers(*(low + (high - low) * rng.random((count, len(ranges)))).T)


def _shifts(translate: Any, size: Size) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ranges of shifts in x and in y, in pixels."""
    if translate is None:
        return (0.0, 0.0), (0.0, 0.0)
    width, height = translate[0] * size[1], translate[1] * size[0]
    return (-width, width), (-height, height)


def _check_translate(name: str, translate: Any) -> None:
    if translate is None:
        return
    if not isinstance(translate, tuple | list) or len(translate) != 2:
        raise ValueError(f"{name}={translate!r} must be (share of the width, share of the height)")
    for share in translate:
        check_number(f"each of {name}", share)
        if not 0 <= share <= 1:
            raise ValueError(f"{name}={translate!r}: both are shares, from 0 to 1")


def _shears(name: str, shear: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ranges of shears in x and in y, as torchvision reads them."""
    if shear is None:
        return (0.0, 0.0), (0.0, 0.0)
    if isinstance(shear, tuple | list) and len(shear) == 4:
        along = interval(name, shear[:2], low=-89, high=89)
        return along, interval(name, shear[2:], low=-89, high=89)
    return span(name, shear, low=-89, high=89), (0.0, 0.0)


@dataclass(frozen=True, slots=True, repr=False)
class Affine(Written):
    """Rotate, shift, scale and shear about the centre.

    Parameters
    ----------
    degrees
        Rotation: d means from -d to d, a pair (lowest, highest); clockwise.
    translate
        (a, b): shift by up to a * width to either side, and up to b * height up or down.
    scale
        (lowest, highest) factor; above 1 enlarges.
    shear
        Degrees along x: s means from -s to s, a pair its range, four numbers those of x and of y.
    probability
        Share of the images that are changed.

    References
    ----------
    torchvision 0.29, `v2.RandomAffine`; a shift is no whole number of pixels here.

    Examples
    --------
    >>> Affine(15, translate=(0.1, 0.1), scale=(0.8, 1.2))
    Affine(15, translate=(0.1, 0.1), scale=(0.8, 1.2))
    """

    degrees: float | tuple[float, float]
    translate: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    shear: Any = None
    probability: float = 1.0

    def __post_init__(self) -> None:
        self._check_range("degrees")
        _check_translate(self._called("translate"), self.translate)
        if self.scale is not None:
            interval(self._called("scale"), self.scale, low=1e-3)
        _shears(self._called("shear"), self.shear)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> AffineNumbers:
        """Draw six numbers for each image."""
        shears = _shears("shear", self.shear)
        scale = (1.0, 1.0) if self.scale is None else interval("scale", self.scale)
        turns = span("degrees", self.degrees)
        return _draw_affine(rng, count, (turns, *_shifts(self.translate, size), scale, *shears))

    def pull(self, numbers: AffineNumbers, size: Size) -> Pull:
        """Turn about the centre, then shift."""
        return affine_pull(AffineNumbers(*numbers), size)


@dataclass(frozen=True, slots=True, repr=False)
class Rotate(Written):
    """Rotate about the centre, within the frame.

    Parameters
    ----------
    degrees
        d means from -d to d, a pair (lowest, highest); counter-clockwise.
    probability
        Share of the images that are rotated.

    References
    ----------
    torchvision 0.29, `v2.RandomRotation`.

    Examples
    --------
    >>> Rotate(30)
    Rotate(30)
    """

    degrees: float | tuple[float, float]
    probability: float = 1.0

    def __post_init__(self) -> None:
        self._check_range("degrees")
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Column:  # noqa: ARG002
        """Draw the degrees of each image."""
        low, high = span("degrees", self.degrees)
        return low + (high - low) * rng.random(count)

    def pull(self, numbers: Column, size: Size) -> Pull:
        """Turn about the centre."""
        none = np.zeros(len(numbers))
        return affine_pull(AffineNumbers(-numbers, none, none, none + 1, none, none), size)


@dataclass(frozen=True, slots=True, repr=False)
class Translate(Written):
    """Shift by a share of the size.

    Parameters
    ----------
    translate
        (a, b): by up to a * width to either side, and up to b * height up or down.
    probability
        Share of the images that are shifted.

    References
    ----------
    torchvision 0.29, `v2.RandomAffine(0, translate)`; no whole number of pixels here.
    """

    translate: tuple[float, float]
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.translate is None:
            raise ValueError(f"{self._called('translate')}=None: give two shares, as (0.1, 0.1)")
        _check_translate(self._called("translate"), self.translate)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> AffineNumbers:
        """Draw the pixels to the right and down."""
        none, one = (0.0, 0.0), (1.0, 1.0)
        return _draw_affine(rng, count, (none, *_shifts(self.translate, size), one, none, none))

    def pull(self, numbers: AffineNumbers, size: Size) -> Pull:
        """Shift."""
        return affine_pull(AffineNumbers(*numbers), size)


class ScaleNumbers(NamedTuple):
    """Factors of n images, (n,) each."""

    vertical: Column
    horizontal: Column


@dataclass(frozen=True, slots=True, repr=False)
class Scale(Written):
    """Enlarge or shrink about the centre, within the frame.

    Parameters
    ----------
    scale
        (lowest, highest) factor; above 1 enlarges.
    per_axis
        Whether height and width have factors of their own.
    antialias
        Whether what becomes smaller is averaged.
    probability
        Share of the images that are scaled.

    References
    ----------
    torchvision 0.29, `v2.RandomAffine(0, scale=...)`.
    """

    scale: tuple[float, float]
    per_axis: bool = False
    antialias: bool = True
    probability: float = 1.0

    def __post_init__(self) -> None:
        interval(self._called("scale"), self.scale, low=1e-3)
        check_flag(self._called("per_axis"), self.per_axis)
        check_flag(self._called("antialias"), self.antialias)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> ScaleNumbers:  # noqa: ARG002
        """Draw two factors for each image."""
        low, high = interval("scale", self.scale)
        factors = low + (high - low) * rng.random((count, 2))
        return ScaleNumbers(factors[:, 0], factors[:, 1 if self.per_axis else 0])

    def pull(self, numbers: ScaleNumbers, size: Size) -> Pull:
        """Scale about the centre."""
        linear = np.zeros((len(numbers[0]), 2, 2))
        linear[:, 0, 0], linear[:, 1, 1] = 1 / np.asarray(numbers[0]), 1 / np.asarray(numbers[1])
        matrices = about_centre(linear, np.zeros((len(linear), 2)), size)
        return moved_by(matrices, size, antialias=bool(self.antialias))


@dataclass(frozen=True, slots=True, repr=False)
class Shear(Written):
    """Shear about the centre.

    Parameters
    ----------
    shear
        Degrees along x: s means from -s to s, a pair its range, four numbers those of x and of y.
    probability
        Share of the images that are sheared.

    References
    ----------
    torchvision 0.29, `v2.RandomAffine(0, shear=...)`.
    """

    shear: Any
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.shear is None:
            raise ValueError(f"{self._called('shear')}=None: give degrees, such as 10")
        _shears(self._called("shear"), self.shear)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> AffineNumbers:  # noqa: ARG002
        """Draw the degrees along x and along y."""
        none, one = (0.0, 0.0), (1.0, 1.0)
        return _draw_affine(rng, count, (none, none, none, one, *_shears("shear", self.shear)))

    def pull(self, numbers: AffineNumbers, size: Size) -> Pull:
        """Shear about the centre."""
        return affine_pull(AffineNumbers(*numbers), size)
