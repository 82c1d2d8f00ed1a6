"""Supervision of the decode processes: one thread of the parent for each.

A thread starts its worker, gives it tasks, takes over what it has decoded, and starts it again when
it dies.  A worker has slots for two tasks in the shared memory: it decodes one while the other is
taken over.

    worker   [ decode 1 ][ decode 2 ][ decode 3 ]
    thread   send 1, 2   [take over 1] send 3 [take over 2] send 4 ...

Every worker has pipes of its own, and no lock or queue is shared between processes, so that a
killed one blocks nobody.  Before each file a worker notes its slot in shared memory: that tells
which file a dead worker was at; all other files of its tasks are read again.  Knows no numba, no
keras.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.counters import Counters
from fastaug.errors import DecodeError
from fastaug.files.decoders.process import DecoderProcess
from fastaug.files.decoders.slots import Slots
from fastaug.files.notices import Notice

TASKS_OF_A_WORKER = 2
_MAX_FAILED_STARTS = 10  # so many workers killed in a row before they were ready are an error
_JOIN_S = 5.0

PickPixels: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.int32], NDArray[Any]], None]


@dataclass(eq=False)
class Ticket:
    """A batch of files under way, and the memory for its images, (n or more, ...)."""

    paths: Sequence[str]
    memory: NDArray[Any]
    remaining: int
    errors: dict[int, DecodeError] = field(default_factory=dict)  # by number in the batch
    notices: list[tuple[int, Notice]] = field(default_factory=list)  # likewise
    crash_files: set[int] = field(default_factory=set)  # files at which one worker has died
    released: bool = False

    @property
    def images(self) -> NDArray[Any]:
        """The images, (n, height, width, channels)."""
        return self.memory[: len(self.paths)]


@dataclass(eq=False)
class Task:
    """Some files of a ticket, one behind the other, and the worker's first slot for them."""

    ticket: Ticket
    start: int
    stop: int
    slot: int = -1

    def __len__(self) -> int:
        return self.stop - self.start

    def files(self) -> Iterable[tuple[int, str]]:
        """Return the slot and the path of each file."""
        return enumerate(self.ticket.paths[self.start : self.stop], self.slot)

    def number_of(self, slot: int) -> int:
        """Return the number in the batch of the file in a slot, -1 if it is of another task."""
        number = self.start + slot - self.slot
        return number if self.start <= number < self.stop else -1


class Supervisor:
    """What the consumer and the workers' threads share, under one lock.

    Parameters
    ----------
    setup
        The first message to `child.py`.
    descriptors
        Open files that workers inherit.
    slots
        The arrays in shared memory, with as many slots for each worker.
    memories
        Arrays for the images of so many batches.
    pick_pixels
        Puts images from slots, of the given heights and widths, into a batch.
    stats
        Where the work is counted.
    """

    def __init__(
        self,
        setup: dict[str, Any],
        descriptors: tuple[int, ...],
        slots: Slots,
        memories: Sequence[NDArray[Any]],
        pick_pixels: PickPixels,
        stats: Counters,
    ) -> None:
        self._setup = setup
        self._descriptors = descriptors
        self._slots = slots
        self.task_files = len(slots.pixels) // (len(slots.notes) * TASKS_OF_A_WORKER)
        self._pick_pixels = pick_pixels
        self._stats = stats
        # Entered by itself, in C: Condition's own `with` is Python, in which a Ctrl-C can hit.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.free_memories = list(memories)
        self.tasks: deque[Task] = deque()
        self.workers: dict[int, DecoderProcess] = {}
        self.worker_tasks: dict[int, deque[Task]] = {}  # by number of the thread and its worker
        self.ends: list[str] = []  # how workers ended, until `take_ends`
        self.failure: str | None = None  # why workers can't be started; stops all threads
        self.closed = False
        self.owner = os.getpid()
        self._threads: list[threading.Thread] = []
        self._failed_starts = 0
        self._tasks_done = 0

    def start(self, count: int) -> None:
        """Start the threads, unless they run."""
        with self.lock:
            for number in range(len(self._threads), count):
                self.worker_tasks[number] = deque()
                name = f"fastaug-decode-{number}"
                thread = threading.Thread(None, self._run_worker, name, (number,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def retry(self) -> None:
        """Forget that workers could not be started: what was wrong may be mended."""
        with self.lock:
            if self.failure:
                self.failure = None
                self.changed.notify_all()

    def progress(self) -> object:
        """Return a value that changes whenever a worker begins a file or ends a task."""
        return self._tasks_done, self._slots.notes.tobytes()

    def files_being_read(self) -> list[str]:
        """Return the files that busy workers are at; all of a task that was not begun."""
        paths: list[str] = []
        for number, tasks in self.worker_tasks.items():
            if not tasks:
                continue
            task, file = self._file_of(number)
            if file < 0:
                paths += tasks[0].ticket.paths[tasks[0].start : tasks[0].stop]
            elif task is not None:
                paths.append(task.ticket.paths[file])
        return paths

    def interrupt(self) -> None:
        """Kill the workers that are busy, so that their threads go on."""
        with self.lock:
            for number, worker in self.workers.items():
                if self.worker_tasks[number]:
                    worker.interrupted = True
                    worker.process.kill()

    def take_ends(self) -> list[str]:
        """Return how workers ended since the last call; with one, all that have ended by now."""
        with self.lock:
            for worker in self.workers.values() if self.ends else ():
                if (
                    worker.ready
                    and not (worker.end_reported or worker.interrupted)
                    and worker.describe_end()
                ):
                    worker.end_reported = True
                    self.ends.append(worker.describe_end())
            ends, self.ends = self.ends, []
        return ends

    def release(self, ticket: Ticket) -> None:
        """Forget a ticket's waiting tasks; its memory is free as soon as nobody writes there."""
        with self.lock:
            if ticket.released:
                return
            ticket.released = True
            for task in [task for task in self.tasks if task.ticket is ticket]:
                self.tasks.remove(task)
                ticket.remaining -= len(task)
            self._finish(ticket, 0)

    def close(self) -> None:
        """Kill all workers and wait for their threads; harmless in a forked child."""
        if os.getpid() != self.owner:
            return
        with self.lock:
            self.closed = True
            for worker in self.workers.values():
                worker.process.kill()
            self.changed.notify_all()
        if threading.current_thread() in self._threads:
            return  # the garbage collector may run in one of them, with the lock held
        deadline = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.free_memories.clear()
        slots = self._slots  # copies of nothing let the shared memory go
        self._slots = Slots(slots.notes.copy(), slots.sizes[:0].copy(), slots.pixels[:0].copy())

    def _run_worker(self, number: int) -> None:
        """Keep one worker at work until the supervisor is closed: the body of a thread."""
        worker: DecoderProcess | None = None
        while not self.closed:
            try:
                while (task := self._next_task(number)) is not None:
                    if worker is None:
                        worker = DecoderProcess(number, self._descriptors)
                        self._register(number, worker)
                    worker.send(task.files())
                if worker is not None and self.worker_tasks[number]:
                    self._finish_task(number, worker.receive())
            # Whatever it is, it must reach the consumer, and this thread must go on.
            except Exception as error:
                self._discard_worker(number, worker, error)
                worker = None
        if worker is not None:
            worker.close()

    def _next_task(self, number: int) -> Task | None:
        """Take a task if there is one for this worker; wait for it if that has nothing to do."""
        tasks = self.worker_tasks[number]
        with self.lock:
            if not tasks:
                self.changed.wait_for(lambda: (self.tasks and not self.failure) or self.closed)
            # A worker with a task leaves the others to those that have none.
            idle = sum(not others for others in self.worker_tasks.values())
            if self.closed or self.failure or (tasks and len(self.tasks) <= idle):
                return None
            if len(tasks) == TASKS_OF_A_WORKER:
                return None
            task = self.tasks.popleft()
            first = number * TASKS_OF_A_WORKER * self.task_files
            task.slot = first + (self.task_files if tasks and tasks[0].slot == first else 0)
            tasks.append(task)
            return task

    def _register(self, number: int, worker: DecoderProcess) -> None:
        """List a new worker, so that it can be killed, and wait until it is ready."""
        with self.lock:
            self.workers[number] = worker
            self._slots.notes[number] = 0
            if self.closed:
                worker.process.kill()
        worker.set_up(self._setup)
        self._failed_starts = 0

    def _finish_task(self, number: int, reply: dict[str, Any]) -> None:
        """Take over the images that a worker has decoded, and its errors and notices."""
        task = self.worker_tasks[number][0]
        ticket = task.ticket
        started = time.perf_counter()
        if not ticket.released:
            slots = slice(task.slot, task.slot + len(task))
            images = ticket.memory[task.start : task.stop]
            try:
                self._pick_pixels(self._slots.pixels[slots], self._slots.sizes[slots], images)
            except Exception as error:
                # That is no fault of a file or a worker, and to try again would not help.
                self.workers[number].interrupted = True
                self.failure = f"decoded images can't be copied: {error!r}"
                raise
        handover_s = time.perf_counter() - started
        with self.lock:
            for slot, reason in reply["reasons"]:
                file = task.number_of(slot)
                ticket.errors[file] = DecodeError(ticket.paths[file], reason)
            for slot, category, text in reply["notices"]:
                ticket.notices.append((task.number_of(slot), (category, text)))
            decoded = len(task) - len(reply["reasons"])
            self._stats.add(decoded=decoded, decode_s=reply["seconds"], handover_s=handover_s)
            self._tasks_done += 1
            self.worker_tasks[number].popleft()
            self._finish(ticket, len(task))

    def _discard_worker(self, number: int, worker: DecoderProcess | None, error: Exception) -> None:
        """End a worker, for another one to be started, and put its tasks back."""
        end = f"failed: {error}" if worker is None else worker.close()
        with self.lock:
            self.workers.pop(number, None)
            if self.closed:
                return
            if worker is None or not worker.interrupted:
                self._record_end(number, worker, end)
            tasks = self.worker_tasks[number]
            while tasks:
                task = tasks.pop()
                if task.ticket.released:
                    self._finish(task.ticket, len(task))
                elif len(task):
                    self.tasks.appendleft(task)
            self.changed.notify_all()

    def _record_end(self, number: int, worker: DecoderProcess | None, end: str) -> None:
        """Record that a worker ended by itself; a file at which two have ended is an error."""
        if worker is None or not worker.ready:
            self._failed_starts += 1
            killed = worker is not None and worker.process.returncode < 0
            if not killed or self._failed_starts >= _MAX_FAILED_STARTS:
                self.failure = (
                    f"a decode process could not start: it {end}; what it printed on stderr "
                    "may say why, and workers=0 decodes without processes"
                )
                return
        if worker is None or not worker.end_reported:
            self.ends.append(end)
        self._stats.add(workers_restarted=1)
        task, file = self._file_of(number)
        if task is None:
            return
        ticket = task.ticket
        if file not in ticket.crash_files:
            ticket.crash_files.add(file)
            return
        reason = f"its decode process {end}, and so did another one before"
        ticket.errors[file] = DecodeError(ticket.paths[file], reason)
        self._leave_out(number, task, file)

    def _file_of(self, number: int) -> tuple[Task | None, int]:
        """Return the task and the number in its batch of the file that a worker is at, or -1."""
        slot = int(self._slots.notes[number]) - 1
        for task in self.worker_tasks[number]:
            if (file := task.number_of(slot)) >= 0:
                return task, file
        return None, -1

    def _leave_out(self, number: int, task: Task, file: int) -> None:
        """Take a file out of a task, which becomes two."""
        tasks = self.worker_tasks[number]
        place = tasks.index(task)
        tasks.insert(place + 1, Task(task.ticket, file + 1, task.stop))
        task.stop = file
        self._finish(task.ticket, 1)

    def _finish(self, ticket: Ticket, count: int) -> None:
        """Note that so many files of a ticket are done with."""
        ticket.remaining -= count
        if ticket.released and not ticket.remaining:
            self.free_memories.append(ticket.memory)
        self.changed.notify_all()
