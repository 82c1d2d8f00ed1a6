"""What iterators ask of a source: rows -> pixels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.intp]


# A batch: something that names it, and the rows that it is made of.
Request: TypeAlias = tuple[Hashable, Rows]


LentImages: TypeAlias = tuple[NDArray[Any], Rows]


class Source(Protocol):
    """What iterators ask of a source."""

    prepares: bool  # whether it makes use of what it is told ahead
    was_late: bool  # whether the last batch had to be waited for

    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Any:
        """Return a context manager that gives (images, rows); `ahead` will be wanted next."""

    def rest(self) -> None:
        """Free processes and memory until the next batch is wanted; nothing is lent now."""

    def close(self) -> None:
        """Free processes and memory for good."""


class FileReader(Source, Protocol):
    """What iterators over files ask for in addition."""

    def path_of(self, row: int) -> str:
        """Return the full path of a row's file."""


class FileDecoder(FileReader, Protocol):
    """What a cache asks for in addition."""

    def prepare(self, ahead: Sequence[Request]) -> None:
        """Have batches under way that will be wanted next."""


def in_format(images: NDArray[Any], data_format: str) -> NDArray[Any]:
    """Return a view of decoded images, (n, height, width, channels), in the data format."""
    return np.moveaxis(images, -1, 1) if data_format == "channels_first" else images
