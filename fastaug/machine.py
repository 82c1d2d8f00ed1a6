"""What this process runs on: cores, memory that is free, names and versions."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

PACKAGES = ("fastaug", "numpy", "numba", "scipy", "pillow", "keras", "tensorflow", "jax", "torch")


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_cache_bytes() -> int:
    """Return half of the memory that is free now, for this system and for its container."""
    return max(0, min(psutil.virtual_memory().available, _container_bytes())) // 2


def _container_bytes(
    groups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> int:
    """Return what the memory limits of this process's control groups leave; huge without one."""
    return min(_left_in_groups(groups, membership), default=sys.maxsize)


def _left_in_groups(groups: Path, membership: Path) -> Iterator[int]:
    """Yield what each group leaves that this process is in, as far as it can be read."""
    try:
        lines = membership.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            top, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = groups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # All groups above count; within a container some of them, or all, are out of sight.
        group = top / name.lstrip("/")
        for folder in (group, *group.parents):
            left = _left_in(folder, *names)
            if left is not None:
                yield left
            if folder == top:
                break


def _left_in(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    """Return what a control group's memory limit leaves, or None where it has no limit."""
    try:
        left = int((folder / limit).read_text()) - int((folder / usage).read_text())
        # Usage counts cached files, which the kernel drops when memory is wanted.
        for line in (folder / "memory.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == reclaimable:
                left += int(value)
    except (OSError, ValueError):  # no such file, or "max"
        return None
    return left


def facts(backend: str | None = None) -> dict[str, Any]:
    """Return processor, cores, system, versions and, if it is known, Keras' backend."""
    versions = {name: version_of(name) for name in PACKAGES}
    return {
        "processor": processor_model(),
        "cores": usable_cores(),
        "system": operating_system(),
        "python": platform.python_version(),
        "backend": backend,
        "gpus": gpu_names(),
        "versions": {name: version for name, version in versions.items() if version},
    }


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
    """Return the installed version of a package; None if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def gpu_names() -> list[str]:
    """Return the names of NVIDIA's GPUs, as far as `nvidia-ml-py` tells."""
    try:
        import pynvml  # noqa: PLC0415 - only machines with a GPU need it
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return []
    return [str(name) for name in names]
