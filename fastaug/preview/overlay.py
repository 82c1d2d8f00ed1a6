"""Targets drawn over pictures: masks as colours, boxes and points with their names."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fastaug.targets.following import Targets

_SHARE = 0.45  # of a mask's colour
_POINT = 2  # pixels around a point


def colour_of(number: int) -> tuple[int, int, int]:
    """Return the colour of a class: hues go round by the golden ratio, which keeps them apart."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def with_targets(
    picture: NDArray[np.uint8], targets: Targets, i: int, data_format: str, names: Sequence[str]
) -> NDArray[np.uint8]:
    """Return image i's picture, (height, width, channels), in colour with its targets over it."""
    colours = picture[..., :3] if picture.shape[-1] > 1 else np.repeat(picture, 3, axis=-1)
    if targets.masks is not None:
        colours = _with_mask(colours, _classes(targets.masks[i], data_format))
    image = Image.fromarray(np.ascontiguousarray(colours))
    drawing = ImageDraw.Draw(image)
    if targets.boxes is not None:
        boxes = targets.boxes
        for box, label, valid in zip(boxes.boxes[i], boxes.labels[i], boxes.valid[i], strict=True):
            if valid and targets.with_boxes:
                _draw_box(drawing, box, int(label) if targets.labelled_boxes else 0, names)
        if boxes.points is not None:
            for points in boxes.points[i][boxes.valid[i]]:
                _draw_points(drawing, points)
    if targets.points is not None:
        _draw_points(drawing, targets.points[i])
    return np.asarray(image)


def _draw_points(drawing: Any, points: Any) -> None:
    for number, (x, y, visible) in enumerate(points):
        if visible > 0:
            spot = x - _POINT, y - _POINT, x + _POINT, y + _POINT
            drawing.ellipse(spot, fill=colour_of(number))
            drawing.text((x + _POINT + 1, y - _POINT), str(number), fill=colour_of(number))


def _classes(mask: Any, data_format: str) -> NDArray[np.int64]:
    """Return the class of every pixel; of a mask of several channels, the first one that is set."""
    mask = np.moveaxis(mask, 0, -1) if data_format == "channels_first" else mask
    if mask.shape[-1] == 1:
        return mask[..., 0].astype(np.int64)
    return np.where((mask != 0).any(axis=-1), (mask != 0).argmax(axis=-1) + 1, 0)


def _with_mask(colours: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a picture with its classes as colours; 0 stays as it is."""
    out = colours.astype(np.float64)
    for number in np.unique(classes[classes != 0]):
        here = classes == number
        out[here] = (1 - _SHARE) * out[here] + _SHARE * np.array(colour_of(int(number)))
    return np.rint(out).astype(np.uint8)


def _draw_box(drawing: Any, box: Any, label: int, names: Sequence[str]) -> None:
    left, top, right, bottom = (float(number) for number in box)
    drawing.rectangle(
        (left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour_of(label)
    )
    name = names[label] if 0 <= label < len(names) else str(label)
    drawing.text((left + 2, top + 1), name, fill=colour_of(label))
