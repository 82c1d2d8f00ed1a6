"""What a run is told to have run on."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path

import psutil

LOOK_S, IDLE_SHARE, PATIENCE_S = 0.1, 0.2, 20.0


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def wait_until_idle() -> None:
    """Return when this process and its children do next to nothing; RuntimeError if they go on."""
    before, deadline = processor_seconds(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(LOOK_S)
        now = processor_seconds()
        if now - before < IDLE_SHARE * LOOK_S:
            return
        before = now
    raise RuntimeError(f"something is still at work after {PATIENCE_S:.0f} s")


def processor_seconds() -> float:
    """Return the processor time so far of this process and of its children that run."""
    children = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            children += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return time.process_time() + children


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
