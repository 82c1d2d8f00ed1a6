"""What the transforms share: arguments checked and brought to one form, and how they print."""

from __future__ import annotations

import math
import numbers
from dataclasses import MISSING, fields
from typing import Any

from fastaug.checks import check_integer, check_number, check_share


class Written:
    """Prints as it is written: what differs from the defaults, the first arguments without names.

    Messages of its checks begin with the name of the class.
    """

    __slots__ = ()

    # Whether its repaint takes images of bytes, too; those of users get floats.
    on_bytes = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._written())})"

    def _written(self) -> list[str]:
        words: list[str] = []
        positional = True
        for field in fields(self):  # type: ignore[arg-type]
            value, default = getattr(self, field.name), field.default
            if default is not MISSING and value == default:
                positional = False
                continue
            positional = positional and (not words or isinstance(value, numbers.Real))
            words.append(repr(value) if positional else f"{field.name}={value!r}")
        return words

    def changed(self) -> dict[str, Any]:
        """Return the arguments that differ from the defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)  # type: ignore[arg-type]
            if field.default is MISSING or getattr(self, field.name) != field.default
        }

    def _called(self, name: str) -> str:
        return f"{type(self).__name__}: {name}"

    def _check_probability(self) -> None:
        self._check_share("probability")

    def _check_share(self, name: str) -> None:
        """Check that an argument is from 0 to 1."""
        check_share(self._called(name), getattr(self, name))

    def _check_range(
        self, name: str, *, around: float = 0.0, low: float = -math.inf, high: float = math.inf
    ) -> None:
        """Check that `span` can read an argument, and that it stays between two numbers."""
        span(self._called(name), getattr(self, name), around=around, low=low, high=high)


def span(
    name: str, value: Any, *, around: float = 0.0, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Return the lowest and the highest number that a value stands for.

    A number d means from `around - d` to `around + d`, but not below `low` or above `high`; a pair
    means itself.

    Raises
    ------
    TypeError, ValueError
        That begin with `name`.
    """
    if isinstance(value, numbers.Real):
        check_number(name, value, minimum=0)
        return max(around - float(value), low), min(around + float(value), high)
    return interval(name, value, low=low, high=high)


def interval(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Return a pair of numbers that rise, both between `low` and `high`."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name}={value!r} must be a number, or (lowest, highest)")
    for number in value:
        check_number(f"each of {name}", number)
    first, last = float(value[0]), float(value[1])
    if first > last:
        raise ValueError(f"{name}={value!r}: the first number is the lowest")
    if first < low or last > high:
        raise ValueError(f"{name}={value!r} must be from {low:g} to {high:g}")
    return first, last


def size_of(name: str, value: Any) -> tuple[int, int]:
    """Return (height, width); a whole number means a square."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name}={value!r} must be a whole number, or (height, width)")
    for number in value:
        check_integer(f"each of {name}", number, minimum=1)
    return int(value[0]), int(value[1])


def paddings(name: str, value: Any) -> tuple[int, int, int, int]:
    """Return pixels to the left, above, to the right and below, as torchvision reads them.

    A number means all sides, a pair left and right, and above and below.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,) * 4
    elif isinstance(value, tuple | list) and len(value) == 2:
        value = (*value, *value)
    if not isinstance(value, tuple | list) or len(value) != 4:
        raise ValueError(
            f"{name}={value!r} must be a number of pixels, (left and right, above and below), or "
            "(left, above, right, below)"
        )
    for number in value:
        check_integer(f"each of {name}", number, minimum=0)
    left, above, right, below = (int(number) for number in value)
    return left, above, right, below
