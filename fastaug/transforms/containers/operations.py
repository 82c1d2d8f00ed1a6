"""The operations of AutoAugment and its followers: a name and a number for each image and place.

Operations of an image that move pixels are one warp, then colours come in their order, then
sharpness.  (Published recipes do one after the other.)

References
----------
Cubuk et al., "AutoAugment", CVPR 2019, table 6; torchvision 0.29, `v2._auto_augment`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels import colours
from fastaug.transforms.arguments import Written
from fastaug.transforms.base import Steps
from fastaug.transforms.geometry import Matrices, Pull, Size, about_centre, still
from fastaug.transforms.moves.affine import affine_linear
from fastaug.transforms.repaints.contrast import Sharpness

IDENTITY = "Identity"
SHEARS = ("ShearX", "ShearY")
SHIFTS = ("TranslateX", "TranslateY")
MOVES = (*SHEARS, *SHIFTS, "Rotate")
# Their number is added to 1.
FACTORS = {
    "Brightness": colours.SCALE,
    "Color": colours.BLEND_GREY,
    "Contrast": colours.BLEND_MEAN,
}
CODES = FACTORS | {
    "Posterize": colours.POSTERIZE,
    "Solarize": colours.SOLARIZE,
    "AutoContrast": colours.STRETCH,
    "Equalize": colours.EQUALIZE,
    "Invert": colours.INVERT,
}
SHARPNESS = "Sharpness"
SIGNED = (*MOVES, *FACTORS, SHARPNESS)  # half of the time, the number is negative
OPERATIONS = (*MOVES, *CODES, SHARPNESS, IDENTITY)


class Operations(NamedTuple):
    """What is done to n images, one after another: (n, k) each.

    `values` are a shear (x or y for each row or column), pixels, degrees counter-clockwise, what is
    added to a factor of 1, bits, or a threshold from 0 to 255.
    """

    names: NDArray[np.str_]
    values: NDArray[np.float64]


class Chain(Written):
    """Has the faces of all operations; draws `Operations`."""

    __slots__ = ()

    def pull(self, numbers: Operations, size: Size) -> Pull:
        """Return what moves pixels, in each image's order."""
        return pull_of(Operations(*numbers), size)

    def steps(self, numbers: Operations) -> Steps:
        """Return what changes colours, in each image's order."""
        return steps_of(Operations(*numbers))

    def apply(self, images: NDArray[Any], numbers: Operations, rows: NDArray[np.intp]) -> None:
        """Sharpen the images that were drawn for it."""
        sharpen_drawn(images, Operations(*numbers), rows)


def pull_of(operations: Operations, size: Size) -> Pull:
    """Return what moves pixels, in each image's order."""
    names, values = operations
    whole = still(len(names), size)
    for slot in range(names.shape[1]):
        column, matrices = names[:, slot], np.tile(np.eye(3), (len(names), 1, 1))
        moved = np.zeros(len(names), bool)
        for name in MOVES:
            here = column == name
            if here.any():
                matrices[here], moved = _matrices(name, values[here, slot], size), moved | here
        if moved.any():
            flips = np.zeros((len(names), 2), bool)
            whole = Pull(matrices, moved, flips, size).after(whole)
    return whole


def _matrices(name: str, values: NDArray[np.float64], size: Size) -> Matrices:
    """Return the pull matrices of one operation."""
    if name == "Rotate":
        none = np.zeros_like(values)
        linear = affine_linear(-values, 1.0, none, none)
        return about_centre(linear, np.zeros((len(values), 2)), size)
    matrices = np.tile(np.eye(3), (len(values), 1, 1))
    along, other = (1, 0) if name.endswith("X") else (0, 1)
    if name in SHIFTS:
        matrices[:, along, 2] = -np.trunc(values)
    else:  # about the upper left corner, which is half a pixel before the first centre
        matrices[:, along, other] = values
        matrices[:, along, 2] = values / 2
    return matrices


def steps_of(operations: Operations) -> Steps:
    """Return what changes colours: a step for each place, which does nothing for other ones."""
    names, values = operations
    codes, numbers = np.zeros(names.shape, np.int8), np.zeros((*names.shape, 1))
    for name, code in CODES.items():
        here = names == name
        codes[here] = code
        numbers[here, 0] = values[here] + (1 if name in FACTORS else 0)
    return Steps(codes, numbers)


def sharpen_drawn(images: NDArray[Any], operations: Operations, rows: NDArray[np.intp]) -> None:
    """Sharpen, or soften, the images that were drawn for it."""
    names, values = operations
    for slot in range(names.shape[1]):
        here = rows[names[rows, slot] == SHARPNESS]
        if len(here):
            Sharpness(1.0).apply(images, 1 + values[:, slot], here)


def magnitudes(name: str, bins: int, size: Size, space: dict[str, Any]) -> NDArray[np.float64]:
    """Return an operation's numbers, from the weakest to the strongest: (bins,).

    `space` has what the strongest is, where it differs: "ShearX" ..., "Posterize" for the fewest
    bits, and "Posterize from" for the most.
    """
    steps = np.linspace(0.0, 1.0, bins)
    if name in SHIFTS:
        strongest = space[name] * (size[1] if name == "TranslateX" else size[0])
        return steps * space.get("pixels", strongest)
    if name == "Posterize":
        most = space.get("Posterize from", 8)
        return np.rint(most - steps * (most - space[name]))
    if name == "Solarize":
        return 255.0 * (1 - steps)
    return steps * space.get(name, 0.0)


def with_signs(
    names: NDArray[np.str_], values: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return values with a sign, by even numbers from 0 to 1, where an operation has one."""
    return np.where(np.isin(names, SIGNED) & (u < 0.5), -values, values)
