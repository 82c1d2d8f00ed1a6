"""Lists of transforms as plain dictionaries, for JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from fastaug.transforms.base import Transform
from fastaug.transforms.listing import check_transforms, named_transform

VERSION = 1


def to_dict(transforms: Sequence[Transform]) -> dict[str, Any]:
    """Return {"version", "transforms"}: each with its name and what differs from its defaults.

    Raises
    ------
    TypeError
        For a transform that is not one of fastaug's.

    Examples
    --------
    >>> from fastaug import transforms as T
    >>> to_dict([T.HorizontalFlip()])
    {'version': 1, 'transforms': [{'name': 'HorizontalFlip'}]}
    """
    check_transforms("transforms", transforms)
    return {"version": VERSION, "transforms": [_plain(transform) for transform in transforms]}


def from_dict(value: Mapping[str, Any]) -> list[Transform]:
    """Return the transforms of a dictionary from `to_dict`, or from JSON.

    Raises
    ------
    ValueError, TypeError
        For another version, and for unknown names, with the near ones.
    """
    if not isinstance(value, Mapping) or "transforms" not in value:
        raise TypeError(f"{value!r} is no dictionary with 'version' and 'transforms'")
    if value.get("version") != VERSION:
        raise ValueError(
            f"this is version {value.get('version')!r} of the format; known is version {VERSION}"
        )
    return [_made(item) for item in value["transforms"]]


def _plain(value: Any) -> Any:
    if hasattr(value, "changed") and hasattr(value, "__dataclass_fields__"):
        named_transform(type(value).__name__)  # raises for a stranger
        return {"name": type(value).__name__} | {
            name: _plain(argument) for name, argument in value.changed().items()
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{value!r} has no plain form: only fastaug's own transforms do")


def _made(item: Any) -> Any:
    if isinstance(item, Mapping):
        given = dict(item)
        kind: Any = named_transform(str(given.pop("name", None)))
        known = {field.name for field in fields(kind)}
        if set(given) - known:
            raise ValueError(
                f"{kind.__name__} has no {sorted(set(given) - known)}; it takes {sorted(known)}"
            )
        return kind(**{name: _made(argument) for name, argument in given.items()})
    if isinstance(item, list):
        return tuple(_made(part) for part in item)
    return item
