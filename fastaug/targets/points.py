"""Keypoints: checked, and moved with their image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.geometry import Pull

Pairs = Sequence[tuple[int, int]]


def read_points(keypoints: Any, count: int) -> NDArray[np.float64]:
    """Return keypoints as (n, k, 3) float64: x, y, and a visibility, 1 where none was given.

    Raises
    ------
    ValueError
        For another shape, and for a visible point that is no number.
    """
    points = np.asarray(keypoints)
    if points.ndim != 3 or len(points) != count or points.shape[2] not in (2, 3):
        hint = "; those of objects need boxes, (n, m, 4)" if points.ndim == 4 else ""
        raise ValueError(
            f"keypoints have the shape {points.shape}; for {count} images it is ({count}, k, 2) of "
            f"x and y, or (n, k, 3) with a visibility{hint}"
        )
    return _places(points, ("image", "keypoint"))


def are_of_objects(keypoints: Any) -> bool:
    """Tell whether keypoints are those of objects: (n, m, k, 2 or 3), or a list of (m, k, 2 or 3).

    A list in which no image has any is taken for one.
    """
    if not isinstance(keypoints, list | tuple):
        return np.ndim(keypoints) == 4
    return all(_rank(part) in (3, None) for part in keypoints)


def _rank(value: Any) -> int | None:
    """Return how many axes nested lists have, None where one is empty; they may be ragged."""
    if not isinstance(value, list | tuple):
        return np.ndim(value) if np.size(value) else None
    inside = _rank(value[0]) if value else None
    return None if inside is None else inside + 1


def read_object_points(keypoints: Any, valid: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Return the keypoints of boxes as (n, m, k, 3) float64, and in how many columns they came.

    Parameters
    ----------
    keypoints
        (n, m, k, 2 or 3), or a list of (m, k, 2 or 3).
    valid
        (n, m): which boxes there are.

    Raises
    ------
    ValueError
        For another shape, for points without a box and boxes without points, and for a visible
        point that is no number.
    """
    if len(keypoints) != len(valid):
        raise ValueError(f"keypoints are of {len(keypoints)} images; there are {len(valid)}")
    parts = [_of_one_image(part, image) for image, part in enumerate(keypoints)]
    shapes = {part.shape[1:] for part in parts if part.shape[1]}
    if len(shapes) > 1:
        raise ValueError(
            f"keypoints of objects have the shapes {sorted(shapes)}: all must have as many points"
        )
    count, columns = shapes.pop() if shapes else (0, 3)
    points = np.zeros((*valid.shape, count, 3))
    for image, (part, there) in enumerate(zip(parts, valid, strict=True)):
        boxes, seen = int(np.flatnonzero(there).max(initial=-1)) + 1, len(part)
        rest = part[boxes:]  # padding, if nothing in it is
        visible = rest[..., 2] > 0 if columns == 3 else (rest != -1).any(axis=-1)
        if seen < boxes or visible.any():
            raise ValueError(
                f"image {image} has keypoints of {seen} objects, and {boxes} boxes: there must be "
                "keypoints for each box"
            )
        if boxes:
            points[image, :boxes, :, 2] = 1
            points[image, :boxes, :, :columns] = part[:boxes]
    points[~valid] = 0
    return _places(points, ("image", "object", "keypoint")), columns


def _of_one_image(part: Any, image: int) -> NDArray[Any]:
    """Return the keypoints of an image's objects as (m, k, 2 or 3)."""
    try:
        array = np.asarray(part)
    except ValueError:
        raise ValueError(
            f"image {image}: its objects have different numbers of keypoints; all must have as "
            "many, with a visibility of 0 where there is none"
        ) from None
    if not array.size and array.ndim != 3:
        return np.zeros((0, 0, 3))
    if array.dtype.kind not in "biuf":
        raise ValueError(f"image {image}: keypoints must be numbers, not {array.dtype}")
    if array.ndim != 3 or array.shape[2] not in (2, 3):
        raise ValueError(
            f"image {image}: its keypoints have the shape {array.shape}, not (m, k, 2) of x and y "
            "for each of m boxes, or (m, k, 3) with a visibility"
        )
    return array


def _places(points: NDArray[Any], axes: Sequence[str]) -> NDArray[np.float64]:
    """Return points as float64 with a visibility; ValueError for what is no place."""
    if points.dtype.kind not in "biuf":
        raise ValueError(f"keypoints must be numbers, not {points.dtype}")
    points = points.astype(np.float64)
    if points.shape[-1] == 2:
        points = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)
    wrong = np.argwhere(~np.isfinite(points[..., :2]).all(axis=-1) & (points[..., 2] > 0))
    if len(wrong):
        which = ", ".join(f"{axis} {place}" for axis, place in zip(axes, wrong[0], strict=True))
        raise ValueError(f"{which}: {points[tuple(wrong[0])][:2].tolist()} is no place")
    return points


def check_pairs(flip_pairs: Any) -> tuple[tuple[int, int], ...] | None:
    """Return pairs of point numbers, or None; or raise an error that names the argument."""
    if flip_pairs is None:
        return None
    pairs = tuple(flip_pairs) if isinstance(flip_pairs, list | tuple) else (flip_pairs,)
    for pair in pairs:
        numbers = pair if isinstance(pair, list | tuple) else ()
        whole = all(isinstance(number, int | np.integer) and number >= 0 for number in numbers)
        if len(numbers) != 2 or not whole:
            raise ValueError(
                f"flip_pairs={flip_pairs!r} must be pairs of point numbers, as [(1, 2)]"
            )
    return tuple((int(left), int(right)) for left, right in pairs)


def pairs_of_names(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of points whose names differ by left and right alone.

    Examples
    --------
    >>> pairs_of_names(["nose", "left_eye", "right_eye", "Wrist Left", "wrist right", "left_ear"])
    ((1, 2), (3, 4))
    """
    places = {name.lower(): place for place, name in enumerate(names)}
    mirrored = ((place, name.replace("left", "right")) for name, place in places.items())
    return tuple(
        (place, places[other]) for place, other in mirrored if places.get(other, place) != place
    )


def move_points(points: NDArray[np.float64], pull: Pull, pairs: Pairs) -> NDArray[np.float64]:
    """Return points (n, k, 3) where they are in the output; those outside have a visibility of 0.

    A point at (x, y) is the centre of the pixel in column x and row y.  In images that are mirrored
    the points of each pair change places: a left eye becomes a right one.  Points of objects,
    (n, m, k, 3), do it object by object.
    """
    count, room = len(points), int(np.prod(points.shape[1:-1]))
    places = pull.places(np.nan_to_num(points[..., 1::-1].reshape(count, room, 2)))
    height, width = pull.size
    row, col = np.moveaxis(places.reshape(*points.shape[:-1], 2), -1, 0)
    inside = (row >= -0.5) & (row <= height - 0.5) & (col >= -0.5) & (col <= width - 0.5)
    out = np.empty_like(points)
    out[..., 0], out[..., 1] = np.nan_to_num(col), np.nan_to_num(row)
    out[..., 2] = np.where(inside, points[..., 2], 0)
    if room:
        _swap(out, pull.mirrors, pairs)
    return out


def move_object_points(
    points: NDArray[np.float64], labels: NDArray[Any], pull: Pull, pairs: Sequence[Pairs]
) -> NDArray[np.float64]:
    """Return points of objects (n, m, k, 3) where they are in the output, as `move_points`.

    The objects of each class have pairs of their own: `labels` (n, m) are the numbers of these.
    """
    out = move_points(points, pull, ())
    for kind, some in enumerate(pairs):
        _swap(out, pull.mirrors[:, np.newaxis] & (labels == kind), some)
    return out


def _swap(points: NDArray[np.float64], where: NDArray[np.bool_], pairs: Pairs) -> None:
    """Let the points of each pair change places in some images, (n,), or objects, (n, m)."""
    for left, right in pairs:
        if max(left, right) >= points.shape[-2]:
            raise ValueError(
                f"flip_pairs names the points {left} and {right}; there are {points.shape[-2]}"
            )
        swapped = points[where]
        swapped[..., [left, right], :] = swapped[..., [right, left], :]
        points[where] = swapped


def write_points(points: NDArray[np.float64], columns: int) -> dict[str, NDArray[Any]]:
    """Return {"keypoints"} as they came: (n, k, 3), or (n, k, 2) and "visibility" (n, k) bool.

    Those of objects have an axis more.
    """
    if columns == 3:
        return {"keypoints": points.astype(np.float32)}
    return {
        "keypoints": points[..., :2].astype(np.float32),
        "visibility": points[..., 2] > 0,
    }
