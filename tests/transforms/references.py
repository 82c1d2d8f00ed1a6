"""One table: every transform beside a slow and obvious reference, and a tolerance with its reason.

A row is an example of the transform and a function `(image, numbers) -> image` that does the same
to one float64 image (height, width, channels) with Pillow, SciPy or plain NumPy; `numbers` are
what was drawn for it, by `of_image`.  A transform without a row fails a test.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from fastaug import transforms as T

Array = np.ndarray
SIZE = (37, 51)  # of the sources: neither square nor a multiple of anything


@dataclass(frozen=True)
class Reference:
    """A row; `check` says what is compared: "whole", or "inside" (a few pixels off the border)."""

    transform: Any
    function: Callable[[Array, Any], Array] | None
    tolerance: float
    reason: str
    channels: tuple[int, ...] = (1, 3, 4)
    share: float = 0.0  # of values that may be further off: where a pixel lies on an edge


def colours(image: Array) -> Array:
    """Return a view of the colours: alpha is the last of four."""
    return image[..., :3] if image.shape[-1] == 4 else image


def on_colours(function: Callable[[Array, Any], Array]) -> Callable[[Array, Any], Array]:
    """Return a function that keeps alpha."""

    def changed(image: Array, numbers: Any) -> Array:
        out = image.copy()
        colours(out)[...] = function(colours(image), numbers)
        return out

    return changed


def pillow(image: Array) -> Image.Image:
    whole = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return Image.fromarray(whole[..., 0] if whole.shape[-1] == 1 else whole)


def by_pillow(function: Callable[[Image.Image, Any], Image.Image]) -> Any:
    """Let Pillow do it to grey or RGB images."""

    def changed(image: Array, numbers: Any) -> Array:
        out = np.asarray(function(pillow(image), numbers), np.float64)
        return out.reshape(*out.shape[:2], -1)

    return on_colours(changed)


def grey(image: Array) -> Array:
    if image.shape[-1] == 1:
        return image
    return (image @ [0.299, 0.587, 0.114])[..., np.newaxis]


def blend(image: Array, other: Array, factor: float) -> Array:
    return np.clip(factor * image + (1 - factor) * other, 0, 255)


def turned_hue(image: Array, turns: float) -> Array:
    if image.shape[-1] == 1:
        return image
    out = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[place] / 255))
        out[place] = np.array(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)) * 255
    return out


def jitter(image: Array, numbers: Any) -> Array:
    for operation in numbers.order:
        if operation == 0:
            image = np.clip(image * numbers.brightness, 0, 255)
        elif operation == 1:
            image = blend(image, grey(image).mean(), numbers.contrast)
        elif operation == 2:
            image = blend(image, grey(image), numbers.saturation)
        else:
            image = turned_hue(image, numbers.hue)
    return image


# Moves: the place of every output pixel, one at a time.


def seen_through(image: Array, place: Callable[[float, float], tuple[float, float]], size) -> Array:
    """Return the picture whose pixel (row, col) shows the source at `place(row, col)`, bilinear."""
    height, width = image.shape[:2]
    out = np.zeros((*size, image.shape[-1]))
    for row, col in np.ndindex(*size):
        y, x = place(row, col)
        if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
            continue
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = min(int(y), height - 2), min(int(x), width - 2)
        down, across = y - top, x - left
        out[row, col] = (
            image[top, left] * (1 - down) * (1 - across)
            + image[top, left + 1] * (1 - down) * across
            + image[top + 1, left] * down * (1 - across)
            + image[top + 1, left + 1] * down * across
        )
    return out


def pushed(image: Array, forward: Array) -> Array:
    """Show where `forward`, (3, 3) in (x, y, 1) about the centre, puts the picture."""
    height, width = image.shape[:2]
    there = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    back = np.linalg.inv(there @ forward @ np.linalg.inv(there))

    def place(row: float, col: float) -> tuple[float, float]:
        x, y, weight = back @ [col, row, 1]
        return y / weight, x / weight

    return seen_through(image, place, image.shape[:2])


def rotation(degrees: float) -> Array:
    """Return a clockwise turn on the screen, where y points down."""
    turn = np.deg2rad(degrees)
    return np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])


def affine(image: Array, n: Any) -> Array:
    # torchvision: translate * rotate * scale * shear in y * shear in x.
    shift = np.array([[1, 0, n.shift_x], [0, 1, n.shift_y], [0, 0, 1]])
    across = np.array([[1, -np.tan(np.deg2rad(n.shear_x)), 0], [0, 1, 0], [0, 0, 1]])
    down = np.array([[1, 0, 0], [-np.tan(np.deg2rad(n.shear_y)), 1, 0], [0, 0, 1]])
    return pushed(image, shift @ rotation(n.angle) @ np.diag([n.scale, n.scale, 1]) @ down @ across)


def perspective(image: Array, corners: Any) -> Array:
    height, width = image.shape[:2]
    ends = [(0, 0), (0, width - 1), (height - 1, width - 1), (height - 1, 0)]
    rows, right = [], []
    for (y, x), (v, u) in zip(corners, ends, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.append(np.linalg.solve(np.array(rows), right), 1).reshape(3, 3)

    def place(row: float, col: float) -> tuple[float, float]:
        x, y, weight = solved @ [col, row, 1]
        return y / weight, x / weight

    return seen_through(image, place, image.shape[:2])


def resized(image: Array, size: tuple[int, int], box: Any = None) -> Array:
    """Let Pillow resize a part of a picture, (left, top, right, bottom), channel by channel."""
    return np.stack(
        [
            np.asarray(
                Image.fromarray(channel.astype(np.float32)).resize(
                    size[::-1], Image.Resampling.BILINEAR, box=box
                )
            )
            for channel in np.moveaxis(image, -1, 0)
        ],
        axis=-1,
    ).astype(np.float64)


def cropped(image: Array, top: int, left: int, height: int, width: int) -> Array:
    """Cut out a part; what lies outside is 0."""
    out = np.zeros((height, width, image.shape[-1]))
    for row, col in np.ndindex(height, width):
        y, x = top + row, left + col
        if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
            out[row, col] = image[y, x]
    return out


def letterboxed(image: Array, numbers: Any) -> Array:
    scale = 20 / max(image.shape[:2])
    inner = [side * scale for side in image.shape[:2]]
    # The picture's edge lies within a pixel: what is inside it is compared.
    tall, wide = inner
    top, left = (20 - tall) / 2, (20 - wide) / 2
    factor = 1 / scale
    out = np.zeros((20, 20, image.shape[-1]))
    box = [-left * factor, -top * factor, (20 - left) * factor, (20 - top) * factor]
    for row, col in np.ndindex(20, 20):
        y, x = box[1] + (row + 0.5) * factor, box[0] + (col + 0.5) * factor
        if not (0 <= y <= image.shape[0] and 0 <= x <= image.shape[1]):
            continue
        out[row, col] = triangle(image, y, x, factor)
    return out


def triangle(image: Array, y: float, x: float, factor: float) -> Array:
    """Return the mean of a picture about (y, x), by a triangle as wide as two output pixels."""
    rows, cols = (np.arange(side) + 0.5 for side in image.shape[:2])
    down = np.maximum(0, 1 - np.abs(rows - y) / factor)
    across = np.maximum(0, 1 - np.abs(cols - x) / factor)
    return np.einsum("y,x,yxc->c", down / down.sum(), across / across.sum(), image)


def grid_distorted(image: Array, numbers: Any) -> Array:
    height, width = image.shape[:2]

    def source(cells: Any, length: int, place: float) -> float:
        ends = np.concatenate([[0], np.cumsum(cells)]) / np.sum(cells) * (length - 1)
        return float(np.interp(place, np.linspace(0, length - 1, len(ends)), ends))

    return seen_through(
        image,
        lambda row, col: (source(numbers.heights, height, row), source(numbers.widths, width, col)),
        (height, width),
    )


SOFT = "float32, and one rounding to bytes"
ROUNDED = "Pillow rounds on the way"
BORDER = "a place on the edge of the picture may fall to either side of it"
REPAINT = "see test_repaints.py"
DRAWN = "its numbers are a seed: see the tests of what it does"

ROWS: tuple[Reference, ...] = (
    Reference(
        T.Affine(40, (0.1, 0.2), (0.7, 1.3), (-10, 10, -5, 5)), affine, 0.6, SOFT, share=0.001
    ),
    Reference(T.Rotate(50), lambda image, n: pushed(image, rotation(-n)), 0.6, BORDER, share=0.001),
    Reference(T.Translate((0.2, 0.1)), affine, 0.6, SOFT, share=0.001),
    Reference(
        T.Scale((1.1, 1.6), per_axis=True),
        lambda image, n: pushed(image, np.diag([n.horizontal, n.vertical, 1])),
        0.6,
        SOFT,
        share=0.001,
    ),
    Reference(T.Shear((-20, 20, -10, 10)), affine, 0.6, BORDER, share=0.001),
    Reference(T.HorizontalFlip(), lambda image, n: image[:, ::-1], 0, "pixels only move"),
    Reference(T.VerticalFlip(), lambda image, n: image[::-1], 0, "pixels only move"),
    Reference(
        T.QuarterTurn(),
        lambda image, n: pushed(image, np.linalg.matrix_power(rotation(-90).round(), n)),
        0.6,
        BORDER,
        share=0.03,
    ),
    Reference(
        T.Transpose(probability=1), lambda image, n: image.transpose(1, 0, 2), 0, "pixels only move"
    ),
    Reference(T.Perspective(0.4, probability=1), perspective, 0.6, BORDER, share=0.001),
    Reference(
        T.RandomResizedCrop((20, 16), scale=(0.1, 1)),
        lambda image, n: resized(
            image, (20, 16), (n.left, n.top, n.left + n.width, n.top + n.height)
        ),
        0.6,
        SOFT,
        channels=(1, 3, 4, 7),
    ),
    Reference(
        T.RandomCrop((30, 24), padding=6),
        lambda image, n: cropped(image, n.top, n.left, n.height, n.width),
        0,
        "whole numbers",
        channels=(1, 3, 4, 7),
    ),
    # Without boxes, images stay whole; with them: `test_box_crops.py`.
    Reference(T.BoxSafeCrop((20, 30)), lambda image, n: resized(image, (20, 30)), 0.6, SOFT),
    Reference(T.RandomIoUCrop((20, 30)), lambda image, n: resized(image, (20, 30)), 0.6, SOFT),
    Reference(T.CenterCrop(45), lambda image, n: cropped(image, -4, 3, 45, 45), 0, "whole numbers"),
    Reference(T.Resize((23, 40)), lambda image, n: resized(image, (23, 40)), 0.6, SOFT),
    Reference(T.LargestSide(20), lambda image, n: resized(image, (15, 20)), 0.6, SOFT),
    Reference(T.Letterbox(20), letterboxed, 0.6, SOFT),
    Reference(
        T.Pad((1, 2, 3, 4)), lambda image, n: cropped(image, -2, -1, 43, 55), 0, "whole numbers"
    ),
    Reference(T.Elastic(), None, 0, DRAWN),
    Reference(T.GridDistortion(probability=1), grid_distorted, 0.6, SOFT),
    Reference(
        T.Brightness(0.6), on_colours(lambda image, n: np.clip(image * n, 0, 255)), 0.6, SOFT
    ),
    Reference(
        T.Contrast(0.6),
        on_colours(lambda image, n: blend(image, grey(image).mean(), n)),
        0.6,
        SOFT,
    ),
    Reference(
        T.Saturation(0.8), on_colours(lambda image, n: blend(image, grey(image), n)), 0.6, SOFT
    ),
    Reference(T.Hue(0.5), on_colours(turned_hue), 0.6, SOFT),
    Reference(T.ColorJitter(0.4, 0.4, 0.4, 0.1), on_colours(jitter), 0.6, SOFT),
    Reference(
        T.Gamma((0.5, 2)), on_colours(lambda image, n: 255 * (image / 255) ** n), 1.1, "a table"
    ),
    Reference(
        T.Grayscale(),
        on_colours(lambda image, n: np.broadcast_to(grey(image), image.shape)),
        0.6,
        SOFT,
    ),
    Reference(T.Invert(), on_colours(lambda image, n: 255 - image), 1e-4, "whole numbers"),
    Reference(
        T.Posterize(3), by_pillow(lambda image, n: ImageOps.posterize(image, 3)), 0, "whole numbers"
    ),
    Reference(
        T.Solarize(100), by_pillow(lambda image, n: ImageOps.solarize(image, 100)), 0, "whole"
    ),
    Reference(
        T.AutoContrast(), by_pillow(lambda image, n: ImageOps.autocontrast(image)), 1.01, ROUNDED
    ),
    Reference(T.Equalize(), by_pillow(lambda image, n: ImageOps.equalize(image)), 0, "a table"),
    Reference(
        T.ChannelShift(30),
        on_colours(lambda image, n: np.clip(image + n[: image.shape[-1]], 0, 255)),
        0.6,
        SOFT,
    ),
    Reference(
        T.ChannelShuffle(), on_colours(lambda image, n: image[..., n]), 0, "whole", channels=(3, 4)
    ),
    Reference(
        T.ChannelDrop(7),
        on_colours(lambda image, n: np.where(np.arange(3) == n, 7, image)),
        0,
        "whole numbers",
        channels=(3, 4),
    ),
    Reference(
        T.Normalize((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)),
        lambda image, n: (image / 255 - [0.4, 0.5, 0.6]) / [0.1, 0.2, 0.3],
        1e-5,
        "float32",
        channels=(3,),
    ),
    Reference(T.GaussianBlur(5), None, 0, REPAINT),
    Reference(T.MotionBlur((5, 9)), None, 0, REPAINT),
    Reference(T.GaussianNoise(), None, 0, REPAINT),
    Reference(T.SaltAndPepper(), None, 0, REPAINT),
    Reference(T.Sharpness((0.1, 1.9)), None, 0, REPAINT),
    Reference(T.CLAHE(), None, 0, REPAINT, channels=(1, 3)),
    Reference(T.JpegArtifacts((40, 60)), None, 0, REPAINT, channels=(1, 3)),
    Reference(T.Erase(), None, 0, REPAINT),
    Reference(T.CoarseDropout((2, 4)), None, 0, REPAINT),
    Reference(T.GridMask(), None, 0, REPAINT),
    Reference(T.Downscale((0.3, 0.6)), None, 0, REPAINT),
    Reference(T.MixUp(), None, 0, "see the tests of mixes"),
    Reference(T.CutMix(), None, 0, "see the tests of mixes"),
    Reference(T.Mosaic(), None, 0, "see the tests of mixes"),
    Reference(T.OneOf([T.Rotate(10), T.Invert()]), None, 0, "see the tests of containers"),
    Reference(T.SomeOf([T.Rotate(10), T.Invert()], 1), None, 0, "see the tests of containers"),
    Reference(T.RandomOrder([T.Rotate(10), T.Invert()]), None, 0, "see the tests of containers"),
    Reference(T.RandAugment(3, 15), None, 0, "see the tests of containers"),
    Reference(T.TrivialAugment(), None, 0, "see the tests of containers"),
    Reference(T.AutoAugment(), None, 0, "see the tests of containers"),
    Reference(T.AugMix(), None, 0, "see the tests of containers"),
)
