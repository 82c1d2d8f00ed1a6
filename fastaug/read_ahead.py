"""Making the batches to come while the caller trains on the last one.

    caller --take(wanted, ahead)--> ready, or under way? -> wait for it
                                    else -> make it here            thread: make(ahead), in order

What is made is a pure function of the request, so it does not matter who makes it, and what nobody
comes for has cost time only.  Knows no pixels and no Keras.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

Request: TypeAlias = Hashable

# To hand a batch from thread to thread costs some 0.05 ms, and takes time from the caller's Python.
# Who comes back sooner than this gets the batches faster by making them, one after another.
_WORTHWHILE_S = 0.0002


class ReadAhead:
    """Hands out batches, and makes some ahead of time in a thread of its own.

    Parameters
    ----------
    make
        A method that makes the batch of a request; called by one thread at a time.  Its object is
        held weakly: when that goes, so does the thread.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = weakref.WeakMethod(make)
        self._making = threading.Lock()
        self._lock = threading.Lock()
        self._futures: dict[Request, Future[Any]] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        self._handed_over = 0.0  # long ago
        self._owner = weakref.ref(make.__self__)  # type: ignore[attr-defined]

    def take(self, wanted: Request, ahead: Callable[[], Iterable[Request]]) -> Any:
        """Return the batch of a request; have those ahead made if the caller takes its time."""
        idle = time.perf_counter() - self._handed_over
        with self._lock:
            future = self._futures.pop(wanted, None)
        # One that was not begun yet is made sooner here.
        batch = self._call(wanted) if future is None or future.cancel() else future.result()
        if idle > _WORTHWHILE_S:
            self._submit(ahead())
        self._handed_over = time.perf_counter()
        return batch

    def forget(self) -> None:
        """Drop what was made ahead: it would be made otherwise now."""
        with self._lock:
            self._drop(self._futures)

    def close(self) -> None:
        """End the thread; batches are made by the caller from now on."""
        with self._lock:
            self._closed = True
            self._drop(self._futures)
            executor, self._executor = self._executor, None
        if executor is not None:
            _end(executor)

    def _call(self, request: Request) -> Any:
        make = self._make()
        if make is None:  # nobody is left to take it
            return None
        with self._making:
            return make(request)

    def _submit(self, requests: Iterable[Request]) -> None:
        """Have requests made, in this order, and drop all others."""
        requests = list(requests)
        with self._lock:
            self._drop(set(self._futures).difference(requests))
            if self._closed or not requests:
                return
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="fastaug-read-ahead")
                weakref.finalize(self._owner(), _end, self._executor)
            for request in requests:
                if request not in self._futures:
                    self._futures[request] = self._executor.submit(self._call, request)

    def _drop(self, requests: Iterable[Request]) -> None:
        for request in list(requests):
            self._futures.pop(request).cancel()


def _end(executor: ThreadPoolExecutor) -> None:
    """End the thread of an executor, and wait for it unless it is the caller."""
    executor.shutdown(wait=False, cancel_futures=True)
    for thread in executor._threads:
        if thread is not threading.current_thread():
            thread.join()
