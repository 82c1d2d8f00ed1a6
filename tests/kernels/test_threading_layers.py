"""Threads of Python, threads of Numba's layers, and forks: errors at worst, never an abort."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import numba
import numpy as np
import pytest
from conftest import ON_LINUX, make_images
from pools import draw_photos, numbered, script_path

from fastaug import Generator

LAYERS = {"workqueue": "workqueue", "omp": "omppool", "tbb": "tbbpool"}
ROUNDS = {False: 50, True: 500}  # by whether it may take long


def has_layer(layer: str) -> bool:
    """Whether Numba can load a threading layer here."""
    try:
        importlib.import_module(f"numba.np.ufunc.{LAYERS[layer]}")
    except ImportError:
        return False
    return True


@pytest.fixture(params=LAYERS)
def layer(request) -> str:
    """A threading layer of Numba."""
    if not has_layer(request.param):
        pytest.skip(f"Numba has no layer {request.param} here")
    return request.param


def run_apart(code: str, layer: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code with two threads of a layer in a process of its own, which it may bring down."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, *map(str, arguments)],
        env=os.environ
        | {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
        | {"PYTHONPATH": os.pathsep.join(script_path())},
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
    )


# --- Two threads, each with a generator of its own ------------------------------------------------


def own_iterator(thread: int) -> Any:
    options: dict[str, Any] = [
        {"rotation_range": 30, "horizontal_flip": True, "samplewise_center": True},
        {"zoom_range": 0.3, "brightness_range": (0.5, 1.5), "channel_shift_range": 20.0},
    ][thread]
    generator = Generator(rescale=1 / 255, keras_quirks=False, **options)
    return generator.flow(make_images(24, 24, 24, 3), batch_size=8, seed=thread)


def take(iterator: Any) -> list[bytes]:
    return [next(iterator).tobytes() for _ in range(4)]


def use_two_generators(rounds: int) -> None:
    """In each round two threads make a generator each, and begin at the same time."""
    expected = [take(own_iterator(thread)) for thread in range(2)]
    found: list[list[list[bytes]]] = [[], []]
    begin = threading.Barrier(2, timeout=60)

    def use(thread: int) -> None:
        for _ in range(rounds):
            iterator = own_iterator(thread)
            begin.wait()
            found[thread].append(take(iterator))

    threads = [threading.Thread(target=use, args=(thread,)) for thread in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    wrong = sum(batches != expected[thread] for thread in range(2) for batches in found[thread])
    print(numba.threading_layer(), *map(len, found), wrong)


def test_two_threads_with_a_generator_each_do_not_abort(layer, request):
    rounds = ROUNDS[request.config.getoption("--long")]
    code = f"import test_threading_layers as here; here.use_two_generators({rounds})"
    done = run_apart(code, layer)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [layer, str(rounds), str(rounds), "0"]


# --- Eight threads on one iterator ----------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_eight_threads_get_every_batch_of_files_by_index_once(tmp_path, workers):
    draw_photos(tmp_path / "a", numbered(46))
    generator = Generator(rotation_range=30, workers=workers, keras_quirks=False)

    def open_iterator() -> Any:
        return generator.flow_from_directory(
            tmp_path, (16, 24), batch_size=4, seed=3, class_mode=None
        )

    with open_iterator() as alone:
        expected = Counter(next(alone).tobytes() for _ in range(3 * len(alone)))
    found: Counter[bytes] = Counter()
    with open_iterator() as shared:
        for _ in range(3):  # epochs, as Keras begins and ends them
            shared.on_epoch_begin()
            # Each index is asked for once, in any order.
            indices = iter(np.random.default_rng(0).permutation(len(shared)).tolist())
            got: list[bytes] = []

            def consume(indices=indices, got=got) -> None:
                for index in indices:
                    got.append(shared[index].tobytes())

            threads = [threading.Thread(target=consume) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            shared.on_epoch_end()
            found.update(got)
    assert found == expected


# --- Forks ----------------------------------------------------------------------------------------

# Forks while another thread is busy with the iterators, so that all their locks may be held.
FORKING = """
import faulthandler, multiprocessing, sys, threading, time
import numpy as np
from fastaug import Generator
faulthandler.dump_traceback_later(100, exit=True)
generator = Generator(workers=2, rotation_range=9)
options = {"batch_size": 4, "class_mode": None}
ours = {
    "files": generator.flow_from_directory(sys.argv[1], (32, 32), **options),
    "arrays": generator.flow(np.zeros((8, 32, 32, 3), np.uint8), batch_size=4),
}
for iterator in ours.values():
    next(iterator)
stop = threading.Event()

def work():
    while not stop.is_set():
        for iterator in ours.values():
            next(iterator)

def use(name):
    try:
        next(ours[name])
    except RuntimeError as error:
        return str(error)
    return "no error"

def make(name):
    try:
        images = np.zeros((8, 32, 32, 3), np.uint8)
        next(generator.flow(images, batch_size=4))
    except RuntimeError as error:
        return str(error)
    return "no error"

threading.Thread(target=work).start()
context = multiprocessing.get_context("fork")
try:
    for name in ours:
        for function in (use, make):
            for _ in range(3):
                time.sleep(0.003)
                with context.Pool(1) as pool:
                    print(pool.apply_async(function, (name,)).get(timeout=20), flush=True)
        process = context.Process(target=next, args=(ours[name],))
        process.start()
        process.join(20)
        print("process ended with", process.exitcode, flush=True)
finally:
    stop.set()
for iterator in ours.values():
    next(iterator)
    iterator.close()
print("done", flush=True)
"""


LOCKED = """
import multiprocessing
import numpy as np
from fastaug import Generator
iterator = Generator().flow(np.zeros((8, 32, 32, 3), np.uint8), batch_size=4)
uses = {
    "next": lambda: next(iterator),
    "index": lambda: iterator[0],
    "rows": lambda: next(iterator.index_generator),
    "set up": lambda: iterator.workers,
    "begin": iterator.on_epoch_begin,
    "end": iterator.on_epoch_end,
}

def use(name):
    try:
        uses[name]()
    except RuntimeError as error:
        print(name, "fork" in str(error), flush=True)

with iterator.lock:
    for name in uses:
        process = multiprocessing.get_context("fork").Process(target=use, args=(name,))
        process.start()
        process.join(20)
        process.kill()
"""


@pytest.mark.skipif(not ON_LINUX, reason="forks")
def test_fork_while_the_lock_of_an_iterator_is_held_is_an_error():
    done = run_apart(LOCKED, "workqueue")
    assert done.stdout.splitlines() == [
        f"{name} True" for name in ("next", "index", "rows", "set up", "begin", "end")
    ]


@pytest.mark.skipif(not ON_LINUX, reason="forks")
def test_fork_by_multiprocessing_while_batches_are_made_is_an_error(layer, tmp_path):
    draw_photos(tmp_path / "a", numbered(16))
    done = run_apart(FORKING, layer, tmp_path)
    said = [line for line in done.stdout.splitlines() if not line.startswith("Found")]
    assert done.returncode == 0, done.stderr
    assert sum("fork" in line for line in said) == 12
    assert said.count("process ended with 1") == 2  # with the error's traceback
    assert "no error" not in said
    assert said[-1] == "done"
    assert "Terminating" not in done.stderr  # GNU OpenMP, of a kernel in a fork
