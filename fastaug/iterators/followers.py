"""What follows the images of an iterator: masks, boxes and points of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Counters
from fastaug.errors import DecodeError
from fastaug.files.annotations.base import size_of_file
from fastaug.files.catalog import FilePaths
from fastaug.files.decode import crop_of, is_byte_mask, nearest_taps
from fastaug.files.masks import check_sizes
from fastaug.files.target import NUMBERS, Target
from fastaug.pixels.layout import Array
from fastaug.settings import Settings
from fastaug.sources.opening import open_source
from fastaug.targets.boxes import BoxBatch, clipped, read_boxes, together
from fastaug.targets.following import Targets, read_targets, write_targets
from fastaug.targets.points import Pairs
from fastaug.transforms.geometry import Size

_CHECKED_AT_ONCE = (
    8  # masks whose sizes are compared at the beginning; the others when they are read
)
_KERAS_NAMES = ("segmentation_masks", "bounding_boxes", "keypoints")


class Followers(Protocol):
    """What an iterator asks of what follows its images."""

    def of(self, rows: NDArray[np.intp]) -> Targets:
        """Return the targets of rows, as they are in the sources."""

    def boxes_of(self, rows: NDArray[np.intp]) -> BoxBatch | None:
        """Return their boxes alone."""

    def rest(self) -> None:
        """Free processes until the next batch is wanted."""

    def close(self) -> None:
        """Free processes for good."""


class ArrayFollowers:
    """Targets of `count` images that are in memory, checked once; `part` is the subset."""

    def __init__(
        self,
        settings: Settings,
        count: int,
        size: Size,
        data_format: str,
        *,
        part: slice = slice(None),
        **given: Any,
    ) -> None:
        whole = read_targets(count, size, data_format, settings.target_rules(), **given)
        self._targets = whole
        self._targets = self.of(np.arange(count)[part])

    def of(self, rows: NDArray[np.intp]) -> Targets:
        """Return the targets of rows."""
        whole = self._targets
        return replace(
            whole,
            masks=None if whole.masks is None else whole.masks[rows],
            boxes=self.boxes_of(rows),
            points=None if whole.points is None else whole.points[rows],
        )

    def boxes_of(self, rows: NDArray[np.intp]) -> BoxBatch | None:
        """Return their boxes alone."""
        boxes = self._targets.boxes
        return None if boxes is None else boxes.of_rows(rows)

    def rest(self) -> None:
        """Do nothing: the targets are the user's."""

    def close(self) -> None:
        """Do nothing."""


def given_out(settings: Settings, targets: Targets, size: Size, labels: Any) -> Any:
    """Return targets as `fit` gets them, with the labels of their images, or None.

    One kind is given out alone, several as a dictionary by Keras' names.
    """
    out = write_targets(targets, size, settings.target_rules())
    if labels is not None:
        out["labels"] = labels
    kinds = [name for name in (*_KERAS_NAMES, "labels") if name in out]
    return out[kinds[0]] if len(out) == 1 else out


class FileFollowers:
    """Masks in files of their own, and boxes of pictures that are resized when they are loaded.

    Parameters
    ----------
    settings
        The generator's.
    filepaths
        Of the pictures.
    target
        What these are turned into.
    data_format, batch_size, stats
        As for `open_source`.
    masks
        The path of each one's mask, or None.
    drawn_masks
        Returns the mask of a row and (height, width), as annotations say it; or None.
    boxes, labels
        Of each picture as it lies in its file; or None.
    box_format
        Of the boxes; None: the generator's.
    keypoints
        Of what is in each picture's boxes, (m, k, 3) as it lies in its file; or None.
    flip_pairs
        Points that change places by their names, of each class by its number, where the generator
        says nothing.
    with_boxes
        Whether boxes are given out, or are there for their keypoints' sake alone.
    sizes
        (height, width) that boxes and drawn masks are of, or None where only the file knows.
    """

    def __init__(
        self,
        settings: Settings,
        filepaths: Sequence[str],
        target: Target,
        data_format: str,
        batch_size: int,
        stats: Counters,
        *,
        masks: Sequence[str] | None = None,
        drawn_masks: Callable[[int, Size], NDArray[np.uint8]] | None = None,
        boxes: Sequence[Any] | None = None,
        labels: Sequence[Any] | None = None,
        box_format: str | None = None,
        keypoints: Sequence[NDArray[np.float64]] | None = None,
        flip_pairs: Sequence[Pairs] = (),
        with_boxes: bool = True,
        sizes: Sequence[Size | None] | None = None,
    ) -> None:
        self._box_format = box_format
        self._settings, self._target = settings, target
        self._filepaths = FilePaths(filepaths)
        self._masks, self._data_format, self._stats = masks, data_format, stats
        self._drawn_masks, self._boxes, self._labels = drawn_masks, boxes, labels
        self._keypoints, self._pairs, self._with_boxes = keypoints, flip_pairs, with_boxes
        self._said_sizes = sizes
        self._sizes: dict[int, Size] = {}
        self._compared: set[int] = set()  # rows whose masks have their pictures' sizes
        self._closed = False
        self._label_dtype = _dtype_of(labels)
        self._batch_size = batch_size
        self._source: Any = None
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        if masks:
            for row in range(min(_CHECKED_AT_ONCE, len(masks))):
                try:
                    self._compare_sizes(row)
                except DecodeError:  # which a batch meets again, and another takes its place
                    if settings.on_error != "skip":
                        raise
            self._dtype = _dtype_of_masks(masks)

    def of(self, rows: NDArray[np.intp]) -> Targets:
        """Return the targets of rows."""
        masks = None
        if self._masks is not None:
            masks = self._read_masks(rows)
        elif self._drawn_masks is not None:
            masks = self._draw_masks(rows)
        return Targets(
            masks,
            boxes=self.boxes_of(rows),
            labelled_boxes=self._labels is not None,
            point_columns=3,
            pairs=self._pairs,
            with_boxes=self._with_boxes,
        )

    def boxes_of(self, rows: NDArray[np.intp]) -> BoxBatch | None:
        """Return their boxes alone."""
        return None if self._boxes is None else self._read_boxes(rows)

    def _read_masks(self, rows: NDArray[np.intp]) -> Array:
        assert self._masks is not None
        for row in rows.tolist():
            if row not in self._compared:
                self._compare_sizes(row)
        if self._closed:
            raise RuntimeError("the iterator is closed")
        if self._source is None:
            target = replace(
                self._target, color_mode=NUMBERS, interpolation="nearest", decode="exact"
            )
            self._source = open_source(
                self._settings,
                self._masks,
                target,
                self._data_format,
                self._batch_size,
                self._stats,
            )
        with self._source.lend((("masks", *rows.tolist()), rows), []) as (images, lent_rows):
            masks = np.asarray(images)[lent_rows]
        if self._dtype == np.uint8 and masks.size and masks.max() > 255:
            place = np.unravel_index(masks.argmax(), masks.shape)[0]
            raise ValueError(
                f"the mask {self._masks[int(rows[place])]} holds {masks.max():g}, and the first "
                f"one, {self._masks[0]}, has 8 bits: save all of them with the same number"
            )
        return masks.astype(self._dtype)

    def _compare_sizes(self, row: int) -> None:
        """Raise unless the mask of a row has its picture's size."""
        assert self._masks is not None
        check_sizes(self._filepaths[row], self._masks[row], upright=self._target.exif_transpose)
        self._compared.add(row)

    def _draw_masks(self, rows: NDArray[np.intp]) -> Array:
        assert self._drawn_masks is not None
        target = self._target
        masks = np.empty((len(rows), target.height, target.width), np.uint8)
        for mask, row in zip(masks, rows.tolist(), strict=True):
            size = self._size_of(row)
            left, top, right, bottom = crop_of(size[1], size[0], target)
            down = nearest_taps(top, bottom - top, target.height)
            across = nearest_taps(left, right - left, target.width)
            mask[...] = self._drawn_masks(row, size)[down[:, np.newaxis], across]
        return (
            masks[:, np.newaxis]
            if self._data_format == "channels_first"
            else masks[..., np.newaxis]
        )

    def _read_boxes(self, rows: NDArray[np.intp]) -> BoxBatch:
        """Return boxes in the loaded pictures' pixels."""
        assert self._boxes is not None
        rules = self._settings.target_rules().boxes
        if self._box_format is not None:
            rules = replace(rules, box_format=self._box_format)
        target, parts = self._target, []
        for row in rows.tolist():
            size = self._size_of(row)
            labels = None if self._labels is None else [self._labels[row]]
            try:
                part = read_boxes([self._boxes[row]], labels, 1, size, rules)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{self._filepaths[row]}: {error}") from None
            left, top, right, bottom = crop_of(size[1], size[0], target)
            begin = np.array([left, top])
            scale = np.array([target.width / (right - left), target.height / (bottom - top)])
            moved = (part.boxes - np.tile(begin, 2)) * np.tile(scale, 2)
            part = replace(part, boxes=moved, labels=part.labels.astype(self._label_dtype))
            if self._keypoints is not None:
                points = self._keypoints[row][np.newaxis].copy()
                points[..., :2] = (points[..., :2] + 0.5 - begin) * scale - 0.5  # of centres
                part = replace(part, points=points)
            parts.append(clipped(part, (target.height, target.width), rules))
        return together(parts)

    def _size_of(self, row: int) -> Size:
        """Return (height, width) of a picture as it is decoded, before it is resized."""
        if row not in self._sizes:
            path = self._filepaths[row]
            size = size_of_file(path, upright=self._target.exif_transpose)
            said = None if self._said_sizes is None else self._said_sizes[row]
            if said is not None and said != size:
                turned = not self._target.exif_transpose and said == size_of_file(
                    path, upright=True
                )
                raise ValueError(
                    f"{path} is {size[0]}x{size[1]}, and its annotations are of "
                    f"{said[0]}x{said[1]} (height x width)"
                    f"{'; exif_transpose=True turns it as its EXIF data say' if turned else ''}"
                )
            self._sizes[row] = size
        return self._sizes[row]

    def mask_of(self, row: int) -> str:
        """Return the path of a row's mask, or nothing."""
        return "" if self._masks is None else self._masks[row]

    def rest(self) -> None:
        """Stop the processes that decode masks until the next batch is wanted."""
        if self._source is not None:
            self._source.rest()

    def close(self) -> None:
        """Stop them for good."""
        self._closed = True
        if self._source is not None:
            self._source.close()


def _dtype_of_masks(paths: Sequence[str]) -> np.dtype[Any]:
    """Return the dtype of masks as the first one that can be read has it."""
    for path in paths:
        try:
            return np.dtype(np.uint8 if is_byte_mask(path) else np.int32)
        except OSError:  # said when its batch is made
            continue
    return np.dtype(np.uint8)


def _dtype_of(labels: Sequence[Any] | None) -> np.dtype[Any]:
    """Return the dtype of the labels of all boxes: pictures without one have no say."""
    kinds = {array.dtype for array in map(np.asarray, labels or ()) if array.size}
    return np.result_type(*kinds) if kinds else np.dtype(np.int64)
