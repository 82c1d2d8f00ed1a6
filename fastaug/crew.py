"""The crew of decode processes: one thread of the parent looks after each.

A thread starts its worker, gives it one task at a time, and starts it again when it dies.  Every
worker has pipes of its own, and no lock or queue is shared between processes, so that a killed one
blocks nobody.  Before each file a worker notes the slot in shared memory: so it is known which file
a dead one was at, and all others of its task are simply read again.  Knows no numba, no keras.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.errors import DecodeError
from fastaug.stats import Stats
from fastaug.worker import pillow_settings, read_frame, write_frame

_STARTS_LOST = 10  # workers killed in a row before they were ready, until that is an error
_JOIN_S = 5.0

# The worker must find what the parent finds, so it gets the parent's search path; until then it
# imports nothing that a file in the working directory could shadow.
_BOOTSTRAP = (
    "import sys; sys.path[:] = {path}; from fastaug.worker import main; main({number}, {parent})"
)


@dataclass(eq=False)
class Ticket:
    """A batch of files under way: its place in memory, and the path for each slot there."""

    place: int
    paths: dict[int, str]
    remaining: int
    errors: dict[int, DecodeError] = field(default_factory=dict)  # by slot
    suspects: set[int] = field(default_factory=set)  # slots over which one worker has died
    released: bool = False


@dataclass(eq=False)
class Task:
    """Some slots of one ticket."""

    ticket: Ticket
    slots: list[int]


class WorkerProcess:
    """One decode process and its two pipes.

    OSError if it can't be started; its methods raise EOFError or OSError if it dies.
    """

    def __init__(self, number: int, descriptors: tuple[int, ...]) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise OSError(f"sys.executable={sys.executable!r} is not a Python interpreter")
        path = ascii([entry for entry in sys.path if isinstance(entry, str)])
        program = _BOOTSTRAP.format(path=path, number=number, parent=os.getpid())
        self.process = subprocess.Popen(
            # File names mean the same in both only with the same encoding.
            [sys.executable, "-X", f"utf8={sys.flags.utf8_mode}", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=descriptors,
            # NumPy would start a thread for every core, and decoding uses none of them.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C in a terminal goes to the whole process group; it is the parent's business.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._requests, self._replies = self.process.stdin, self.process.stdout
        self.ready = False
        self.interrupted = False  # killed by us, over nobody's fault

    def greet(self, setup: dict[str, Any]) -> None:
        """Send the setup and wait for the worker to be ready."""
        write_frame(self._requests.fileno(), setup)
        read_frame(self._replies.fileno())
        self.ready = True

    def decode(self, task: Task) -> dict[str, Any]:
        """Let the worker do a task; return its reply."""
        files = [(slot, task.ticket.paths[slot]) for slot in task.slots]
        write_frame(self._requests.fileno(), {"files": files, "pillow": pillow_settings()})
        return read_frame(self._replies.fileno())

    def bury(self) -> str:
        """Kill the process if it still runs, free its pipes, and say how it ended."""
        self.process.kill()
        code = self.process.wait()
        self._requests.close()
        self._replies.close()
        if code >= 0:
            return f"left with exit code {code}"
        names = {number.value: number.name for number in signal.Signals}
        return f"was killed by {names.get(-code, f'signal {-code}')}"


class Crew:
    """What the consumer and the workers' threads share, under one lock.

    Parameters
    ----------
    setup
        What `worker.py` wants to know.
    descriptors
        Open files that workers inherit.
    notes
        Shared memory: for each worker the slot that it decodes, plus 1, or 0.
    places
        How many batches fit in memory.
    stats
        Where the work is counted.
    """

    def __init__(
        self,
        setup: dict[str, Any],
        descriptors: tuple[int, ...],
        notes: NDArray[np.int64],
        places: int,
        stats: Stats,
    ) -> None:
        self._stats = stats
        self._setup = setup
        self._descriptors = descriptors
        self._notes = notes
        # Entered by itself, in C: Condition's own `with` is Python, in which a Ctrl-C can hit.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.free = list(range(places))
        self.tasks: deque[Task] = deque()
        self.workers: dict[int, WorkerProcess] = {}
        self.busy: dict[int, Task] = {}
        self.obituaries: list[str] = []  # how workers ended, until the consumer was told
        self.notices: dict[str, str] = {}  # what else it should hear, and the first file with it
        self.failure: str | None = None  # why workers can't be started; stops all threads
        self.closed = False
        self.owner = os.getpid()
        self._threads: list[threading.Thread] = []
        self._starts_lost = 0
        self._tasks_done = 0

    def start(self, count: int) -> None:
        """Start the threads, unless they run."""
        with self.lock:
            for number in range(len(self._threads), count):
                name = f"fastaug-decode-{number}"
                thread = threading.Thread(None, self._tend, name, (number,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def retry(self) -> None:
        """Forget that workers could not be started: what was wrong may be mended."""
        with self.lock:
            if self.failure:
                self.failure = None
                self.changed.notify_all()

    def progress(self) -> object:
        """Return something that changes whenever a worker gets on."""
        return self._tasks_done, self._notes.tobytes()

    def being_read(self) -> list[str]:
        """Return the files that busy workers are at; all of a task that was not begun."""
        found = []
        for number, task in self.busy.items():
            slot = int(self._notes[number]) - 1
            slots = [slot] if slot in task.slots else task.slots
            found += [task.ticket.paths[slot] for slot in slots]
        return found

    def interrupt(self) -> None:
        """Kill the workers that are busy, so that their threads go on."""
        with self.lock:
            for number in self.busy.keys() & self.workers.keys():
                self.workers[number].interrupted = True
                self.workers[number].process.kill()

    def release(self, ticket: Ticket) -> None:
        """Forget a ticket's waiting tasks; its place is free as soon as nobody writes there."""
        with self.lock:
            if ticket.released:
                return
            ticket.released = True
            for task in [task for task in self.tasks if task.ticket is ticket]:
                self.tasks.remove(task)
                ticket.remaining -= len(task.slots)
            self._finish(ticket, [], {})

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
        self._notes = self._notes.copy()  # lets the shared memory go

    def _tend(self, number: int) -> None:
        """Look after one worker until the crew is closed: the body of a thread."""
        worker: WorkerProcess | None = None
        while (task := self._next_task(number)) is not None:
            try:
                if worker is None:
                    worker = WorkerProcess(number, self._descriptors)
                    self._enlist(number, worker)
                reply = worker.decode(task)
            # Whatever it is, the consumer must hear of it and this thread must go on.
            except Exception as error:
                self._lose(number, worker, task, error)
                worker = None
            else:
                with self.lock:
                    del self.busy[number]
                    self._tasks_done += 1
                    self._take_over(task, reply)
        if worker is not None:
            worker.bury()

    def _take_over(self, task: Task, reply: dict[str, Any]) -> None:
        """Note what a worker says of a task that it has done."""
        paths = task.ticket.paths
        errors = {slot: DecodeError(paths[slot], reason) for slot, reason in reply["reasons"]}
        for slot, notice in reply["notices"]:
            self.notices.setdefault(notice, paths[slot])
        self._stats.decoded += len(task.slots) - len(errors)
        self._stats.decode_s += reply["seconds"]
        self._finish(task.ticket, task.slots, errors)

    def _next_task(self, number: int) -> Task | None:
        with self.lock:
            self.changed.wait_for(lambda: (self.tasks and not self.failure) or self.closed)
            if self.closed:
                return None
            self.busy[number] = task = self.tasks.popleft()
            return task

    def _enlist(self, number: int, worker: WorkerProcess) -> None:
        """Make a new worker known to those who may kill it, and wait until it is ready."""
        with self.lock:
            self.workers[number] = worker
            self._notes[number] = 0
            if self.closed:
                worker.process.kill()
        worker.greet(self._setup)
        self._starts_lost = 0

    def _lose(
        self, number: int, worker: WorkerProcess | None, task: Task, error: Exception
    ) -> None:
        """Bury a worker and put its task back."""
        end = f"failed: {error}" if worker is None else worker.bury()
        with self.lock:
            self.workers.pop(number, None)
            del self.busy[number]
            if self.closed:
                return
            if worker is None or not worker.interrupted:
                self._take_note(number, worker, task, end)
            if task.slots and task.ticket.released:
                self._finish(task.ticket, task.slots, {})
            elif task.slots:
                self.tasks.appendleft(task)
            self.changed.notify_all()

    def _take_note(self, number: int, worker: WorkerProcess | None, task: Task, end: str) -> None:
        """Write down a death that was not our doing, and name a file that is guilty of two."""
        if worker is None or not worker.ready:
            self._starts_lost += 1
            killed = worker is not None and worker.process.returncode < 0
            if not killed or self._starts_lost >= _STARTS_LOST:
                self.failure = (
                    f"a decode process could not start: it {end}; what it printed on stderr "
                    "may say why, and workers=0 decodes without processes"
                )
                return
        self.obituaries.append(end)
        self._stats.workers_restarted += 1
        ticket, slot = task.ticket, int(self._notes[number]) - 1
        if slot in task.slots and slot in ticket.suspects:
            task.slots.remove(slot)
            reason = f"its decode process {end}, and so did another one before"
            self._finish(ticket, [slot], {slot: DecodeError(ticket.paths[slot], reason)})
        else:
            ticket.suspects.add(slot)

    def _finish(self, ticket: Ticket, slots: Sequence[int], errors: dict[int, DecodeError]) -> None:
        ticket.errors |= errors
        ticket.remaining -= len(slots)
        if ticket.released and not ticket.remaining:
            self.free.append(ticket.place)
        self.changed.notify_all()
