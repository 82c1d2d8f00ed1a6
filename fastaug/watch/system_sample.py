"""One look at the machine: processors, memory, disks, GPUs, and the processes that are ours.

Knows no other module.
"""

from __future__ import annotations

import contextlib
from time import perf_counter
from typing import Any

import psutil

# Finding child processes reads all of /proc (3 ms and more); the known ones cost 0.05 ms each.
_LOOK_FOR_CHILDREN_S = 2.0
_MEGABYTE = 1e6

Sample = dict[str, float]


class SystemSampler:
    """Reads the load of the machine since it was last asked.

    Columns of a sample, in this order:

    - `cpu`: percent of all cores together;
    - `memory`: MB in use on the machine;
    - `disk_read`: MB read from disks per second (what the system's cache holds is not read);
    - `cpu_main`, `memory_main`: percent of one core, and resident MB, of this process;
    - `cpu_worker_1`, `memory_worker_1` and so on: the same of its child processes;
    - `gpu_0`, `gpu_memory_0` and so on: percent of the time that the GPU was busy, and MB in use.

    A value that the system does not tell is missing.
    """

    def __init__(self) -> None:
        self._main = psutil.Process()
        self._names: dict[psutil.Process, str] = {self._main: "main"}
        self._processes = [self._main]
        self._gpus = _open_gpus()
        self._last_search = -_LOOK_FOR_CHILDREN_S
        self._last_sample = perf_counter()
        self._disk_bytes = _bytes_read()
        psutil.cpu_percent()  # the first answer is about no time at all
        self._main.cpu_percent()

    def sample(self) -> Sample:
        """Return what can be seen now."""
        now = perf_counter()
        sample = {"cpu": psutil.cpu_percent(), "memory": psutil.virtual_memory().used / _MEGABYTE}
        sample |= self._disks(now)
        self._look_for_children(now)
        for process in list(self._processes):
            try:
                with process.oneshot():
                    cpu, memory = process.cpu_percent(), process.memory_info().rss / _MEGABYTE
            except psutil.Error:  # it has ended
                self._processes.remove(process)
                continue
            sample[f"cpu_{self._names[process]}"] = cpu
            sample[f"memory_{self._names[process]}"] = memory
        for number, gpu in enumerate(self._gpus):
            sample |= gpu.sample(number)
        self._last_sample = now
        return sample

    def close(self) -> None:
        """Let go of the GPUs' driver."""
        if self._gpus:
            self._gpus[0].library.nvmlShutdown()
            self._gpus = []

    def _disks(self, now: float) -> Sample:
        before, self._disk_bytes = self._disk_bytes, _bytes_read()
        if before is None or self._disk_bytes is None or now <= self._last_sample:
            return {}
        return {"disk_read": (self._disk_bytes - before) / _MEGABYTE / (now - self._last_sample)}

    def _look_for_children(self, now: float) -> None:
        if now - self._last_search < _LOOK_FOR_CHILDREN_S:
            return
        self._last_search = now
        for child in self._main.children(recursive=True):
            if child in self._names:
                continue
            with contextlib.suppress(psutil.Error):
                child.cpu_percent()
                self._names[child] = f"worker_{len(self._names)}"
                self._processes.append(child)


class _Gpu:
    """A GPU of NVIDIA's, read through its management library."""

    def __init__(self, library: Any, index: int) -> None:
        self.library = library
        self._handle = library.nvmlDeviceGetHandleByIndex(index)

    def sample(self, number: int) -> Sample:
        try:
            busy = self.library.nvmlDeviceGetUtilizationRates(self._handle).gpu
            used = self.library.nvmlDeviceGetMemoryInfo(self._handle).used
        except self.library.NVMLError:  # one that tells nothing, or is asleep
            return {}
        return {f"gpu_{number}": float(busy), f"gpu_memory_{number}": used / _MEGABYTE}


def _open_gpus() -> list[_Gpu]:
    """Return the GPUs that NVIDIA's driver knows; none without the driver or `nvidia-ml-py`."""
    try:
        import pynvml  # noqa: PLC0415 - only machines with a GPU need it
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        return [_Gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _bytes_read() -> int | None:
    """Return how many bytes all disks have read so far; None where there are none to ask."""
    try:
        counters = psutil.disk_io_counters()
    except (OSError, RuntimeError):
        return None
    return None if counters is None else int(counters.read_bytes)
