"""Files with the same content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastaug.files.decode import open_regular

_PIECE_NBYTES = 2**20


def group_by_content(
    sizes: Mapping[str, int], done: Callable[[int], Any] = lambda _count: None
) -> list[tuple[str, ...]]:
    """Return the groups of files that hold the same bytes; empty ones are left out.

    Parameters
    ----------
    sizes
        Path of each file and how many bytes it has.  Only files of the same size are read.
    done
        Called with how many more files are done.

    Returns
    -------
    Groups of two paths or more, in the order of `sizes`.

    References
    ----------
    RFC 7693, BLAKE2b, here of 256 bits: no two different files are known to have the same.
    """
    same_size = [paths for size, paths in _grouped(sizes.items()) if len(paths) > 1 and size]
    done(len(sizes) - sum(map(len, same_size)))
    candidates = [path for paths in same_size for path in paths]
    contents = []
    # Threads: hashing and reading let others run.
    with ThreadPoolExecutor() as threads:
        for path, digest in zip(candidates, threads.map(_digest, candidates), strict=True):
            if digest is not None:
                contents.append((path, digest))
            done(1)
    order = {path: place for place, path in enumerate(sizes)}
    groups = [tuple(sorted(paths, key=order.__getitem__)) for _, paths in _grouped(contents)]
    return sorted((group for group in groups if len(group) > 1), key=lambda group: order[group[0]])


def _grouped(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[Any, list[str]]]:
    """Return each value and the paths that have it."""
    groups = defaultdict(list)
    for path, value in items:
        groups[value].append(path)
    return groups.items()


def _digest(path: str) -> bytes | None:
    """Return a file's digest; None if it can't be read."""
    digest = hashlib.blake2b(digest_size=32)
    try:
        with open_regular(path) as file:
            while piece := file.read(_PIECE_NBYTES):
                digest.update(piece)
    except (OSError, ValueError):
        return None
    return digest.digest()
