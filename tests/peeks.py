"""What tests and benchmarks want of the inside of readers, and no user does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.files.decode import decode_into
from fastaug.files.target import Target


def decode_file(path: str, target: Target, slot: NDArray[Any]) -> str | None:
    """Fill `slot` with the image of a file, as a worker does; return what the user should hear."""
    notices = decode_into(path, target, slot.reshape(-1).view(np.uint8)).notices
    return notices[0][1] if notices else None


def processes(reader: Any) -> list[int]:
    """Return the process numbers of the decode workers of an iterator or a source that run now."""
    while hasattr(reader, "_source"):  # of an iterator, and behind a cache
        reader = reader._source
    if reader._pool is None:  # it rests, or is closed
        return []
    supervisor = reader._pool._supervisor
    with supervisor.lock:
        return [worker.process.pid for worker in supervisor.workers.values()]
