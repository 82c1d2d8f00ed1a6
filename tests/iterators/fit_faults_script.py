"""Trains from files while something goes wrong, and tells what the models were fed.

    python fit_faults_script.py BACKEND

Run by `test_fit_faults.py`, once for each Keras backend, in a process of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = sys.argv[1]

import keras
import numpy as np
from backends import report
from conftest import _children, _descriptors
from feeding_script import (
    BATCH,
    COUNT,
    SIZE,
    augmenting,
    digest,
    fit,
    left_over,
    passes,
    recording_model,
    save_pictures,
    take,
    usable,
)
from keras import layers
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from peeks import processes
from pools import wait_for

import fastaug
from fastaug import Generator

ROUNDS = 10  # of Ctrl-C
SEED = 5


def from_files(folder: Path, generator: Any = None, **options: Any) -> Any:
    """Batches of the pictures in a folder; by default two processes decode them."""
    options = {"batch_size": BATCH, "class_mode": "sparse", "seed": SEED} | options
    return (generator or augmenting()).flow_from_directory(folder, SIZE, **options)


class Namer:
    """Gives batches their names, "pass.batch", in the order of an iterator like the one tested."""

    def __init__(self, folder: Path) -> None:
        self._again = from_files(folder)
        self._names: dict[str, str] = {}
        self._passes = 0

    def __call__(self, digests: list[str]) -> list[str]:
        while self._passes < 300 and not self._names.keys() >= set(digests):
            for number, one in enumerate(passes(self._again, 1)[0]):
                self._names[one] = f"{self._passes}.{number}"
            self._passes += 1
        return [self._names.get(one, one) for one in digests]

    def close(self) -> None:
        self._again.close()


def told(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught]


def error_of(function: Callable[[], Any]) -> str:
    """Text of what a function raises, with its notes."""
    try:
        function()
    except Exception as error:
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return "nothing was raised"


class CtrlC:
    """Presses Ctrl-C some time after `start` was called: a signal to the whole process group.

    Keras and TensorFlow have places that swallow all exceptions (`except:`, `__del__`); who is
    there presses again.  `swallowed` holds the functions of fastaug that did that.
    """

    def __init__(self, delay_s: float) -> None:
        self.swallowed: list[str] = []
        self._delay_s = delay_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._press)
        self._ours: list[str] = []

    def __enter__(self) -> CtrlC:
        signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(self) -> None:
        self._thread.start()

    def _press(self) -> None:
        time.sleep(self._delay_s)
        os.killpg(os.getpgrp(), signal.SIGINT)
        while not self._ended.wait(5):
            self.swallowed += self._ours
            os.killpg(os.getpgrp(), signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Note where the main thread is, and do as Python's own handler does."""
        codes = [one.f_code for one, _ in traceback.walk_stack(frame)]
        folder = str(Path(fastaug.__file__).parent)
        self._ours = [code.co_name for code in codes if code.co_filename.startswith(folder)]
        signal.default_int_handler(number, frame)


class AtBatch(keras.callbacks.Callback):
    """Call something when so many batches were trained on."""

    def __init__(self, batches: int, deed: Callable[[], Any]) -> None:
        super().__init__()
        self._left, self._deed = batches, deed

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if not self._left:
            self._deed()


# Scenarios.


def ctrl_c(folder: Path):
    """Ctrl-C goes to the process group, at ten moments; each time `fit` goes on afterwards."""
    model, rounds, before = recording_model(), [], len(_descriptors())
    with from_files(folder) as files:
        for number in range(ROUNDS):
            raised = []
            with CtrlC(0.007 * number) as keys:
                try:
                    fit(model, files, epochs=100_000, callbacks=[AtBatch(1 + number, keys.start)])
                except KeyboardInterrupt as error:
                    raised.append(type(error).__name__)
            trained = len(take(model))
            model = usable(model)
            fit(model, files, epochs=1)
            rounds.append(
                {
                    "raised": raised,
                    "swallowed": keys.swallowed,
                    "trained": trained,
                    "then": take(model),
                    "children": len(_children()),
                    "descriptors": len(_descriptors()) - before,
                }
            )
    left = left_over()
    name = Namer(folder)
    for one in rounds:
        one["then"] = name(one["then"])
    name.close()
    return {"rounds": rounds, "left": left}


def killed_workers(folder: Path):
    """`kill -9` of one worker and of all, in the middle of `fit`; and a run without that."""
    runs = []
    for how_many in (0, 1, 2):
        keras.utils.set_random_seed(7)
        model = recording_model()
        with from_files(folder) as files, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")

            def kill(how_many: int = how_many, files: Any = files) -> None:
                for worker in processes(files)[:how_many]:
                    os.kill(worker, signal.SIGKILL)

            history = model.fit(files, epochs=3, verbose=0, callbacks=[AtBatch(3, kill)]).history
            runs.append({"seen": take(model), "loss": history["loss"], "told": told(caught)})
    return runs


def broken_files(folder: Path):
    """Files of batches 3 and 4 are cut after the scan; when they are whole again, `fit` goes on."""
    model = recording_model()
    with from_files(folder) as files, from_files(folder) as same:
        rows = [next(same.index_generator)[0] for _ in range(4)][2:]
        paths = [Path(files.filepaths[row]) for row in rows]
        whole = [path.read_bytes() for path in paths]
        for path in paths:
            path.write_bytes(whole[0][:60])
        message = error_of(lambda: fit(model, files, epochs=2))
        first = take(model)
        supervisor = files._source._pool._supervisor
        wait_for(
            lambda: not supervisor.tasks and not any(supervisor.worker_tasks.values())
        )  # nothing is under way any more
        for path, data in zip(paths, whole, strict=True):
            path.write_bytes(data)
        model = usable(model)
        again = error_of(lambda: fit(model, files, epochs=1))
    then = take(model)
    name = Namer(folder)
    found = {"message": message, "first": name(first), "again": again, "then": name(then)}
    name.close()
    return {"path": str(paths[0]), **found}


def bad_functions(folder: Path):
    """A lambda goes wrong in the second epoch, for one sample."""
    wrong = {
        "raises": lambda image: {}["no such key"],
        "another shape": lambda image: image[:2],
        "StopIteration": lambda image: next(iter(())),
        "nothing": lambda image: None,
    }
    messages = {}
    for name, function in wrong.items():
        calls: list[int] = []
        bad = 2 * COUNT + 3  # in the second epoch; behind at most two batches to learn shapes
        generator = augmenting(
            preprocessing_function=lambda image, calls=calls, function=function, bad=bad: (
                function(image) if calls.append(1) or len(calls) >= bad else image
            )
        )
        with from_files(folder, generator) as files:
            messages[name] = error_of(lambda files=files: fit(recording_model(), files, epochs=3))
    return messages


def kinds_of_functions(folder: Path):
    """Float64 and NaN that a lambda returns reach the model, as float32."""
    functions = {
        "float32": lambda image: image * np.float32(0.5),
        "float64": lambda image: image * np.float64(0.5) + np.zeros(1),
        "NaN": lambda image: np.full_like(image, np.nan),
    }
    found = {}
    for name, function in functions.items():
        keras.utils.set_random_seed(7)
        model = recording_model()
        generator = augmenting(preprocessing_function=function)
        with from_files(folder, generator) as files:
            loss = model.fit(files, verbose=0).history["loss"]
        found[name] = {"seen": take(model), "loss": str(loss)}
    found["all NaN"] = sorted({digest(np.full((n, *SIZE, 3), np.nan, "float32")) for n in (4, 2)})
    return found


def empty_folder(folder: Path):
    """What ours and Keras' own iterator do with a folder without pictures."""
    (folder / "nothing" / "a").mkdir(parents=True)
    found = {}
    for name, generator in (("ours", Generator()), ("Keras'", ImageDataGenerator())):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            iterator = from_files(folder / "nothing", generator)
            warned = told(caught)
            error = error_of(lambda iterator=iterator: fit(recording_model(), iterator))
        found[name] = {"error": error, "warned": warned}
    return found


def batch_larger_than_the_data(folder: Path):
    model = recording_model()
    model.build((None, *SIZE, 3))
    with from_files(folder, batch_size=100) as files, from_files(folder, batch_size=100) as same:
        fit(model, files, epochs=3)
        return {"seen": take(model), "passes": [one for (one,) in passes(same, 4)]}


def empty_class(folder: Path):
    """A class without pictures keeps its place among the labels."""
    (folder / "bb").mkdir()
    model = keras.Sequential([layers.Flatten(), layers.Dense(4, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with from_files(folder, class_mode="categorical") as files:
            losses = model.fit(files, epochs=2, verbose=0).history["loss"]
            shape = model.predict(files, verbose=0).shape
            classes = files.class_indices
    return {"losses": losses, "shape": shape, "classes": classes, "told": told(caught)}


def too_many_steps(folder: Path):
    """`steps_per_epoch` above the length: what Keras says, with its own iterators and with ours."""
    found = {}
    for who, generator in (("Keras'", ImageDataGenerator()), ("ours", augmenting())):
        model, iterator = recording_model(), from_files(folder, generator)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = model.fit(iterator, epochs=3, steps_per_epoch=7, verbose=0).history
        found[who] = {"epochs": len(history["loss"]), "told": told(caught), "seen": take(model)}
    iterator.close()
    name = Namer(folder)
    found["ours"]["seen"] = name(found["ours"]["seen"])
    name.close()
    return found


def kept_batches(folder: Path):
    """50 batches and as many tensors are kept while 200 more are made."""
    with from_files(folder) as files:
        kept: list[Any] = []
        for _ in range(25):
            batch = next(files)[0]
            kept += [batch[:, ::2], keras.ops.convert_to_tensor(next(files)[0])]
            kept += [files[3][0], keras.ops.convert_to_tensor(files[4][0])]
            files.on_epoch_end()  # the next pass
        before = [digest(np.asarray(one)) for one in kept]
        for _ in range(200):
            next(files)
        after = [digest(np.asarray(one)) for one in kept]
    return {"before": before, "after": after}


def scenarios():
    """Yield (name, function); each has a folder of pictures of its own."""
    for function in (
        ctrl_c, killed_workers, broken_files, bad_functions, kinds_of_functions, empty_folder,
        batch_larger_than_the_data, empty_class, too_many_steps, kept_batches,
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            save_pictures(Path(folder))
            yield function.__name__, partial(function, Path(folder))


if __name__ == "__main__":
    report(scenarios())
