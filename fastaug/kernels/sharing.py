"""One piece of work for several threads of ours, beside processes that hold the cores.

Numba's threads all have to arrive before a launch is over, and spin while they wait: beside busy
decode processes, one that finds no core makes the others wait for milliseconds.  Here threads take
one image after the other until none is left; one that comes late finds nothing to do, and nobody
waits for it.  It needs no threading layer, so any thread may do it at any time.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastaug.kernels.launch import COMPILED, check_process


@intrinsic
def _take_atomically(_, counter):
    """Return the number in `counter`, (1,) int64, and add 1 to it, in one step."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), generate


def _take_plainly(counter):
    number = counter[0]
    counter[0] = number + 1
    return number


take_number = _take_atomically if COMPILED else _take_plainly


class _Helpers:
    """Threads that help with a piece of work as long as it is under way."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._changed = threading.Condition(threading.Lock())
        self._busy = 0
        self._over = False

    def help(self) -> None:
        """Do a share of the work, unless it is over: the body of a thread."""
        with self._changed:
            if self._over:
                return
            self._busy += 1
        try:
            self._work()
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def dismiss(self) -> None:
        """Wait for those that have begun; the others need not begin any more."""
        with self._changed:
            self._over = True
            self._changed.wait_for(lambda: not self._busy)


def share(work: Callable[[], object], threads: int) -> None:
    """Call `work`, here and in other threads, until there is nothing left to do.

    Parameters
    ----------
    work
        Takes what is to be done, piece by piece, until nothing is left; any number of calls at the
        same time, or one after the other, do all of it, and each piece once.
    threads
        How many threads may do it, this one included.

    Raises
    ------
    RuntimeError
        In a forked child, see `check_process`.
    """
    check_process()
    helpers = _Helpers(work)
    try:
        for _ in range(threads - 1 if COMPILED else 0):
            # `Thread.start` would wait until the thread has found a core.
            _thread.start_new_thread(helpers.help, ())
        work()
    finally:
        helpers.dismiss()
