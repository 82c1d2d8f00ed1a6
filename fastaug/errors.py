"""What can go wrong, worded once.

Every message says what was asked, what was found and what would do.  This module knows no other.
"""

from __future__ import annotations

import math
import numbers
import sys
import warnings
from collections.abc import Iterable
from typing import Any


class DecodeError(OSError, ValueError):
    """An image file could not be read.

    Parameters
    ----------
    path
        Full path of the file; also in the message, because TensorFlow replaces exception types
        but keeps their text.
    reason
        What the decoder said.

    Attributes
    ----------
    others
        The errors of other files of the same batch.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.others: tuple[DecodeError, ...] = ()
        super().__init__(f"cannot read the image {path!r}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class ColumnError(KeyError, ValueError):
    """A data frame has no such column."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show the message in quotes


class WorkerError(RuntimeError):
    """The pool of decode processes cannot do its work, for a reason that is no file's fault."""


def users_stacklevel() -> int:
    """Return the `stacklevel` with which the caller's warning names the user's line, not ours."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals["__name__"].partition(".")[0] == "fastaug" and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def warn_of_file(path: str, notice: str) -> None:
    """Tell the user something about a file that could be read."""
    warnings.warn(f"{path!r}: {notice}", stacklevel=users_stacklevel())


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
        raise ValueError(f"{name} should be a tuple or list of two floats. Received: {value!r}")
    for number in value:
        check_number(f"each of the two in {name}", number)
    return value[0], value[1]
