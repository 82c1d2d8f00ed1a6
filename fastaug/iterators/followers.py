"""What follows the images of an iterator: masks, boxes and points of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastaug.settings import Settings
from fastaug.targets.boxes import BoxBatch
from fastaug.targets.following import Targets, read_targets, write_targets
from fastaug.transforms.geometry import Size

_KERAS_NAMES = ("segmentation_masks", "bounding_boxes", "keypoints")


class Followers(Protocol):
    """What an iterator asks of what follows its images."""

    def of(self, rows: NDArray[np.intp]) -> Targets:
        """Return the targets of rows, as they are in the sources."""

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
        boxes = whole.boxes
        return replace(
            whole,
            masks=None if whole.masks is None else whole.masks[rows],
            boxes=None if boxes is None else of_rows(boxes, rows),
            points=None if whole.points is None else whole.points[rows],
        )

    def rest(self) -> None:
        """Do nothing: the targets are the user's."""

    def close(self) -> None:
        """Do nothing."""


def of_rows(boxes: BoxBatch, rows: NDArray[np.intp]) -> BoxBatch:
    """Return the boxes of some images."""
    return BoxBatch(boxes.boxes[rows], boxes.labels[rows], boxes.valid[rows])


def given_out(settings: Settings, targets: Targets, size: Size, labels: Any) -> Any:
    """Return targets as `fit` gets them, with the labels of their images, or None.

    One kind is given out alone, several as a dictionary by Keras' names.
    """
    out = write_targets(targets, size, settings.target_rules())
    if labels is not None:
        out["labels"] = labels
    kinds = [name for name in (*_KERAS_NAMES, "labels") if name in out]
    return out[kinds[0]] if len(out) == 1 else out
