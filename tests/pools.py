"""What the tests of workers and faults share: drawn photos, readers, and sabotage of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import ROOT, make_images
from PIL import Image

from fastaug.files.target import Target
from fastaug.sources.base import Request
from fastaug.sources.files import FileSource

TARGET = Target(33, 47, "rgb", "nearest", False)
BATCH = 8
COMPILING = "compiling kernels (once)\n"  # on stderr, where they are not kept yet or can't be

# Python imports `sitecustomize` when it starts: so real workers, and only they, meet files whose
# decoding goes wrong.  The file's name says how: 03-killed-once.jpg.
_SITECUSTOMIZE = """
import ctypes, os, resource, signal, sys, time

FOLDER = os.path.dirname(__file__)
DEEDS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "aborted": os.abort,
    "left": lambda: os._exit(0),
    "slow": lambda: time.sleep(0.2),
    "deaf": lambda: ctypes.CDLL(None).prctl(1, 0),  # as where the parent's death is no signal
    "hung": lambda: time.sleep(600),
    "loud": lambda: (print("x" * 100, flush=True), os.write(1, b"y" * 100), sys.stdin.read()),
}
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
system_open = os.open

def log(name):
    file = system_open(os.path.join(FOLDER, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (name + "\\n").encode())
    os.close(file)

def first_time(name):
    try:
        os.close(system_open(os.path.join(FOLDER, name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

def sabotaged_open(path, *args, **kwargs):
    name = os.path.basename(path) if isinstance(path, str) else ""
    if name.endswith(".jpg"):
        log(name)
        _, *deed = name.removesuffix(".jpg").split("-")
        if deed and (deed[-1] != "once" or first_time(name)):
            DEEDS[deed[0]]()
    return system_open(path, *args, **kwargs)

os.open = sabotaged_open
"""


class Sabotage:
    """Workers that do what the names of files say, and log the files that they open."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self._log = folder / "log"

    def opened(self) -> list[str]:
        """Names of the files that workers have opened, in order."""
        return self._log.read_text().split() if self._log.exists() else []


def draw_photos(folder: Path, names: Iterable[str]) -> list[str]:
    """Write one small photo per name, all different; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed, name in enumerate(names):
        path = folder / name
        Image.fromarray(make_images(1, 60, 90, 3, seed=seed)[0]).save(path)
        paths.append(str(path))
    return paths


def numbered(count: int, **deeds: str) -> list[str]:
    """Return file names, `_3="killed"` making the fourth of them `03-killed.jpg`."""
    stems = [f"{number:02}" for number in range(count)]
    for number, deed in deeds.items():
        stems[int(number[1:])] += f"-{deed}"
    return [f"{stem}.jpg" for stem in stems]


def source_of(paths: Sequence[str], workers: int = 2, **options: Any) -> FileSource:
    """Return a source of batches of BATCH files."""
    defaults = {"timeout": 30.0, "batch_size": BATCH, "read_ahead": 2}
    return FileSource(paths, TARGET, "channels_last", workers=workers, **(defaults | options))


def requests_of(count: int) -> list[Request]:
    """Return the requests for all batches of `count` files, in order."""
    return [(k, np.arange(k, min(k + BATCH, count))) for k in range(0, count, BATCH)]


def each(source: Any, requests: Sequence[Request]) -> Iterator[np.ndarray]:
    """Read batches in order, as an iterator does; yield copies."""
    for number, request in enumerate(requests):
        with source.lend(request, requests[number + 1 :]) as (images, rows):
            batch = images[rows].copy()
        yield batch


def read(source: Any, requests: Sequence[Request]) -> list[np.ndarray]:
    """Read batches in order; return copies."""
    return list(each(source, requests))


def by_pillow(paths: Sequence[str]) -> np.ndarray:
    """Return what TARGET asks for, of all files."""
    size = (TARGET.width, TARGET.height)
    nearest = Image.Resampling.NEAREST
    return np.stack([Image.open(path).convert("RGB").resize(size, nearest) for path in paths])


def assert_reads(source: Any, paths: Sequence[str]) -> None:
    """Read one epoch and compare it with Pillow's."""
    batches = read(source, requests_of(len(paths)))
    np.testing.assert_array_equal(np.concatenate(batches), by_pillow(paths))


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> float:
    """Wait until a condition holds; return how long that took, or fail."""
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.perf_counter() - started


def alive(number: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def start_script(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start a clean interpreter, in a process group of its own, that can import these helpers."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(script_path())},
        **options,
    )


def output_of(script: subprocess.Popen[str], seconds: float = 60) -> tuple[str, str]:
    """Wait for a script's end; return what it printed on stdout and stderr."""
    try:
        return script.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(script.pid, signal.SIGKILL)  # with what it forked
        raise


def script_path() -> list[str]:
    """Return the search path for scripts: sabotage, if there is any, tests, the package."""
    given = os.environ.get("PYTHONPATH")
    tests = [ROOT / "tests", *(path for path in (ROOT / "tests").glob("[a-z]*") if path.is_dir())]
    return [*([given] if given else []), *map(str, tests), str(ROOT)]
