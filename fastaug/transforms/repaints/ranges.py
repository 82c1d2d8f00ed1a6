"""Ranges that numbers are drawn from, and their checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer, check_number, check_pair


def check_range(
    name: str, value: Any, minimum: float, maximum: float | None = None, *, whole: bool = False
) -> None:
    """Raise unless `value` is a number, or a pair of numbers, from `minimum` to `maximum`.

    Raises
    ------
    TypeError
        If it is no number, or no whole one where that is asked for.
    ValueError
        If a number is out of range, or the first of a pair is larger than the second.
    """
    pair: tuple[Any, Any] = (value, value) if np.isscalar(value) else check_pair(name, value)
    for number in pair:
        if whole:
            check_integer(name, number, minimum=int(minimum))
        else:
            check_number(name, number)
        if number < minimum or (maximum is not None and number > maximum):
            span = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise ValueError(f"{name}={value!r} is out of range: it must be {span}")
    if pair[0] > pair[1]:
        raise ValueError(f"{name}={value!r}: the first number is larger than the second")


def bounds(value: Any) -> tuple[Any, Any]:
    """Return a number or a pair as a pair."""
    return (value, value) if np.isscalar(value) else (value[0], value[1])


def between(uniform: NDArray[np.float64], value: Any) -> NDArray[np.float64]:
    """Map numbers from [0, 1) to a number or a range of numbers."""
    low, high = bounds(value)
    return low + (high - low) * uniform


def whole_between(uniform: NDArray[np.float64], value: Any) -> NDArray[np.int64]:
    """Map numbers from [0, 1) to whole numbers of a range, with both its ends."""
    low, high = bounds(value)
    return (low + np.floor((np.asarray(high) - low + 1) * uniform)).astype(np.int64)


def seeds_of(uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Map numbers from [0, 1) to seeds of 53 bits: all that a double holds, and JSON, too."""
    return (uniform * 2.0**53).astype(np.int64)
