"""Images of a batch, and their masks and labels, mixed with others of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import launch_shares
from fastaug.kernels.mixing import blend_images, paste_images
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
    """Return a new batch (n, ...), of the same dtype, in which each image is mixed."""
    if partners.areas is not None:
        return pasted(batch, partners, data_format, buffers, threads)
    if batch.dtype == np.float16:
        whole = batch.astype(np.float32)
        return mixed(whole, partners, data_format, buffers, threads).astype(np.float16)
    out = buffers.lend(batch.shape, batch.dtype)
    count = len(batch)
    kind = np.float64 if batch.dtype == np.float64 else np.float32
    launch_shares(
        blend_images,
        batch.reshape(count, -1),
        np.ascontiguousarray(partners.rows[:, 0], np.intp),
        np.ascontiguousarray(partners.shares[:, 0], kind),
        out.reshape(count, -1),
        min(threads, count),
    )
    return out


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
