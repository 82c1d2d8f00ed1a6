"""Making the batches to come while the caller trains on the last one.

    caller --take(wanted, ahead)--> ready, or under way? -> wait for it
                                    else -> make it here       thread: make(ahead), in order; ends

What is made is a pure function of the request, so it does not matter who makes it, and what nobody
comes for has cost time only.  Knows no pixels and no Keras.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeAlias

from fastaug.iterators.idle import unwatch, watch

Request: TypeAlias = Hashable


class NotAheadError(Exception):
    """Only the thread that asks for this batch can make it."""


# To start a thread and to pass a batch on costs some 0.1 ms, and takes time from the caller's
# Python.  A caller that comes back sooner than this is served faster without a thread.
_MIN_IDLE_S = 0.0002
# Who is not asked for so long gives back what it holds.  A caller that once took longer between two
# batches is waited for twice as long, within limits: validation comes back after minutes.
REST_S, _MAX_REST_S = 5.0, 60.0
_BUSY_S = 1.0  # how long a batch under way is left alone
_LATELY_S, _LEAVE_S = 0.5, 0.05  # how long it waits for who has just asked, and for its way out
_END_S = 10.0  # how long the end of the interpreter waits for a batch that is being made


class ReadAhead:
    """Hands out batches, and makes some ahead of time in a thread that lives as long as there are.

    Parameters
    ----------
    make
        A method that makes the batch of a request; called by one thread at a time.  Its object is
        held weakly: when that is gone, nothing is made any more.
    rest
        A method, held weakly, too, that gives back what is only needed to make batches; called
        when nobody has asked for one for a while, and none is being made.
    """

    def __init__(self, make: Callable[[Any], Any], rest: Callable[[], Any]) -> None:
        self._make = weakref.WeakMethod(make)
        self._rest = weakref.WeakMethod(rest)
        self._is_watched = False
        self._longest_gap = 0.0  # between two batches
        self._make_lock = threading.RLock()  # a user's method may ask for rows of its own
        self._lock = threading.Lock()  # for all that follows
        self._futures: dict[Request, Future[Any]] = {}
        self._queue: deque[tuple[Request, Future[Any]]] = deque()
        self._has_thread = False
        self._thread_ident: int | None = None
        self._closed = False
        self._delivery_time = math.inf  # of the last batch; there was none yet
        self._end = _End()
        weakref.finalize(self, _end_with_interpreter, self._end, self._make_lock)

    def take(self, wanted: Request, ahead: Callable[[], Iterable[Request]]) -> Any:
        """Return the batch of a request; have those ahead made if the caller takes its time."""
        idle = time.perf_counter() - self._delivery_time
        if not self._is_watched:
            self._begin_watch()
        with self._lock:
            future = self._futures.pop(wanted, None)
        try:
            # One that was not begun yet is made sooner here.
            if future is None or future.cancel() or _is_worth_another_try(future):
                batch = self._call(wanted)
            else:
                batch = future.result()
            if idle > _MIN_IDLE_S:
                self._longest_gap = max(self._longest_gap, idle)
                self._submit(ahead())
        finally:
            del future  # an error that it holds would hold this frame, and so itself, for ever
            self._delivery_time = self._end.delivery_time = time.perf_counter()
            self._end.asker = threading.get_ident()
            if not self._is_watched:  # it was idle until this moment
                self._begin_watch()
        return batch

    def _begin_watch(self) -> None:
        self._delivery_time = time.perf_counter()  # or it would look idle
        self._is_watched = True
        watch(self)

    def rest_if_idle(self) -> float | None:
        """Give back what is held if nobody has asked for a while; see `Resting`."""
        patience = max(REST_S, min(2 * self._longest_gap, _MAX_REST_S))
        delivered = self._delivery_time
        remaining = patience - (time.perf_counter() - delivered)
        if remaining > 0:
            return min(remaining, patience)  # the first batch is still being made
        if not self._make_lock.acquire(blocking=False):
            return _BUSY_S
        try:
            # Whoever asks from here on is watched anew.
            self._is_watched = False
            self.forget()
            rest = self._rest()
            if rest is not None:
                rest()
        finally:
            self._make_lock.release()
        # ... but for one who did so before, and has not asked for long.
        if self._delivery_time == delivered or self._is_watched:
            return None
        self._is_watched = True
        return patience

    def is_ahead(self) -> bool:
        """Tell whether the calling thread is the one that makes batches ahead of time."""
        return threading.get_ident() == self._thread_ident

    def forget(self) -> None:
        """Drop what was made ahead: it would be made otherwise now."""
        with self._lock:
            self._drop(self._futures)

    def close(self) -> None:
        """Make nothing ahead any more; return when nothing is under way."""
        with self._lock:
            self._closed = True
            self._drop(self._futures)
        with self._make_lock:
            self._is_watched = False
        unwatch(self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let nobody make a batch in the meantime."""
        with self._make_lock:
            yield

    def _call(self, request: Request) -> Any:
        make = self._make()
        if make is None:  # nobody is left to take it
            return None
        with self._make_lock:
            if self._end.has_come:
                self._end.told.set()
                raise RuntimeError("the interpreter is coming to its end")
            return make(request)

    def _submit(self, requests: Iterable[Request]) -> None:
        """Have requests made, in this order, and drop all others."""
        requests = list(requests)
        with self._lock:
            self._drop(set(self._futures).difference(requests))
            if self._closed:
                return
            for request in requests:
                if request not in self._futures:
                    self._futures[request] = Future()
                    self._queue.append((request, self._futures[request]))
            if self._queue and not self._has_thread:
                self._has_thread = True
                name = "fastaug-read-ahead"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _drop(self, requests: Iterable[Request]) -> None:
        for request in list(requests):
            self._futures.pop(request).cancel()

    def _work(self) -> None:
        """Make what is asked for until there is nothing more."""
        self._thread_ident = threading.get_ident()
        while True:
            with self._lock:
                if not self._queue:
                    self._has_thread, self._thread_ident = False, None
                    return
                request, future = self._queue.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._call(request))
            except BaseException as error:  # noqa: BLE001 - it is raised where the batch is taken
                future.set_exception(error)
            del future  # it holds a batch


def _is_worth_another_try(future: Future[Any]) -> bool:
    """Tell whether a batch failed ahead of time, and may not if it is made now.

    A file may have been mended since; or it was refused ahead of time.
    """
    error = future.exception()
    if isinstance(error, NotAheadError):
        return True
    # To wait for a timeout a second time would be too long.
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)


class _End:
    """What is known of the interpreter's end, and of who would run into it."""

    def __init__(self) -> None:
        self.has_come = False
        self.told = threading.Event()  # whether one that asked has got an error
        self.asker = 0  # thread that took the last batch, ...
        self.delivery_time = -math.inf  # ... and when


def _end_with_interpreter(end: _End, make_lock: Any) -> None:
    """At the end of the interpreter, let no thread run into it that makes a batch.

    Neither ours nor TensorFlow's, which asks on: it gets an error, and its pipeline ends.  If it
    was stopped within our code, or within its own Python, TensorFlow would wait for it for ever.
    """
    # A batch may wait for a file for minutes, so our thread is a daemon, for which nobody waits
    # before this.  By now the decode processes are closed, which ends such a wait.
    main = threading.main_thread()
    if main.is_alive():
        return
    end.has_come = True
    if make_lock.acquire(timeout=_END_S):
        make_lock.release()
    asked_lately = time.perf_counter() - end.delivery_time < _LATELY_S
    if end.asker not in (0, main.ident) and asked_lately and end.told.wait(_LATELY_S):
        time.sleep(_LEAVE_S)
