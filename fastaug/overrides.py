"""Which methods of a generator the user has replaced, in a subclass or on an instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., Any])
_OURS: set[Any] = set()


def replaceable(method: _Method) -> _Method:
    """Mark a method of ours; what a user puts in its place is called."""
    _OURS.add(method)
    return method


def replaced(obj: Any, name: str) -> Callable[..., Any] | None:
    """Return an object's method of that name if it isn't ours, else None."""
    method = getattr(obj, name, None)
    # By the function, not by a mark on it, which `functools.wraps` would copy.
    return None if method is None or getattr(method, "__func__", method) in _OURS else method
