"""What an iterator has done so far, in numbers.  Knows no other module."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple


class _WithLock:
    """Keeps the lock beside the numbers: it is no field of them, which are compared and copied."""

    __slots__ = ("_lock",)

    def __post_init__(self) -> None:
        # One that a thread may enter again: a signal's handler may look at the numbers, too.
        self._lock = threading.RLock()


@dataclass(slots=True)
class Counters(_WithLock):
    """Counts and seconds since an iterator was made; `iterator.stats` gives a copy.

    Parameters
    ----------
    decoded
        Images that were read from files and decoded.
    cache_hits
        Images that came from the cache instead.
    workers_restarted
        Decode processes that died and were replaced.
    skipped
        Times that a sample was replaced because its file can't be read (`on_error="skip"`).
    wait_s
        Seconds that the caller spent waiting for batches.
    decode_s
        Seconds in the decoder, summed over all processes.
    handover_s
        Seconds in which decoded images were taken over: resized by the nearest pixel, or copied
        from and to the cache.
    kernel_s
        Seconds in which batches were augmented and standardised.
    function_s
        Those of them that were spent in your `preprocessing_function`.

    Notes
    -----
    Decoding, kernels and the caller overlap, so the seconds don't add up to those of the clock.
    In a loop of your own, `wait_s` near zero says that your model is the limit; else `decode_s`
    over the number of workers, or `kernel_s`, says what is.  In `fit`, TensorFlow waits in a thread
    of its own, while the model trains: there `fastaug.InputStats` tells.
    """

    decoded: int = 0
    cache_hits: int = 0
    workers_restarted: int = 0
    skipped: int = 0
    wait_s: float = 0.0
    decode_s: float = 0.0
    handover_s: float = 0.0
    kernel_s: float = 0.0
    function_s: float = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            return type(self), astuple(self)

    def add(self, **numbers: float) -> None:
        """Add to some of the numbers, from any thread; readers see all of it, or nothing."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the seconds that a `with` takes to one of the sums."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(**{name: time.perf_counter() - started})

    def copy(self) -> Counters:
        """Return the numbers of one moment."""
        with self._lock:
            return replace(self)


class Delivery(NamedTuple):
    """A batch that was asked for and given out, in seconds of `time.perf_counter`."""

    requested: float
    delivered: float
    thread: int  # that asked, as `threading.get_ident` has it
