"""The rules of `InputStats`' advice, one by one, and that the document says the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import ROOT

from fastaug.watch.advice import BUSY, ENOUGH, MODEL, Feed, Shares, advise

DECODE = Shares(waited=0.5, decode=0.9, augment=0.3, hand_over=0.1)
AUGMENT = Shares(waited=0.5, decode=0.3, augment=0.9, hand_over=0.1)
HAND_OVER = Shares(waited=0.5, decode=0.3, augment=0.1, hand_over=0.9)
# Nothing is left to be tried.
BEST = Feed(workers=8, cores=8, threads=8, cache="disk", decode="fast", batched=True, order=1)
BARE = replace(BEST, cache=None, decode="exact", batched=False)

RULES = [
    (replace(DECODE, waited=0.049), BARE, MODEL),
    (DECODE, replace(BARE, read_ahead=0, workers=1), "try read_ahead=2"),
    (Shares(0.5, 0.2, 0.2, 0.0, 0.2), replace(BARE, workers=1), "no stage of the input is busy"),
    (DECODE, replace(BEST, workers=1), "the cache is being filled"),
    (DECODE, replace(BARE, workers=1, fits_in_memory=True), "try workers=8"),
    (DECODE, replace(BARE, workers=0), "try workers=8"),
    (DECODE, replace(BARE, fits_in_memory=True, large_photos=True), 'try cache="memory"'),
    (DECODE, replace(BARE, large_photos=True), 'try decode="fast"'),
    (DECODE, replace(BARE, decode="fast", large_photos=True), 'try cache="a folder"'),
    (DECODE, BARE, 'try cache="a folder"'),
    (replace(DECODE, cached=0.4), replace(BEST, cache="memory"), "a larger cache_bytes"),
    (replace(DECODE, cached=0.4), BEST, "decoding is the limit"),
    (replace(AUGMENT, function=0.6), BARE, "try fastaug.batched, or a mode"),
    (replace(AUGMENT, function=0.6), BEST, "try a cheaper one"),
    (replace(AUGMENT, function=0.2), replace(BARE, order=3), "try interpolation_order=1"),
    (AUGMENT, replace(BARE, threads=2), "kernels use 2 of 8 cores: try threads=8"),
    (AUGMENT, BARE, "augmenting is the limit"),
    (HAND_OVER, replace(BARE, fits_in_memory=True), 'try cache="memory"'),
    (HAND_OVER, BARE, 'try cache="a folder"'),
    (HAND_OVER, BEST, "copying images is the limit"),
]


@pytest.mark.parametrize(("shares", "feed", "advice"), RULES)
def test_rule(shares, feed, advice):
    assert advice in advise(shares, feed)


@pytest.mark.parametrize(("shares", "feed", "advice"), RULES)
def test_model_that_waits_for_little_is_the_limit_whatever_else(shares, feed, advice):
    assert advise(replace(shares, waited=ENOUGH - 0.001), feed) == MODEL


def test_document_has_every_advice_and_both_borders():
    text = (ROOT / "docs" / "bottleneck.md").read_text()
    for shares, feed, _ in RULES:
        advice = advise(shares, feed).replace("threads=8", "threads=N").replace("(8)", "(N)")
        assert advice.replace("workers=8", "workers=N").replace("2 of 8", "n of N") in text
    assert f"{ENOUGH:.0%}" in text
    assert f"{BUSY:.0%}" in text
