"""All targets of a batch, after one draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_number
from fastaug.pixels.layout import Array
from fastaug.pixels.mixing import blended_labels
from fastaug.targets.boxes import BoxBatch, BoxRules, mix_boxes, move_boxes, read_boxes, write_boxes
from fastaug.targets.masks import mix_masks, move_masks, read_masks
from fastaug.targets.points import (
    Pairs,
    are_of_objects,
    check_pairs,
    move_object_points,
    move_points,
    read_object_points,
    read_points,
    write_points,
)
from fastaug.transforms.base import Partners
from fastaug.transforms.geometry import Pull, Size
from fastaug.transforms.policy import Drawn

NAMES = ("images", "segmentation_masks", "bounding_boxes", "keypoints", "labels", "sample_weights")


@dataclass(frozen=True, slots=True)
class TargetRules:
    """How targets come, follow, and go.

    Parameters
    ----------
    boxes
        See `BoxRules`.
    mask_fill
        What mask pixels from outside get, where the fill mode is "constant".
    erase_masks
        Whether holes that transforms erase in images become `mask_fill` in their masks.
    flip_pairs
        Points that change places where an image is mirrored; None: those that the targets' own
        names tell.
    """

    boxes: BoxRules = field(default_factory=BoxRules)
    mask_fill: float = 0
    erase_masks: bool = False
    flip_pairs: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        check_number("mask_fill", self.mask_fill)
        check_flag("erase_masks", self.erase_masks)
        object.__setattr__(self, "flip_pairs", check_pairs(self.flip_pairs))


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Targets of n images, checked; None where there are none.

    Keypoints of objects are in `boxes`; `with_boxes` False gives out them alone.  `pairs` are those
    of each class, by its number, that change places by their names.
    """

    masks: Array | None = None
    flat_masks: bool = False  # they came without channels
    boxes: BoxBatch | None = None
    labelled_boxes: bool = False
    points: NDArray[np.float64] | None = None
    point_columns: int = 2
    pairs: Sequence[Pairs] = ()
    with_boxes: bool = True
    labels: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None


def read_targets(
    count: int,
    size: Size,
    data_format: str,
    rules: TargetRules,
    *,
    masks: Any = None,
    boxes: Any = None,
    box_labels: Any = None,
    keypoints: Any = None,
    labels: Any = None,
    sample_weights: Any = None,
) -> Targets:
    """Check the targets of `count` images of a size; None where there are none.

    Raises
    ------
    ValueError
        That names the target, the image and the values.
    """
    read = None if masks is None else read_masks(masks, count, size, data_format)
    if box_labels is not None and boxes is None:
        raise ValueError("box_labels need boxes")
    found = None if boxes is None else read_boxes(boxes, box_labels, count, size, rules.boxes)
    has_labels = box_labels is not None or (isinstance(boxes, Mapping) and "labels" in boxes)
    if found is not None and not has_labels:
        _check_not_of_boxes(labels, found)
    points, columns = None, 2
    if keypoints is not None and found is not None and are_of_objects(keypoints):
        of_boxes, columns = read_object_points(keypoints, found.valid)
        found = replace(found, points=of_boxes)
    elif keypoints is not None:
        points, columns = read_points(keypoints, count), np.shape(keypoints)[-1]
    return Targets(
        read,
        read is not None and np.ndim(masks) == 3,
        found,
        has_labels,
        points,
        columns,
        labels=_of_images("labels", labels, count),
        weights=_of_images("sample_weights", sample_weights, count),
    )


def _check_not_of_boxes(labels: Any, boxes: BoxBatch) -> None:
    """Raise where labels are plainly those of boxes, and would be taken for those of images."""
    if labels is None:
        return
    ragged = isinstance(labels, list) and any(np.ndim(part) for part in labels)
    array = None if ragged else np.asarray(labels)
    if ragged or (
        array is not None
        and array.ndim == 2
        and array.dtype.kind in "iu"
        and array.shape == boxes.valid.shape
    ):
        raise ValueError(
            "labels are those of images, and these look like labels of boxes: pass them as "
            "box_labels=, or as boxes={'boxes': ..., 'labels': ...}"
        )


def _of_images(name: str, values: Any, count: int) -> NDArray[Any] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if not array.ndim or len(array) != count:
        raise ValueError(f"{name} have the shape {array.shape}; there are {count} images")
    return array


def follow(
    targets: Targets,
    drawn: Drawn,
    rules: TargetRules,
    *,
    data_format: str,
    fill_mode: str,
    threads: int | None = None,
) -> Targets:
    """Return what becomes of targets by a draw.

    Raises
    ------
    ValueError
        For targets that can't follow a mix: integer labels, masks that would be blended, points.
    """
    pull, masks, boxes, points = drawn.pull, targets.masks, targets.boxes, targets.points
    if masks is not None:
        rows = np.arange(len(masks))
        masks = move_masks(
            masks,
            rows,
            pull,
            data_format=data_format,
            fill_mode=fill_mode,
            fill=rules.mask_fill,
            threads=threads,
        )
        if rules.erase_masks:
            _erase(masks, drawn, rules.mask_fill, data_format)
    if boxes is not None:
        boxes = move_boxes(boxes.without(drawn.kept_boxes), pull, rules.boxes)
        if boxes.points is not None:
            boxes = replace(boxes, points=_moved(boxes.points, boxes.labels, targets, pull, rules))
    if points is not None:
        points = move_points(points, pull, rules.flip_pairs or ())
    labels, weights = targets.labels, targets.weights
    for partners in drawn.partners:
        if points is not None or (boxes is not None and boxes.points is not None):
            raise ValueError(
                f"keypoints can't follow a mix of images: take {partners.name} out of the list"
            )
        if masks is not None:
            masks = mix_masks(masks, partners, data_format)
        if boxes is not None:
            boxes = mix_boxes(_uncut(boxes, partners), partners, rules.boxes)
        labels = mix_labels(labels, partners)
        weights = None if weights is None else blended_labels(weights, partners)
    return replace(targets, masks=masks, boxes=boxes, points=points, labels=labels, weights=weights)


def _moved(
    points: NDArray[np.float64],
    labels: NDArray[Any],
    targets: Targets,
    pull: Pull,
    rules: TargetRules,
) -> NDArray[np.float64]:
    """Return where keypoints of objects are; pairs of the rules go before those of classes."""
    if rules.flip_pairs is None:
        return move_object_points(points, labels, pull, targets.pairs)
    return move_points(points, pull, rules.flip_pairs)


def _uncut(boxes: BoxBatch, partners: Partners) -> BoxBatch:
    """Return the boxes, or raise if their images are cut: a box with a piece missing is none."""
    own = partners.shares[:, 0]
    if partners.areas is not None and ((own > 0) & (own < 1)).any():
        raise ValueError("CutMix cuts through boxes; Mosaic and MixUp keep them")
    return boxes


def mix_labels(labels: NDArray[Any] | None, partners: Partners) -> NDArray[Any] | None:
    """Return one-hot labels (n, classes) blended by share, or raise an error that says so."""
    if labels is None:
        return None
    shape = np.shape(labels)
    if len(shape) > 2:
        raise ValueError(
            f"{partners.name} can't blend labels of the shape {shape}: pass masks as masks="
        )
    # One column of shares is a binary label; one of numbers of classes is none to blend.
    whole = len(shape) == 2 and shape[1] == 1 and np.any((labels < 0) | (labels > 1))
    if len(shape) < 2 or whole:
        raise ValueError(
            f"{partners.name} needs one-hot labels: class_mode='categorical', or "
            f"keras.utils.to_categorical(labels); these have the shape {shape}"
        )
    return blended_labels(labels, partners)


def _erase(masks: Array, drawn: Drawn, fill: float, data_format: str) -> None:
    """Fill the holes of masks that were erased in their images."""
    last = masks if data_format != "channels_first" else np.moveaxis(masks, 1, -1)
    for each in drawn.passes:
        holes = getattr(each.transform, "holes", None)
        if holes is None:
            continue
        areas = holes(each.numbers, drawn.pull.size)
        for i in each.rows:
            for top, left, bottom, right in areas[i]:
                last[i, top:bottom, left:right] = fill


def write_targets(targets: Targets, size: Size, rules: TargetRules) -> dict[str, Any]:
    """Return targets under the names of Keras' layers."""
    out: dict[str, Any] = {}
    if targets.masks is not None:
        masks = targets.masks
        out["segmentation_masks"] = (
            masks.reshape(len(masks), *size) if targets.flat_masks else masks
        )
    if targets.boxes is not None:
        boxes = targets.boxes.packed(rules.boxes.max_boxes or targets.boxes.valid.shape[1])
        if targets.with_boxes:
            out["bounding_boxes"] = write_boxes(
                boxes, size, rules.boxes, labelled=targets.labelled_boxes
            )
        if boxes.points is not None:
            points = np.where(boxes.valid[..., np.newaxis, np.newaxis], boxes.points, (-1, -1, 0))
            out |= write_points(points, targets.point_columns)
    if targets.points is not None:
        out |= write_points(targets.points, targets.point_columns)
    if targets.labels is not None:
        out["labels"] = targets.labels
    if targets.weights is not None:
        out["sample_weights"] = targets.weights
    return out
