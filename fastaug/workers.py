"""The pool of decode processes.

    consumer            one thread per worker          worker process
    submit(paths) ----> [ queue of tasks ] --pipe----> worker.py: decode
    wait(ticket) <----- condition <----------pipe----- {"errors": []}
         |                                                 |
         +--------- pixels: shared memory <----------------+

Each worker is a clean interpreter with one request pipe and one reply pipe, looked after by one
thread of the parent, which starts it, gives it one task at a time and starts it again when it dies.
No lock or queue is shared between processes, so a killed worker blocks nobody.  Decoding is pure:
what a dead worker had under way is asked for again, file by file; a file whose worker dies twice is
reported.  Knows no numba, no keras.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.decode import Target
from fastaug.errors import DecodeError, WorkerError
from fastaug.shared_memory import SharedMemory
from fastaug.worker import pillow_settings, read_frame, write_frame

# Files per task: few enough to keep all workers busy to the end of a batch, enough to make a
# hand-over (about 0.1 ms) small beside the decoding (about 1 ms a photo).
_TASK_FILES = 8
_DEATHS_ALLOWED = 1  # of workers over one file
_JOIN_S = 5.0

# The worker must find what the parent finds, so it gets the parent's search path.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from fastaug.worker import main; main(int(sys.argv[2]))"
)


@dataclass(eq=False)
class Ticket:
    """A batch of files under way: `frame` is its place in memory, `paths` the files in order."""

    frame: int
    paths: Sequence[str]
    remaining: int
    errors: list[DecodeError] = field(default_factory=list)
    released: bool = False


@dataclass(eq=False)
class _Task:
    """Some files of one ticket: (slot, path) pairs; `deaths` counts workers that died over them."""

    ticket: Ticket
    files: list[tuple[int, str]]
    deaths: int = 0


class _Worker:
    """One decode process and its two pipes."""

    def __init__(self, setup: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP, path, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=descriptors,
            # Ctrl-C in a terminal goes to the whole process group; it is the parent's business.
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._requests, self._replies = self.process.stdin, self.process.stdout
        self._setup = setup

    def greet(self) -> None:
        """Send the setup and wait for the worker to be ready."""
        write_frame(self._requests.fileno(), self._setup)
        read_frame(self._replies.fileno())

    def run(self, task: _Task) -> list[DecodeError]:
        """Let the worker decode a task; EOFError or OSError if it dies."""
        write_frame(self._requests.fileno(), {"files": task.files})
        reply = read_frame(self._replies.fileno())
        return [DecodeError(path, reason) for path, reason in reply["errors"]]

    def dispose(self) -> str:
        """Kill the process if it still runs, free its pipes, and say how it ended."""
        self.process.kill()
        code = self.process.wait()
        self._requests.close()
        self._replies.close()
        if code >= 0:
            return f"left with exit code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"


class _Work:
    """What the consumer and the workers' threads share, under one condition."""

    def __init__(self, setup: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        self.setup = setup
        self.descriptors = descriptors
        self.condition = threading.Condition()
        self.tasks: deque[_Task] = deque()
        self.running: dict[int, tuple[_Worker, _Task | None]] = {}  # by thread number
        self.interrupted: set[_Worker] = set()  # killed by us, over nobody's fault
        self.threads: list[threading.Thread] = []
        self.progress = 0  # grows with every reply, so that waiting can tell a stall
        self.obituaries: list[str] = []
        self.failure: str | None = None
        self.closed = False
        self.owner = os.getpid()

    def tend(self, number: int) -> None:
        """Look after one worker until the pool is closed: the body of a thread."""
        worker: _Worker | None = None
        while True:
            with self.condition:
                self.condition.wait_for(lambda: (self.tasks and not self.failure) or self.closed)
                if self.closed:
                    break
                task = self.tasks.popleft()
                if worker is not None:
                    self.running[number] = worker, task
            # A worker that died while idle is nobody's fault.
            if worker is not None and worker.process.poll() is not None:
                self._bury(number, worker)
                worker = None
            if worker is None:
                worker = self._hire(number, task)
            if worker is not None and not self._run(number, worker, task):
                worker = None
        if worker is not None:
            self.running.pop(number, None)
            worker.dispose()

    def _hire(self, number: int, task: _Task) -> _Worker | None:
        """Start a worker; one that can't even start fails the pool."""
        worker = None
        try:
            worker = _Worker(self.setup, self.descriptors)
            with self.condition:
                self.running[number] = worker, task
                if self.closed:
                    worker.process.kill()
            worker.greet()
        except (EOFError, OSError) as error:
            end = f"{error}" if worker is None else worker.dispose()
            with self.condition:
                self.running.pop(number, None)
                self.tasks.appendleft(task)
                if not self.closed and worker not in self.interrupted:
                    self.failure = (
                        f"a decode process could not start: it {end}; what it printed on stderr "
                        "may say why, and workers=0 decodes without processes"
                    )
                self.condition.notify_all()
            return None
        return worker

    def _run(self, number: int, worker: _Worker, task: _Task) -> bool:
        """Let a worker do a task; False if it died over it."""
        try:
            errors = worker.run(task)
        except (EOFError, OSError):
            end = self._bury(number, worker)
            with self.condition:
                self._ask_again(task, None if worker in self.interrupted else end)
                self.interrupted.discard(worker)
                self.condition.notify_all()
            return False
        with self.condition:
            self.running[number] = worker, None
            self._finish(task, errors)
        return True

    def _bury(self, number: int, worker: _Worker) -> str:
        end = worker.dispose()
        with self.condition:
            self.running.pop(number, None)
            if not self.closed and worker not in self.interrupted:
                self.obituaries.append(end)
        return end

    def _ask_again(self, task: _Task, end: str | None) -> None:
        """Put a dead worker's files back, one by one; report a file that was its second victim."""
        if task.ticket.released:
            self._finish(task, [])
        elif end is None:
            self.tasks.appendleft(task)
        elif task.deaths >= _DEATHS_ALLOWED:
            reason = f"its decode process {end}, and so did another one before"
            self._finish(task, [DecodeError(path, reason) for _, path in task.files])
        else:
            singles = [_Task(task.ticket, [file], task.deaths + 1) for file in task.files]
            self.tasks.extendleft(reversed(singles))

    def _finish(self, task: _Task, errors: list[DecodeError]) -> None:
        task.ticket.errors += errors
        task.ticket.remaining -= len(task.files)
        self.progress += 1
        self.condition.notify_all()

    def interrupt(self) -> list[str]:
        """Kill the workers that are busy, so that their threads go on; return what they read."""
        with self.condition:
            busy = [(worker, task) for worker, task in self.running.values() if task is not None]
            for worker, _ in busy:
                self.interrupted.add(worker)
                worker.process.kill()
        return [path for _, task in busy if task is not None for _, path in task.files]

    def close(self) -> None:
        """Kill all workers and wait for their threads; harmless in a forked child."""
        if os.getpid() != self.owner:
            return
        with self.condition:
            self.closed = True
            self.tasks.clear()
            for worker, _ in self.running.values():
                worker.process.kill()
            self.condition.notify_all()
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_S)


class DecodePool:
    """Decode batches of files in other processes, into shared memory.

    Parameters
    ----------
    target
        What every file is turned into.
    workers
        Number of processes, at least 1; started with the first batch.
    batch_size, batches
        How many files make a batch at most, and how many batches can be under way.
    timeout
        Seconds without any progress after which `wait` gives up.

    Raises
    ------
    OSError
        If there is not enough shared memory, with the size in the message.
    """

    def __init__(
        self, target: Target, workers: int, batch_size: int, batches: int, timeout: float
    ) -> None:
        self._timeout = timeout
        self._workers = workers
        self._batch_size = batch_size
        slot_nbytes = int(np.prod(target.slot_shape)) * target.slot_dtype.itemsize
        self._memory = SharedMemory(slot_nbytes * batch_size * batches)
        self._pixels: NDArray[Any] = np.frombuffer(self._memory.buffer, target.slot_dtype).reshape(
            batches, batch_size, *target.slot_shape
        )
        self._free = list(range(batches))
        setup = {
            "pillow": pillow_settings(),
            "target": asdict(target),
            "memory": self._memory.address(),
        }
        descriptors = () if self._memory.descriptor < 0 else (self._memory.descriptor,)
        self._work = _Work(setup, descriptors)
        self._finalizer = weakref.finalize(self, _close, self._work, self._memory)

    def submit(self, paths: Sequence[str]) -> Ticket:
        """Start decoding up to `batch_size` files; there must be a free place."""
        self._check_usable()
        frame = self._free.pop()
        ticket = Ticket(frame, paths, len(paths))
        first = frame * self._batch_size
        files = [(first + i, path) for i, path in enumerate(paths)]
        groups = [files[i : i + _TASK_FILES] for i in range(0, len(files), _TASK_FILES)]
        with self._work.condition:
            self._work.tasks.extend(_Task(ticket, group) for group in groups)
            self._work.condition.notify_all()
        self._start_threads()
        return ticket

    def wait(self, ticket: Ticket) -> NDArray[Any]:
        """Return a ticket's pixels, (n, height, width, channels), valid until `release`.

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
        work = self._work
        with work.condition:
            moved = True
            while moved and ticket.remaining and not work.failure and not work.closed:
                before = work.progress
                moved = work.condition.wait_for(
                    lambda before=before: work.progress != before or work.failure or work.closed,
                    self._timeout,
                )
            self._check_usable()
            failure, work.failure = work.failure, None
            obituaries, work.obituaries = work.obituaries, []
        if obituaries:
            warnings.warn(
                f"{len(obituaries)} decode process(es) ended: the last one {obituaries[-1]}; "
                "what they had under way is read again by others, nothing is lost",
                RuntimeWarning,
                stacklevel=2,
            )
        if failure:
            raise WorkerError(failure)
        if not moved:
            raise TimeoutError(
                f"no image was decoded for timeout={self._timeout} s; being read: "
                f"{', '.join(work.interrupt()) or 'none'}"
            )
        if ticket.errors:
            order = {path: i for i, path in enumerate(ticket.paths)}
            raise min(ticket.errors, key=lambda error: order[error.path])
        return self._pixels[ticket.frame, : len(ticket.paths)]

    def release(self, ticket: Ticket) -> None:
        """Give a ticket's place back; files that nobody has started on are forgotten."""
        with self._work.condition:
            ticket.released = True
            waiting = [task for task in self._work.tasks if task.ticket is ticket]
            for task in waiting:
                self._work.tasks.remove(task)
                ticket.remaining -= len(task.files)
            # A worker may still write into the place: only an idle one can be lent again.
            self._work.condition.wait_for(
                lambda: not ticket.remaining or self._work.closed, self._timeout
            )
        self._free.append(ticket.frame)

    @property
    def places(self) -> int:
        """How many more batches can be submitted."""
        return len(self._free)

    def close(self) -> None:
        """Stop all processes."""
        self._finalizer()

    def processes(self) -> list[int]:
        """Return the process numbers of the workers that run now."""
        with self._work.condition:
            return [worker.process.pid for worker, _ in self._work.running.values()]

    def _check_usable(self) -> None:
        if os.getpid() != self._work.owner:
            raise RuntimeError(
                "an iterator over files can't be used in a forked process; make it there"
            )
        if self._work.closed:
            raise RuntimeError("the iterator is closed")

    def _start_threads(self) -> None:
        """Start the workers' threads with the first batch."""
        for number in range(len(self._work.threads), self._workers):
            thread = threading.Thread(
                target=self._work.tend, args=(number,), name=f"fastaug-decode-{number}", daemon=True
            )
            self._work.threads.append(thread)
            thread.start()


def _close(work: _Work, memory: SharedMemory) -> None:
    work.close()
    memory.close()
