"""`iterator.stats`: what was done so far, in numbers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_LINUX, make_images
from pools import alive, draw_photos, numbered, wait_for

from fastaug import Generator

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
        workers = batches._source.processes()
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
    assert repr(batches.stats).startswith("Stats(decoded=32, cache_hits=0, ")
