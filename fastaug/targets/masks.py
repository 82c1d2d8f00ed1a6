"""Masks: the nearest pixel through the same geometry, and pasted with their images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import launch_shares, limited_threads
from fastaug.kernels.masks import warp_masks
from fastaug.kernels.warp import FILL_MODES
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import Array, layout_of, resized, size_of
from fastaug.pixels.mixing import pasted
from fastaug.transforms.base import Partners
from fastaug.transforms.geometry import Pull, Size

_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def read_masks(masks: Any, count: int, size: Size, data_format: str) -> Array:
    """Return masks of `count` images of a size as (n, ...) with channels.

    Raises
    ------
    ValueError
        For another shape, with both sizes, and for what holds no numbers.
    """
    array = np.asarray(masks)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize not in _BITS:
        raise ValueError(f"masks must hold numbers, not dtype {array.dtype}")
    if array.ndim == 3:
        array = array[:, np.newaxis] if data_format == "channels_first" else array[..., np.newaxis]
    if array.ndim != 4 or len(array) != count:
        raise ValueError(
            f"masks have the shape {np.shape(masks)}; for {count} images it is ({count}, height, "
            "width), with or without channels"
        )
    found = size_of(array.shape[1:], data_format)
    if found != tuple(size):
        raise ValueError(
            f"masks are {found[0]}x{found[1]}, and their images {size[0]}x{size[1]} (height x "
            "width): a mask must have its image's size"
        )
    return array


def fill_bits(fill: float, dtype: np.dtype[Any]) -> Any:
    """Return a number of a dtype as bits; ValueError if the dtype has no such number."""
    number = np.array(fill).astype(dtype)
    if float(number) != float(fill):
        raise ValueError(f"mask_fill={fill!r} is no number of the masks' dtype, {dtype}")
    return number.view(_BITS[dtype.itemsize])[()]


def move_masks(
    masks: Array,
    rows: NDArray[np.intp],
    pull: Pull,
    *,
    data_format: str,
    fill_mode: str,
    fill: float,
    threads: int | None = None,
) -> Array:
    """Return masks (n, ...) as their images are after all moves: new arrays of the same dtype."""
    bits = _BITS[masks.dtype.itemsize]
    source = np.ascontiguousarray(masks).view(bits)
    source.flags.writeable = False
    layout = layout_of(masks.shape[1:], data_format, pull.size)
    out = np.empty((len(rows), *resized(masks.shape[1:], pull.size, data_format)), masks.dtype)
    offsets = pull.offsets
    with limited_threads(threads) as count:
        launch_shares(
            warp_masks,
            source,
            np.asarray(rows, np.intp),
            pull.matrices,
            pull.flips,
            np.empty((0, 1, 1, 2), np.float32) if offsets is None else offsets,
            layout,
            FILL_MODES[fill_mode],
            0.5 if pull.extends else 0.0,
            fill_bits(fill, masks.dtype),
            out.view(bits),
            min(count, max(1, len(rows))),
        )
    return out


def mix_masks(masks: Array, partners: Partners, data_format: str) -> Array:
    """Return masks pasted as their images are; ValueError for images that are blended."""
    if partners.areas is None:
        raise ValueError("MixUp blends images, and masks can't be blended; CutMix pastes both")
    bits = masks.view(_BITS[masks.dtype.itemsize])
    return pasted(bits, partners, data_format, BatchBuffers(), 1).view(masks.dtype)
