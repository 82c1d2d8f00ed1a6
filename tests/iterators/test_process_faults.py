"""Processes that die, stand still or fork, seen by who uses a generator."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ON_LINUX, make_images
from numpy.testing import assert_array_equal
from peeks import processes
from pools import Sabotage, alive, draw_photos, numbered, output_of, start_script, wait_for

from fastaug import Generator
from fastaug.errors import DecodeError

pytestmark = pytest.mark.skipif(not ON_LINUX, reason="looks at processes in /proc")

COUNT, BATCH, SIZE = 24, 4, (33, 47)
AUGMENT = {"rotation_range": 30, "horizontal_flip": True, "keras_quirks": False}
Open = Callable[..., Any]


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sabotage:
    """What files do to workers by their names; this one knows a crash in C, too."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    sabotage = Sabotage(tmp_path / "sabotage")
    with (tmp_path / "sabotage" / "sitecustomize.py").open("a") as file:
        file.write('DEEDS["crashed"] = lambda: ctypes.string_at(0)\n')
    return sabotage


@pytest.fixture
def open_iterator(tmp_path: Path) -> Iterator[Open]:
    """Call it with options of a generator for an iterator over drawn photos."""
    opened = []

    def open_iterator(names: list[str] | None = None, **options: Any) -> Any:
        draw_photos(tmp_path / "photos" / "a", names or numbered(COUNT))
        generator = Generator(**{"workers": 2, "timeout": 20, **AUGMENT, **options})
        iterator = generator.flow_from_directory(
            tmp_path / "photos", SIZE, batch_size=BATCH, seed=3, class_mode=None
        )
        opened.append(iterator)
        return iterator

    yield open_iterator
    for iterator in opened:
        iterator.close()


def take(iterator: Any, count: int) -> np.ndarray:
    return np.stack([next(iterator) for _ in range(count)])


def take_or_fail(iterator: Any, count: int) -> list[np.ndarray | Exception]:
    """Take batches; one that fails is an error in their list."""
    found: list[np.ndarray | Exception] = []
    for _ in range(count):
        try:
            found.append(next(iterator))
        except (KeyError, DecodeError) as error:
            found.append(error)
    return found


# --- Workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["one worker", "all workers", "idle workers"])
def test_kill_9_changes_no_batch(open_iterator, who):
    expected = take(open_iterator(workers=0), 2 * COUNT // BATCH)
    iterator = open_iterator(read_ahead=0 if who == "idle workers" else 2)
    first = take(iterator, COUNT // BATCH if who == "idle workers" else 2)
    victims = processes(iterator)[: 1 if who == "one worker" else 2]

    def kill_and_go_on() -> np.ndarray:
        for number in victims:
            os.kill(number, signal.SIGKILL)
        if who == "idle workers":  # of the others one may be seen dead while the next still dies
            wait_for(lambda: not any(map(alive, victims)))
        return take(iterator, len(expected) - len(first))

    with pytest.warns(RuntimeWarning, match="was killed by SIGKILL") as told:
        rest = kill_and_go_on()
    counts = [int(re.search(r"(\d+) was killed", str(one.message))[1]) for one in told]
    assert sum(counts) == len(victims)
    assert len(counts) == 1 or who == "all workers"
    assert_array_equal(np.concatenate([first, rest]), expected)


def test_file_whose_decoder_segfaults_is_named_and_no_other(open_iterator, sabotage):
    iterator = open_iterator(numbered(COUNT, _11="crashed"))
    [guilty] = [path for path in iterator.filepaths if "crashed" in path]
    with pytest.warns(RuntimeWarning, match="SIGSEGV"):
        found = take_or_fail(iterator, COUNT // BATCH)
    [error] = [one for one in found if isinstance(one, Exception)]
    assert error.path == guilty
    assert "was killed by SIGSEGV, and so did another one before" in str(error)


def test_worker_that_exits_in_the_middle_of_a_file_changes_no_batch(open_iterator, sabotage):
    names = numbered(COUNT, _5="left-once")
    expected = take(open_iterator(names, workers=0), COUNT // BATCH)
    with pytest.warns(RuntimeWarning, match="left with exit code 0"):
        assert_array_equal(take(open_iterator(names), COUNT // BATCH), expected)


@pytest.mark.parametrize("how_many", [1, 2])
def test_stopped_workers_are_a_timeout_and_the_next_epoch_is_whole(open_iterator, how_many):
    iterator = open_iterator(timeout=1, read_ahead=0)
    expected = [iterator.peek(index) for index in range(len(iterator))]
    for number in processes(iterator)[:how_many]:
        os.kill(number, signal.SIGSTOP)
    with pytest.raises(TimeoutError, match=r"timeout=1 s; being read: .*\.jpg"):
        [iterator.peek(index) for index in range(len(iterator))]
    for index, batch in enumerate(expected):
        assert_array_equal(iterator.peek(index), batch)


@pytest.mark.parametrize("read_ahead", [0, 1, 2, 3])
def test_batches_asked_for_in_any_order_never_wait_for_each_other(open_iterator, read_ahead):
    # The batches ahead may hold all of the memory that the one asked for needs.
    expected = [open_iterator(workers=0)[index] for index in range(COUNT // BATCH)]
    iterator = open_iterator(read_ahead=read_ahead, timeout=5)
    rng = np.random.default_rng(0)
    for index in (0, 0, 0, 1, 0, 1, 5, 4, 3, *rng.integers(0, len(expected), 60)):
        assert_array_equal(iterator.peek(int(index)), expected[index])


# --- Several users --------------------------------------------------------------------------------


def test_train_and_validation_in_turns_get_their_own_batches(open_iterator):
    def pair() -> tuple[Any, Any]:
        images = make_images(COUNT, *SIZE, 3)
        return open_iterator(), Generator(**AUGMENT).flow(images, batch_size=BATCH, seed=4)

    train, validation = pair()
    in_turns = [(next(train), next(validation)) for _ in range(COUNT // BATCH)]
    train, validation = pair()
    assert_array_equal(np.stack([one for one, _ in in_turns]), take(train, COUNT // BATCH))
    assert_array_equal(np.stack([one for _, one in in_turns]), take(validation, COUNT // BATCH))


def test_eight_threads_on_one_iterator_get_every_batch_once(open_iterator):
    expected = sorted(batch.tobytes() for batch in take(open_iterator(workers=0), 24))
    iterator, found = open_iterator(), []
    turns = iter(range(24))

    def consume() -> None:
        for _ in turns:
            found.append(next(iterator).tobytes())

    threads = [threading.Thread(target=consume) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == expected


# --- The user's function --------------------------------------------------------------------------


def test_function_that_cannot_be_pickled_runs_beside_workers(open_iterator):
    lock, seen = threading.Lock(), []

    def prepare(image: np.ndarray) -> np.ndarray:
        with lock:
            seen.append(os.getpid())
        return image / 2

    halves = take(open_iterator(preprocessing_function=prepare, read_ahead=0), COUNT // BATCH)
    assert seen == COUNT * [os.getpid()]
    assert_array_equal(halves, take(open_iterator(), COUNT // BATCH) / 2)


def test_function_that_raises_is_named_with_its_sample_and_the_rest_goes_on(open_iterator):
    calls = iter(range(2 * COUNT))

    def prepare(image: np.ndarray) -> np.ndarray:
        if next(calls) == 9:
            raise KeyError("no such thing")
        return image

    iterator = open_iterator(preprocessing_function=prepare)
    expected = take(open_iterator(), COUNT // BATCH)
    found = take_or_fail(iterator, COUNT // BATCH)
    error = found.pop(2)
    assert repr(error) == "KeyError('no such thing')"
    if sys.version_info >= (3, 11):  # which brought notes
        assert f"preprocessing_function '{prepare.__name__}'" in error.__notes__[0]
        assert f"sample {iterator._order(0)[9]}" in error.__notes__[0]
    assert_array_equal(np.stack(found), np.delete(expected, 2, axis=0))


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # NumPy's, of 1e300
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_function_that_returns_no_finite_number_gives_what_numpy_gives(open_iterator, value, dtype):
    def prepare(image: np.ndarray) -> np.ndarray:
        image = image.astype(np.float64)
        image[0, 0] = value
        return image

    [batch] = take(open_iterator(workers=0, preprocessing_function=prepare, dtype=dtype), 1)
    [plain] = take(open_iterator(workers=0, dtype=dtype), 1)
    with np.errstate(over="ignore"):
        expected = np.float64(value).astype(np.float32).astype(np.float16).astype(np.float32)
    if dtype == "uint8":  # cut to what there is; what no number is, is black
        expected = np.clip(np.nan_to_num(expected, posinf=255, neginf=0), 0, 255)
    assert_array_equal(batch[:, 0, 0], np.broadcast_to(expected, batch[:, 0, 0].shape))
    assert_array_equal(batch[:, 1:], plain[:, 1:])
    assert_array_equal(batch[:, 0, 1:], plain[:, 0, 1:])


# --- The parent -----------------------------------------------------------------------------------

# Iterators over files and arrays are alive, with batches being made, when the script ends.
ENDING = """
import os, sys
import numpy as np
from fastaug import Generator
from peeks import processes
folder, end = sys.argv[1:]
files = Generator(workers=2, rotation_range=9).flow_from_directory(folder, (32, 32), batch_size=4)
arrays = Generator(rotation_range=9).flow(np.zeros((32, 64, 64, 3), np.uint8), batch_size=4)
for _ in range(3):
    next(files), next(arrays)
    sum(range(100_000))  # a training step
print(*processes(files), flush=True)
if end == "raise":
    raise KeyError("the user's mistake")
elif end == "exit":
    sys.exit(3)
elif end == "_exit":
    os._exit(4)
"""


def test_script_may_end_with_live_iterators(tmp_path):
    draw_photos(tmp_path / "a", numbered(COUNT))
    ends = {"return": 0, "exit": 3, "raise": 1, "_exit": 4}
    scripts = {end: start_script(ENDING, tmp_path, end) for end in ends}
    try:
        for end, script in scripts.items():
            out, err = output_of(script)
            workers = [int(word) for word in out.split("\n")[-2].split()]
            assert (end, script.returncode, len(workers)) == (end, ends[end], 2)
            assert err.count("Traceback") == err.count("the user's mistake") == (end == "raise")
            wait_for(lambda workers=workers: not any(map(alive, workers)), seconds=5)
    finally:
        for script in scripts.values():
            script.kill()
            script.communicate()
    assert not list(Path("/dev/shm").glob("fastaug*"))


FORKING = """
import os, sys
import numpy as np
from fastaug import Generator
generator = Generator(workers=1, rotation_range=9)
files = generator.flow_from_directory(sys.argv[1], (32, 32), batch_size=4)
arrays = generator.flow(np.zeros((8, 32, 32, 3), np.uint8), batch_size=4)
for iterator in (arrays, files):
    next(iterator)
    child = os.fork()
    if not child:
        for step in (lambda: next(iterator), lambda: iterator[0]):
            try:
                step()
            except RuntimeError as error:
                print("child:", error, flush=True)
        os._exit(0)
    print("ended with", os.waitpid(child, 0)[1], flush=True)
    print("parent:", next(iterator)[0].shape, flush=True)
files.close()
"""


def test_iterator_in_a_fork_is_an_error_and_the_parent_goes_on(tmp_path):
    draw_photos(tmp_path / "a", numbered(8))
    out, err = output_of(start_script(FORKING, tmp_path))
    said = [line for line in out.split("\n") if not line.startswith("Found")]
    assert "Traceback" not in err
    assert sum("child: " in line and "fork" in line for line in said) == 4
    assert said.count("ended with 0") == 2
    assert said.count("parent: (4, 32, 32, 3)") + said.count("parent: (32, 32, 3)") == 2


def test_kill_9_of_a_parent_whose_iterators_are_busy_leaves_no_worker(tmp_path):
    draw_photos(tmp_path / "a", numbered(COUNT))
    code = ENDING.replace(
        "if end ==", "while end == 'loop': next(files), next(arrays)\nif end ==", 1
    )
    with start_script(code, tmp_path, "loop") as script:
        line = script.stdout.readline()
        while line.startswith("Found"):
            line = script.stdout.readline()
        workers = list(map(int, line.split()))
        assert len(workers) == 2
        os.killpg(script.pid, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, workers)), seconds=5)
        assert script.wait(10) == -signal.SIGKILL
    assert not list(Path("/dev/shm").glob("fastaug*"))
