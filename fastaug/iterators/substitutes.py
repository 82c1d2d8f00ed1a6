"""Which samples can't be read, and which others take their places: `on_error="skip"`.

The place of a sample goes to the next one of the epoch, behind its batch, that can be read.  Which
one takes it depends on the files alone, not on when or by whom they were read.  Pure bookkeeping.
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
        self._reasons: dict[str, str] = {}  # path -> reason
        self._skipped: set[tuple[int, int]] = set()  # (batches seen, row), since the last report
        self._lock = threading.Lock()

    @property
    def errors(self) -> list[Unreadable]:
        """The files that can't be read, in the order in which they were found."""
        with self._lock:
            return [Unreadable(*item) for item in self._reasons.items()]

    def add(self, error: DecodeError, rows: Rows, path_of: Callable[[int], str]) -> bool:
        """Record which of a batch's rows can't be read; return whether any of them is new."""
        errors = (error, *error.others)
        reasons = {failure.path: failure.reason for failure in errors}
        bad_rows = [row for row in rows if path_of(int(row)) in reasons]
        with self._lock:
            new = not self._unreadable[bad_rows].all()
            self._unreadable[bad_rows] = True
            self._reasons = reasons | self._reasons
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
            path, reason = next(iter(self._reasons.items()))
            raise DecodeError(path, f"{reason}; and no file is left that can be read")
        rows = rows.copy()
        rows[wrong] = np.resize(good, np.count_nonzero(wrong))
        return rows

    def record_skips(self, seen: int, rows: Rows) -> int:
        """Record which rows of a batch were replaced when it was given out; return how many."""
        if not self._reasons:
            return 0
        with self._lock:
            before = len(self._skipped)
            self._skipped.update((seen, int(row)) for row in rows[self._unreadable[rows]])
            return len(self._skipped) - before

    def report(self) -> None:
        """Warn of what was skipped since the last report, if anything was."""
        with self._lock:
            count, files = len(self._skipped), self._listed(self._reasons.items())
            self._skipped.clear()
        if count:
            warnings.warn(
                f"{count} samples of this epoch can't be read, others took their places; "
                f"iterator.errors lists all {len(self._reasons)} files: {files}",
                RuntimeWarning,
                stacklevel=users_stacklevel(),
            )

    def _listed(self, files: Iterable[tuple[str, str]]) -> str:
        files = list(files)
        more = ["..."] if len(files) > _LISTED else []
        return "; ".join([f"{path!r} ({reason})" for path, reason in files[:_LISTED]] + more)
