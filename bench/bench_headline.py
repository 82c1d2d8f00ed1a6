"""The measures that the README leads with: fastaug beside the one that matters, in turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import fitting
import iterators
import pytest
import warps
from checks import check_as_keras
from conversion import conversion
from drawn import Question, fastaug, moves
from iterators import flow, taking
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from study import SCALE

from fastaug import Generator
from fastaug.machine import usable_cores
from fastaug.study.of_2017 import preprocess

pytestmark = pytest.mark.benchmark(group="headline")

TIMES = 3  # the rounds of other rows
PYTHON_FUNCTION: dict[str, Any] = {"preprocessing_function": preprocess, "rescale": None}
NEXT = {
    # measure: size, batch, images in the data set, options that differ from the study's
    "next_32_batch_32": (32, 32, 4096, {}),
    "next_32_batch_256": (32, 256, 4096, {}),
    "next_32_function": (32, 32, 4096, PYTHON_FUNCTION),
    "next_299_photos": (299, 64, 256, {}),
}
FIT = {"fit_32": (32, 256, 196), "fit_299": (299, 64, 16)}  # size, batch, steps in a pass
SIZE, COUNT = 299, 16  # of the warps
MEGABYTES = 1000


@pytest.mark.parametrize("measure", NEXT)
def test_next(measure, compare, pictures):
    """`next()` beside Keras'."""
    size, batch, count, options = NEXT[measure]
    images = pictures.load(count, size)
    ours = taking(flow(Generator, images, batch, **options))
    iterators.check("fastaug", ours, images, batch, **options)
    theirs = taking(flow(ImageDataGenerator, images, batch, **options))
    note = pictures.kind if size == 299 else None
    compare(ours, ("keras", theirs), images=batch, round_s=0.2, times=TIMES, note=note)


@pytest.fixture
def question(pictures) -> Question:
    """Turn, shift, zoom and rescale a batch of photos."""
    return Question(pictures.load(COUNT, SIZE), moves(COUNT, SIZE), SCALE)


@pytest.mark.parametrize("measure", ["warp_over_opencv"])
def test_warp_over_opencv(measure, question, compare, one_opencv_thread):
    """One thread beside OpenCV's `warpAffine` and a table, on one thread."""
    ours, theirs = fastaug(question, threads=1), warps.opencv(question)
    warps.check("fastaug", ours(1), question)
    warps.check("opencv", theirs(1), question)
    compare(ours, ("opencv", theirs), images=COUNT, times=TIMES)


@pytest.mark.parametrize("measure", ["warp_over_floor"])
def test_warp_over_floor(measure, question, compare):
    """One thread beside one that only converts the same bytes."""
    ours, floor = fastaug(question, threads=1), conversion(question.images)
    warps.check("fastaug", ours(1), question)
    assert (floor(1) == question.images).all()
    compare(ours, ("floor_one_thread", floor), images=COUNT, times=TIMES)


@pytest.mark.parametrize("measure", ["two_threads"])
def test_two_threads(measure, question, compare):
    """Two threads beside one."""
    if usable_cores() < 2:
        pytest.skip("one core")
    ours, alone = fastaug(question, threads=2), fastaug(question, threads=1)
    warps.check("fastaug", ours(1), question)
    check_as_keras(alone(1), question.expected)
    compare(ours, ("fastaug_one_thread", alone), images=COUNT, times=TIMES)


@pytest.mark.parametrize("measure", FIT)
def test_fit(measure, compare, pictures):
    """`fit` of a trivial model on our batches beside the same on a constant tensor."""
    size, batch, steps = FIT[measure]
    images = pictures.load(batch * steps, size)
    few = images[: 2 * batch]
    iterators.check("fastaug", taking(flow(Generator, few, batch)), few, batch)
    ours, constant = fitting.fastaug(images, batch), fitting.constant_tensor(images, batch)
    beside = ("constant_tensor", constant)
    compare(ours, beside, images=len(images), round_s=fitting.ROUND_S)


@pytest.mark.parametrize("measure", ["memory_1gb"])
def test_memory(measure, benchmark):
    """Memory that `flow` takes above its array; Keras makes a copy in float32."""
    megabytes = 100 if benchmark.disabled else MEGABYTES
    script = str(Path(__file__).with_name("peak_memory.py"))

    def peak(kind: str) -> float:
        command = [sys.executable, "-W", "ignore", script, kind, str(megabytes)]
        return float(subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL))

    peak("fastaug")  # compiles, if nothing is cached; that is `first batch`'s to tell
    ours = benchmark.pedantic(peak, ("fastaug",), rounds=1)
    beside = {"name": "keras", "megabytes": peak("keras")}
    benchmark.extra_info |= {"megabytes": ours, "beside": beside}
