"""What a benchmark is told to have run on."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from fastaug.options import usable_cores

PACKAGES = ("fastaug", "numpy", "numba", "scipy", "pillow", "keras", "tensorflow", "jax", "torch")


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
