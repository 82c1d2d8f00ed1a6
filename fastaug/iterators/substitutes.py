"""Which samples can't be read, and which others take their places: `on_error="skip"`.

The place of a sample goes to the next one of the epoch, behind its batch, that can be read.  Who
takes it depends on the files alone, not on when or by whom they were read.  Pure bookkeeping.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.errors import DecodeError, users_stacklevel

_LISTED = 10  # files in a warning

Rows = NDArray[np.intp]


class Unreadable(NamedTuple):
    """A file that was skipped, and what is wrong with it."""

    path: str
    reason: str


class Substitutes:
    """Keeps what can't be read out of the batches of an iterator; safe for any number of threads.

    Parameters
    ----------
    count
        Number of samples.
    """

    def __init__(self, count: int) -> None:
        self._unreadable = np.zeros(count, bool)
        self._found: dict[str, str] = {}  # path -> reason
        self._skipped: set[tuple[int, int]] = set()  # (batches seen, row), since the last report
        self._lock = threading.Lock()

    @property
    def errors(self) -> list[Unreadable]:
        """The files that can't be read, in the order in which they were found."""
        with self._lock:
            return [Unreadable(*item) for item in self._found.items()]

    def note(self, error: DecodeError, rows: Rows, path_of: Callable[[int], str]) -> bool:
        """Learn which of a batch's rows can't be read; False if that is nothing new."""
        errors = {one.path: one.reason for one in (error, *error.others)}
        found = [row for row in rows if path_of(int(row)) in errors]
        with self._lock:
            new = not self._unreadable[found].all()
            self._unreadable[found] = True
            self._found = errors | self._found
        return new

    def replace(self, order: Rows, first: int, count: int) -> Rows:
        """Return a batch's rows with others in the places of those that can't be read.

        Parameters
        ----------
        order
            All samples of the epoch.
        first, count
            Where the batch begins in it, and how long it is.

        Raises
        ------
        DecodeError
            If no sample is left.
        """
        rows = order[first : first + count]
        wrong = self._unreadable[rows]
        if not wrong.any():
            return rows
        behind = np.concatenate([order[first + count :], order[:first]])
        good = behind[~self._unreadable[behind]]
        if not len(good):
            good = rows[~wrong]
        if not len(good):
            path, reason = next(iter(self._found.items()))
            raise DecodeError(path, f"{reason}; and no file is left that can be read")
        rows = rows.copy()
        rows[wrong] = np.resize(good, np.count_nonzero(wrong))
        return rows

    def hand_out(self, seen: int, rows: Rows) -> int:
        """Note that a batch is given out; return how many of its rows others stand for."""
        if not self._found:
            return 0
        with self._lock:
            before = len(self._skipped)
            self._skipped.update((seen, int(row)) for row in rows[self._unreadable[rows]])
            return len(self._skipped) - before

    def report(self) -> None:
        """Warn of what was skipped since the last report, if anything was."""
        with self._lock:
            count, files = len(self._skipped), self._listed(self._found.items())
            self._skipped.clear()
        if count:
            warnings.warn(
                f"{count} samples of this epoch can't be read, others took their places; "
                f"iterator.errors lists all {len(self._found)} files: {files}",
                RuntimeWarning,
                stacklevel=users_stacklevel(),
            )

    def _listed(self, found: Iterable[tuple[str, str]]) -> str:
        found = list(found)
        more = ["..."] if len(found) > _LISTED else []
        return "; ".join([f"{path!r} ({reason})" for path, reason in found[:_LISTED]] + more)
