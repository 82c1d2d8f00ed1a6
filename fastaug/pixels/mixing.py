"""Images of a batch, and their masks and labels, mixed with others of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import launch_shares
from fastaug.kernels.mixing import blend_images, paste_images, swap_areas
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import Array, as_bits, size_of
from fastaug.transforms.base import Partners


def mixed(
    batch: Array,
    partners: Partners,
    data_format: str,
    buffers: BatchBuffers,
    threads: int,
) -> Array:
    """Return a batch (n, ...) of the same dtype, mixed: the one that came, or a new one.

    Raises
    ------
    ValueError
        If whole images are to be blended with more than one other.
    """
    in_place = partners.shifts is None and partners.rows.shape[1] == 1
    if partners.areas is not None:
        if not in_place:
            return pasted(batch, partners, data_format, buffers, threads)
        _swap(batch, partners, data_format, threads)
        return batch
    if not in_place:
        raise ValueError(
            f"{partners.name} blends whole images with {partners.rows.shape[1]} others each; "
            "only one can be"
        )
    if batch.dtype == np.float16:
        whole = batch.astype(np.float32)
        return mixed(whole, partners, data_format, buffers, threads).astype(np.float16)
    kind = np.float64 if batch.dtype == np.float64 else np.float32
    launch_shares(
        blend_images,
        batch.reshape(len(batch), -1),
        np.ascontiguousarray(partners.rows[:, 0], np.intp),
        np.ascontiguousarray(partners.shares[:, 0], kind),
        threads,
    )
    return batch


def _swap(batch: Array, partners: Partners, data_format: str, threads: int) -> None:
    """Paste an area of another image into each, in place."""
    assert partners.areas is not None
    height, width = size_of(batch.shape[1:], data_format)
    planes = batch.shape[1] if data_format == "channels_first" else 1
    launch_shares(
        swap_areas,
        as_bits(batch).reshape(len(batch), planes, -1),
        np.ascontiguousarray(partners.rows[:, 0], np.intp),
        np.ascontiguousarray(partners.areas[:, 0], np.int64),
        1 if planes > 1 else batch[0].size // (height * width),
        width,
        threads,
    )


def pasted(
    batch: Array,
    partners: Partners,
    data_format: str,
    buffers: BatchBuffers,
    threads: int,
) -> Array:
    """Return a new batch with areas of other images; `batch` may hold masks of any dtype."""
    assert partners.areas is not None
    out = buffers.lend(batch.shape, batch.dtype)
    height, width = size_of(batch.shape[1:], data_format)
    planes = batch.shape[1] if data_format == "channels_first" else 1
    shifts = partners.shifts
    if shifts is None:
        shifts = np.zeros((*partners.rows.shape, 2), np.int64)
    shape = len(batch), planes, -1
    launch_shares(
        paste_images,
        as_bits(batch).reshape(shape),
        np.ascontiguousarray(partners.rows, np.intp),
        np.ascontiguousarray(partners.areas, np.int64),
        np.ascontiguousarray(shifts, np.int64),
        1 if planes > 1 else batch[0].size // (height * width),
        width,
        as_bits(out).reshape(shape),
        min(threads, len(batch)),
    )
    return out


def blended_labels(labels: NDArray[Any], partners: Partners) -> NDArray[Any]:
    """Return one-hot labels (n, classes), or weights (n,), blended by share; floats stay."""
    kind = labels.dtype if labels.dtype.kind == "f" else np.dtype(np.float32)
    shape = (len(labels),) + (1,) * (labels.ndim - 1)
    total = partners.shares[:, 0].reshape(shape) * labels
    for k in range(partners.rows.shape[1]):
        total = total + partners.shares[:, k + 1].reshape(shape) * labels[partners.rows[:, k]]
    return total.astype(kind)
