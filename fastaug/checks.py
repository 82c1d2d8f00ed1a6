"""Checks of arguments: what was asked, what was found, what would do.  Knows no other module."""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any


def listed(values: Iterable[object]) -> str:
    """Join the accepted values for a message."""
    return ", ".join(repr(value) for value in values)


def check_one_of(name: str, value: object, accepted: Iterable[object]) -> None:
    """Raise a ValueError that names the argument, unless `value` is among `accepted`."""
    accepted = tuple(accepted)
    # A list or an array would make `in` fail or answer with an array.
    if not isinstance(value, str | int | None) or value not in accepted:
        raise ValueError(f"{name}={value!r} is not one of {listed(accepted)}")


def check_number(name: str, value: Any, *, minimum: float = -math.inf) -> None:
    """Raise unless `value` is a finite real number of at least `minimum`."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, not {value!r} ({type(value).__name__})")
    if not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not finite")
    if value < minimum:
        raise ValueError(f"{name}={value!r} is below the smallest accepted value, {minimum}")


def check_share(name: str, value: Any) -> None:
    """Raise unless `value` is a number from 0 to 1."""
    check_number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name}={value!r} must be from 0 to 1")


def check_flag(name: str, value: Any) -> None:
    """Raise unless `value` says yes or no: True, False, 1, 0, or None for no."""
    if hasattr(value, "__len__") or value not in (True, False, None):
        raise TypeError(f"{name}={value!r} is neither True nor False")


def check_integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> None:
    """Raise unless `value` is an integer from `minimum` to `maximum`, both accepted."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, not {value!r} ({type(value).__name__})")
    if int(value) < minimum or (maximum is not None and int(value) > maximum):
        span = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name}={value!r} is out of range: it must be {span}")


def check_pair(name: str, value: Any) -> tuple[float, float]:
    """Return `value` as a pair of finite numbers, or raise an error that names the argument."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"`{name}` should be a tuple or list of two floats. Received: {value!r}")
    for number in value:
        check_number(f"each of the two in `{name}`", number)
    return value[0], value[1]


def check_optional(check: Callable[..., Any], name: str, value: Any) -> None:
    """Check a value unless it is None."""
    if value is not None:
        check(name, value)


def whole_pair(name: str, value: Any) -> tuple[int, int]:
    """Return two positive whole numbers from whatever holds them: a list, an array, a tensor ...

    The values of a mapping count.  Raises a ValueError or a TypeError that names the argument.
    """
    try:
        if isinstance(value, str | bytes | Set):  # a set has no order
            raise TypeError
        items = list(value.values() if isinstance(value, Mapping) else value)
    except TypeError:
        items = []
    if len(items) != 2:
        raise ValueError(f"{name}={value!r} must be (height, width)")
    try:
        first, second = (item if isinstance(item, bool) else operator.index(item) for item in items)
    except TypeError:
        first, second = items
    for number in (first, second):
        check_integer(f"each of {name} (height, width)", number, minimum=1)
    return int(first), int(second)


def folder_path(name: str, value: Any) -> str:
    """Return a path as a string: of a string, bytes, or whatever has `__fspath__`."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{name}={value!r} is not the name of a folder")
    return os.fsdecode(value)
