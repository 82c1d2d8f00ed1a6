"""`SystemMonitor`: what the machine was doing while a model trained."""

from __future__ import annotations

import math
import threading
import weakref
from array import array
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import keras

from fastaug.checks import check_number
from fastaug.extras import optional
from fastaug.watch.system_sample import Sample, SystemSampler

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MIN_INTERVAL_S = 0.01


@dataclass(frozen=True)
class EpochMark:
    """When an epoch of `fit` began and ended, in seconds since the monitor was started."""

    epoch: int
    begin: float
    end: float


class SystemMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """Watch processors, memory, disks and GPUs: around a block of code, or as a callback of `fit`.

    A thread looks at the machine ten times a second, for less than 1% of a core.  Start it with
    `with`, or give it to `fit(callbacks=[...])`, or do both: as a callback it also marks epochs.

    Parameters
    ----------
    interval
        Seconds between two samples, from 0.01.

    Attributes
    ----------
    epochs
        `EpochMark`s of the epochs that have ended.

    Raises
    ------
    TypeError, ValueError
        If `interval` is no such number.

    Notes
    -----
    GPUs are those of NVIDIA, read with `nvidia-ml-py` (in the extra `plot`).  Their percentage is
    the share of the time in which any kernel ran, as NVIDIA's own tools show it.

    References
    ----------
    The monitor of the study of 2017, "Accelerating Deep Learning with Multiprocess Image
    Augmentation in Keras", which drew GPU and CPU utilisation against time.

    Examples
    --------
    >>> import time
    >>> from fastaug import SystemMonitor
    >>> with SystemMonitor() as monitor:
    ...     time.sleep(0.3)
    >>> sorted(monitor.summary())[:3]
    ['cpu_main_max', 'cpu_main_mean', 'cpu_max']
    """

    def __init__(self, interval: float = 0.1) -> None:
        super().__init__()
        check_number("interval", interval, minimum=_MIN_INTERVAL_S)
        self.interval = float(interval)
        self.epochs: list[EpochMark] = []
        self._samples = _Samples()
        self._begin = self._last_duration = 0.0
        self._epoch_begin = 0.0
        self._started_by_fit = False  # and so to be stopped by it
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> SystemMonitor:
        """Begin to watch, without the samples of before; RuntimeError if it is running already."""
        if self.running:
            raise RuntimeError("this SystemMonitor is running already; stop() ends it")
        self.epochs, self._samples, self._started_by_fit = [], _Samples(), False
        self._stop = threading.Event()
        arguments = weakref.ref(self), self._stop, self.interval
        self._begin = perf_counter()
        # It ends with the monitor at the latest: a `fit` that fails does not tell its callbacks.
        self._thread = threading.Thread(
            target=_watch, args=arguments, name="fastaug-monitor", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Watch no longer; does nothing if it does not run."""
        if self._stop is None or self._thread is None:
            return
        self._last_duration = self.duration
        self._stop.set()
        self._thread.join()
        self._stop = self._thread = None

    @property
    def running(self) -> bool:
        """Whether it watches now."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def duration(self) -> float:
        """Seconds from its start to its end, or to now."""
        return perf_counter() - self._begin if self.running else self._last_duration

    def __enter__(self) -> SystemMonitor:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return (
            f"<SystemMonitor, {state}, {self.duration:.1f} s, {len(self._samples.times)} samples>"
        )

    def frame(self) -> pd.DataFrame:
        """Return all samples.

        Returns
        -------
        A pandas data frame with a row per sample, its index `time` in seconds since the start.
        Columns: `cpu` (percent of all cores), `memory` (MB), `disk_read` (MB/s), `cpu_main` and
        `cpu_worker_1` ... (percent of one core, this process and its children), `memory_main` ...
        (MB resident), `gpu_0` ... (percent), `gpu_memory_0` ... (MB), and `epoch` if it was a
        callback.  What was not to be had at the time is NaN.

        Raises
        ------
        ImportError
            Without pandas, which the extra `plot` installs.
        """
        pandas = optional("pandas", "plot", "SystemMonitor.frame")
        columns = self._samples.columns()
        index = pandas.Index(columns.pop("time"), name="time", dtype="float64")
        frame = pandas.DataFrame(columns, index=index)
        if self.epochs:
            frame["epoch"] = float("nan")
            for mark in self.epochs:
                frame.loc[mark.begin : mark.end, "epoch"] = mark.epoch
        return frame

    def summary(self) -> dict[str, float]:
        """Return means and maxima.

        Returns
        -------
        `duration` in seconds, `samples`, and for each column of `frame` its mean and its maximum:
        `cpu_mean`, `cpu_max`, `memory_mean` and so on.
        """
        columns = self._samples.columns()
        summary = {"duration": self.duration, "samples": float(len(columns.pop("time")))}
        for name, column in columns.items():
            values = [value for value in column if not math.isnan(value)]
            summary |= {f"{name}_mean": sum(values) / len(values), f"{name}_max": max(values)}
        return summary

    def plot(self, path: Any = None) -> Figure:
        """Draw utilisation against time: GPUs if there are any, processors, memory, disks.

        Parameters
        ----------
        path
            File that the picture is written to as well, if given.

        Returns
        -------
        The matplotlib figure; epochs are shaded in turn.

        Raises
        ------
        ImportError
            Without matplotlib or pandas, which the extra `plot` installs.
        """
        optional("matplotlib", "plot", "SystemMonitor.plot")
        from fastaug.watch.monitor_chart import draw  # noqa: PLC0415 - imports matplotlib

        figure = draw(self.frame(), self.epochs, self.duration)
        if path is not None:
            figure.savefig(path)
        return figure

    def on_train_begin(self, logs: Any = None) -> None:
        """Keras begins to train."""
        if not self.running:
            self.start()
            self._started_by_fit = True

    def on_train_end(self, logs: Any = None) -> None:
        """Keras has trained."""
        if self._started_by_fit:
            self.stop()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras begins an epoch."""
        self._epoch_begin = self.duration

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras has ended an epoch."""
        self.epochs.append(EpochMark(epoch, self._epoch_begin, self.duration))

    def _keep(self, sample: Sample) -> None:
        self._samples.append(perf_counter() - self._begin, sample)


class _Samples:
    """What was seen, by columns of eight bytes a value: a day of a dozen columns takes 80 MB."""

    def __init__(self) -> None:
        self.times = array("d")
        self._columns: dict[str, array[float]] = {}
        self._lock = threading.Lock()

    def append(self, time: float, sample: Sample) -> None:
        """Add a row; a column that is new to it was not known before."""
        with self._lock:
            for name in sample.keys() - self._columns.keys():
                self._columns[name] = array("d", [math.nan]) * len(self.times)
            for name, column in self._columns.items():
                column.append(sample.get(name, math.nan))
            self.times.append(time)

    def columns(self) -> dict[str, list[float]]:
        """Return a copy: `time`, then the others, each of the same length."""
        with self._lock:
            return {"time": list(self.times)} | {
                name: list(self._columns[name]) for name in sorted(self._columns, key=_place)
            }


def _place(name: str) -> tuple[bool, str]:
    """Sort columns of the machine before those of single processes and GPUs."""
    return "_" in name.removeprefix("disk_"), name


def _watch(owner: weakref.ref[SystemMonitor], stop: threading.Event, interval: float) -> None:
    """Give a monitor a sample at each interval, until it stops or nobody has it any more."""
    sampler = SystemSampler()
    try:
        while not stop.wait(interval):
            monitor = owner()
            if monitor is None:
                return
            monitor._keep(sampler.sample())
            del monitor  # a thread that holds it would keep it alive
    finally:
        sampler.close()
