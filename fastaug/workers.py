"""The pool of decode processes.

    consumer            one thread per worker          worker process
    submit(paths) ----> [ queue of tasks ] --pipe----> worker.py: decode
    wait(ticket) <----- condition <----------pipe----- {"reasons": []}
         |                    crew.py                      |
         +--------- pixels: shared memory <----------------+

Batches have places in the memory, files have slots in a place.  Knows no numba, no keras.
"""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.crew import Crew, Task, Ticket
from fastaug.decode import Target
from fastaug.errors import WorkerError, warn_of_file
from fastaug.shared_memory import SharedMemory
from fastaug.stats import Stats
from fastaug.worker import divide, rooms_nbytes

# Files per task: few enough to keep all workers busy to the end of a batch, enough to make a
# hand-over (about 0.1 ms) small beside the decoding (about 0.3 ms a photo).
_TASK_FILES = 16


class DecodePool:
    """Decode batches of files in other processes, into shared memory.

    Its methods may be called from any thread, but not in a forked process.

    Parameters
    ----------
    target
        What every file is turned into.
    workers
        Number of processes, at least 1; started with the first batch.
    batch_size, batches
        How many files make a batch at most, and how many batches can be under way.
    timeout
        Seconds without any progress after which `submit` and `wait` give up.
    slot_nbytes
        Bytes for each image; with more than `target.nbytes`, images may keep their own size, as
        `decode_into` says.  None means no more.
    stats
        Where the work is counted.

    Raises
    ------
    OSError
        If there is not enough shared memory, with the size in the message.
    """

    def __init__(
        self,
        target: Target,
        workers: int,
        batch_size: int,
        batches: int,
        timeout: float,
        slot_nbytes: int | None = None,
        stats: Stats | None = None,
    ) -> None:
        self._target = target
        self._timeout = timeout
        self._workers = workers
        self._batch_size = batch_size
        rooms = workers, batch_size * batches, slot_nbytes or target.nbytes
        memory = SharedMemory(rooms_nbytes(*rooms))
        notes, self._sizes, self._slots = divide(memory.buffer, *rooms)
        setup = {"target": asdict(target), "memory": memory.address(), "rooms": rooms}
        descriptors = () if memory.descriptor < 0 else (memory.descriptor,)
        self._crew = Crew(setup, descriptors, notes, batches, stats or Stats())
        self._told: set[str] = set()
        self._finalizer = weakref.finalize(self, _close, self._crew, memory)

    def submit(self, paths: Sequence[str]) -> Ticket:
        """Start decoding up to `batch_size` files, as soon as there is a free place."""
        self._check_usable()
        crew = self._crew
        crew.start(self._workers)
        with crew.lock:
            self._wait_until(lambda: crew.free)
            place = crew.free.pop()
            first = place * self._batch_size
            ticket = Ticket(place, dict(enumerate(paths, first)), len(paths))
            slots = list(ticket.paths)
            size = max(1, min(_TASK_FILES, -(-len(slots) // self._workers)))
            groups = [slots[i : i + size] for i in range(0, len(slots), size)]
            crew.tasks.extend(Task(ticket, group) for group in groups)
            crew.changed.notify_all()
        return ticket

    def wait(self, ticket: Ticket) -> NDArray[Any]:
        """Return a ticket's pixels, (n, height, width, channels), valid until `release`.

        Only for slots that hold no more than a target.

        Raises
        ------
        DecodeError
            If a file can't be read: the first one of the batch.
        TimeoutError
            If nothing moved for `timeout` seconds; names the files being read.
        WorkerError
            If decode processes can't be started.
        """
        slots, _ = self.wait_for_slots(ticket)
        return slots.view(self._target.slot_dtype).reshape(-1, *self._target.slot_shape)

    def wait_for_slots(self, ticket: Ticket) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return a ticket's slots, (n, slot_nbytes), and the sizes of the images that lie there.

        The sizes, (n, 2), are heights and widths; both are valid until `release`.  Raises as
        `wait`.
        """
        self._check_usable()
        try:
            with self._crew.lock:
                self._wait_until(lambda: not ticket.remaining)
        finally:
            self._report()
        if ticket.errors:
            first, *others = (ticket.errors[slot] for slot in sorted(ticket.errors))
            first.others = tuple(others)
            raise first
        begin = ticket.place * self._batch_size
        end = begin + len(ticket.paths)
        return self._slots[begin:end], self._sizes[begin:end]

    def release(self, ticket: Ticket) -> None:
        """Give a ticket's place back; files that nobody has started on are forgotten."""
        self._crew.release(ticket)

    @property
    def places(self) -> int:
        """How many more batches can be submitted without waiting."""
        return len(self._crew.free)

    def close(self) -> None:
        """Stop all processes and free the memory."""
        self._finalizer()
        self._slots = self._slots[:0].copy()  # lets the shared memory go
        self._sizes = self._sizes[:0].copy()

    def processes(self) -> list[int]:
        """Return the process numbers of the workers that run now."""
        with self._crew.lock:
            return [worker.process.pid for worker in self._crew.workers.values()]

    def check_owner(self) -> None:
        """Raise a RuntimeError in a forked process."""
        if os.getpid() != self._crew.owner:
            raise RuntimeError(
                "an iterator over files can't be used in a forked process; make it there"
            )

    def _check_usable(self) -> None:
        self.check_owner()
        if self._crew.closed:
            raise RuntimeError("the iterator is closed")

    def _wait_until(self, ready: Callable[[], object]) -> None:
        """Wait, with the lock held, as long as workers get on."""
        crew = self._crew
        crew.retry()
        look_s = min(self._timeout / 10, 1.0)
        stalled_s, progress, before = 0.0, crew.progress(), time.monotonic()
        while not (ready() or crew.failure or crew.closed):
            if stalled_s >= self._timeout:
                files = ", ".join(map(repr, crew.being_read())) or "none"
                crew.interrupt()
                raise TimeoutError(
                    f"no image was decoded for timeout={self._timeout} s; being read: {files}"
                )
            crew.changed.wait(look_s)
            now = time.monotonic()
            # A machine that was suspended in between did not stall for all that time.
            stalled_s += min(now - before, 2 * look_s)
            if crew.progress() != progress:
                stalled_s, progress = 0.0, crew.progress()
            before = now
        self._check_usable()
        if not ready():
            raise WorkerError(crew.failure)

    def _report(self) -> None:
        """Warn, once, of the workers that ended since the last call, and of what they noticed."""
        with self._crew.lock:
            ends, self._crew.obituaries = Counter(self._crew.obituaries), []
            notices = self._crew.notices.keys() - self._told
            self._told |= notices
        if ends:
            what = ", ".join(f"{count} {end}" for end, count in ends.items())
            warnings.warn(
                f"of the decode processes, {what}; what they had under way is read again by "
                "others, nothing is lost",
                RuntimeWarning,
                stacklevel=3,
            )
        for notice in sorted(notices):
            warn_of_file(self._crew.notices[notice], notice)


def _close(crew: Crew, memory: SharedMemory) -> None:
    try:
        crew.close()
    finally:
        memory.close()
