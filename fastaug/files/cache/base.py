"""What a source of files asks of a cache of decoded images."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ImageCache(Protocol):
    """What a source of files asks of a cache of decoded images."""

    @property
    def images(self) -> NDArray[Any]:
        """All places, (places, height, width, channels), contiguous, read-only."""

    def find(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the place in `images` of each row of the data set, -1 where it is not kept.

        These places stay what they are for as long as the caller holds the array that `images`
        gave after this call.
        """

    def add(self, rows: NDArray[np.intp], images: NDArray[Any], picks: NDArray[np.intp]) -> None:
        """Keep a copy of `images[picks[i]]` for each `rows[i]`, as far as there is room."""

    def rest(self) -> None:
        """Let go of memory that can be had again, while nobody holds `images`."""

    def close(self) -> None:
        """Let go of memory and files; nothing is found or kept any more."""


def check_cache(name: str, value: Any) -> None:
    """Raise unless `value` says where decoded images are kept."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}={value!r} is neither None, 'memory' nor the path of a folder")
    if value == "":
        raise ValueError(f"{name}='' is neither None, 'memory' nor the path of a folder")
