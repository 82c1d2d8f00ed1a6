"""`iterator.stats`: what was done so far, in numbers."""

from __future__ import annotations

import copy
import os
import pickle
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ON_LINUX, ROOT, make_images
from peeks import processes
from pools import alive, draw_photos, numbered, wait_for

from fastaug import Generator
from fastaug.counters import Counters

COUNT = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw_photos(tmp_path / "photos" / "a", numbered(COUNT))
    return tmp_path / "photos"


@pytest.mark.parametrize("workers", [0, 2])
def test_images_and_seconds_are_counted(folder, workers):
    generator = Generator(horizontal_flip=True, workers=workers, read_ahead=0)
    with generator.flow_from_directory(folder, (33, 47), batch_size=8) as batches:
        assert batches.stats.decoded == 0
        started = time.perf_counter()
        for _ in range(2 * len(batches)):
            next(batches)
        lasted = time.perf_counter() - started
        stats = batches.stats
    assert stats.decoded == 2 * COUNT
    assert stats.cache_hits == stats.workers_restarted == stats.skipped == 0
    assert 0 < stats.decode_s < max(workers, 1) * lasted
    assert 0 < stats.kernel_s < lasted
    assert 0 < stats.handover_s < lasted
    assert stats.kernel_s + stats.handover_s < stats.wait_s < lasted


def test_time_of_the_consumer_is_not_waiting():
    with Generator(read_ahead=2).flow(make_images(64, 5, 7, 3), batch_size=8) as batches:
        next(batches)
        before = batches.stats.wait_s
        for _ in range(5):
            time.sleep(0.02)
            next(batches)
        stats = batches.stats
    assert stats.wait_s - before < 0.05
    assert stats.kernel_s > 0
    assert stats.decoded == 0


@pytest.mark.skipif(not ON_LINUX, reason="looks at processes in /proc")
def test_replaced_workers_are_counted(folder):
    generator = Generator(workers=2, read_ahead=0)
    with generator.flow_from_directory(folder, (33, 47), batch_size=8) as batches:
        next(batches)
        workers = processes(batches)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, workers)))
        with pytest.warns(RuntimeWarning, match="SIGKILL"):
            taken = [next(batches) for _ in range(3)]
        assert len(taken) == 3
        assert batches.stats.workers_restarted == 2


def test_stats_are_a_copy(folder):
    with Generator(workers=0).flow_from_directory(folder, (33, 47)) as batches:
        before = batches.stats
        next(batches)
        assert before.decoded == 0
        batches.stats.decoded = 10**6
        assert batches.stats.decoded == 32
    assert np.isfinite(batches.stats.wait_s)
    assert repr(batches.stats).startswith("Counters(decoded=32, cache_hits=0, ")


# --- Counting in several threads ------------------------------------------------------------------

THREADS, TIMES = 4, 25


class Slow(float):
    """A number that lets other threads run while it is added."""

    def __radd__(self, other):
        time.sleep(0.0005)
        return float(self) + other


def in_threads(function: Callable[[], object]) -> None:
    """Call a function many times in several threads at once."""

    def run() -> None:
        begin.wait()
        for _ in range(TIMES):
            function()

    begin = threading.Barrier(THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run) for _ in range(THREADS)]:
            future.result()


def test_threads_that_count_lose_nothing():
    stats = Counters()
    in_threads(lambda: stats.add(decoded=1, decode_s=Slow(2)))
    assert (stats.decoded, stats.decode_s) == (THREADS * TIMES, 2 * THREADS * TIMES)


def test_threads_that_time_lose_nothing(monkeypatch):
    stats, clock = Counters(), threading.local()

    def perf_counter() -> float:
        """One second later at each look of a thread, in which others run."""
        time.sleep(0.0005)
        clock.now = getattr(clock, "now", 0) + 1
        return clock.now

    def count() -> None:
        with stats.timing("handover_s"):
            pass

    monkeypatch.setattr("fastaug.counters.time", SimpleNamespace(perf_counter=perf_counter))
    in_threads(count)
    assert stats.handover_s == THREADS * TIMES


def test_stats_of_an_iterator_are_of_one_moment():
    batches = Generator().flow(make_images(2, 5, 7, 3))
    seen = []

    def count_and_look() -> None:
        batches._stats.add(decoded=1, decode_s=Slow(2), handover_s=Slow(3))
        seen.append(batches.stats)

    in_threads(count_and_look)
    for stats in [*seen, batches.stats]:
        assert (stats.decode_s, stats.handover_s) == (2 * stats.decoded, 3 * stats.decoded)
    assert batches.stats.decoded == THREADS * TIMES


def test_sums_grow_by_one_way_only():
    for path in (ROOT / "fastaug").rglob("*.py"):
        assert not re.search(r"stats\.\w+ [+-]?= ", path.read_text()), path


def test_stats_can_be_copied_and_compared_in_every_way():
    stats = Counters(decoded=3, wait_s=0.5)
    copies = copy.copy(stats), copy.deepcopy(stats), pickle.loads(pickle.dumps(stats))
    for one in (*copies, replace(stats), Counters(**asdict(stats))):
        assert one == stats
        one.add(decoded=1)
        assert one != stats
    with pytest.raises(AttributeError):
        stats.add(encoded=1)
