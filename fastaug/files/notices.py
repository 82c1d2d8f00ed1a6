"""What the user should hear of files that could be read: each kind once, through Python's filters.

Whoever decodes, a process or the caller, only collects; the caller tells.  So a filter that makes
errors of warnings works the same for any number of processes, and for every file.
"""

from __future__ import annotations

import builtins
import warnings
from typing import TypeAlias

from PIL import Image

from fastaug.errors import DecodeError, warn_of_file

Notice: TypeAlias = tuple[str, str]  # name of a class of warnings, and the text
BOMB = Image.DecompressionBombWarning.__name__


class Notices:
    """Tells each notice once, with the first file that it is of."""

    def __init__(self) -> None:
        self._told: set[Notice] = set()

    def tell(self, path: str, notice: Notice) -> DecodeError | None:
        """Warn of a file; return the error that the user's filters make of it, if they do."""
        if notice in self._told:
            return None
        name, text = notice
        try:
            warn_of_file(path, text, _category(name))
        except Warning as warning:
            error = DecodeError(path, f"{name}: {text}")
            error.__cause__ = warning
            return error
        self._told.add(notice)
        return None


def collected(caught: list[warnings.WarningMessage]) -> tuple[Notice, ...]:
    """Return recorded warnings as notices."""
    return tuple((one.category.__name__, str(one.message)) for one in caught)


def _category(name: str) -> type[Warning]:
    """Return a class of Python or Pillow by its name; others are no more than warnings."""
    if name == BOMB:
        return Image.DecompressionBombWarning
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, Warning) else UserWarning
