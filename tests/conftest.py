"""Shared fixtures: real data, asymmetric images, and the check that nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The suite's own process needs one Keras backend; tests of others start processes of their own.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import scipy
from must_run import (
    LONG,
    NO_DATA,
    pytest_make_collect_report,  # noqa: F401 - a hook
    pytest_runtest_makereport,  # noqa: F401 - a hook
)

DATA = Path(os.environ.get("FASTAUG_TEST_DATA", ROOT.parent / "shared" / "data"))
SCIPY = tuple(map(int, scipy.__version__.split(".")[:2]))
ON_LINUX = Path("/proc/self/fd").is_dir()


def _ignore_here_only() -> None:
    """Let what tests start get every signal, though this process was started without.

    `nohup`, and `&` in a script, start it with signals ignored, and so would be all its children:
    a Ctrl-C that a test sends them would never come.  A function that does nothing ignores them as
    well, and no child inherits it.  Signals that are blocked would stay so, too.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, getattr(signal, "SIGXFSZ", None)}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())


_ignore_here_only()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked `long`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason=LONG))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real photos; a stranger's clone has none."""
    if not DATA.is_dir():
        pytest.skip(f"{NO_DATA}: {DATA} is missing (FASTAUG_TEST_DATA names another folder)")
    return DATA


@pytest.fixture(scope="session")
def photos(real_data: Path) -> Path:
    """Folder with the sub-folders `train` and `validation`, each with `cat` and `dog`."""
    return real_data / "dogs_vs_cats"


def make_images(
    count: int, height: int, width: int, channels: int, dtype: str = "uint8", seed: int = 0
) -> np.ndarray:
    """Images without any symmetry: noise on a slope that differs by direction and channel."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[0:height, 0:width]
    slope = (rows * 7 + cols * 3)[..., np.newaxis] + 20 * np.arange(channels)
    images = (slope + rng.integers(0, 120, (count, height, width, channels))) % 256
    return images.astype(dtype)


@pytest.fixture
def images() -> Callable[..., np.ndarray]:
    return make_images


def _children() -> set[int]:
    """Process numbers of living children (zombies too: they were not waited for)."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _descriptors() -> set[str]:
    """Open pipes and pieces of shared memory of this process."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if "fastaug" in target or target.startswith("pipe:"):
            found.add(target)
    return found


def _threads() -> set[str]:
    """Names of the threads that make something; one more looks after all iterators in use."""
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("fastaug")}
    return names - {"fastaug-idle"}


_SLOW_S = 0.03
_is_heavy = True


def _lighten_heap() -> None:
    """Leave what is alive out of later collections, if the last one was slow.

    With Keras imported each one takes 0.3 s, and after a kernel was compiled 0.4.  Before a test,
    so that nothing of its own is left out.
    """
    if _is_heavy:
        gc.collect()
        gc.freeze()


def _collect() -> None:
    """Collect garbage, and note whether that was slow."""
    global _is_heavy  # noqa: PLW0603 - one heap, one flag
    started = time.perf_counter()
    gc.collect()
    _is_heavy = time.perf_counter() - started > _SLOW_S


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test: no child process, thread, pipe or shared memory of ours is left."""
    if not ON_LINUX:
        yield
        return
    _lighten_heap()
    children, descriptors = _children(), _descriptors()
    yield
    _collect()
    # A thread that was making a batch for a dropped iterator ends when that is done.
    deadline = time.monotonic() + 10
    while _threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _threads() == set()
    assert _children() <= children
    assert _descriptors() <= descriptors
    assert not list(Path("/dev/shm").glob("fastaug*"))
