"""Rows -> pixels.  The only place where I/O meets arrays.

A source lends the pixels of a batch: `with source.lend(...) as (images, rows)` gives an array and
which of its rows make the batch.  A file source starts to decode the batches to come, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Counters
from fastaug.files.catalog import FilePaths
from fastaug.files.decode import decode_into
from fastaug.files.decoders.pool import DecodePool, roomy_slot
from fastaug.files.decoders.supervisor import PickPixels, Ticket
from fastaug.files.notices import Notices
from fastaug.files.target import Target
from fastaug.sources.base import LentImages, Request, Rows, in_format

_UNDER_WAY_NBYTES = 2**29  # of decoded images; one batch is always there, however large it is


class LocalFileSource:
    """Files decoded in the calling thread, for `workers=0`; `FileSource` has the parameters."""

    prepares = False
    was_late = False

    def __init__(
        self,
        filepaths: Sequence[str],
        target: Target,
        data_format: str,
        resize: PickPixels | None = None,
        stats: Counters | None = None,
    ) -> None:
        self._paths = FilePaths(filepaths)
        self._target = target
        self._data_format = data_format
        self._resize = resize if target.picks_pixels else None
        self._stats = stats or Counters()
        self._notices = Notices()
        self._images = np.empty((0, *target.slot_shape), target.slot_dtype)
        self._slots = np.empty((0, 0), np.uint8)
        # One batch is lent at a time: its pixels lie in memory that the next one uses again.
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[LentImages]:  # noqa: ARG002
        """Decode the wanted batch now; nothing runs ahead."""
        _, rows = wanted
        with self._lock:
            if len(self._images) < len(rows):
                self._reserve(len(rows))
            images = self._images[: len(rows)]
            if self._resize is None:
                self._decode(rows, images.reshape(len(rows), -1).view(np.uint8))
            else:
                sizes = self._decode(rows, self._slots)
                with self._stats.timing("handover_s"):
                    self._resize(self._slots[: len(rows)], sizes, images)
            yield in_format(images, self._data_format), np.arange(len(rows))

    def _reserve(self, count: int) -> None:
        """Take memory for so many images, and for as many slots if they are resized from there."""
        self._images = np.empty((count, *self._target.slot_shape), self._target.slot_dtype)
        if self._resize is not None:
            self._slots = np.empty((count, roomy_slot(self._target)), np.uint8)

    def prepare(self, ahead: Sequence[Request]) -> None:
        """Do nothing: nothing runs ahead."""

    def _decode(self, rows: Rows, slots: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Fill a slot for each row; return the heights and widths of what lies there."""
        sizes = np.empty((len(rows), 2), np.int32)
        with self._stats.timing("decode_s"):
            for i, row in enumerate(rows):
                path = self._paths[row]
                height, width, notices = decode_into(path, self._target, slots[i])
                sizes[i] = height, width
                for notice in notices:
                    error = self._notices.tell(path, notice)
                    if error is not None:
                        raise error
        self._stats.add(decoded=len(rows))
        return sizes

    def path_of(self, row: int) -> str:
        """Return the full path of a row's file."""
        return self._paths[row]

    def rest(self) -> None:
        """Let the memory go."""
        with self._lock:
            self._images, self._slots = self._images[:0].copy(), self._slots[:0].copy()

    close = rest


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
        How many files make a batch at most, and how many batches are decoded ahead.
    resize, stats
        See `DecodePool`.
    """

    prepares = True
    was_late = False

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
        resize: PickPixels | None = None,
        stats: Counters | None = None,
    ) -> None:
        self._paths = FilePaths(filepaths)
        self._data_format = data_format
        self._read_ahead = read_ahead
        batches = min(read_ahead + 1, max(1, _UNDER_WAY_NBYTES // (batch_size * target.nbytes)))
        self._new_pool = partial(
            DecodePool, target, workers, batch_size, batches, timeout, resize, stats, Notices()
        )
        # None while nobody asks.  The first one is made now: what it lacks is said at once.
        self._pool: DecodePool | None = self._new_pool()
        self._tickets: dict[Hashable, Ticket] = {}
        # One batch is lent at a time: its pixels lie in memory that the next one may reuse.
        self._lock = threading.Lock()
        self._pool_is_intact = True
        self._closed = False
        self._owner = os.getpid()

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[LentImages]:
        """Lend the wanted batch as soon as it is decoded, after asking for the ones ahead."""
        ahead = ahead[: self._read_ahead]
        with self._using_pool() as pool:
            ticket = self._ticket_for(pool, wanted, ahead)
            try:
                self.was_late = ticket.remaining > 0
                images = pool.wait(ticket)
                yield in_format(images, self._data_format), np.arange(len(images))
            finally:
                pool.release(ticket)

    def prepare(self, ahead: Sequence[Request]) -> None:
        """Have batches under way that will be wanted next."""
        ahead = ahead[: self._read_ahead]
        with self._using_pool() as pool:
            self._submit_ahead(pool, ahead, self._unwanted(ahead))

    @contextmanager
    def _using_pool(self) -> Iterator[DecodePool]:
        """Let one thread at a time use the pool; after a rest or a Ctrl-C that is a new one."""
        # Before the lock, which a forked child may find locked for ever.
        self._check_owner()
        with self._lock:
            if self._pool is None or not self._pool_is_intact:
                self._replace_pool()
            pool = self._pool
            if self._closed or pool is None:
                raise RuntimeError("the iterator is closed")
            # A Ctrl-C may come between any two steps; then nothing is known about the places.
            self._pool_is_intact = False
            try:
                yield pool
            except (Exception, GeneratorExit):
                self._pool_is_intact = True
                raise
            self._pool_is_intact = True

    def _ticket_for(self, pool: DecodePool, wanted: Request, ahead: Sequence[Request]) -> Ticket:
        """Have batches under way, and return the wanted one's ticket."""
        key, unwanted = _key(wanted), self._unwanted([wanted, *ahead])
        ticket = self._tickets.get(key)
        if ticket is not None and ticket.errors and not ticket.crash_files:
            self._give_up(
                pool, [key]
            )  # a file that failed ahead of time may have been mended since
        if key not in self._tickets:
            if not pool.places:
                # The batch that is needed last has to give up its place.
                self._give_up(pool, [*unwanted, *map(_key, reversed(ahead))])
            self._submit(pool, wanted)
        ticket = self._tickets.pop(key)
        self._submit_ahead(pool, ahead, [other for other in unwanted if other in self._tickets])
        return ticket

    def _unwanted(self, requests: Sequence[Request]) -> list[Hashable]:
        """Return what is under way and not asked for any more."""
        keys = set(map(_key, requests))
        return [key for key in self._tickets if key not in keys]

    def _submit_ahead(
        self, pool: DecodePool, requests: Sequence[Request], unwanted: list[Hashable]
    ) -> None:
        """Submit what is not under way, as far as there are places."""
        for request in requests:
            if _key(request) in self._tickets:
                continue
            if not pool.places and unwanted:
                self._give_up(pool, [unwanted.pop(0)])
            if not pool.places:
                break  # a place that was given up is still being written to
            self._submit(pool, request)

    def _give_up(self, pool: DecodePool, keys: Iterable[Hashable]) -> None:
        """Give back the place of the first of these batches that is under way."""
        for key in keys:
            if key in self._tickets:
                pool.release(self._tickets.pop(key))
                return

    def _submit(self, pool: DecodePool, request: Request) -> None:
        """Submit a batch; wait for a place."""
        paths = [self._paths[row] for row in request[1]]
        self._tickets[_key(request)] = pool.submit(paths)

    def _replace_pool(self) -> None:
        """Begin with a new pool, unless the source is closed."""
        self._drop_pool()
        if not self._closed:
            self._pool = self._new_pool()
        if self._closed:  # in the meantime, by another thread
            self._drop_pool()
        self._pool_is_intact = True

    def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        self._tickets.clear()
        if pool is not None:
            pool.close()

    def path_of(self, row: int) -> str:
        """Return the full path of a row's file."""
        return self._paths[row]

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError(
                "an iterator over files can't be used in a forked process; make it there"
            )

    def rest(self) -> None:
        """Stop the decode processes and free their memory, until the next batch is wanted."""
        with self._lock:
            self._drop_pool()

    def close(self) -> None:
        """Stop the decode processes."""
        self._closed = True
        if os.getpid() != self._owner:
            return
        pool = self._pool
        if pool is not None:
            pool.close()  # which ends a wait in another thread, that has the lock
        if self._lock.acquire(blocking=False):
            try:
                self._drop_pool()
            finally:
                self._lock.release()


def _key(request: Request) -> Hashable:
    """Return what a ticket is kept under: a request of the same name may come with other rows."""
    name, rows = request
    return name, rows.tobytes()
