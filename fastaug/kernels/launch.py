"""How kernels are compiled and started: flags, threads, and the one lock of this process."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numba
from numba.core import event

from fastaug.checks import check_integer

# Without a compiler there are no vector instructions: kernels run as plain Python, for debugging.
COMPILED = not numba.config.DISABLE_JIT

# Branches on zero divisors cost vectorisation; shapes are checked before a kernel is reached.
_FLAGS = {"nogil": True, "error_model": "numpy"}


def _digest_of_sources():
    """Return a digest of the files of all kernels, or None if they can't be read."""
    try:
        sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    except OSError:
        return None
    return hashlib.sha256(b"".join(sources)).hexdigest() if sources else None


# Now, not at the first launch: later the files may be newer than the code that was imported.
_DIGEST = _digest_of_sources()


class _KernelCache:
    """Numba's cache of compiled code, with two differences.

    Numba takes what it finds if the kernel's own file is as it was.  But a kernel is compiled with
    all that it calls, from other files: here any change of any kernel's file makes it anew.  And
    where the cache can't be read or written, that costs time only.
    """

    def __init__(self, cache):
        self._cache = cache
        self._name = ""
        if _DIGEST is not None:
            # Where a Numba to come has no such attributes, its own stamp has to do.
            with contextlib.suppress(AttributeError):
                index, name = cache._cache_file, cache._impl.filename_base
                index._source_stamp = index._source_stamp, _DIGEST
                # The index is written before the code that it names.  If that were the old file's
                # name, others would take the old code for new in between, or for ever on a full
                # disk.
                index._data_name_pattern = f"{name}.{_DIGEST[:16]}.{{number:d}}.nbc"
                self._name = name

    def __getattr__(self, name):
        return getattr(self._cache, name)

    def load_overload(self, *arguments):
        """Return compiled code, or None if there is none, or it is damaged."""
        try:
            return self._cache.load_overload(*arguments)
        # Whatever garbage leads the unpickler or LLVM to; it is compiled and written anew, with an
        # index anew, too: Numba could add nothing to a damaged one.
        except Exception:
            with contextlib.suppress(Exception):
                self._cache.flush()
            return None

    def save_overload(self, *arguments):
        """Keep compiled code if that is possible."""
        try:
            self._cache.save_overload(*arguments)
            self._remove_outdated()
        except Exception as error:
            logging.getLogger("fastaug").warning("a compiled kernel can't be kept: %s", error)

    def _remove_outdated(self):
        """Remove this kernel's code of other sources."""
        if not self._name:
            return
        for path in Path(self._cache.cache_path).glob(f"{glob.escape(self._name)}.*.nbc"):
            if _DIGEST[:16] not in path.name:
                with contextlib.suppress(OSError):  # Windows keeps what somebody reads
                    path.unlink()


def _compiled(**options):
    """Return a decorator: compile a function on its first call, and keep the result on disk."""

    def decorate(function):
        dispatcher = numba.njit(**_FLAGS, **options)(function)
        if COMPILED:
            # RuntimeError where no folder can be written to: then it is compiled in every process.
            with contextlib.suppress(RuntimeError):
                dispatcher.enable_caching()
                dispatcher._cache = _KernelCache(dispatcher._cache)
        return dispatcher

    return decorate


inner = _compiled()
# For what is called once an image or a band, with many arrays: their reference counts alone take a
# third of the time of a small image (3.3 against 2.3 us for 32x32x3), unless Numba puts the code in
# place before it looks at types.  No array expressions (`lows[:] = 0`) in there: within a parallel
# kernel Numba makes parallel loops of them too, and threads wrote to each other's arrays.
inlined = _compiled(inline="always")
parallel = _compiled(parallel=True)
# For what makes a share of a batch, `share` of `threads`: see `launch_shares`.  Numba's own threads
# would take twice the time to compile: all that a parallel kernel calls is optimised once more.
shared = _compiled()

# Numba's `workqueue` layer, the default on macOS, aborts the interpreter when two threads launch
# at the same time, so all launches of the process share this lock.
_LOCK = threading.Lock()
_PROCESS = os.getpid()
# A launch stalled if it took a millisecond more than three times the best one.
_STALL_S, _STALL_FACTOR = 0.001, 3
_MOST_SEVERE, _FORGETTING = 32.0, 0.995
_limit = numba.config.NUMBA_NUM_THREADS


def set_num_threads(n: int) -> None:
    """Let the kernels of this process use at most `n` threads, whatever a generator asks for.

    Parameters
    ----------
    n
        From 1 to the number of threads that Numba started with: one for each usable core, unless
        the environment variable NUMBA_NUM_THREADS said otherwise.

    Raises
    ------
    TypeError, ValueError
        If `n` is no such number.

    Examples
    --------
    >>> import fastaug
    >>> fastaug.set_num_threads(1)
    """
    global _limit  # noqa: PLW0603 - it is a setting of the process
    check_integer("n", n, minimum=1, maximum=numba.config.NUMBA_NUM_THREADS)
    _limit = int(n)


@contextmanager
def limited_threads(threads: int | None, pace: Pace | None = None) -> Iterator[int]:
    """Let launches of this thread use at most so many threads; None means all; gives the number."""
    before = numba.get_num_threads()
    count = min(before, _limit, threads or _limit)
    if pace is not None:
        count = pace.threads(count)
    if count == before:
        yield count
        return
    try:  # before the change: a Ctrl-C may come between any two steps
        numba.set_num_threads(count)
        yield count
    finally:
        numba.set_num_threads(before)


def check_process() -> None:
    """Raise a RuntimeError in a forked child: threads don't survive a fork, waiting never ends."""
    if os.getpid() != _PROCESS:
        raise RuntimeError(
            "fastaug was loaded before this process was forked, and its kernels cannot run in the "
            "fork; start the process with the 'spawn' method, or import fastaug in it"
        )


def launch(kernel, *arguments):
    """Run a parallel kernel, at most one at a time in this process; return the seconds it took.

    Parameters
    ----------
    kernel
        A function compiled with `parallel`.
    *arguments
        What it takes.

    Raises
    ------
    RuntimeError
        In a forked child, see `check_process`.
    """
    check_process()
    with _LOCK:
        started = time.perf_counter()
        kernel(*arguments)
        return time.perf_counter() - started


class _Helpers:
    """Threads that make shares of a batch beside the one that asks; started when needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def pool(self) -> ThreadPoolExecutor:
        """Return them."""
        with self._lock:
            if self._pool is None:
                most = max(1, numba.config.NUMBA_NUM_THREADS - 1)
                self._pool = ThreadPoolExecutor(most, thread_name_prefix="kernels")
            return self._pool


_helpers = _Helpers()


def launch_shares(kernel, *arguments):
    """Run a `shared` kernel, each share in a thread; return the seconds it took.

    Parameters
    ----------
    kernel
        A function compiled with `shared`.
    *arguments
        What it takes but for the share; the last one says how many there are.

    Raises
    ------
    RuntimeError
        In a forked child, see `check_process`.
    """
    check_process()
    *given, threads = arguments
    started = time.perf_counter()
    others = [_helpers.pool().submit(kernel, *given, k, threads) for k in range(1, threads)]
    kernel(*given, 0, threads)
    for other in others:
        other.result()
    return time.perf_counter() - started


class Pace:
    """Decides how many threads the launches of one iterator get, by how long they took.

    All threads of a launch wait for the last one.  Where another process holds a core, that one
    may wait for its turn for milliseconds: a batch that takes 0.1 ms on two threads then takes 5,
    on one thread 0.2.  So after a stall the next launches get one thread: the more the longer it
    was, and the more often it happens.  The number of threads changes no bit of a result.
    """

    def __init__(self) -> None:
        self._best = math.inf  # seconds for a unit of work, with all threads
        self._alone = 0  # launches to come with one thread
        self._severity = 1.0  # doubled by each stall, forgotten slowly

    def threads(self, available: int) -> int:
        """Return how many of the available threads the next launch gets."""
        if self._alone and available > 1:
            self._alone -= 1
            return 1
        return available

    def note(self, threads: int, work: int, seconds: float) -> None:
        """Learn how long a launch took."""
        if threads == 1:
            return
        expected = self._best * work
        self._best = min(self._best, seconds / work)
        if seconds > _STALL_FACTOR * expected + _STALL_S:
            # As many launches as it takes to lose the same time by going on with one thread.
            self._alone = int(self._severity * (seconds - expected) / expected)
            self._severity = min(2 * self._severity, _MOST_SEVERE)
        else:
            self._severity = max(_FORGETTING * self._severity, 1.0)


class _Announcer(event.Listener):
    """Say once why the first batch takes seconds."""

    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if function.__module__.startswith("fastaug.") and not self._has_announced:
            self._has_announced = True
            logging.getLogger("fastaug").warning("compiling kernels (once)")

    def on_end(self, event):
        """Do nothing."""

    _has_announced = False


event.register("numba:compile", _Announcer())
