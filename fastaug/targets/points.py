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
        raise ValueError(
            f"keypoints have the shape {points.shape}; for {count} images it is ({count}, k, 2) of "
            "x and y, or (n, k, 3) with a visibility"
        )
    if points.dtype.kind not in "biuf":
        raise ValueError(f"keypoints must be numbers, not {points.dtype}")
    points = points.astype(np.float64)
    if points.shape[2] == 2:
        points = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)
    wrong = np.argwhere(~np.isfinite(points[..., :2]).all(axis=2) & (points[..., 2] > 0))
    if len(wrong):
        image, point = wrong[0]
        raise ValueError(
            f"image {image}, keypoint {point}: {points[image, point, :2].tolist()} is no place"
        )
    return points


def check_pairs(flip_pairs: Any) -> tuple[tuple[int, int], ...]:
    """Return pairs of point numbers, or raise an error that names the argument."""
    pairs = tuple(flip_pairs) if isinstance(flip_pairs, list | tuple) else (flip_pairs,)
    for pair in pairs:
        numbers = pair if isinstance(pair, list | tuple) else ()
        whole = all(isinstance(number, int | np.integer) and number >= 0 for number in numbers)
        if len(numbers) != 2 or not whole:
            raise ValueError(
                f"flip_pairs={flip_pairs!r} must be pairs of point numbers, as [(1, 2)]"
            )
    return tuple((int(left), int(right)) for left, right in pairs)


def move_points(points: NDArray[np.float64], pull: Pull, pairs: Pairs) -> NDArray[np.float64]:
    """Return points (n, k, 3) where they are in the output; those outside have a visibility of 0.

    A point at (x, y) is the centre of the pixel in row y and column x.  In images that are mirrored
    the points of each pair change places: a left eye becomes a right one.
    """
    places = pull.places(np.nan_to_num(points[..., 1::-1]))
    height, width = pull.size
    row, col = places[..., 0], places[..., 1]
    inside = (row >= -0.5) & (row <= height - 0.5) & (col >= -0.5) & (col <= width - 0.5)
    out = np.empty_like(points)
    out[..., 0], out[..., 1] = np.nan_to_num(col), np.nan_to_num(row)
    out[..., 2] = np.where(inside, points[..., 2], 0)
    for left, right in pairs:
        if max(left, right) >= points.shape[1]:
            raise ValueError(
                f"flip_pairs names the points {left} and {right}; there are {points.shape[1]}"
            )
        swapped = out[pull.mirrors]
        swapped[:, [left, right]] = swapped[:, [right, left]]
        out[pull.mirrors] = swapped
    return out


def write_points(points: NDArray[np.float64], columns: int) -> dict[str, NDArray[Any]]:
    """Return {"keypoints"} as they came: (n, k, 3), or (n, k, 2) and "visibility" (n, k) bool."""
    if columns == 3:
        return {"keypoints": points.astype(np.float32)}
    return {
        "keypoints": points[..., :2].astype(np.float32),
        "visibility": points[..., 2] > 0,
    }
