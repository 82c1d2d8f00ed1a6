"""From the settings to what reads its files: decoder, processes, cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from fastaug.counters import Counters
from fastaug.files.cache.base import ImageCache
from fastaug.files.cache.disk import DiskCache
from fastaug.files.decode import DECODER
from fastaug.files.target import Target
from fastaug.kernels.resizing import pick_pixels
from fastaug.settings import Settings
from fastaug.sources.base import FileDecoder, FileReader
from fastaug.sources.cached import CachedSource
from fastaug.sources.files import FileSource, LocalFileSource


def open_source(
    settings: Settings,
    filepaths: Sequence[str],
    target: Target,
    data_format: str,
    batch_size: int,
    stats: Counters,
) -> FileReader:
    """Return the source of a data set of files.

    Parameters
    ----------
    settings
        What says how many processes there are, how far they read ahead, and what is kept.
    filepaths, target, data_format, batch_size, stats
        As for `FileSource`.
    """
    cache = _open_cache(settings, filepaths, target)
    if cache is None:
        return _open_decoder(settings, filepaths, target, data_format, batch_size, stats)
    decoder = _open_decoder(settings, filepaths, target, "channels_last", batch_size, stats)
    return CachedSource(decoder, cache, target, data_format, stats)


def _open_cache(settings: Settings, filepaths: Sequence[str], target: Target) -> ImageCache | None:
    """Return where decoded images are kept, or None."""
    if settings.cache is None:
        return None
    if settings.cache == "memory":
        return settings.memory_caches.open(target, filepaths)
    return DiskCache(os.fspath(settings.cache), target, filepaths, DECODER)


def _open_decoder(
    settings: Settings,
    filepaths: Sequence[str],
    target: Target,
    data_format: str,
    batch_size: int,
    stats: Counters,
) -> FileDecoder:
    """Return what decodes the files, in processes of its own unless there are to be none."""
    workers = settings.decode_workers
    resize = partial(pick_pixels, keep_aspect_ratio=target.keep_aspect_ratio)
    if workers == 0 or not len(filepaths):
        return LocalFileSource(filepaths, target, data_format, resize, stats)
    return FileSource(
        filepaths,
        target,
        data_format,
        resize=resize,
        stats=stats,
        workers=workers,
        timeout=settings.timeout,
        batch_size=batch_size,
        read_ahead=settings.read_ahead,
    )
