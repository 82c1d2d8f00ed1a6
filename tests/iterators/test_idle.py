"""Nothing stays behind: an iterator that nobody asks holds no process and no batch memory."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import installed
from conftest import ON_LINUX, make_images
from numpy.testing import assert_array_equal
from peeks import processes
from pools import draw_photos, numbered, output_of, start_script, wait_for

from fastaug import Generator
from fastaug.iterators import idle, read_ahead

SIZE = (48, 64)
CHANGES = {"rotation_range": 20, "horizontal_flip": True, "keras_quirks": False}
KINDS = {
    "arrays": {},
    "no workers": {"workers": 0},
    "two workers": {"workers": 2},
    "memory": {"workers": 2, "cache": "memory"},
    "disk": {"workers": 2},
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "REST_S", 0.2)
    monkeypatch.setattr(read_ahead, "_MAX_REST_S", 0.2)


@pytest.fixture
def open_iterator(tmp_path: Path) -> Any:
    for name in "ab":
        draw_photos(tmp_path / "photos" / name, numbered(6))

    def open_iterator(kind: str, **options: Any) -> Any:
        if kind == "disk":
            options["cache"] = tmp_path / "cache"
        generator = Generator(**CHANGES, **KINDS[kind], **options)
        if kind == "arrays":
            return generator.flow(make_images(12, *SIZE, 3), batch_size=4, seed=1)
        return generator.flow_from_directory(
            tmp_path / "photos", SIZE, batch_size=4, seed=1, class_mode=None
        )

    return open_iterator


def idle_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fastaug-idle"]


def holds(iterator: Any) -> tuple[int, ...]:
    """Return how many buffers, batches made ahead, processes and pools there are."""
    source = iterator._source
    source = getattr(source, "_source", source)  # behind a cache
    pools = int(getattr(source, "_pool", None) is not None)
    workers = len(processes(iterator)) if hasattr(source, "_pool") else 0
    return len(iterator._buffers._buffers), len(iterator._read_ahead._futures), workers, pools


def rest(iterator: Any) -> None:
    wait_for(lambda: not any(holds(iterator)))
    assert holds(iterator) == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_idle_iterator_gives_back_all_and_goes_on_where_it_was(open_iterator, impatient, kind):
    with open_iterator(kind) as alone:
        expected = [next(alone).copy() for _ in range(7)]
    with open_iterator(kind) as iterator:
        batches = []
        for pause in (False, False, True, False, False, True, False):
            batches.append(next(iterator))
            assert any(holds(iterator))
            if pause:
                rest(iterator)
        assert_array_equal(batches, expected)


def test_idle_cache_on_disk_is_unmapped_and_read_again(open_iterator, impatient):
    with open_iterator("disk") as iterator:
        for _ in range(3):
            next(iterator)
        rest(iterator)
        cache = iterator._source._cache
        assert not len(cache._images)
        decoded = iterator.stats.decoded
        next(iterator)
        assert len(cache._images) == 12
        assert iterator.stats.decoded == decoded


def test_idle_cache_on_disk_may_lose_its_pixels(open_iterator, impatient, tmp_path):
    with open_iterator("disk", read_ahead=0) as iterator:
        expected = [next(iterator) for _ in range(3)]
        rest(iterator)
        (pixels,) = (tmp_path / "cache").glob("*.pixels")
        with pixels.open("r+b") as file:
            file.truncate(0)
        iterator.batch_index = iterator.total_batches_seen = 0
        assert_array_equal([next(iterator) for _ in range(3)], expected)


def test_who_takes_long_is_waited_for_longer(monkeypatch):
    monkeypatch.setattr(read_ahead, "REST_S", 0.05)
    iterator = Generator().flow(make_images(12, 9, 7, 3), batch_size=4, seed=1)
    next(iterator)
    time.sleep(0.6)
    next(iterator)  # it had to start anew
    assert iterator._read_ahead.rest_if_idle() > 0.9
    time.sleep(0.6)
    assert any(holds(iterator))


def test_batch_under_way_is_no_idleness(impatient):
    def take_long(image: np.ndarray) -> np.ndarray:
        time.sleep(0.2)
        return image

    generator = Generator(preprocessing_function=take_long)
    with generator.flow(make_images(4, 9, 7, 3), batch_size=4, seed=1) as iterator:
        for _ in range(2):
            assert len(next(iterator)) == 4
            assert iterator._read_ahead._is_watched


@pytest.mark.parametrize("kind", ["arrays", "two workers", "disk"])
def test_closed_iterator_holds_nothing(open_iterator, kind):
    iterator = open_iterator(kind)
    batch = next(iterator)
    kept = batch.copy()
    time.sleep(0.01)
    next(iterator)
    iterator.close()
    assert holds(iterator) == (0, 0, 0, 0)
    wait_for(lambda: not idle_threads())
    assert not idle_threads()
    assert_array_equal(batch, kept)


def test_one_thread_looks_after_all_and_ends_with_the_last():
    iterators = [Generator().flow(make_images(4, 9, 7, 3), batch_size=4) for _ in range(3)]
    for iterator in iterators:
        next(iterator)
    assert len(idle_threads()) == 1
    del iterator
    while iterators:
        iterators.pop()
    wait_for(lambda: not idle_threads())
    assert not idle_threads()


def test_asked_in_the_same_moment_it_is_watched_anew():
    class Resting:
        visits = 0

        def rest_if_idle(self) -> float | None:
            self.visits += 1
            if self.visits < 3:
                idle.watch(self)  # as a thread that asks just now does
            return None

    resting = Resting()
    idle.watch(resting)
    wait_for(lambda: not idle_threads())
    assert resting.visits == 3


# TensorFlow keeps what `fit` was given, for ever.

FOLDS = """
import gc, json, os, sys, threading
os.environ["KERAS_BACKEND"], folder = "tensorflow", sys.argv[1]
import keras
import numpy as np
from conftest import _children
from pathlib import Path
from pools import wait_for
from test_leaks import _trim_heap
from fastaug import Generator
from fastaug.iterators import read_ahead

read_ahead.REST_S = 1.0
SIZE, FOLDS = (299, 299), 10
ARRAYS = np.random.default_rng(1).integers(0, 255, (32, *SIZE, 3), np.uint8)

def open_iterator(kind, seed):
    generator = Generator(rotation_range=20, rescale=1 / 255)
    if kind == "arrays":
        return generator.flow(ARRAYS, np.arange(32.0), batch_size=16, seed=seed)
    options = {"batch_size": 16, "class_mode": "binary", "seed": seed}
    return generator.flow_from_directory(folder, SIZE, **options)

def held_mib():
    gc.collect()
    _trim_heap(0)
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = dict(row.split()[:2] for row in rows)
    return (int(sizes["Pss_Anon:"]) + int(sizes["Pss_Shmem:"])) / 1024

def fold(kind, closes, seed):
    layers = [keras.layers.AveragePooling2D(30), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.layers.Input((*SIZE, 3)), *layers])
    model.compile("sgd", "mse")
    iterator = open_iterator(kind, seed)
    model.fit(iterator, epochs=2, verbose=0)
    if closes:
        iterator.close()

def is_idle():
    return all(thread.name != "fastaug-idle" for thread in threading.enumerate())

found = {}
for kind in ("files", "arrays"):
    for closes in (True, False):
        for seed in range(3):  # what a process takes once
            fold(kind, closes, seed)
        wait_for(is_idle, 60)
        before = held_mib()
        for seed in range(FOLDS):
            fold(kind, closes, seed)
        at_once = len(_children())
        wait_for(is_idle, 60)
        grown = (held_mib() - before) / FOLDS
        found[f"{kind}, {'closed' if closes else 'open'}"] = [at_once, len(_children()), grown]
print("found", json.dumps(found))
"""


@pytest.mark.skipif(not ON_LINUX, reason="looks into /proc")
@pytest.mark.skipif(not installed("tensorflow"), reason="TensorFlow is not installed")
def test_ten_folds_on_tensorflow_leave_nothing(tmp_path):
    for name in "ab":
        draw_photos(tmp_path / name, numbered(16))
    said, complained = output_of(start_script(FOLDS, tmp_path), 240)
    assert "found " in said, complained
    found = json.loads(said.split("found ")[-1])
    for how, (at_once, children, grown_mib) in found.items():
        assert children == 0, how
        assert grown_mib < 10, how
        if "closed" in how:
            assert at_once == 0, how
    assert found["files, open"][0] > 0  # or there was nothing to be given back
