"""What can go wrong, worded once.

Every message says what was asked, what was found and what would do.  This module knows no other.
"""

from __future__ import annotations

import sys
import warnings


class DecodeError(OSError, ValueError):
    """An image file could not be read.

    Parameters
    ----------
    path
        Full path of the file; also in the message, because TensorFlow replaces exception types
        but keeps their text.
    reason
        What the decoder said.

    Attributes
    ----------
    others
        The errors of other files of the same batch.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.others: tuple[DecodeError, ...] = ()
        super().__init__(f"cannot read the image {path!r}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class ColumnError(KeyError, ValueError):
    """A data frame has no such column."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show the message in quotes


class WorkerError(RuntimeError):
    """The pool of decode processes cannot do its work, for a reason that is no file's fault."""


def users_stacklevel() -> int:
    """Return the `stacklevel` with which the caller's warning names the user's line, not ours."""
    level, frame = 1, sys._getframe(1)
    ours = "fastaug", "contextlib"  # which runs our context managers
    while frame.f_globals["__name__"].partition(".")[0] in ours and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def warn_of_file(path: str, notice: str, category: type[Warning] = UserWarning) -> None:
    """Tell the user something about a file that could be read."""
    warnings.warn(f"{path!r}: {notice}", category, stacklevel=users_stacklevel())
