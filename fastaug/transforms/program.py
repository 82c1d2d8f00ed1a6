"""What a policy drew -> what its kernel takes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastaug.kernels.batch import Finish, Layout
from fastaug.kernels.colours import BLEND_GREY, DROP, PERMUTE, TURN_HUE
from fastaug.kernels.lanes import WIDTH as LANES
from fastaug.kernels.launch import COMPILED
from fastaug.kernels.program import COPY, RESAMPLE, WARP, Program
from fastaug.kernels.warp import FILL_MODES
from fastaug.transforms.base import Steps
from fastaug.transforms.geometry import Matrices, Pull

_ALIKE = 1e-9  # what rounding leaves of a turn by 0 degrees
_OFFSETS = 2**31  # the lanes' offsets into an image are 32 bits wide
_SMALLER = 1.01  # from here on a picture is made smaller before it is warped

# What mixes red, green and blue, or has a number for each of them.
_OF_COLOURS = {
    TURN_HUE: "a turn of the hue",
    BLEND_GREY: "a change of the saturation",
    PERMUTE: "a shuffle of the channels",
    DROP: "a drop of a channel",
}


def check_channels(steps: Steps, channels: int) -> None:
    """Raise a ValueError if a step can't be done to images of so many channels."""
    if channels in (3, 4):
        return
    codes = set(np.unique(steps.codes).tolist())
    for code, words in _OF_COLOURS.items():
        grey = channels == 1 and code in (TURN_HUE, BLEND_GREY)  # which changes nothing
        if code in codes and not grey:
            few = "1, 3 or 4" if code in (TURN_HUE, BLEND_GREY) else "3 or 4"
            raise ValueError(f"{words} needs images of {few} channels; these have {channels}")


def needs_scalars(layout: Layout, dtype: DTypeLike, *, plain: bool = False) -> bool:
    """Tell whether the kernel does without vector registers, for images computed in a dtype."""
    return plain or not fits_lanes(layout) or np.dtype(dtype) != np.float32


def fits_lanes(layout: Layout) -> bool:
    """Tell whether a pixel fits into the lanes, and there is a compiler."""
    values = layout.source_height * layout.source_width * layout.channels
    return COMPILED and layout.channels <= LANES and values < _OFFSETS


def is_still(pull: Pull) -> bool:
    """Tell whether all images stay as they are."""
    return not pull.moved.any() and not pull.flips.any() and pull.offsets is None


def program_of(
    order: int,
    fill_mode: str,
    cval: float,
    pull: Pull,
    steps: Steps,
    layout: Layout,
    finish: Finish,
) -> Program:
    """Return what is done to the images of a batch, for `kernels.policy.make_images`."""
    matrices, fills = pull.matrices, fill_mode in ("constant", "nearest")
    count = len(matrices)
    ways = np.where(pull.moved, WARP, COPY).astype(np.int8)
    if pull.offsets is not None:
        ways[:] = WARP
    elif order == 1 and fills and pull.extends:
        ways[pull.moved & _along_axes(matrices)] = RESAMPLE
    reduced = np.full((count, 2), (layout.source_height, layout.source_width), np.int64)
    antialias = pull.antialias and order == 1
    most = 4.0
    if antialias and pull.moved.any():
        spans = _spans(matrices, (layout.height, layout.width))
        matrices = matrices.copy()
        _reduce(matrices, reduced, np.where(ways == WARP, spans.T, 1.0).T)
        most = 2 * spans.max() + 3
    return Program(
        ways,
        matrices,
        pull.flips,
        np.empty((0, 1, 1, 2), np.float32) if pull.offsets is None else pull.offsets,
        reduced,
        steps.codes,
        steps.numbers.astype(finish.operands.dtype, copy=False),
        min(order, 1),
        FILL_MODES[fill_mode],
        0.5 if pull.extends else 0.0,
        float(cval),
        antialias,
        math.ceil(min(most, 2 + 2 * max(layout.source_height, layout.source_width))),
    )


def _along_axes(matrices: Matrices) -> NDArray[np.bool_]:
    """Tell which matrices turn nothing: rows stay rows, (n,) bool."""
    off = np.abs(matrices[:, [0, 1, 2, 2], [1, 0, 0, 1]]).max(axis=1)
    return (off <= _ALIKE) & (matrices[:, 2, 2] == 1)


def _spans(matrices: Matrices, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return how many pixels of the source a step of the output spans: (n, 2), rows and columns.

    Of a perspective it is that in the middle of the output.
    """
    centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2, 1.0])
    place = matrices @ centre
    weight = np.where(place[:, 2:] == 0, 1.0, place[:, 2:])
    linear = matrices[:, :2, :2] / weight[..., np.newaxis]
    projected = place[:, :2] / weight
    linear = linear - projected[..., np.newaxis] * (matrices[:, 2:, :2] / weight[..., np.newaxis])
    return np.sqrt((linear**2).sum(axis=2))


def _reduce(matrices: Matrices, reduced: NDArray[np.int64], spans: NDArray[np.float64]) -> None:
    """Let images whose pixels span several of the source be made smaller first."""
    for i, axis in zip(*np.nonzero(spans > _SMALLER), strict=True):
        length = reduced[i, axis]
        reduced[i, axis] = max(1, round(length / spans[i, axis]))
        factor = reduced[i, axis] / length
        matrices[i, axis] = matrices[i, axis] * factor + matrices[i, 2] * ((factor - 1) / 2)
