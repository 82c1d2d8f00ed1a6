"""From a generator's options to what reads its files: decoder, processes, cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fastaug.cache import ImageCache
from fastaug.cached_source import CachedSource
from fastaug.decode import DECODER, Target
from fastaug.disk_cache import DiskCache
from fastaug.options import READ_AHEAD, TIMEOUT_S, usable_cores
from fastaug.resize import take_over
from fastaug.sources import FileDecoder, FileReader, FileSource, LocalFileSource
from fastaug.stats import Stats

if TYPE_CHECKING:
    from fastaug.generator import Generator


def target_of(generator: Generator | None, target: Target) -> Target:
    """Return a target with what a generator says of decoding."""
    if generator is None:
        return target
    return replace(
        target,
        decode=generator.decode,
        exif_transpose=bool(generator.exif_transpose),
        scale_16bit=bool(generator.scale_16bit),
    )


def open_files(
    generator: Generator | None,
    filepaths: Sequence[str],
    target: Target,
    data_format: str,
    batch_size: int,
    stats: Stats,
) -> FileReader:
    """Return the source of a data set of files.

    Parameters
    ----------
    generator
        Whose options are followed; None means the defaults.
    filepaths, target, data_format, batch_size, stats
        As for `FileSource`.
    """
    cache = _open_cache(generator, filepaths, target)
    if cache is None:
        return _open_decoder(generator, filepaths, target, data_format, batch_size, stats)
    decoder = _open_decoder(generator, filepaths, target, "channels_last", batch_size, stats)
    return CachedSource(decoder, cache, target, data_format, stats)


def _open_cache(
    generator: Generator | None, filepaths: Sequence[str], target: Target
) -> ImageCache | None:
    """Return where decoded images are kept, or None."""
    if generator is None or generator.cache is None:
        return None
    if generator.cache == "memory":
        return generator.memory_caches.open(target, filepaths)
    return DiskCache(os.fspath(generator.cache), target, filepaths, DECODER)


def _open_decoder(
    generator: Generator | None,
    filepaths: Sequence[str],
    target: Target,
    data_format: str,
    batch_size: int,
    stats: Stats,
) -> FileDecoder:
    """Return what decodes the files, in processes of its own unless there are to be none."""
    workers = usable_cores() if generator is None else generator.workers
    resize = partial(take_over, keep_aspect_ratio=target.keep_aspect_ratio)
    if workers == 0 or not len(filepaths):
        return LocalFileSource(filepaths, target, data_format, resize, stats)
    return FileSource(
        filepaths,
        target,
        data_format,
        resize=resize,
        stats=stats,
        workers=workers,
        timeout=TIMEOUT_S if generator is None else generator.timeout,
        batch_size=batch_size,
        read_ahead=READ_AHEAD if generator is None else generator.read_ahead,
    )
