"""What a run is told to have run on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_model() -> str:
    """Return the processor's name as Linux knows it, else as Python does."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def operating_system() -> str:
    """Return "Linux (Debian GNU/Linux 12 (bookworm))" or "Darwin 24.1"."""
    try:
        return f"{platform.system()} ({platform.freedesktop_os_release()['PRETTY_NAME']})"
    except OSError:
        return f"{platform.system()} {platform.release()}"


def version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
