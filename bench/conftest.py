"""What all benchmarks share: the environment, the photos, and how two contenders are compared."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

# Two contenders are Keras' layers on TensorFlow, and `fit` is measured there.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it looks for a newer version online

ROOT = Path(__file__).resolve().parents[1]

# The table of oracles is that of the tests.
sys.path.append(str(ROOT / "tests"))

import numba
import pytest
from alternate import Comparison
from pictures import Photos, Pictures, copy_photos, find_pictures
from rows import NamelessRow, check_names

if find_spec("torchvision"):
    import torchvision  # noqa: F401 - behind TensorFlow, its import ends the process

import fastaug
from fastaug.machine import operating_system, processor_model, usable_cores, version_of

PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "keras",
    "tensorflow",
    "opencv-python-headless",
    "albumentations",
    "torch",
    "torchvision",
    "kornia",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds",
        type=int,
        default=5,
        help="timed rounds of a row; most headline rows take thrice",
    )


def pytest_benchmark_update_machine_info(config, machine_info) -> None:
    """Keep what `report.py` says about the machine."""
    machine_info["cores"] = usable_cores()
    machine_info["model"] = processor_model()
    machine_info["os"] = operating_system()
    machine_info["packages"] = {name: version_of(name) for name in ("fastaug", *PACKAGES)}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a row that `report.py` would refuse, before it is timed."""
    marker = item.get_closest_marker("benchmark")
    group = marker.kwargs.get("group") if marker else None
    try:
        check_names(item.nodeid, group, item.callspec.params, beside=None)
    except NamelessRow as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def compare(benchmark, request: pytest.FixtureRequest) -> Comparison:
    """Times a contender, each round beside another one."""
    return Comparison(benchmark, request.config.getoption("--rounds"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Real photos, or drawn pictures where there are none."""
    return find_pictures(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def photos(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """JPEG files of these pictures, in full batches of 64."""
    return copy_photos(pictures, tmp_path_factory.mktemp("photos"), 64)


@pytest.fixture
def one_opencv_thread() -> Iterator[None]:
    """OpenCV without threads of its own."""
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(-1)


@pytest.fixture
def one_thread_each() -> Iterator[None]:
    """One thread for fastaug, and for OpenCV and PyTorch where they are."""
    with ExitStack() as stack:
        if find_spec("cv2"):
            import cv2

            cv2.setNumThreads(1)
            stack.callback(cv2.setNumThreads, -1)
        if find_spec("torch"):
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        fastaug.set_num_threads(1)
        stack.callback(fastaug.set_num_threads, numba.config.NUMBA_NUM_THREADS)
        yield
