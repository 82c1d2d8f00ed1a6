"""Full paths of the files of a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence


class FilePaths:
    """Paths by row; relative ones are relative to the working folder of when this was made."""

    def __init__(self, filepaths: Sequence[str]) -> None:
        self._filepaths = filepaths
        try:
            self._folder = os.getcwd()  # noqa: PTH109
        except FileNotFoundError:  # it was removed; absolute names still work
            self._folder = ""

    def __len__(self) -> int:
        return len(self._filepaths)

    def __getitem__(self, row: int) -> str:
        return os.path.join(self._folder, self._filepaths[row])  # noqa: PTH118
