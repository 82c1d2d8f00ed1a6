"""How kernels are compiled and started: flags, and the one lock of this process."""

from __future__ import annotations

import os
import threading

import numba

# Branches on zero divisors cost vectorisation; shapes are checked before a kernel is reached.
_FLAGS = {"nogil": True, "cache": True, "error_model": "numpy"}

inner = numba.njit(**_FLAGS)
parallel = numba.njit(parallel=True, **_FLAGS)

# Numba's `workqueue` layer, the default on macOS, aborts the interpreter when two threads launch
# at the same time, so all launches of the process share this lock.
_LOCK = threading.Lock()
_PROCESS = os.getpid()


def launch(kernel, *arguments, threads=None):
    """Run a parallel kernel, at most one at a time in this process.

    Parameters
    ----------
    kernel
        A function compiled with `parallel`.
    *arguments
        What it takes.
    threads
        How many threads it may use; None means as many as Numba has.

    Raises
    ------
    RuntimeError
        In a forked child: OpenMP's threads don't survive a fork, the launch would never return.
    """
    if os.getpid() != _PROCESS:
        raise RuntimeError(
            "fastaug was loaded before this process was forked, and its kernels cannot run in the "
            "fork; start the process with the 'spawn' method, or import fastaug in it"
        )
    available = numba.config.NUMBA_NUM_THREADS
    with _LOCK:
        before = numba.get_num_threads()
        numba.set_num_threads(available if threads is None else min(threads, available))
        try:
            return kernel(*arguments)
        finally:
            numba.set_num_threads(before)
