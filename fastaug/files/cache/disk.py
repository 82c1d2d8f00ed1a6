"""Decoded images kept on disk, so that neither later epochs nor later runs decode them again.

It decides which images are still right: those of files that have not changed since, and whose
pixels have their checksum.  It knows nothing of decoding, batches or kernels.
"""

from __future__ import annotations

import json
import math
import os
import threading
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.errors import users_stacklevel
from fastaug.files.cache.disk_files import LOCK_TIMEOUT_S, CacheFiles, open_pair, reason_of
from fastaug.files.catalog import FilePaths
from fastaug.files.target import Target

FORMAT = 1
_PLACE = 2  # column of DiskCache._records


class DiskCache:
    """One data set's view of the images on disk: an `ImageCache`.

    An image is verified once: its file must have the size and the time of change that it had when
    it was decoded, and its pixels their checksum.  It isn't checked again after that.  Whatever
    goes wrong with the disk is one RuntimeWarning, and costs time only.

    Parameters
    ----------
    folder
        Where the files are, made if it is missing.
    target
        What images were turned into.
    filepaths
        Path of every row; relative ones are relative to the working folder of now.
    decoder
        Whatever else pixels depend on, such as versions; images of another decoder are not found.
    """

    def __init__(self, folder: str, target: Target, filepaths: Sequence[str], decoder: str) -> None:
        self._folder = folder
        self._paths = FilePaths(filepaths)
        self._images: NDArray[Any] = np.empty((0, *target.slot_shape), target.slot_dtype)
        count = len(filepaths)
        # A file may be listed more than once: its first row stands for all.
        self._rows: dict[str, int] = {}
        first = (self._rows.setdefault(self._paths[row], row) for row in range(count))
        self._first = np.fromiter(first, np.intp, count)
        self._places = np.full(count, -1, np.intp)  # of images that were verified
        self._records = np.full((count, 4), -1, np.int64)  # what the manifest says
        # Size and time of files, taken before they are decoded: a change in between must show.
        self._stamps: dict[int, tuple[int, int]] = {}
        self._refusal = ""  # why no more images are added
        self._lock_timeout_s = LOCK_TIMEOUT_S
        self._shown_problems: set[str] = set()
        self._lock = threading.Lock()
        self._closed = self._rests = False
        self._files: CacheFiles | None = None
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._files = open_pair(Path(folder), _settings(target, decoder))
            self._store_records(self._files.records)
            self._files.records = []
        except (OSError, ValueError) as error:
            self._refusal = reason_of(error)
            self._warn(self._refusal)

    @property
    def images(self) -> NDArray[Any]:
        """All places, (places, height, width, channels), contiguous, read-only."""
        images = self._images
        if self._closed:
            raise RuntimeError("the image cache is closed")
        return images

    def find(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the place in `images` of each row, (n,), -1 where it is not kept."""
        if self._rests:
            self._map_again()
        places = self._places[rows]
        if (places < 0).any():
            with self._lock:
                problem = self._find_places(rows, places)
            self._warn(problem)
        return places

    def add(self, rows: NDArray[np.intp], images: NDArray[Any], picks: NDArray[np.intp]) -> None:
        """Write copies of images to disk; what goes wrong is warned of once, not raised.

        Parameters
        ----------
        rows
            (n,) rows of the data set, asked for by `find` before they were decoded.
        images
            (any, height, width, channels), of the target's dtype; only read.
        picks
            (n,) which of `images` belongs to each row.
        """
        with self._lock:
            wanted = {}
            for row, pick in zip(self._first[rows], picks, strict=True):
                if self._places[row] < 0:
                    wanted[int(row)] = images[pick]
            problem = self._try_write(wanted) if wanted else ""
        self._warn(problem)

    def rest(self) -> None:
        """Unmap the pixels until they are wanted."""
        with self._lock:
            self._rests = not self._closed
            self._images = self._images[:0].copy()

    def _map_again(self) -> None:
        """Map the pixels after a rest; what can't be mapped any more is not kept."""
        with self._lock:
            self._rests = False
            try:
                if self._files is not None:
                    self._images = self._files.map(self._images)
            except (OSError, ValueError) as error:
                self._refusal = reason_of(error)
            self._places[self._places >= len(self._images)] = -1

    def close(self) -> None:
        """Close the files; nothing is found or kept any more."""
        with self._lock:
            self._closed = True
            if self._files is not None:
                self._files.close()
            self._files = None
            self._places = np.full_like(self._places, -1)
            self._images = self._images[:0].copy()

    def _find_places(self, rows: NDArray[np.intp], places: NDArray[np.intp]) -> str:
        """Fill in the places that are missing, where there are any; return what went wrong."""
        if self._files is None:
            return ""
        try:
            self._store_records(self._files.new_records())
            for i in np.flatnonzero(places < 0):
                row = int(self._first[rows[i]])
                if self._places[row] < 0:
                    self._places[row] = self._verified_place(row)
                places[i] = self._places[rows[i]] = self._places[row]
        except (OSError, ValueError) as error:
            self._refusal = reason_of(error)
            return self._refusal
        return ""

    def _verified_place(self, row: int) -> int:
        """Return the place of a row if file and pixels are as its record says, else -1."""
        size, mtime, place, checksum = self._records[row].tolist()
        stamp = _stamp(self._paths[row])
        if (
            place >= 0
            and stamp == (size, mtime)
            and self._is_mapped(place)
            and zlib.crc32(self._images[place].data) == checksum
        ):
            return int(place)
        self._records[row, _PLACE] = -1
        if stamp is not None:
            self._stamps.setdefault(row, stamp)
        return -1

    def _is_mapped(self, place: int) -> bool:
        """Map the pixel file anew if it has grown to hold a place; return whether it holds it."""
        if place >= len(self._images) and self._files is not None:
            self._images = self._files.map(self._images)
        return place < len(self._images)

    def _store_records(self, records: list[Any]) -> None:
        """Store the manifest's records of this data set's files; the last one of a file counts."""
        latest = {self._rows[path]: rest for path, *rest in records if path in self._rows}
        if latest:
            self._records[list(latest)] = list(latest.values())

    def _try_write(self, wanted: dict[int, NDArray[Any]]) -> str:
        """Write images to disk, by row; return why not."""
        stamps = {row: self._stamps.pop(row, None) or _stamp(self._paths[row]) for row in wanted}
        if self._files is None or self._refusal or self._files.refusal:
            return self._refusal or (self._files.refusal if self._files else "")
        try:
            with self._files.locked(self._lock_timeout_s) as held:
                # Once it took too long, perhaps by a process that is stopped, batches don't wait.
                self._lock_timeout_s = LOCK_TIMEOUT_S if held else 0.0
                if not held:
                    return f"another process has locked it for more than {LOCK_TIMEOUT_S:.0f} s"
                self._write(self._files, wanted, stamps)
        except (OSError, ValueError) as error:
            self._refusal = reason_of(error)
            return self._refusal
        return ""

    def _write(
        self,
        files: CacheFiles,
        wanted: dict[int, NDArray[Any]],
        stamps: dict[int, tuple[int, int] | None],
    ) -> None:
        """Write pixels, then their records; the lock is held."""
        self._store_records(files.new_records())
        written: dict[int, int] = {}
        records = []
        first_place = files.free_place()
        for row, image in wanted.items():
            stamp = stamps[row]
            size, mtime, place, _ = self._records[row].tolist()
            if stamp is None or (place >= 0 and stamp == (size, mtime)):
                continue  # the file is gone, or another process was faster
            pixels = np.ascontiguousarray(image, self._images.dtype)
            written[row] = first_place + len(written)
            files.write(pixels, written[row])
            records.append([self._paths[row], *stamp, written[row], zlib.crc32(pixels.data)])
        if written:
            files.append(records)
            self._store_records(files.new_records())
            if self._is_mapped(max(written.values())):
                self._places[list(written)] = list(written.values())

    def _warn(self, problem: str) -> None:
        """Warn of each problem once."""
        if not problem or problem in self._shown_problems:
            return
        self._shown_problems.add(problem)
        kept = int(np.count_nonzero(self._records[:, _PLACE] >= 0))
        count = len(self._rows)
        slot_bytes = self._images.dtype.itemsize * math.prod(self._images.shape[1:])
        warnings.warn(
            f"the image cache in {self._folder!r} takes no images: {problem}.  It holds {kept:,} "
            f"of this data set's {count:,} files ({kept * slot_bytes / 2**20:,.1f} of "
            f"{count * slot_bytes / 2**20:,.1f} MiB); the others are decoded in every epoch."
            "  Free some space there, name a folder that can be written, or cache in memory",
            RuntimeWarning,
            stacklevel=users_stacklevel(),
        )


def _settings(target: Target, decoder: str) -> dict[str, Any]:
    """Return all that pixels depend on, as JSON gives it back."""
    settings = {
        "format": FORMAT,
        "decoder": decoder,
        "target": asdict(target),
        "shape": target.slot_shape,
        "dtype": target.slot_dtype.str,  # with the order of bytes
    }
    read_back: dict[str, Any] = json.loads(json.dumps(settings, default=repr))
    return read_back


def _stamp(path: str) -> tuple[int, int] | None:
    """Return the size and the time of change of a file, or None if it has none."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # a name with a NUL
        return None
    return status.st_size, status.st_mtime_ns
