"""How many images a second does `next()` give out, with the study's settings, from memory?"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from iterators import CONTENDERS, check

COUNTS = {32: 4096, 299: 256}  # images in the data set
SHAPES = [(32, 32), (32, 256), (32, 1024), (299, 64)]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize(("size", "batch"), SHAPES)
@pytest.mark.benchmark(group="pipeline")
def test_pipeline(contender, size, batch, compare, pictures):
    images = pictures.load(COUNTS[size], size)
    with ExitStack() as stack:
        call = CONTENDERS[contender](images, batch, stack)
        check(contender, call, images, batch)
        beside = None
        if contender != "keras":
            beside = "keras", CONTENDERS["keras"](images, batch, stack)
        compare(call, beside, images=batch, round_s=0.2)
