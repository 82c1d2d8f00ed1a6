"""Boxes: formats, checks, and what a draw does to them.

Inside, boxes are xyxy in pixels: (n, k, 4) float64 of left, top, right, bottom, counted from the
outer corner of the first pixel, so that a whole picture is (0, 0, width, height).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer, check_number, check_one_of, check_share
from fastaug.transforms.base import Partners
from fastaug.transforms.geometry import Boxes, Pull, Size, boxes_after

# As `keras.utils.bounding_boxes` in Keras 3.15 names them.
FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)
_TOLERANCE = 1e-3  # pixels that rounding may put a box outside


def to_xyxy(boxes: NDArray[Any], box_format: str, size: Size) -> Boxes:
    """Return boxes (..., 4) of a format as xyxy in pixels of pictures of a size."""
    boxes = np.asarray(boxes, np.float64)
    kind = box_format.removeprefix("rel_")
    if box_format.startswith("rel_"):
        height, width = size
        boxes = boxes * ((height, width) * 2 if kind == "yxyx" else (width, height) * 2)
    if kind in ("yxyx", "center_yxhw"):
        boxes = boxes[..., [1, 0, 3, 2]]
    if kind in ("center_xywh", "center_yxhw"):
        start = boxes[..., :2] - boxes[..., 2:] / 2
        return np.concatenate([start, start + boxes[..., 2:]], axis=-1)
    if kind == "xywh":
        return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)
    return boxes


def from_xyxy(boxes: Boxes, box_format: str, size: Size) -> Boxes:
    """Return boxes (..., 4), xyxy in pixels of pictures of a size, in a format."""
    kind = box_format.removeprefix("rel_")
    if kind == "xywh":
        boxes = np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)
    elif kind in ("center_xywh", "center_yxhw"):
        sides = boxes[..., 2:] - boxes[..., :2]
        boxes = np.concatenate([boxes[..., :2] + sides / 2, sides], axis=-1)
    if kind in ("yxyx", "center_yxhw"):
        boxes = boxes[..., [1, 0, 3, 2]]
    if box_format.startswith("rel_"):
        height, width = size
        boxes = boxes / ((height, width) * 2 if kind == "yxyx" else (width, height) * 2)
    return boxes


@dataclass(frozen=True, slots=True)
class BoxRules:
    """How boxes come, go, and are dropped.

    Parameters
    ----------
    box_format
        One of FORMATS.
    max_boxes
        How many boxes of an image there are room for in a batch; None: as many as came.
    min_visibility
        Share of a box's area, 0 to 1, that must be left in the picture.
    min_area
        Square pixels that must be left.
    """

    box_format: str = "xyxy"
    max_boxes: int | None = None
    min_visibility: float = 0.0
    min_area: float = 0.0

    def __post_init__(self) -> None:
        check_one_of("bounding_box_format", self.box_format, FORMATS)
        if self.max_boxes is not None:
            check_integer("max_boxes", self.max_boxes, minimum=1)
        check_share("min_visibility", self.min_visibility)
        check_number("min_area", self.min_area, minimum=0)


@dataclass(frozen=True, slots=True, eq=False)
class BoxBatch:
    """Boxes of n images: (n, k, 4) xyxy in pixels, their labels (n, k), and which there are.

    `points` are the keypoints of what is in the boxes, (n, k, points, 3) of x, y, visibility, if
    they have any: they go where their boxes go, and are dropped with them.
    """

    boxes: Boxes
    labels: NDArray[Any]
    valid: NDArray[np.bool_]
    points: NDArray[np.float64] | None = None

    @property
    def there(self) -> Boxes:
        """The boxes, NaN where there are none: as transforms see them."""
        return np.where(self.valid[..., np.newaxis], self.boxes, np.nan)

    def without(self, kept: NDArray[np.bool_] | None) -> BoxBatch:
        """Return the same without boxes that a transform dropped; None: it dropped none."""
        return self if kept is None else replace(self, valid=self.valid & kept)

    def of_rows(self, rows: NDArray[np.intp]) -> BoxBatch:
        """Return those of some images."""
        points = None if self.points is None else self.points[rows]
        return BoxBatch(self.boxes[rows], self.labels[rows], self.valid[rows], points)

    def packed(self, room: int) -> BoxBatch:
        """Return the same with those that there are in front, in `room` places."""
        order = np.argsort(~self.valid, axis=1, kind="stable")
        valid = np.take_along_axis(self.valid, order, axis=1)
        most = int(valid.sum(axis=1).max(initial=0))
        if most > room:
            raise ValueError(
                f"max_boxes={room}: an image of this batch has {most} boxes; give more room, or "
                "drop small ones with min_area or min_visibility"
            )
        images = np.arange(len(valid))[:, np.newaxis]
        missing = max(0, room - valid.shape[1])

        def placed(values: NDArray[Any]) -> NDArray[Any]:
            pad = ((0, 0), (0, missing), *[(0, 0)] * (values.ndim - 2))
            return np.pad(values[images, order], pad)[:, :room]

        points = None if self.points is None else placed(self.points)
        return BoxBatch(placed(self.boxes), placed(self.labels), placed(self.valid), points)


def read_boxes(boxes: Any, labels: Any, count: int, size: Size, rules: BoxRules) -> BoxBatch:
    """Check boxes of `count` images of a size.

    Parameters
    ----------
    boxes
        (n, k, 4), padded with -1, or a list of (k, 4); or a mapping of "boxes" and "labels".
    labels
        (n, k), padded with -1, or a list; None: without labels.

    Raises
    ------
    ValueError
        That names the image and the values: for what is no box, or lies outside its picture.
    """
    if isinstance(boxes, Mapping):
        if set(boxes) - {"boxes", "labels"} or "boxes" not in boxes:
            raise ValueError(
                f"bounding_boxes has the keys {sorted(map(str, boxes))}; they must be 'boxes' and "
                "'labels'"
            )
        boxes, labels = boxes["boxes"], boxes.get("labels", labels)
    padded = _padded("boxes", boxes, count, -1.0, 4)
    room = padded.shape[1]
    kinds = (
        np.zeros((count, room)) if labels is None else _padded("labels of boxes", labels, count, -1)
    )
    if kinds.shape != padded.shape[:2]:
        raise ValueError(
            f"boxes of the shape {padded.shape} and labels of the shape {kinds.shape}: there must "
            "be a label for each box"
        )
    valid = ~(padded == -1).all(axis=-1)
    if labels is not None:
        valid &= kinds != -1
    xyxy = to_xyxy(padded, rules.box_format, size)
    _check_boxes(xyxy, padded, valid, size, rules.box_format)
    height, width = size
    xyxy = np.clip(xyxy, 0, (width, height, width, height))
    return BoxBatch(np.where(valid[..., np.newaxis], xyxy, 0.0), kinds, valid)


def _padded(name: str, values: Any, count: int, fill: float, last: int | None = None) -> Any:
    """Return values of `count` images as one array, padded where images have fewer."""
    if isinstance(values, Sequence) or (isinstance(values, np.ndarray) and values.dtype == object):
        parts = [np.asarray(part) for part in values]
        parts = [part.reshape(0, last) if last and not part.size else part for part in parts]
        room = max((len(part) for part in parts if part.ndim), default=0)
        shape = (len(parts), room) if last is None else (len(parts), room, last)
        kinds = [part.dtype for part in parts if part.size]
        array = np.full(shape, fill, np.result_type(*kinds) if kinds else np.float64)
        if array.dtype.kind in "ub" and fill < 0:
            array = np.full(shape, fill, np.int64)
        for row, part in zip(array, parts, strict=True):
            if part.ndim != array.ndim - 1 or (last and part.shape[-1] != last):
                raise ValueError(f"{name} of an image have the shape {part.shape}, not (k, 4)")
            row[: len(part)] = part
    else:
        array = np.asarray(values)
    rank = 2 if last is None else 3
    if array.ndim != rank or len(array) != count or (last and array.shape[-1] != last):
        wanted = f"({count}, k{f', {last}' if last else ''})"
        raise ValueError(f"{name} have the shape {array.shape}; for {count} images it is {wanted}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, not {array.dtype}")
    return array


def _check_boxes(
    xyxy: Boxes, given: NDArray[Any], valid: NDArray[np.bool_], size: Size, box_format: str
) -> None:
    """Raise unless all boxes are some, inside their pictures."""
    height, width = size
    left, top, right, bottom = np.moveaxis(xyxy, -1, 0)
    for wrong, why in (
        (~np.isfinite(xyxy).all(axis=-1), "is no box: a number is not finite"),
        (
            (right <= left) | (bottom <= top),
            "is no box: its right or lower side is not beyond the other",
        ),
        (
            (left < -_TOLERANCE)
            | (top < -_TOLERANCE)
            | (right > width + _TOLERANCE)
            | (bottom > height + _TOLERANCE),
            f"reaches out of its picture of {height}x{width} (height x width)",
        ),
    ):
        found = np.argwhere(np.asarray(wrong) & valid)
        if len(found):
            image, box = found[0]
            values = [float(f"{value:.6g}") for value in given[image, box]]
            raise ValueError(
                f"boxes: image {image}, box {box}: {values} ({box_format}) {why}; {len(found)} in "
                "this batch"
            )


def move_boxes(batch: BoxBatch, pull: Pull, rules: BoxRules) -> BoxBatch:
    """Return the boxes around what the boxes become, clipped, and without those that are gone."""
    if not batch.valid.shape[1]:
        return batch
    moved = boxes_after(batch.boxes, pull)
    lost = np.asarray(np.isnan(moved).any(axis=-1))
    moved = np.where(lost[..., np.newaxis], 0.0, moved)
    return clipped(replace(batch, boxes=moved, valid=batch.valid & ~lost), pull.size, rules)


def clipped(batch: BoxBatch, size: Size, rules: BoxRules) -> BoxBatch:
    """Return boxes cut at the picture's edges, without those of which too little is left."""
    height, width = size
    inside = np.clip(batch.boxes, 0, (width, height, width, height))
    area, left = _areas(batch.boxes), _areas(inside)
    kept = (left > 0) & (left >= rules.min_area)
    kept &= left >= rules.min_visibility * area * (1 - 1e-9)
    valid = batch.valid & kept
    return replace(batch, boxes=np.where(valid[..., np.newaxis], inside, 0.0), valid=valid)


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def mix_boxes(batch: BoxBatch, partners: Partners, rules: BoxRules) -> BoxBatch:
    """Return each image's boxes and those of its partners, as far as they are shown."""
    if partners.areas is None:  # blended: all of them are seen
        parts = [batch]
        for k in range(partners.rows.shape[1]):
            rows = partners.rows[:, k]
            seen = (rows != np.arange(len(rows))) & (partners.shares[:, k + 1] > 0)
            parts.append(
                BoxBatch(batch.boxes[rows], batch.labels[rows], batch.valid[rows] & seen[:, None])
            )
        return _joined(parts)
    own = partners.shares[:, 0] > 0  # of a mosaic nothing is, unless it isn't done
    parts = [BoxBatch(batch.boxes, batch.labels, batch.valid & own[:, np.newaxis])]
    for k in range(partners.rows.shape[1]):
        rows, area = partners.rows[:, k], partners.areas[:, k].astype(np.float64)
        shift = np.zeros((len(rows), 2)) if partners.shifts is None else partners.shifts[:, k]
        moved = batch.boxes[rows] - np.tile(shift[:, ::-1], 2)[:, np.newaxis]
        frame = area[:, [1, 0, 3, 2]][:, np.newaxis]
        low, high = frame[..., [0, 1, 0, 1]], frame[..., [2, 3, 2, 3]]
        shown = np.clip(moved, low, np.maximum(low, high))
        left, whole = _areas(shown), _areas(batch.boxes[rows])
        kept = (left > 0) & (left >= rules.min_area)
        kept &= left >= rules.min_visibility * whole * (1 - 1e-9)
        parts.append(BoxBatch(shown, batch.labels[rows], batch.valid[rows] & kept))
    return _joined(parts)


def together(parts: Sequence[BoxBatch]) -> BoxBatch:
    """Return the boxes of some images and of others as one batch, padded."""
    room = max((part.valid.shape[1] for part in parts), default=0)
    padded = [part.packed(room) for part in parts]
    points = [part.points for part in padded if part.points is not None]
    return BoxBatch(
        np.concatenate([part.boxes for part in padded]),
        np.concatenate([part.labels for part in padded]),
        np.concatenate([part.valid for part in padded]),
        np.concatenate(points) if points else None,
    )


def _joined(parts: Sequence[BoxBatch]) -> BoxBatch:
    return BoxBatch(
        np.concatenate([part.boxes for part in parts], axis=1),
        np.concatenate([part.labels for part in parts], axis=1),
        np.concatenate([part.valid for part in parts], axis=1),
    )


def write_boxes(
    batch: BoxBatch, size: Size, rules: BoxRules, *, labelled: bool
) -> dict[str, NDArray[Any]]:
    """Return {"boxes", "labels"} of a packed batch as Keras' layers take them, padded with -1.

    Boxes are (n, room, 4) float32 in the format of the rules; labels (n, room), as they came.
    """
    boxes = from_xyxy(batch.boxes, rules.box_format, size)
    out = {"boxes": np.where(batch.valid[..., np.newaxis], boxes, -1).astype(np.float32)}
    if labelled:
        out["labels"] = np.where(batch.valid, batch.labels, -1).astype(
            batch.labels.dtype if batch.labels.dtype.kind != "u" else np.int64
        )
    return out
