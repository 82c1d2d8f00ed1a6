"""What belongs to the user's process stays as it was, whoever uses an iterator, wherever."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numba
import numpy as np
import pytest
from conftest import make_images
from PIL import Image, ImageFile
from pools import draw_photos, numbered, output_of, start_script

from fastaug import Generator
from fastaug.errors import DecodeError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def state_of_the_process() -> dict[str, Any]:
    """Everything that users, or other packages, may have set."""
    name, keys, *rest = np.random.get_state()
    umask = os.umask(0)
    os.umask(umask)
    return {
        "random states": (random.getstate(), name, keys.tobytes(), *rest),
        "signal handlers": {number: signal.getsignal(number) for number in signal.Signals},
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "warning filters": list(warnings.filters),
        "warnings": (warnings.showwarning, warnings.formatwarning),
        "Pillow": (
            Image.MAX_IMAGE_PIXELS,
            ImageFile.LOAD_TRUNCATED_IMAGES,
            ImageFile.MAXBLOCK,
            getattr(Image, "WARN_POSSIBLE_FORMATS", None),
        ),
        "environment": dict(os.environ),
        "folders": (Path.cwd(), tempfile.gettempdir(), umask),
        "search path": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "interpreter": (sys.getswitchinterval(), sys.getrecursionlimit()),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.disabled),
        "locale": locale.setlocale(locale.LC_ALL),
        "NumPy": (np.geterr(), np.get_printoptions()),
        "Numba": numba.get_num_threads(),
        "Keras": (keras.config.floatx(), keras.config.image_data_format()),
    }


def assert_unchanged(before: dict[str, Any]) -> None:
    after = state_of_the_process()
    assert [name for name in before if before[name] != after[name]] == []


def use(iterator: Any) -> None:
    """Go through an iterator in all ways, and leave it in the middle of an epoch."""
    for _ in range(len(iterator) + 1):
        next(iterator)
    iterator.on_epoch_begin()
    iterator[0]
    iterator.on_epoch_end()
    iterator.reset()
    next(iterator)


def generator_of(workers: int) -> Generator:
    return Generator(
        workers=workers, rotation_range=20, brightness_range=(0.5, 1.5), rescale=1 / 255,
        preprocessing_function=lambda image: image / 2, keras_quirks=False,
    )  # fmt: skip


def use_files(folder: Path, workers: int) -> None:
    options = {"target_size": (9, 12), "batch_size": 4, "seed": 1, "class_mode": None}
    (folder / "saved").mkdir(exist_ok=True)
    with generator_of(workers).flow_from_directory(
        folder / "photos", save_to_dir=folder / "saved", **options
    ) as iterator:
        use(iterator)
    broken = folder / "photos" / "a" / "broken.jpg"
    broken.write_bytes(b"no picture")
    with generator_of(workers).flow_from_directory(folder / "photos", **options) as iterator:
        for _ in range(len(iterator)):
            with suppress(DecodeError):
                next(iterator)
    broken.unlink()


def use_arrays(folder: Path, workers: int) -> None:
    images = make_images(9, 9, 12, 3)
    generator = generator_of(workers)
    generator.fit(images, seed=1)
    use(generator.flow(images, np.arange(9), batch_size=4, seed=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw_photos(tmp_path / "photos" / "a", numbered(10))
    return tmp_path


@pytest.fixture
def in_another_thread() -> Callable[..., None]:
    """Call it to have a function called by another thread; its error is raised here."""

    def call(function: Callable[..., None], *arguments: Any) -> None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                function(*arguments)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        for error in errors:
            raise error

    return call


WAYS = {"arrays": (use_arrays, 0), "files": (use_files, 0), "files, workers": (use_files, 2)}


@pytest.mark.parametrize("way", WAYS)
def test_main_thread_leaves_the_process_as_it_was(folder, way):
    function, workers = WAYS[way]
    before = state_of_the_process()
    function(folder, workers)
    assert_unchanged(before)


@pytest.mark.parametrize("way", WAYS)
def test_other_thread_leaves_the_process_as_it_was(folder, way, in_another_thread):
    function, workers = WAYS[way]
    before = state_of_the_process()
    in_another_thread(function, folder, workers)
    assert_unchanged(before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGCHLD"])
def test_signal_handlers_of_the_user_stay_and_work(folder, name):
    number, received = getattr(signal, name), []
    before = signal.signal(number, lambda number, frame: received.append(number))
    mine = signal.getsignal(number)
    try:
        with generator_of(2).flow_from_directory(
            folder / "photos", (9, 12), batch_size=4, class_mode=None
        ) as iterator:
            next(iterator)
            received.clear()  # of processes that other tests left to be waited for
            os.kill(os.getpid(), number)
            next(iterator)
            assert number in received
            assert signal.getsignal(number) is mine
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)


# Kernels are loaded and workers started for the first time.
FIRST_USE = """
import sys
from pathlib import Path
import test_global_state as here
here.keras.utils.disable_interactive_logging()
before = here.state_of_the_process()
here.use_arrays(Path(sys.argv[1]), 0)
here.use_files(Path(sys.argv[1]), 2)
here.assert_unchanged(before)
print("unchanged")
"""


def test_first_use_leaves_the_process_as_it_was(folder):
    script = start_script(FIRST_USE, folder)
    out, err = output_of(script, 100)
    assert out == "unchanged\n", err
