"""Packages that only some functions need: loaded when they are used, named when they are missing.

Knows no other module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(module: str, extra: str, need: str) -> Any:
    """Import a package of an extra.

    Parameters
    ----------
    module
        Name to import, such as "matplotlib.pyplot".
    extra
        The extra of fastaug that installs it.
    need
        Who asks, for the message.

    Raises
    ------
    ImportError
        If it is missing, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{need} needs {package}, which is not installed; "
            f"install it with: pip install 'fastaug[{extra}]'"
        ) from error
