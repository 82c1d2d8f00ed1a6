"""Who is not asked for a while gives back what it holds: one thread looks after all of them.

TensorFlow's registry of Python functions keeps what `fit` was given for ever (seen with 2.21), so
an iterator may never be dropped, and nobody tells it that it is not needed any more.

    asked --> watch(resting) --> thread: rest_if_idle() --> seconds, to come again; None, it rests
                ^------------------- asked again ----------------------------------------'

Knows no pixels and no Keras.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import Any, Protocol

_LONGEST_S = 60.0  # between two visits, where nothing is expected in the meantime


class Resting(Protocol):
    """What can give back what it holds."""

    def rest_if_idle(self) -> float | None:
        """Give it back if nobody has asked for a while.

        Return in how many seconds to come again, or None: when it is asked it calls `watch`.
        """


class _Watch:
    """The thread and whom it looks after; both of one process."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Look after nobody, without a thread: a forked child has none."""
        self._lock = threading.Lock()
        self._watched: set[weakref.ref[Any]] = set()
        self._has_thread = False
        # The garbage collector may call `put` in any thread, whatever lock that holds.
        self._news: SimpleQueue[Any] = SimpleQueue()

    def add(self, resting: Resting) -> None:
        with self._lock:
            self._watched.add(weakref.ref(resting, self._news.put))
            if self._has_thread:
                self._news.put(None)
            else:
                self._has_thread = True
                threading.Thread(target=self._run, name="fastaug-idle", daemon=True).start()

    def remove(self, resting: Resting) -> None:
        with self._lock:
            self._watched.discard(weakref.ref(resting))
            self._news.put(None)

    def _run(self) -> None:
        while True:
            with self._lock:
                watched = list(self._watched)
            seconds = min(map(self._visit, watched), default=_LONGEST_S)
            with self._lock:
                if not self._watched:
                    self._has_thread = False
                    return
            with contextlib.suppress(Empty):
                self._news.get(timeout=max(seconds, 0.0))

    def _visit(self, reference: weakref.ref[Any]) -> float:
        """Let one rest if it is idle; return in how many seconds to come again."""
        resting = reference()
        # Forgotten before it is asked: it may be used, and watched anew, by the time it answers.
        with self._lock:
            self._watched.discard(reference)
        seconds = None if resting is None else resting.rest_if_idle()
        if seconds is None:
            return _LONGEST_S
        with self._lock:
            self._watched.add(reference)
        return seconds


_watch = _Watch()


def watch(resting: Resting) -> None:
    """Have `resting.rest_if_idle()` called, from a thread, until it says that it rests.

    It is held weakly.
    """
    _watch.add(resting)


def unwatch(resting: Resting) -> None:
    """Do not call it any more: it holds nothing."""
    _watch.remove(resting)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch.begin)
