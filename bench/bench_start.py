"""How long does a program wait: for the imports, and for its first batch?

Each row is a whole process, from its start to its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache

import numpy as np
import pytest
from checks import TOLERANCE

KERAS = "from keras.src.legacy.preprocessing.image import ImageDataGenerator as Generator"
OURS = "from fastaug import Generator"

IMPORTS = {
    "interpreter": "pass",
    "fastaug_import": "import fastaug",
    "fastaug": OURS,
    "keras": KERAS,
}

# Images like those of CIFAR-10, from a seed; the sum goes to the test that compares it.
FIRST_BATCH = """
import numpy as np
images = np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3)).astype(np.uint8)
flow = Generator(rotation_range=45, horizontal_flip=True, rescale=1 / 255).flow(images, seed=7)
print(next(flow).sum(dtype=np.float64))
"""

FIRSTS = {
    "fastaug": (OURS, {}),
    "fastaug_uncompiled": (OURS, {"NUMBA_CACHE_DIR": "an empty folder"}),
    "keras": (KERAS, {}),
}


def process(code: str, environment: dict[str, str] | None = None):
    """Return a contender that runs code in a clean interpreter and gives what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", code]

    def call(_calls: int) -> str:
        with tempfile.TemporaryDirectory() as empty:
            changes = dict.fromkeys(environment or (), empty)
            return subprocess.run(
                command,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | changes,
            ).stdout

    return call


@pytest.mark.parametrize("contender", IMPORTS)
@pytest.mark.benchmark(group="import")
def test_import(contender, compare):
    beside = None if contender == "keras" else ("keras", process(KERAS))
    printed = compare(process(IMPORTS[contender]), beside, images=0, round_s=0, times=0.6)
    assert printed == ""


@cache
def sum_of_keras() -> float:
    return float(process(KERAS + FIRST_BATCH)(1))


@pytest.mark.parametrize("contender", FIRSTS)
@pytest.mark.benchmark(group="first batch")
def test_first_batch(contender, compare):
    imports, environment = FIRSTS[contender]
    expected = sum_of_keras()
    if contender == "fastaug":
        process(imports + FIRST_BATCH)(1)  # compiles, where nothing is compiled yet
    beside = None if contender == "keras" else ("keras", process(KERAS + FIRST_BATCH))
    call = process(imports + FIRST_BATCH, environment)
    printed = compare(call, beside, images=0, round_s=0, times=0.6)
    # Sums of 32 images of 3,072 values, each within the tolerance.
    np.testing.assert_allclose(float(printed), expected, rtol=0, atol=98_304 * TOLERANCE)
