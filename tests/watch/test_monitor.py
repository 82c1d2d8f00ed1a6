"""`SystemMonitor`: what it sees, what it costs, and how it ends."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from fastaug import SystemMonitor

WATCHERS = "fastaug-monitor"


def watchers() -> int:
    return sum(thread.name == WATCHERS for thread in threading.enumerate())


def be_busy(seconds: float) -> None:
    """Use one core for so many seconds of its own time, however busy the machine is."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def fit(callbacks: list[keras.callbacks.Callback], epochs: int = 2) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.zeros((8, 3)), np.zeros(8), epochs=epochs, verbose=0, callbacks=callbacks)


# --- What it sees ---------------------------------------------------------------------------------


def test_a_busy_process_is_told_from_an_idle_one():
    with SystemMonitor(interval=0.05) as busy:
        be_busy(1.0)
    with SystemMonitor(interval=0.05) as idle:
        time.sleep(0.5)
    # Of processor time over clock time; another process may hold our core for a while.
    expected = 100 * 1.0 / busy.duration
    assert busy.summary()["cpu_main_mean"] == pytest.approx(expected, rel=0.3)
    assert idle.summary()["cpu_main_mean"] < 0.3 * busy.summary()["cpu_main_mean"]


def workers_of(frame) -> list[str]:
    """Names of the child processes."""
    return [name.removeprefix("cpu_") for name in frame if name.startswith("cpu_worker_")]


def test_children_are_seen_by_themselves():
    work = "import time\nwhile time.process_time() < 1: pass"
    child = subprocess.Popen([sys.executable, "-c", work])
    with SystemMonitor(interval=0.05) as monitor:
        child.wait()
    frame = monitor.frame()
    # Others, of Python itself, may be there; they do nothing.
    worker = max(workers_of(frame), key=lambda name: frame[f"cpu_{name}"].max())
    assert frame[f"cpu_{worker}"].max() > 2 * frame["cpu_main"].mean()
    assert frame[f"memory_{worker}"].max() > 1  # MB: an interpreter


def test_children_of_later_get_their_column_then():
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.2)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"])
        child.wait()
    frame = monitor.frame()
    columns = [frame[f"cpu_{name}"] for name in workers_of(frame)]
    assert any(column.isna().any() and column.notna().any() for column in columns)


def test_memory_of_the_machine_and_of_this_process():
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.2)
        held = np.ones(25_000_000)  # 200 MB
        time.sleep(0.3)
    memory = monitor.frame()["memory_main"]
    assert memory.max() - memory.min() == pytest.approx(held.nbytes / 1e6, rel=0.2)
    # Not more than of this process: that counts pages of files too, which belong to nobody.
    assert monitor.summary()["memory_max"] > held.nbytes / 1e6


def test_disk_reads_are_those_between_two_samples(monkeypatch):
    read = iter(range(0, 10**9, 5_000_000))  # 5 MB more at each look
    counters = lambda: SimpleNamespace(read_bytes=next(read))  # noqa: E731
    monkeypatch.setattr("psutil.disk_io_counters", counters)
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.5)
    frame = monitor.frame().iloc[1:]
    seconds = np.diff(monitor.frame().index)
    np.testing.assert_allclose(frame["disk_read"] * seconds, 5, rtol=0.5)


def test_a_machine_without_disks_has_no_such_column(monkeypatch):
    monkeypatch.setattr("psutil.disk_io_counters", lambda: None)
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.2)
    assert "disk_read" not in monitor.frame()


class FakeNvml:
    """What `pynvml` offers, for two GPUs of which the second one is asleep."""

    class NVMLError(Exception):
        pass

    closed = 0
    nvmlInit = staticmethod(lambda: None)
    nvmlDeviceGetCount = staticmethod(lambda: 2)
    nvmlDeviceGetHandleByIndex = staticmethod(int)
    nvmlDeviceGetMemoryInfo = staticmethod(lambda handle: SimpleNamespace(used=2e9 + handle))

    @staticmethod
    def nvmlDeviceGetUtilizationRates(handle):
        if handle:
            raise FakeNvml.NVMLError
        return SimpleNamespace(gpu=73)

    @classmethod
    def nvmlShutdown(cls):
        cls.closed += 1


def test_gpus_are_columns_where_there_are_any(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml)
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.2)
    frame = monitor.frame()
    assert set(frame["gpu_0"]) == {73.0}
    assert set(frame["gpu_memory_0"]) == {2000.0}
    assert "gpu_1" not in frame
    assert FakeNvml.closed == 1
    labels = [axis.get_ylabel() for axis in monitor.plot().axes]
    assert labels[0] == "GPU, %"


def test_a_driver_that_fails_is_no_gpu(monkeypatch):
    def refuse():
        raise FakeNvml.NVMLError

    broken = SimpleNamespace(nvmlInit=refuse, NVMLError=FakeNvml.NVMLError)
    monkeypatch.setitem(sys.modules, "pynvml", broken)
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.2)
    assert not any("gpu" in name for name in monitor.frame())


# --- Numbers and pictures -------------------------------------------------------------------------


def test_samples_come_at_the_interval():
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(1)
    steps = np.diff(monitor.frame().index)
    assert np.median(steps) == pytest.approx(0.05, rel=0.5)
    assert monitor.summary()["samples"] == len(steps) + 1


def test_summary_is_that_of_the_frame():
    with SystemMonitor(interval=0.02) as monitor:
        time.sleep(0.3)
    frame, summary = monitor.frame(), monitor.summary()
    assert list(frame)[:2] == ["cpu", "disk_read"]
    for name in frame:
        assert summary[f"{name}_mean"] == pytest.approx(frame[name].mean())
        assert summary[f"{name}_max"] == frame[name].max()
    assert summary["duration"] == monitor.duration


def test_plot_is_a_picture_with_a_panel_for_each_kind(tmp_path):
    with SystemMonitor(interval=0.05) as monitor:
        fit([monitor], epochs=3)
        time.sleep(0.2)
    figure = monitor.plot(tmp_path / "use.png")
    with Image.open(tmp_path / "use.png") as picture:
        assert picture.width > 400
    kinds = ["CPU", "memory", *(["disk"] if "disk_read" in monitor.frame() else [])]
    assert [axis.get_ylabel().split(",")[0] for axis in figure.axes] == kinds
    assert all(len(axis.patches) == 2 for axis in figure.axes)  # epochs 0 and 2 are shaded


def test_nothing_seen_yet_is_an_empty_frame():
    monitor = SystemMonitor()
    assert len(monitor.frame()) == 0
    assert monitor.summary() == {"duration": 0.0, "samples": 0.0}
    assert "stopped" in repr(monitor)
    assert len(monitor.plot().axes) == 1


@pytest.mark.parametrize(("method", "package"), [("frame", "pandas"), ("plot", "matplotlib")])
def test_without_the_extra_it_says_what_to_install(monkeypatch, method, package):
    monkeypatch.setitem(sys.modules, package, None)
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.1)
    with pytest.raises(ImportError, match=rf"needs {package}.*pip install 'fastaug\[plot\]'"):
        getattr(monitor, method)()
    assert monitor.summary()["cpu_max"] >= 0  # needs neither


# --- As a callback --------------------------------------------------------------------------------


def test_epochs_are_marked():
    monitor = SystemMonitor(interval=0.02)
    pause = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: time.sleep(0.2))
    fit([monitor, pause], epochs=3)
    assert not monitor.running
    assert [mark.epoch for mark in monitor.epochs] == [0, 1, 2]
    frame = monitor.frame()
    for mark in monitor.epochs:
        assert mark.end - mark.begin > 0.19
        inside = frame.loc[mark.begin : mark.end]
        assert len(inside) >= 3
        assert set(inside["epoch"]) == {mark.epoch}


def test_inside_with_it_goes_on_after_fit():
    with SystemMonitor(interval=0.05) as monitor:
        fit([monitor])
        assert monitor.running
        fit([monitor])
    assert [mark.epoch for mark in monitor.epochs] == [0, 1, 0, 1]
    assert not monitor.running


def test_a_second_start_forgets_the_first():
    monitor = SystemMonitor(interval=0.02)
    fit([monitor], epochs=3)
    fit([monitor], epochs=1)
    assert len(monitor.epochs) == 1


# --- Its end, its cost ----------------------------------------------------------------------------


def test_its_thread_ends_with_the_block_even_by_an_error():
    def fail():
        with SystemMonitor(interval=0.05):
            raise KeyError("broken")

    with pytest.raises(KeyError):
        fail()
    assert watchers() == 0


def test_a_fit_that_fails_leaves_no_thread_behind():
    def fail(*_):
        raise KeyError("broken")

    breaking = keras.callbacks.LambdaCallback(on_epoch_begin=fail)
    with pytest.raises(KeyError):
        fit([SystemMonitor(interval=0.02), breaking])
    for _ in range(100):
        gc.collect()
        if watchers() == 0:
            break
        time.sleep(0.02)
    assert watchers() == 0


def test_it_cannot_be_started_twice():
    with SystemMonitor() as monitor, pytest.raises(RuntimeError, match="running already"):
        monitor.start()
    monitor.stop()  # once more does nothing


@pytest.mark.parametrize("interval", [0, -1, 0.001, float("nan"), "0.1", None])
def test_bad_intervals_are_refused(interval):
    with pytest.raises((TypeError, ValueError), match="interval"):
        SystemMonitor(interval=interval)


def test_it_costs_next_to_nothing():
    with SystemMonitor() as monitor:
        time.sleep(0.5)  # its first look at all processes
        before, began = time.process_time(), time.perf_counter()
        time.sleep(3)
        used = (time.process_time() - before) / (time.perf_counter() - began)
    assert len(monitor.frame()) > 10
    # 1% is what is promised; this process has a few other threads that are seldom awake.
    assert used < 0.02
