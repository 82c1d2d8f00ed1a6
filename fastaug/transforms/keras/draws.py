"""What Keras draws for each image: its ranges, and the numbers that come out of its stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.streams import LegacyRng

Floats: TypeAlias = NDArray[np.float64]
ShiftRange: TypeAlias = float | int | list[Any] | tuple[Any, ...] | NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """What may be drawn: the ranges of ImageDataGenerator, checked (degrees, pixels, fractions).

    Compared by identity, which makes it a quick key.
    """

    rotation: float
    height_shift: ShiftRange
    width_shift: ShiftRange
    shear: float
    zoom: tuple[float, float]
    horizontal_flip: bool
    vertical_flip: bool
    channel_shift: float
    brightness: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Draws:
    """What was drawn for a batch of n images; every array has shape (n,).

    The names are those of Keras' dictionary of parameters: `theta` and `shear` in degrees, `tx`
    (from the *height* range) and `ty` (from the *width* range) in pixels, `zx` and `zy` as
    factors.  `channel_shift_intensity` and `brightness` are None where they are off.
    """

    theta: Floats
    tx: Floats
    ty: Floats
    shear: Floats
    zx: Floats
    zy: Floats
    flip_horizontal: NDArray[np.bool_]
    flip_vertical: NDArray[np.bool_]
    channel_shift_intensity: Floats | None
    brightness: Floats | None

    def __len__(self) -> int:
        return len(self.theta)

    def values(self) -> list[Floats]:
        """Return the numbers of what changes values and is on, in Keras' order."""
        drawn = self.channel_shift_intensity, self.brightness
        return [numbers for numbers in drawn if numbers is not None]

    def parameters(self, i: int) -> dict[str, Any]:
        """Return image i's draws as the dictionary of Keras' `get_random_transform`."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: None if array is None else array[i].item() for name, array in values.items()}


def draw_batch(ranges: Ranges, rng: LegacyRng, count: int, height: int, width: int) -> Draws:
    """Draw for `count` images what Keras 3.15's `get_random_transform` draws, in its order.

    Keras draws image by image.  As long as every number is one double, that is the order of one
    `random_sample((count, numbers))`.  Integer and array shift ranges use `choice`, which takes a
    varying number of bits: then we draw image by image too.
    """
    if _is_choice(ranges.height_shift) or _is_choice(ranges.width_shift):
        rows = [_draw_image(ranges, rng, height, width) for _ in range(count)]
        numbers = 8 + (ranges.channel_shift != 0) + (ranges.brightness is not None)
        columns = list(np.array(rows, dtype=np.float64).reshape(count, numbers).T)
    else:
        columns = _draw_doubles(ranges, rng, count, height, width)
    return _name_columns(ranges, columns)


def _is_choice(shift: ShiftRange) -> bool:
    """Tell whether Keras draws the shift with `choice` (an integer, a list) or `uniform`."""
    return not isinstance(shift, float)


def _draw_doubles(
    ranges: Ranges, rng: LegacyRng, count: int, height: int, width: int
) -> list[Floats]:
    """Draw all numbers of a batch at once; the columns come in the order of `_name_columns`.

    A double d in [0, 1) becomes (low + (high - low) * d) * unit, as with NumPy's `uniform`, to the
    last bit.
    """
    constants, low, span, unit = _spans(ranges, height, width)
    doubles = rng.random_sample((count, len(low)))
    columns = iter((low + np.ascontiguousarray(doubles.T) * span) * unit)
    return [next(columns) if one is None else _constant(count, one) for one in constants]


@lru_cache(maxsize=64)
def _constant(count: int, value: float) -> Floats:
    """Return an array of the same number, which nobody changes."""
    return np.full(count, value)


@lru_cache(maxsize=64)
def _never(count: int) -> NDArray[np.bool_]:
    """Return an array of False, which nobody changes."""
    return np.zeros(count, np.bool_)


@lru_cache(maxsize=64)
def _spans(
    ranges: Ranges, height: int, width: int
) -> tuple[list[float | None], Floats, Floats, Floats]:
    """Return how to map doubles: (constants, low, span, unit), the last three (drawn numbers, 1).

    `constants` has an entry for each column: None where a number is drawn for it.
    """
    extents: list[tuple[Any, int]] = [(ranges.rotation, 1), (ranges.height_shift, height)]
    extents += [(ranges.width_shift, width), (ranges.shear, 1)]
    spans: list[tuple[float | None, float, float, float]] = [
        (None if extent else 0.0, -extent, extent, size if extent < 1 else 1)
        for extent, size in extents
    ]
    spans += [(1.0 if tuple(ranges.zoom) == (1, 1) else None, *ranges.zoom, 1)] * 2
    spans += [(None, 0, 1, 1)] * 2  # the flips are drawn even when they are off
    if ranges.channel_shift != 0:
        spans.append((None, -ranges.channel_shift, ranges.channel_shift, 1))
    if ranges.brightness is not None:
        spans.append((None, *ranges.brightness, 1))
    low, high, unit = np.array([span[1:] for span in spans if span[0] is None], np.float64).T
    columns = low[:, np.newaxis], (high - low)[:, np.newaxis], unit[:, np.newaxis]
    return [span[0] for span in spans], *columns


def _draw_image(ranges: Ranges, rng: LegacyRng, height: int, width: int) -> list[float]:
    """Draw one image's numbers, call by call as Keras does."""
    values = [rng.uniform(-ranges.rotation, ranges.rotation) if ranges.rotation else 0]
    values.append(_draw_shift(ranges.height_shift, rng, height))
    values.append(_draw_shift(ranges.width_shift, rng, width))
    values.append(rng.uniform(-ranges.shear, ranges.shear) if ranges.shear else 0)
    values.extend((1, 1) if tuple(ranges.zoom) == (1, 1) else rng.uniform(*ranges.zoom, 2))
    values.extend(rng.random_sample(2))
    if ranges.channel_shift != 0:
        values.append(rng.uniform(-ranges.channel_shift, ranges.channel_shift))
    if ranges.brightness is not None:
        values.append(rng.uniform(*ranges.brightness))
    return values


def _draw_shift(extent: ShiftRange, rng: LegacyRng, size: int) -> float:
    """Draw one shift in pixels; fractions (every value below 1) count in image sizes."""
    if np.size(extent) == 0 or (np.ndim(extent) == 0 and not extent):
        return 0.0
    if _is_choice(extent):
        shift = rng.choice(extent)
        shift = shift * rng.choice([-1, 1])
    else:
        shift = rng.uniform(-extent, extent)  # type: ignore[operator]
    return float(shift * size if np.max(extent) < 1 else shift)


def _name_columns(ranges: Ranges, columns: list[Floats]) -> Draws:
    """Give the drawn columns their names; flips happen below one half, where they are on."""
    theta, tx, ty, shear, zx, zy, horizontal, vertical, *rest = columns
    remaining = iter(rest)
    return Draws(
        theta, tx, ty, shear, zx, zy,
        flip_horizontal=horizontal < 0.5 if ranges.horizontal_flip else _never(len(theta)),
        flip_vertical=vertical < 0.5 if ranges.vertical_flip else _never(len(theta)),
        channel_shift_intensity=next(remaining) if ranges.channel_shift != 0 else None,
        brightness=next(remaining) if ranges.brightness is not None else None,
    )  # fmt: skip
