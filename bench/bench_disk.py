"""How many images a second does `next()` give out, with the study's settings, from JPEG files?"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from disk import BATCH, CONTENDERS, SIZE, check


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.benchmark(group="disk")
def test_disk(contender, compare, pictures, photos):
    with ExitStack() as stack:
        reader = CONTENDERS[contender](photos, stack)
        check(contender, reader, photos, pictures.load(BATCH, SIZE))
        beside = None
        if contender != "keras":
            beside = "keras", CONTENDERS["keras"](photos, stack).call
        compare(
            reader.call,
            beside,
            images=BATCH,
            round_s=reader.round_s,
            drain=reader.drain,
            note=photos.kind,
        )
