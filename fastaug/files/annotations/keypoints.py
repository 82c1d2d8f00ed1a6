"""COCO's keypoints: what categories declare, and what annotations say."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Item: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The keypoints that objects have; all have as many, padded with points that are not known.

    Attributes
    ----------
    count
        How many: those of the class that has the most.
    names
        Of the points of each class, by its number, or nothing.
    skeletons
        Of each class: pairs of numbers of points, from 0, between which lines are drawn.
    """

    count: int = 0
    names: tuple[tuple[str, ...], ...] = ()
    skeletons: tuple[tuple[tuple[int, int], ...], ...] = ()


class KeypointReader:
    """Reads the keypoints of a COCO file's objects.

    Parameters
    ----------
    categories
        By their ids, in the order of the classes' numbers.
    annotations
        All of the file.
    what
        The file, for messages.

    Raises
    ------
    ValueError
        If there are none, or what a category says of them is nothing of the kind.
    """

    def __init__(
        self, categories: Mapping[Any, Item], annotations: Sequence[Item], what: str
    ) -> None:
        names = {key: _names(item, what) for key, item in categories.items()}
        self._counts = {key: len(some) for key, some in names.items() if some}
        for item in annotations:
            points, category = _given(item), _category(item)
            if isinstance(points, list) and category in names:
                self._counts.setdefault(category, math.ceil(len(points) / 3))
        if not self._counts:
            raise ValueError(
                f"{what} has no keypoints: none of its {len(categories)} categories names any, and "
                f"none of its {len(annotations)} annotations has 'keypoints'"
            )
        self.of_all = Keypoints(
            max(self._counts.values()),
            tuple(names.values()),
            tuple(
                _skeleton(item, self._counts.get(key, 0), what) for key, item in categories.items()
            ),
        )

    def read(self, item: Item, where: str) -> list[float]:
        """Return x, y, visibility of each point of an annotation; zeros where it has none.

        Raises
        ------
        ValueError
            For what is no keypoints, and for an object without, whose category has some.
        """
        points, count = _given(item), self._counts.get(_category(item), 0)
        if not points:
            if count and not item.get("iscrowd") and item.get("num_keypoints") != 0:
                raise ValueError(
                    f"{where} has no 'keypoints', and its category has {count}: an object of which "
                    "none is known has 'num_keypoints' 0"
                )
            points = [0] * (3 * count)
        if not isinstance(points, list) or len(points) != 3 * count:
            found = f"{len(points)} numbers" if isinstance(points, list) else repr(points)
            raise ValueError(
                f"{where}: its keypoints must be {3 * count} numbers, x, y and visibility of each "
                f"of {count}; found {found:.80}"
            )
        for place in range(count):
            x, y, visible = triple = points[3 * place : 3 * place + 3]
            if not all(map(_is_finite, triple)) or visible not in (0, 1, 2):
                raise ValueError(
                    f"{where}: keypoint {place} is {triple!r:.80}; it must be x, y and a "
                    "visibility of 0, 1 or 2"
                )
        padding = [0.0] * (3 * (self.of_all.count - count))
        return [float(number) for number in points] + padding


def _given(item: Any) -> list[Any] | None:
    """Return what an annotation has of keypoints, None for nothing."""
    points = item.get("keypoints") if isinstance(item, Mapping) else None
    return points or None


def _category(item: Any) -> Any:
    """Return the category of an annotation, None where it has none, which is said elsewhere."""
    number = item.get("category_id") if isinstance(item, Mapping) else None
    return number if isinstance(number, int | float | str) else None


def _is_finite(value: Any) -> bool:
    """Tell whether a value is a number that a float can hold."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def _names(category: Item, what: str) -> tuple[str, ...]:
    """Return the names of a category's points, which it may have none of."""
    names = category.get("keypoints") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"{what}: the keypoints of category {category['name']!r} must be a list of names: "
            f"{names!r:.80}"
        )
    return tuple(names)


def _skeleton(category: Item, count: int, what: str) -> tuple[tuple[int, int], ...]:
    """Return the lines between points, from 0; in the file they count from 1."""
    pairs = category.get("skeleton") or []
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        whole = isinstance(pair, list) and all(
            isinstance(number, int) and 1 <= number <= count for number in pair
        )
        if not whole or len(pair) != 2:
            raise ValueError(
                f"{what}: the skeleton of category {category['name']!r} must be pairs of numbers "
                f"from 1 to {count}: {pair!r:.80}"
            )
    return tuple((begin - 1, end - 1) for begin, end in pairs)
