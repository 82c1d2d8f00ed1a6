"""Rows -> pixels.  The only place where I/O meets arrays.

A source lends the pixels of a batch: `with source.lend(...) as (images, rows)` gives an array and
which of its rows make the batch.  A file source starts to decode the batches to come, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.crew import Ticket
from fastaug.decode import Target, decode_file
from fastaug.workers import DecodePool

Rows: TypeAlias = NDArray[np.intp]
# A batch: something that names it, and the rows that it is made of.
Request: TypeAlias = tuple[Hashable, Rows]
Lent: TypeAlias = tuple[NDArray[Any], Rows]


class Source(Protocol):
    """What iterators ask of a source."""

    prepares: bool  # whether it makes use of what it is told ahead

    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Any:
        """Return a context manager that gives (images, rows); `ahead` will be wanted next."""

    def close(self) -> None:
        """Free processes and memory."""


def _in_format(images: NDArray[Any], data_format: str) -> NDArray[Any]:
    """Return a view of decoded images, (n, height, width, channels), in the data format."""
    return np.moveaxis(images, -1, 1) if data_format == "channels_first" else images


class ArraySource:
    """Pixels that are in memory already (or in a memory-mapped file): nothing is copied."""

    prepares = False

    def __init__(self, images: NDArray[Any]) -> None:
        self._images = images

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[Lent]:  # noqa: ARG002
        """Lend the whole array; there is nothing to prepare."""
        yield self._images, wanted[1]

    def close(self) -> None:
        """Do nothing."""


class LocalFileSource:
    """Files decoded in the calling thread, for `workers=0`."""

    prepares = False

    def __init__(self, filepaths: Sequence[str], target: Target, data_format: str) -> None:
        self._filepaths = filepaths
        self._folder = _working_folder()
        self._target = target
        self._data_format = data_format

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[Lent]:  # noqa: ARG002
        """Decode the wanted batch now; nothing runs ahead."""
        _, rows = wanted
        images = np.empty((len(rows), *self._target.slot_shape), self._target.slot_dtype)
        for slot, row in zip(images, rows, strict=True):
            path = os.path.join(self._folder, self._filepaths[row])  # noqa: PTH118
            decode_file(path, self._target, slot)
        yield _in_format(images, self._data_format), np.arange(len(rows))

    def close(self) -> None:
        """Do nothing."""


class FileSource:
    """Files decoded by a pool of processes, the next batches ahead of time.

    Parameters
    ----------
    filepaths
        Path of every row.
    target
        What every file is turned into.
    data_format
        Where the channels are in what is lent.
    workers, timeout
        See `DecodePool`.
    batch_size, read_ahead
        How many files make a batch, and how many batches are decoded ahead.
    """

    prepares = True

    def __init__(
        self,
        filepaths: Sequence[str],
        target: Target,
        data_format: str,
        *,
        workers: int,
        timeout: float,
        batch_size: int,
        read_ahead: int,
    ) -> None:
        self._filepaths = filepaths
        self._folder = _working_folder()
        self._data_format = data_format
        self._read_ahead = read_ahead
        self._new_pool = partial(DecodePool, target, workers, batch_size, read_ahead + 1, timeout)
        self._pool = self._new_pool()
        self._tickets: dict[Hashable, Ticket] = {}
        # One batch is lent at a time: its pixels lie in memory that the next one may reuse.
        self._lock = threading.Lock()
        self._settled = True
        self._closed = False

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[Lent]:
        """Lend the wanted batch as soon as it is decoded, after asking for the ones ahead."""
        self._pool.check_owner()  # before the lock, which a forked child may find locked for ever
        with self._lock:
            if not self._settled:
                self._start_afresh()
            # A Ctrl-C may come between any two steps; then nothing is known about the places.
            self._settled = False
            try:
                ticket = self._take(wanted, ahead)
                try:
                    images = self._pool.wait(ticket)
                    yield _in_format(images, self._data_format), np.arange(len(images))
                finally:
                    self._pool.release(ticket)
            except (Exception, GeneratorExit):
                self._settled = True
                raise
            self._settled = True

    def _take(self, wanted: Request, ahead: Sequence[Request]) -> Ticket:
        """Have the wanted batch and the ones ahead under way; forget what nobody asked for."""
        requests = dict([wanted, *ahead[: self._read_ahead]])
        unwanted = [name for name in self._tickets if name not in requests]
        for name, rows in requests.items():
            if name in self._tickets:
                continue
            if not self._pool.places and unwanted:
                self._pool.release(self._tickets.pop(unwanted.pop(0)))
            if not self._pool.places and name != wanted[0]:
                break  # a place that was given up is still being written to
            paths = [os.path.join(self._folder, self._filepaths[row]) for row in rows]  # noqa: PTH118
            self._tickets[name] = self._pool.submit(paths)
        return self._tickets.pop(wanted[0])

    def _start_afresh(self) -> None:
        if not self._closed:
            self._pool.close()
            self._tickets.clear()
            self._pool = self._new_pool()
        if self._closed:  # in the meantime, by another thread
            self._pool.close()
        self._settled = True

    def processes(self) -> list[int]:
        """Return the process numbers of the decode workers that run now."""
        return self._pool.processes()

    def close(self) -> None:
        """Stop the decode processes."""
        self._closed = True
        self._pool.close()


def _working_folder() -> str:
    """Return what relative names are relative to, for the life of a source."""
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # it was removed; absolute names still work
        return ""
