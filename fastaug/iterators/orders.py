"""In which order a pass goes through the rows: drawn from the seed, or set by a script."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.transforms.streams import batch_stream

_MAX_ORDERS = 3  # the pass under way, the next one, and one for `next()`

Rows = NDArray[np.intp]


class Orders:
    """The orders of the last passes, read-only: scripts see them as `index_array`."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[int, int], Rows] = {}
        self._own: dict[int, Rows] = {}  # that a script has set, by the start of their passes

    def of_pass(self, start: int, seed: int, count: int, shuffle: bool) -> Rows:
        """Return the order of the pass that begins when `start` batches were seen."""
        if self._own and start in self._own:
            return self._own[start]
        key = seed, start if shuffle else 0  # scripts may change `seed`
        if key not in self._drawn:
            order = batch_stream(seed, start).permutation(count) if shuffle else np.arange(count)
            while len(self._drawn) >= _MAX_ORDERS:
                self._drawn.pop(next(iter(self._drawn)))
            order.flags.writeable = False
            self._drawn[key] = order
        return self._drawn[key]

    def set_own(self, order: Any, starts: Iterable[int | None], count: int) -> None:
        """Let passes have an order of the user's; ValueError unless it holds numbers of rows."""
        order = np.array(order)
        whole = order.ndim == 1 and order.dtype.kind in "iu"
        if not whole or order.min(initial=0) < 0 or order.max(initial=-1) >= count:
            raise ValueError(f"index_array must hold row numbers from 0 to {count - 1}")
        order = order.astype(np.intp)
        order.flags.writeable = False
        self._own = {start: order for start in starts if start is not None}

    def clear(self) -> None:
        """Forget all."""
        self._drawn.clear()
        self._own.clear()
