"""Rows -> pixels that were decoded before: a cache in front of the source that decodes the rest.

lend(wanted) --all kept----------------------------> the cache's own memory, no copy
--some kept--> cache ------copy--> batch
source -----copy--> batch, and into the cache
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from fastaug.counters import Counters
from fastaug.files.cache.base import ImageCache
from fastaug.files.target import Target
from fastaug.sources.base import FileDecoder, LentImages, Request, in_format


class CachedSource:
    """Lends what a cache holds, and lets a source decode, and the cache keep, the rest.

    Parameters
    ----------
    source
        Decodes; lends images with the channels last.
    cache
        Keeps images of `target`, under the numbers of the rows.
    target
        What every file is turned into.
    data_format
        Where the channels are in what is lent.
    stats
        Where the work is counted.
    """

    prepares = True

    def __init__(
        self,
        source: FileDecoder,
        cache: ImageCache,
        target: Target,
        data_format: str,
        stats: Counters,
    ) -> None:
        self.was_late = False
        self._source = source
        self._cache = cache
        self._images = np.empty((0, *target.slot_shape), target.slot_dtype)
        self._data_format = data_format
        self._stats = stats
        self._closed = False
        # A batch that is put together lies in memory that the next one uses again.
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, wanted: Request, ahead: Sequence[Request]) -> Iterator[LentImages]:
        """Lend the wanted batch: from the cache, or as soon as the rest of it is decoded."""
        name, rows = wanted
        if self._closed:
            raise RuntimeError("the iterator is closed")
        places = self._cache.find(rows)
        kept = places >= 0
        self._stats.add(cache_hits=int(np.count_nonzero(kept)))
        missing = [self._missing_part(request) for request in ahead]
        missing = [request for request in missing if len(request[1])]
        if kept.all():
            if missing:
                self._source.prepare(missing)
            self.was_late = False
            yield in_format(self._cache.images, self._data_format), places
            return
        with self._lock, self._source.lend((name, rows[~kept]), missing) as (images, picks):
            self.was_late = self._source.was_late
            with self._stats.timing("handover_s"):
                self._cache.add(rows[~kept], images, picks)
            if not kept.any():
                yield in_format(images, self._data_format), picks
                return
            with self._stats.timing("handover_s"):
                batch = self._batch_memory(len(rows))
                batch[~kept] = images[picks]
                batch[kept] = self._cache.images[places[kept]]
            yield in_format(batch, self._data_format), np.arange(len(rows))

    def _missing_part(self, request: Request) -> Request:
        """Return what the cache does not hold of a request."""
        name, rows = request
        return name, rows[self._cache.find(rows) < 0]

    def _batch_memory(self, count: int) -> np.ndarray:
        """Return memory for a batch that is put together."""
        if len(self._images) < count:
            self._images = np.empty((count, *self._images.shape[1:]), self._images.dtype)
        return self._images[:count]

    def path_of(self, row: int) -> str:
        """Return the full path of a row's file."""
        return self._source.path_of(row)

    def rest(self) -> None:
        """Stop the decode processes; what is kept stays, but is not mapped until it is wanted."""
        self._source.rest()
        with self._lock:
            self._cache.rest()
            self._images = self._images[:0].copy()

    def close(self) -> None:
        """Stop the decode processes, and let the cache go."""
        self._closed = True
        self._source.close()
        self._cache.close()
