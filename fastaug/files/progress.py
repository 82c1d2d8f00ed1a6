"""How many files a slow scan has seen so far, on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

Counted = Callable[[Iterable[Any]], Iterator[Any]]

_SHOW_AFTER_S = 2.0  # a scan that is over sooner shows nothing
_COUNT = "{desc}: {n:,} files"


@contextlib.contextmanager
def progress(doing: str) -> Iterator[Counted]:
    """Give a function that hands on files, in any thread, and shows their number if it's slow."""
    lock, show_at, seen, bar = threading.Lock(), time.monotonic() + _SHOW_AFTER_S, 0, None
    with contextlib.ExitStack() as shown:

        def counted(files: Iterable[Any]) -> Iterator[Any]:
            nonlocal seen, bar
            files = iter(files)
            while some := list(islice(files, 1000)):
                yield from some
                with lock:
                    seen += len(some)
                    if bar is None and time.monotonic() > show_at:
                        bar = shown.enter_context(_bar(doing, initial=seen, bar_format=_COUNT))
                    if bar is not None:
                        bar.update(seen - bar.n)

        yield counted


@contextlib.contextmanager
def progress_bar(doing: str, total: int, *, shown: bool) -> Iterator[Callable[[int], Any]]:
    """Give a function that takes how many more files are done; show that where stderr is a screen.

    Parameters
    ----------
    doing
        What is done with the files.
    total
        How many there are.
    shown
        Whether to show anything at all.
    """
    if not (shown and total and sys.stderr.isatty()):
        yield lambda _count: None
        return
    with _bar(doing, total=total, unit=" files") as bar:
        yield bar.update


def _bar(doing: str, **options: Any) -> Any:
    from tqdm import tqdm  # noqa: PLC0415 - most scans are over before they need it

    bar: Any = type("Bar", (tqdm,), {"monitor_interval": 0})  # no thread that outlives it
    bar.set_lock(threading.RLock())  # tqdm's own settles multiprocessing's start method
    return bar(desc=doing, leave=False, **options)
