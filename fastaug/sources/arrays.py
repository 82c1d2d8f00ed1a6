"""Rows of an array in memory -> pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from fastaug.sources.base import LentImages, Request


class ArraySource:
    """Pixels that are in memory already (or in a memory-mapped file): nothing is copied."""

    prepares = False
    was_late = False

    def __init__(self, images: NDArray[Any]) -> None:
        self._images = images

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[LentImages]:  # noqa: ARG002
        """Lend the whole array; there is nothing to prepare."""
        yield self._images, wanted[1]

    def rest(self) -> None:
        """Do nothing: the images are the user's."""

    def close(self) -> None:
        """Do nothing."""
