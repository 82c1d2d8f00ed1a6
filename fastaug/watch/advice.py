"""What limits training, and what to try: rules, from measured shares and an iterator's settings.

A pure function of numbers; `docs/bottleneck.md` shows the rules as a table.
"""

from __future__ import annotations

from dataclasses import dataclass

ENOUGH = 0.05  # a model that waits for less of its time than this is the limit
BUSY = 0.25  # a stage that is busy for less of the time than this limits nothing
MODEL = "the model is the limit"


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of an epoch's time, from 0 to 1; stages overlap, so they don't add up to 1.

    Parameters
    ----------
    waited
        In which the model waited for its input.
    decode
        In which a decode process was decoding, on average over the processes.
    augment
        In which batches were augmented and standardised.
    function
        Of `augment`: in which the user's `preprocessing_function` ran.
    hand_over
        In which decoded images were resized by the nearest pixel, or copied from and to a cache.
    cached
        Share of the images that came from a cache.
    """

    waited: float
    decode: float = 0.0
    augment: float = 0.0
    function: float = 0.0
    hand_over: float = 0.0
    cached: float = 0.0


@dataclass(frozen=True, slots=True)
class Feed:
    """How an iterator is set up, as far as the advice depends on it.

    Parameters
    ----------
    read_ahead, workers, cache, decode
        As in `Generator`; `cache` is None, "memory" or "disk".
    cores
        That this process may use.
    threads
        That kernels may use.
    fits_in_memory
        Whether all decoded images would take no more memory than `cache="memory"` may.
    large_photos
        Whether most files are photos that `decode="fast"` decodes at a smaller scale.
    batched
        Whether `preprocessing_function` is marked with `fastaug.batched`.
    order
        `interpolation_order`, where pixels are moved; else 0.
    """

    read_ahead: int = 2
    workers: int = 0
    cores: int = 1
    threads: int = 1
    cache: str | None = None
    fits_in_memory: bool = False
    decode: str = "exact"
    large_photos: bool = False
    batched: bool = False
    order: int = 0


def advise(shares: Shares, feed: Feed) -> str:
    """Return what limits training, or what to try.

    The first rule that applies:

    1. The model waited for less than 5% of the time: it is the limit.
    2. `read_ahead=0`: nothing is made while the model trains; read ahead.
    3. No stage is busy for a quarter of the time: the cores or the disk are taken by others.
    4. Else the stage that is busy for the largest share is the limit: see `_for_decoding`,
       `_for_augmenting` and `_for_handing_over`.
    """
    if shares.waited < ENOUGH:
        return MODEL
    if feed.read_ahead == 0:
        return "try read_ahead=2"
    largest = max(shares.decode, shares.augment, shares.hand_over)
    if largest < BUSY:
        return "no stage of the input is busy: look for what else uses the cores or the disk"
    if largest == shares.decode:
        return _for_decoding(shares, feed)
    return _for_augmenting(shares, feed) if largest == shares.augment else _for_handing_over(feed)


def _for_decoding(shares: Shares, feed: Feed) -> str:
    """Take more processes; else a cache; else a smaller scale."""
    if feed.cache and not shares.cached:
        return "the cache is being filled: look at the next epoch"
    if feed.workers < feed.cores:
        return f"try workers={feed.cores}"
    if feed.cache is None and feed.fits_in_memory:
        return 'try cache="memory"'
    if feed.decode == "exact" and feed.large_photos:
        return 'try decode="fast"'
    if feed.cache == "memory":
        return 'the cache is full: try a larger cache_bytes, or cache="a folder"'
    if feed.cache is None:
        return 'try cache="a folder"'
    return "decoding is the limit: smaller files, or more cores"


def _for_augmenting(shares: Shares, feed: Feed) -> str:
    """Look at the user's function; else fewer operations for each pixel; else more threads."""
    if shares.function > shares.augment / 2:
        if not feed.batched:
            return 'preprocessing_function takes the time: try fastaug.batched, or a mode ("tf")'
        return "preprocessing_function takes the time: try a cheaper one"
    if feed.order > 1:
        return "splines take the time: try interpolation_order=1"
    if feed.threads < feed.cores:
        return (
            f"kernels use {feed.threads} of {feed.cores} cores: try threads={feed.cores} or "
            f"fastaug.set_num_threads({feed.cores})"
        )
    return "augmenting is the limit: smaller images, or more cores"


def _for_handing_over(feed: Feed) -> str:
    """Keep small images in a cache, in place of resizing large ones in each epoch."""
    if feed.cache is None:
        return 'try cache="memory"' if feed.fits_in_memory else 'try cache="a folder"'
    return "copying images is the limit: smaller images"
