"""The pool of decode processes.

    consumer            one thread per worker          worker process
    submit(paths) ----> [ queue of tasks ] --pipe----> child.py: decode
    wait(ticket) <----- condition <----------pipe----- {"reasons": []}
         |                supervisor.py                    |
         +-- images of <-- pixels picked <-- slots in shared
             a batch                         memory

Knows no numba, no keras.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Counters
from fastaug.errors import WorkerError
from fastaug.files.decoders.shared_memory import SharedMemory
from fastaug.files.decoders.slots import divide, slots_nbytes
from fastaug.files.decoders.supervisor import (
    TASKS_OF_A_WORKER,
    PickPixels,
    Supervisor,
    Task,
    Ticket,
)
from fastaug.files.notices import Notices
from fastaug.files.target import Target

# Files of a task: enough for its messages (about 0.1 ms) to be little beside the decoding (about
# 0.3 ms a photo), and few enough for the decoded images to be in the cache when they are copied.
_TASK_FILES, _TASK_NBYTES = 8, 2**23
# Slots have room for photos of 500x500 that are made smaller, but not for those of a camera.
_ROOMY_NBYTES, _ROOMY_FACTOR = 800_000, 4


Sizes: TypeAlias = tuple[int, int, int]  # number of workers, number of slots, bytes of a slot


class DecodePool:
    """Decode batches of files in other processes.

    Its methods may be called from any thread, but not in a forked process.

    Parameters
    ----------
    target
        What every file is turned into.
    workers
        Number of processes, at least 1; started with the first batch.
    batch_size, batches
        How many files make a batch at most, and how many batches can be under way, or in use.
    timeout
        Seconds without any progress after which `submit` and `wait` give up.
    resize
        Takes images out of slots, by the nearest pixel: a function of slots (n, slot_nbytes),
        heights and widths (n, 2), and the images (n, ...) to be filled, that may be called from
        several threads.  None lets the decoder resize, which takes longer.
    stats
        Where the work is counted.
    notices
        What was told of files before.

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
        resize: PickPixels | None = None,
        stats: Counters | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._timeout = timeout
        self._workers = workers
        resize = resize if target.picks_pixels else None
        sizes, memory = _share(target, workers, roomy=resize is not None)
        setup = {"target": asdict(target), "memory": memory.address(), "slots": sizes}
        descriptors = () if memory.descriptor < 0 else (memory.descriptor,)
        shape = batch_size, *target.slot_shape
        self._supervisor = Supervisor(
            setup,
            descriptors,
            divide(memory.buffer, *sizes),
            [np.empty(shape, target.slot_dtype) for _ in range(batches)],
            resize or _copy,
            stats or Counters(),
        )
        self._notices = notices or Notices()
        self._finalizer = weakref.finalize(self, _close, self._supervisor, memory)

    def submit(self, paths: Sequence[str]) -> Ticket:
        """Start decoding up to `batch_size` files, as soon as there is a free place."""
        self._check_usable()
        supervisor = self._supervisor
        supervisor.start(self._workers)
        with supervisor.lock:
            self._wait_until(lambda: supervisor.free_memories)
            ticket, count = Ticket(paths, supervisor.free_memories.pop(), len(paths)), len(paths)
            size = max(1, min(supervisor.task_files, -(-count // self._workers)))
            supervisor.tasks.extend(
                Task(ticket, start, min(start + size, count)) for start in range(0, count, size)
            )
            supervisor.changed.notify_all()
        return ticket

    def wait(self, ticket: Ticket) -> NDArray[Any]:
        """Return a ticket's images, (n, height, width, channels), valid until `release`.

        Raises
        ------
        DecodeError
            If a file can't be read: the first one of the batch.
        TimeoutError
            If nothing moved for `timeout` seconds; names the files being read.
        WorkerError
            If decode processes can't be started.
        """
        self._check_usable()
        try:
            with self._supervisor.lock:
                self._wait_until(lambda: not ticket.remaining)
        finally:
            self._report()
        for file, notice in sorted(ticket.notices):
            error = self._notices.tell(ticket.paths[file], notice)
            if error is not None:
                ticket.errors.setdefault(file, error)
        ticket.notices.clear()
        if ticket.errors:
            first, *others = (ticket.errors[file] for file in sorted(ticket.errors))
            first.others = tuple(others)
            raise first
        return ticket.images

    def release(self, ticket: Ticket) -> None:
        """Give a ticket's memory back; files that nobody has started on are forgotten."""
        self._supervisor.release(ticket)

    @property
    def places(self) -> int:
        """How many more batches can be submitted without waiting."""
        return len(self._supervisor.free_memories)

    def close(self) -> None:
        """Stop all processes and free the memory."""
        self._finalizer()

    def check_owner(self) -> None:
        """Raise a RuntimeError in a forked process."""
        if os.getpid() != self._supervisor.owner:
            raise RuntimeError(
                "an iterator over files can't be used in a forked process; make it there"
            )

    def _check_usable(self) -> None:
        self.check_owner()
        if self._supervisor.closed:
            raise RuntimeError("the iterator is closed")

    def _wait_until(self, ready: Callable[[], object]) -> None:
        """Wait, with the lock held, until `ready`; TimeoutError if workers make no progress."""
        supervisor = self._supervisor
        supervisor.retry()
        poll_s = min(self._timeout / 10, 1.0)
        stalled_s, progress, before = 0.0, supervisor.progress(), time.monotonic()
        while not (ready() or supervisor.failure or supervisor.closed):
            if stalled_s >= self._timeout:
                files = ", ".join(map(repr, supervisor.files_being_read())) or "none"
                supervisor.interrupt()
                raise TimeoutError(
                    f"no image was decoded for timeout={self._timeout} s; being read: {files}"
                )
            supervisor.changed.wait(poll_s)
            now = time.monotonic()
            # A machine that was suspended in between did not stall for all that time.
            stalled_s += min(now - before, 2 * poll_s)
            if supervisor.progress() != progress:
                stalled_s, progress = 0.0, supervisor.progress()
            before = now
        self._check_usable()
        if not ready():
            raise WorkerError(supervisor.failure)

    def _report(self) -> None:
        """Warn of the workers that ended since the last call."""
        ends = Counter(self._supervisor.take_ends())
        if ends:
            what = ", ".join(f"{count} {end}" for end, count in ends.items())
            warnings.warn(
                f"of the decode processes, {what}; what they had under way is read again by "
                "others, nothing is lost",
                RuntimeWarning,
                stacklevel=3,
            )


def _share(target: Target, workers: int, *, roomy: bool) -> tuple[Sizes, SharedMemory]:
    """Reserve the workers' slots: with room for photos that keep their size, if there is memory."""
    if roomy:
        with contextlib.suppress(OSError):
            return _reserve(workers, roomy_slot(target))
    return _reserve(workers, target.nbytes)


def _reserve(workers: int, slot_nbytes: int) -> tuple[Sizes, SharedMemory]:
    """Reserve slots for two tasks of each worker."""
    files = max(1, min(_TASK_FILES, _TASK_NBYTES // slot_nbytes))
    sizes = workers, workers * TASKS_OF_A_WORKER * files, slot_nbytes
    return sizes, SharedMemory(slots_nbytes(*sizes))


def roomy_slot(target: Target) -> int:
    """Return how many bytes a slot takes in which most photos may keep their size."""
    roomy = max(target.nbytes, min(_ROOMY_FACTOR * target.nbytes, _ROOMY_NBYTES))
    return -(-roomy // 64) * 64


def _copy(slots: NDArray[np.uint8], _sizes: NDArray[np.int32], images: NDArray[Any]) -> None:
    """Copy images that have their size already."""
    images[...] = slots.view(images.dtype).reshape(images.shape)


def _close(supervisor: Supervisor, memory: SharedMemory) -> None:
    try:
        supervisor.close()
    finally:
        memory.close()
