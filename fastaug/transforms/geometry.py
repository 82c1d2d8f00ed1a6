"""Where the pixels of a batch come from: all of its geometry, as one pull.

A pull matrix (3, 3), float64, maps an output position (row, col, 1) to the source position that it
takes its value from, up to a factor.  Pixels have their centres at whole numbers, so a picture
reaches from -0.5 to its height or width less 0.5.  Knows no pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrices: TypeAlias = NDArray[np.float64]
Size: TypeAlias = tuple[int, int]  # height, width
# (n, k, 4): left, top, right, bottom in pixels, from the outer corner of the first pixel.
Boxes: TypeAlias = NDArray[np.float64]

_EDGE_POINTS = 9  # of a box's side, where lines become curves
_ROUNDS = 12  # of the search for the place that an offset moved


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """Where the pixels of n images come from.

    An output position is flipped first, then pulled through the matrix, and then its offset is
    added.

    Attributes
    ----------
    matrices
        (n, 3, 3) float64 pull matrices in (row, col, 1).
    moved
        (n,) bool: whose matrix is more than the identity.  The others are copied; they keep their
        size.
    flips
        (n, 2) bool: upside down, left to right.  Kept apart from the matrix, because they are
        exact: (width - 1 - col) * a rounds otherwise than col * -a.
    size
        Height and width of the output.
    offsets
        (n, height, width, 2) float32, rows and columns, for every position of the output as it is
        before its flip; or None.
    extends
        Whether a picture reaches half a pixel beyond its outermost centres, as in Pillow and
        OpenCV; for Keras and SciPy it ends there.  A policy with moves of our own sets it.
    antialias
        Whether what becomes smaller is averaged.
    """

    matrices: Matrices
    moved: NDArray[np.bool_]
    flips: NDArray[np.bool_]
    size: Size
    offsets: NDArray[np.float32] | None = None
    extends: bool = False
    antialias: bool = False

    def __len__(self) -> int:
        return len(self.matrices)

    def tidied(self) -> Pull:
        """Return the same with arrays as the kernels take them, which compile anew for others."""
        offsets = self.offsets
        return replace(
            self,
            matrices=np.ascontiguousarray(self.matrices, np.float64),
            moved=np.ascontiguousarray(self.moved, np.bool_),
            flips=np.ascontiguousarray(self.flips, np.bool_),
            offsets=None if offsets is None else np.ascontiguousarray(offsets, np.float32),
        )

    def where(self, applied: NDArray[np.bool_]) -> Pull:
        """Return a pull that leaves the other images as they are; the size must not change."""
        if applied.all():
            return self
        offsets = self.offsets
        if offsets is not None:
            offsets = np.where(applied[:, np.newaxis, np.newaxis, np.newaxis], offsets, 0)
        return replace(
            self,
            matrices=np.where(applied[:, np.newaxis, np.newaxis], self.matrices, np.eye(3)),
            moved=self.moved & applied,
            flips=self.flips & applied[:, np.newaxis],
            offsets=offsets,
        )

    def after(self, first: Pull) -> Pull:
        """Return both as one: images go through `first`, then through this."""
        # Flips in between join the matrix where something is moved behind them.
        joined = self.moved & first.flips.any(axis=1)
        between = np.where(joined[:, np.newaxis], first.flips, False)
        inner = first.matrices @ _flip_matrices(between, first.size)
        matrices = inner @ self.matrices
        return Pull(
            np.ascontiguousarray(matrices),
            first.moved | self.moved,
            self.flips ^ (first.flips & ~between),
            self.size,
            self._joined_offsets(first, between, inner, matrices),
            self.extends or first.extends,
            self.antialias or first.antialias,
        )

    def _joined_offsets(
        self, first: Pull, between: NDArray[np.bool_], inner: Matrices, matrices: Matrices
    ) -> NDArray[np.float32] | None:
        """Return the offsets of both: how far a place of the source is from where it would be."""
        if self.offsets is None and first.offsets is None:
            return None
        offsets = np.empty((len(self), *self.size, 2), np.float32)
        for i in range(len(self)):
            middle = positions(self.matrices[i], self.size)
            if self.offsets is not None:
                middle = middle + np.moveaxis(self.offsets[i], -1, 0)
            source = _pulled(inner[i], middle)
            if first.offsets is not None:
                source = source + _sampled(
                    first.offsets[i], _flipped(middle, between[i], first.size)
                )
            offsets[i] = np.moveaxis(source - positions(matrices[i], self.size), 0, -1)
        return offsets

    def places(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return where points of the sources, (n, k, 2) rows and columns, are in the output.

        A point behind the horizon of a perspective is NaN.
        """
        points = np.asarray(points, np.float64)
        push = _inverses(self.matrices)
        if self.offsets is None:
            places = _pushed(push, points)
        else:
            places = np.stack(
                [self._searched(i, push[i], points[i]) for i in range(len(self))]
            ).reshape(points.shape)
        places = np.where(self.moved[:, np.newaxis, np.newaxis], places, points)
        mirrored = np.array(self.size) - 1 - places
        return np.where(self.flips[:, np.newaxis, :], mirrored, places)

    def _searched(
        self, i: int, push: NDArray[np.float64], points: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Look for the places whose offset leads to the points of image i, (k, 2)."""
        assert self.offsets is not None
        places = _pushed(push[np.newaxis], points[np.newaxis])[0]
        for _ in range(_ROUNDS):
            offsets = _sampled(self.offsets[i], places.T).T
            places = _pushed(push[np.newaxis], (points - offsets)[np.newaxis])[0]
        return places

    @property
    def mirrors(self) -> NDArray[np.bool_]:
        """Whether left and right change places, (n,) bool: it turns the other way round."""
        linear = self.matrices[:, :2, :2]
        turned = np.linalg.det(linear) * np.sign(self.matrices[:, 2, 2]) < 0
        return turned ^ (self.flips.sum(axis=1) % 2 == 1)


def boxes_after(boxes: Boxes, pull: Pull) -> Boxes:
    """Return the boxes around what boxes (n, k, 4) become; NaN where one has no place, or is NaN.

    They may reach out of the output.
    """
    count, room = boxes.shape[:2]
    steps = np.linspace(0, 1, 2 if pull.offsets is None else _EDGE_POINTS)
    down, across = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    left, top, right, bottom = np.moveaxis(boxes[..., np.newaxis], -2, 0)
    rows = top + (bottom - top) * down - 0.5
    cols = left + (right - left) * across - 0.5
    points = np.stack([rows, cols], axis=-1).reshape(count, -1, 2)
    places = pull.places(points).reshape(count, room, -1, 2) + 0.5
    low, high = places.min(axis=2), places.max(axis=2)
    return np.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0]], axis=-1)


@lru_cache(maxsize=64)
def still(count: int, size: Size) -> Pull:
    """Return a pull that leaves so many images as they are; nobody changes its arrays."""
    matrices = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    return Pull(matrices, np.zeros(count, bool), np.zeros((count, 2), bool), size)


def flipped(chosen: NDArray[np.bool_], size: Size) -> Pull:
    """Return a pull that flips: (n, 2) bool, upside down and left to right."""
    plain = still(len(chosen), size)
    return Pull(plain.matrices, plain.moved, chosen, size)


def moved_by(matrices: Matrices, size: Size, *, antialias: bool = False) -> Pull:
    """Return a pull through matrices (n, 3, 3) to an output of that size, all images moved."""
    count = len(matrices)
    flips = np.zeros((count, 2), bool)
    return Pull(matrices, np.ones(count, bool), flips, size, antialias=antialias)


def about_centre(linear: Matrices, shift: NDArray[np.float64], size: Size) -> Matrices:
    """Return pull matrices (n, 3, 3) that turn about the centre of a picture, and shift it.

    Parameters
    ----------
    linear
        (n, 2, 2) from an output direction (row, col) to one of the source.
    shift
        (n, 2) rows and columns by which the picture moves in the output.
    """
    centre = (np.array(size) - 1) / 2
    matrices = np.zeros((len(linear), 3, 3))
    matrices[:, :2, :2], matrices[:, 2, 2] = linear, 1
    matrices[:, :2, 2] = centre - np.einsum("nij,nj->ni", linear, centre + shift)
    return matrices


def stretched(boxes: NDArray[np.float64], size: Size) -> Matrices:
    """Return pull matrices that show boxes (n, 4) of the source, top left bottom right, in `size`.

    Boxes are in units of pixels from the picture's upper left corner, as in `Image.resize`.
    """
    matrices = np.zeros((len(boxes), 3, 3))
    for axis in range(2):
        step = (boxes[:, axis + 2] - boxes[:, axis]) / size[axis]
        matrices[:, axis, axis] = step
        matrices[:, axis, 2] = boxes[:, axis] + step / 2 - 0.5
    matrices[:, 2, 2] = 1
    return matrices


def _flip_matrices(flips: NDArray[np.bool_], size: Size) -> Matrices:
    """Return what flips do, as (n, 3, 3) matrices."""
    matrices = np.broadcast_to(np.eye(3), (len(flips), 3, 3)).copy()
    for axis in range(2):
        matrices[flips[:, axis], axis, axis] = -1
        matrices[flips[:, axis], axis, 2] = size[axis] - 1
    return matrices


def _flipped(
    places: NDArray[np.float64], flips: NDArray[np.bool_], size: Size
) -> NDArray[np.float64]:
    """Return places (2, ...), rows and columns, after flips."""
    return np.stack(
        [size[axis] - 1 - places[axis] if flips[axis] else places[axis] for axis in range(2)]
    )


def _pulled(matrix: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places (2, ...) pulled through a matrix; NaN where they have no finite place."""
    rows, cols, weights = (
        of_axis[2] + places[0] * of_axis[0] + places[1] * of_axis[1] for of_axis in matrix
    )
    if is_affine(matrix):
        return np.stack([rows, cols])
    visible = weights > 0 if matrix[2, 2] > 0 else weights < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(visible, np.stack([rows, cols]) / weights, np.nan)


def _inverses(matrices: Matrices) -> Matrices:
    """Return the ways back; NaN where there is none."""
    singular = np.linalg.det(matrices) == 0
    inverses = np.linalg.inv(np.where(singular[:, np.newaxis, np.newaxis], np.eye(3), matrices))
    inverses[singular] = np.nan
    return inverses


def _pushed(push: Matrices, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (n, k, 2) after matrices (n, 3, 3); NaN behind the horizon."""
    row, col = points[..., 0, np.newaxis], points[..., 1, np.newaxis]
    mapped = push[:, np.newaxis, :, 0] * row + push[:, np.newaxis, :, 1] * col
    mapped = mapped + push[:, np.newaxis, :, 2]
    # What is seen has the weight's sign of the matrices, whose last number is about 1.
    weight = np.where(mapped[..., 2:] > 0, mapped[..., 2:], np.nan)
    return mapped[..., :2] / weight


def _sampled(offsets: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a field (height, width, 2) at places (2, ...), linear between pixels: (2, ...)."""
    height, width = offsets.shape[:2]
    row = np.clip(np.nan_to_num(places[0]), 0, height - 1)
    col = np.clip(np.nan_to_num(places[1]), 0, width - 1)
    above = np.minimum(row.astype(np.intp), max(height - 2, 0))
    before = np.minimum(col.astype(np.intp), max(width - 2, 0))
    below, behind = np.minimum(above + 1, height - 1), np.minimum(before + 1, width - 1)
    lower, far = (row - above)[..., np.newaxis], (col - before)[..., np.newaxis]
    upper = offsets[above, before] * (1 - far) + offsets[above, behind] * far
    under = offsets[below, before] * (1 - far) + offsets[below, behind] * far
    return np.moveaxis(upper * (1 - lower) + under * lower, -1, 0)


def is_affine(matrix: NDArray[np.float64]) -> bool:
    """Tell whether a (3, 3) matrix keeps parallel lines parallel: its last row is (0, 0, 1)."""
    return bool(matrix[2, 0] == 0 and matrix[2, 1] == 0 and matrix[2, 2] == 1)


def positions(matrix: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Return the source positions of all output pixels: (2, height, width), rows and columns.

    As in the kernels, and in OpenCV's `warpPerspective`, a pixel at infinity comes from (0, 0).
    """
    row, col = np.indices(size, np.float64)
    along_row, along_col, weights = (
        of_axis[2] + row * of_axis[0] + col * of_axis[1] for of_axis in matrix
    )
    finite = weights != 0
    return np.stack(
        [
            np.divide(along, weights, out=np.zeros(size), where=finite)
            for along in (along_row, along_col)
        ]
    )
