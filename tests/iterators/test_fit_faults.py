"""Faults while a model trains from files, on each backend of Keras: what `fit` promises then.

`fit_faults_script.py` runs what a process survives, once for each backend.  What it doesn't survive
is done to scripts that train for ever: all at once, since each takes seconds to import Keras.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from backends import BACKENDS, installed, observations_of
from conftest import ON_LINUX
from must_run import LONG
from pools import alive, draw_photos, numbered, output_of, start_script, wait_for

TIMEOUT_S = 200  # of both processes; about 15 on two idle cores
LENGTH = 5  # batches in a pass

pytestmark = [
    pytest.mark.timeout(TIMEOUT_S + 60),
    pytest.mark.skipif(not ON_LINUX, reason="signals, and processes in /proc"),
]


@pytest.fixture(scope="module")
def observations() -> dict[str, dict]:
    """What each installed backend's process observed, by scenario; both run side by side."""
    return observations_of("fit_faults_script.py", timeout_s=TIMEOUT_S)


@pytest.fixture(params=BACKENDS)
def observe(request, observations) -> Callable[[str], Any]:
    """Call it with a scenario's name to get what was observed."""
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    observed = observations[request.param]
    assert observed["backend"] == request.param

    def look(scenario: str) -> Any:
        found = observed[scenario]
        if isinstance(found, dict):
            assert "traceback" not in found, found["traceback"]
        return found

    return look


def assert_whole_pass(names: list[str]) -> int:
    """Check that every batch of one pass was trained on once; return which pass that was."""
    numbers = {int(name.split(".")[0]) for name in names}
    assert len(numbers) == 1, names
    number = numbers.pop()
    assert sorted(names) == [f"{number}.{batch}" for batch in range(LENGTH)]
    return number


# Ctrl-C and `kill -9` in the middle of `fit`.


def test_ctrl_c_ten_times_is_one_keyboard_interrupt_each_and_fit_goes_on(observe):
    rounds = observe("ctrl_c")["rounds"]
    assert [one["raised"] for one in rounds] == 10 * [["KeyboardInterrupt"]]
    assert [one["swallowed"] for one in rounds] == 10 * [[]]
    assert all(one["trained"] for one in rounds)  # it came in the middle
    passes = [assert_whole_pass(one["then"]) for one in rounds]
    assert passes == sorted(set(passes))


def test_ctrl_c_ten_times_leaves_nothing(observe):
    found = observe("ctrl_c")
    assert found["left"] == {"children": 0, "threads": 0}
    assert max(one["children"] for one in found["rounds"]) <= 2  # the workers of one pool
    # The pool's memory and each worker's two pipes.
    assert max(one["descriptors"] for one in found["rounds"]) <= 1 + 2 * 2


def test_ctrl_c_ten_times_says_nothing_on_stderr(observe):
    said = observe("stderr").partition("ctrl_c:")[0]
    for word in ("Traceback", "KeyboardInterrupt", "fastaug", "Exception ignored"):
        assert word not in said.replace("compiling kernels", "")


@pytest.mark.parametrize("how_many", [1, 2])
def test_kill_9_of_workers_in_fit_changes_no_batch_and_no_loss(observe, how_many):
    undisturbed, *runs = observe("killed_workers")
    run = runs[how_many - 1]
    assert len(set(run["seen"])) == 3 * LENGTH
    assert (run["seen"], run["loss"]) == (undisturbed["seen"], undisturbed["loss"])
    assert undisturbed["told"] == []
    # Workers that die at the same time may be found at different times.
    ends = [re.search(r"(\d) was killed by SIGKILL.*nothing is lost", one) for one in run["told"]]
    assert all(ends), run["told"]
    assert sum(int(end[1]) for end in ends) == how_many


# Files and functions.


def test_file_that_breaks_in_batch_3_is_named_by_fit(observe):
    found = observe("broken_files")
    assert f"cannot read the image '{found['path']}': " in found["message"]
    assert found["first"] == ["0.0", "0.1"]


def test_file_that_was_mended_is_read_by_the_next_fit(observe):
    found = observe("broken_files")
    assert found["again"] == "nothing was raised"
    assert_whole_pass(found["then"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raises", "no such key"),
        ("another shape", r"returned shape \(2, 8, 3\); it must return \(6, 8, 3\)"),
        ("StopIteration", "raised StopIteration"),
        ("nothing", "returned None; it must return an array of numbers"),
    ],
)
def test_lambda_that_goes_wrong_in_fit_is_named_with_its_sample(observe, fault, words):
    message = observe("bad_functions")[fault]
    assert re.search(r"preprocessing_function '<lambda>', called on sample \d+", message)
    assert re.search(words, message)


def test_lambda_that_returns_float64_trains_like_float32(observe):
    found = observe("kinds_of_functions")
    assert len(set(found["float32"]["seen"])) == LENGTH
    assert found["float64"] == found["float32"]


def test_lambda_that_returns_nan_gives_nan(observe):
    found = observe("kinds_of_functions")
    assert set(found["NaN"]["seen"]) == set(found["all NaN"])
    assert found["NaN"]["loss"] == "[nan]"


# Shapes of the data.


def test_empty_folder_fails_in_fit_as_in_keras_and_was_warned_of(observe):
    found = observe("empty_folder")
    assert found["ours"]["error"] == found["Keras'"]["error"]
    assert "was raised" not in found["ours"]["error"]
    assert len(found["ours"]["warned"]) == 1
    assert "no images" in found["ours"]["warned"][0]


def test_batch_larger_than_the_data_is_all_of_it(observe):
    found = observe("batch_larger_than_the_data")
    # To look at the only batch, as Keras does on JAX, is to have a pass.
    first = {"tensorflow": 0, "jax": 1}[observe("backend")]
    assert found["seen"] == found["passes"][first : first + 3]


def test_empty_class_keeps_its_place(observe):
    found = observe("empty_class")
    assert found["classes"] == {"a": 0, "b": 1, "bb": 2, "c": 3}
    assert found["shape"] == [18, 4]
    assert found["losses"][1] < found["losses"][0]
    assert len(found["told"]) == 1
    assert "'bb'" in found["told"][0]


def test_more_steps_than_batches_end_the_epoch_as_in_keras(observe):
    found = observe("too_many_steps")
    ours, theirs = found["ours"], found["Keras'"]
    assert (ours["epochs"], ours["told"]) == (theirs["epochs"], theirs["told"])
    assert "ran out of data" in ours["told"][0]
    assert [assert_whole_pass(ours["seen"][k : k + LENGTH]) for k in (0, 5, 10)] == [0, 1, 2]
    assert len(ours["seen"]) == len(theirs["seen"]) == 3 * LENGTH


def test_kept_batches_and_tensors_of_files_are_untouched_while_others_are_made(observe):
    found = observe("kept_batches")
    assert found["before"] == found["after"]
    assert len(found["before"]) == 100


# The end of the process in the middle of `fit`.

# Trains for ever; tells its workers in the middle of an epoch, and then comes to an end.
TRAINING = """
import faulthandler, os, signal, sys, time
faulthandler.dump_traceback_later(100, exit=True)
os.environ["KERAS_BACKEND"], folder, end = sys.argv[1:]
import keras
keras.utils.disable_interactive_logging()
from feeding_script import SIZE, augmenting, recording_model
from fit_faults_script import AtBatch, from_files
from peeks import processes
def deed():
    faulthandler.dump_traceback_later(40, exit=True)
    print(*processes(files), flush=True)
    if end == "raise":
        raise KeyError("the user's mistake")
    elif end == "sys.exit":
        sys.exit(3)
    elif end == "os._exit":
        os._exit(4)
files = from_files(folder, augmenting(timeout=3.0 if end == "pause" else 100.0))
try:
    recording_model().fit(files, epochs=100_000, verbose=0, callbacks=[AtBatch(3, deed)])
except KeyboardInterrupt:
    print("interrupted")
"""
KILLS = {
    "SIGKILL of the process": (os.kill, signal.SIGKILL),
    "SIGKILL of the group": (os.killpg, signal.SIGKILL),
    "SIGTERM of the group": (os.killpg, signal.SIGTERM),
    "SIGHUP of the group": (os.killpg, signal.SIGHUP),
}
ENDS = {"sys.exit": 3, "raise": 1, "os._exit": 4}
PAUSE = "pause"
# TensorFlow takes long to import; the rest of its ends are seen in long runs.
BRIEFLY = {"jax": [*KILLS, *ENDS, PAUSE], "tensorflow": ["SIGKILL of the group", *ENDS]}


@dataclass
class End:
    """How a script ended."""

    code: int
    workers: list[int]
    gone_s: float
    said: str
    complained: str


def pause(script: subprocess.Popen[str], workers: list[int]) -> None:
    """Stop all processes for longer than the timeout, as `docker pause` does."""
    everyone = [script.pid, *workers]
    for process in everyone:
        os.kill(process, signal.SIGSTOP)
    time.sleep(4.5)
    for process in everyone:
        os.kill(process, signal.SIGCONT)
    time.sleep(0.5)
    script.send_signal(signal.SIGINT)


def bring_to_an_end(script: subprocess.Popen[str], how: str) -> End:
    workers = list(map(int, script.stdout.readline().split()))
    if how == PAUSE:
        pause(script, workers)
    elif how in KILLS:
        send, number = KILLS[how]
        send(script.pid, number)
    said, complained = output_of(script, 60)
    gone_s = wait_for(lambda: not any(map(alive, workers)))
    return End(script.returncode, workers, gone_s, said, complained)


@pytest.fixture(scope="module", params=BACKENDS)
def ends(request) -> Iterator[dict[str, End]]:
    """How scripts of one backend ended, by what was done to them."""
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    long = request.config.getoption("--long")
    with tempfile.TemporaryDirectory() as folder:
        draw_photos(Path(folder) / "a", numbered(18))
        scripts, found = {}, {}
        try:
            for how in BRIEFLY["jax"] if long else BRIEFLY[request.param]:
                if how == PAUSE:  # alone, or to start takes longer than its timeout
                    found |= {how: bring_to_an_end(script, how) for how, script in scripts.items()}
                scripts[how] = start_script(TRAINING, request.param, folder, how)
            for how in scripts.keys() - found.keys():
                found[how] = bring_to_an_end(scripts[how], how)
            yield found
        finally:
            for script in scripts.values():
                script.kill()
                script.communicate()


def end_of(ends: dict[str, End], how: str) -> End:
    """Return how a script ended, which left nothing behind."""
    if how not in ends:
        pytest.skip(LONG)
    end = ends[how]
    assert len(end.workers) == 2, end.complained
    assert end.gone_s < 5
    assert not list(Path("/dev/shm").glob("fastaug*"))
    return end


@pytest.mark.parametrize("how", KILLS)
def test_workers_go_when_fit_is_killed(ends, how):
    end = end_of(ends, how)
    assert end.code == -KILLS[how][1]
    assert "Traceback" not in end.complained


@pytest.mark.parametrize("how", ENDS)
def test_script_may_end_in_the_middle_of_fit(ends, how):
    end = end_of(ends, how)
    assert end.code == ENDS[how], end.complained
    assert "Timeout" not in end.complained, end.complained
    assert end.complained.count("Traceback") == (how == "raise")
    assert ("the user's mistake" in end.complained) == (how == "raise")


def test_fit_that_was_paused_for_longer_than_the_timeout_goes_on(ends):
    end = end_of(ends, PAUSE)
    assert (end.code, end.said) == (0, "interrupted\n")
    assert "Traceback" not in end.complained


# TensorFlow asks for a batch while the interpreter ends; with Keras' own iterators it never does.
ASKED_AT_THE_END = """
import faulthandler, os, time
faulthandler.dump_traceback_later(100, exit=True)
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np
from fit_faults_script import AtBatch
from fastaug import Generator

def take_long(image):
    time.sleep(0.002)
    return image

def deed():
    faulthandler.dump_traceback_later(30, exit=True)
    raise KeyError("the user's mistake")

images, labels = np.zeros((64, 16, 16, 3), np.uint8), np.zeros(64)
batches = Generator(preprocessing_function=take_long).flow(images, labels, batch_size=4)
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(batches, epochs=100_000, verbose=0, callbacks=[AtBatch(3, deed)])
"""


@pytest.mark.skipif(not installed("tensorflow"), reason="tensorflow is not installed")
def test_script_ends_though_tensorflow_asks_for_more():
    script = start_script(ASKED_AT_THE_END)
    complained = output_of(script, 120)[1]
    assert script.returncode == 1, complained
    assert "the user's mistake" in complained
    assert "Timeout" not in complained, complained
