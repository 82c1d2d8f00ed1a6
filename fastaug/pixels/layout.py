"""How images lie in memory: data formats, dtypes, and what the kernels take."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_one_of
from fastaug.kernels.batch import Layout

Array: TypeAlias = NDArray[Any]


DTYPES = ("float16", "float32", "float64", "uint8")


def working_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which a batch is computed: float64 where that is asked for."""
    return np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)


def channels_last(images: Array, data_format: str) -> Array:
    """Return a view with the channels last, of an image or of a batch."""
    return np.moveaxis(images, -3, -1) if data_format == "channels_first" else images


def size_of(shape: tuple[int, ...], data_format: str) -> tuple[int, int]:
    """Return the height and the width of images of a shape."""
    return shape[-2:] if data_format == "channels_first" else shape[-3:-1]  # type: ignore[return-value]


def resized(
    shape: tuple[int, ...], size: tuple[int, int], data_format: str
) -> tuple[int, int, int]:
    """Return the shape of an image that gets another size."""
    return (shape[0], *size) if data_format == "channels_first" else (*size, shape[2])


def layout_of(
    shape: tuple[int, ...], data_format: str, size: tuple[int, int] | None = None
) -> Layout:
    """Return how images of a shape, and the ones of `size` that are made of them, lie in memory."""
    planar = data_format == "channels_first"
    source = size_of(shape, data_format)
    return Layout(*(size or source), shape[0 if planar else 2], planar, *source)


def as_bits(batch: Array) -> Array:
    """Return a batch as kernels know it: float16 as uint16."""
    return batch.view(np.uint16) if batch.dtype == np.float16 else batch


def source_of(
    images: Array, rows: NDArray[np.intp], dtype: np.dtype[Any]
) -> tuple[Array, NDArray[np.intp]]:
    """Return images of a kind that the kernel reads, without a copy where that is possible.

    Other dtypes and memory layouts would each take seconds to compile for; copying the batch takes
    a small part of the time that its warp does.
    """
    if images.dtype == np.uint8:
        dtype = images.dtype
    if images.dtype != dtype or not (images.flags.c_contiguous and images.flags.aligned):
        images, rows = np.ascontiguousarray(images[rows], dtype), np.arange(len(rows))
    # A read-only view of the plain class: memmaps, read-only and writable arrays share one kernel.
    images = images.view(np.ndarray)
    images.flags.writeable = False
    return images, rows


def check_dtype(option: str, dtype: Any) -> np.dtype[Any]:
    """Return the output dtype, or raise an error that lists the accepted ones."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        check_one_of(option, name, DTYPES)
    return np.dtype(name)
