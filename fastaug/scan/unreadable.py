"""Which files of a data set can't be decoded, and why.  Decodes all, keeps no pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import TypeAlias

from fastaug.errors import DecodeError
from fastaug.files.decoders.pool import DecodePool
from fastaug.files.decoders.supervisor import Ticket
from fastaug.files.target import Target

Verdict: TypeAlias = tuple[str, str | None]

_FILES_OF_A_WORKER = 16  # in a batch
_BATCHES = 3  # under way
# Every file is decoded as a whole, however small the result is.
_TARGET = Target(1, 1, "rgb", "nearest", keep_aspect_ratio=False, scale_16bit=True)


def decode_each(
    paths: Sequence[str], workers: int, timeout: float
) -> Generator[Verdict, None, None]:
    """Decode all files as an iterator's batches are decoded.

    Parameters
    ----------
    paths
        The files.
    workers
        Number of decode processes, at least 1; they go on while the caller looks at what came.
    timeout
        Seconds without progress after which a file is given up.

    Yields
    ------
    Each path, in order, with the reason why it can't be decoded, or None.

    Raises
    ------
    WorkerError
        If decode processes can't be started.
    OSError
        If there is not enough shared memory.
    """
    size = workers * _FILES_OF_A_WORKER
    batches = deque(paths[first : first + size] for first in range(0, len(paths), size))
    while batches:
        pool = DecodePool(_TARGET, workers, min(size, len(paths)), _BATCHES, timeout)
        try:
            yield from _decode(pool, batches)
        except TimeoutError:
            # The files of the first batch are asked for one by one, to know which it is.
            first = batches.popleft()
            if len(first) == 1:
                yield first[0], f"not decoded within {timeout:g} s"
            else:
                batches.extendleft([path] for path in reversed(first))
        finally:
            pool.close()


def _decode(pool: DecodePool, batches: deque[Sequence[str]]) -> Iterator[Verdict]:
    """Take batches away as they are done."""
    tickets: deque[Ticket] = deque()
    while batches:
        while len(tickets) < min(_BATCHES, len(batches)):
            tickets.append(pool.submit(batches[len(tickets)]))
        ticket = tickets.popleft()
        reasons: dict[str, str] = {}
        try:
            pool.wait(ticket)
        except DecodeError as error:
            reasons = {failure.path: failure.reason for failure in (error, *error.others)}
        finally:
            pool.release(ticket)
        for path in batches.popleft():
            yield path, reasons.get(path)
