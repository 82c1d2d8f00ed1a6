"""The two files of an image cache on disk, shared by any number of processes.

    fastaug-<settings>.manifest          settings and the other file's name; a line per image
    fastaug-<settings>-<token>.pixels    images one after another, mapped into memory to be read

Whoever adds images holds a lock on the manifest: reads what others have appended, writes pixels
behind all others, then appends the lines.  So what a line names is never written again, and a crash
leaves pixels without a line, which count for nothing.  Both files only grow; where they are of no
use, new ones are renamed into place, and who has the old ones open may go on with them.

It does not know which images a data set needs, nor whether they are still right.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import mmap
import os
import secrets
import stat
import sys
import time
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Another process holds the lock while it writes a batch; when it is stopped, nobody waits for long.
LOCK_TIMEOUT_S = 5.0
_LOCK_BYTE = 2**31 - 2  # Windows locks bytes, not files: one that is never written
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class CacheFiles:
    """A manifest and its pixel file, open.

    Parameters
    ----------
    folder, stem
        Where the files are, and how their names begin.
    settings
        What pixels depend on, as JSON gives it back; `shape` and `dtype` are those of an image.

    Attributes
    ----------
    records
        What the manifest said when it was opened: [path, size, mtime_ns, place, checksum] each.
    refusal
        Why nothing can be written, or "".
    useful
        False where new files should be begun in the place of these.
    """

    def __init__(self, folder: Path, stem: str, settings: dict[str, Any]) -> None:
        self.refusal = ""
        self._shape, self._dtype = tuple(settings["shape"]), np.dtype(settings["dtype"])
        self._slot_bytes = math.prod(self._shape) * self._dtype.itemsize
        self._descriptors: list[int] = []
        self.close = weakref.finalize(self, _close, self._descriptors)
        self.close.atexit = False
        self._path = folder / f"{stem}.manifest"
        self._manifest, self._pixels = self._open(self._path), -1
        self._offset, self._is_within_line = 0, False  # where to read on, and whether within a line
        header, *self.records = self.new_records() or [None]
        name = header.get("pixels") if isinstance(header, dict) else None
        if isinstance(name, str) and header == settings | {"pixels": name}:
            with contextlib.suppress(FileNotFoundError):
                self._pixels = self._open(folder / Path(name).name)
        # Where most images have a newer version, beginning afresh frees the space of the old ones.
        files = {record[0] for record in self.records} if self._pixels >= 0 else set()
        stale = len(self.records) > 2 * len(files)
        self.useful = self._pixels >= 0 and bool(self.refusal or not stale)

    def _open(self, path: Path) -> int:
        """Open a file, for reading only where writing is not allowed."""
        try:
            descriptor = os.open(path, _FLAGS | os.O_RDWR)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            descriptor = os.open(path, _FLAGS | os.O_RDONLY)
            self.refusal = reason_of(error)
        self._descriptors.append(descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, f"{path} is not a regular file")
        return descriptor

    def new_records(self) -> list[Any]:
        """Return what was appended since the last call, but for lines that are damaged."""
        nbytes = os.fstat(self._manifest).st_size - self._offset
        if nbytes <= 0:
            return []
        data = _read_at(self._manifest, nbytes, self._offset)
        *lines, rest = data.split(b"\n")
        self._offset += len(data) - len(rest)
        self._is_within_line = bool(rest)
        intact = [line[:-9] for line in lines if line[-9:] == b" %08x" % zlib.crc32(line[:-9])]
        records: list[Any] = json.loads(b"[" + b",".join(intact) + b"]")
        return records

    @contextlib.contextmanager
    def locked(self, timeout_s: float) -> Iterator[bool]:
        """Lock the manifest against other writers; give False if that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not (held := _try_lock(self._manifest)) and time.monotonic() < deadline:
            time.sleep(0.002)
        try:
            yield held
        finally:
            if held:
                _unlock(self._manifest)

    def free_place(self) -> int:
        """Return the first place that nothing was ever written to; the lock is held."""
        # By its size, not by the lines: one that is damaged now may have been in use before.
        return -(-os.fstat(self._pixels).st_size // self._slot_bytes)

    def write(self, pixels: NDArray[Any], place: int) -> None:
        """Write the pixels of an image; the lock is held."""
        _write_at(self._pixels, pixels.data.cast("B"), place * self._slot_bytes)

    def append(self, records: list[Any]) -> None:
        """Append lines to the manifest, in one write; the lock is held."""
        lines = b"".join(map(_line, records))
        # A process was killed, or the disk was full, in the middle of a line.
        data = b"\n" + lines if self._is_within_line else lines
        _write_at(self._manifest, memoryview(data), os.fstat(self._manifest).st_size)

    def map(self, mapped: NDArray[Any]) -> NDArray[Any]:
        """Return all places of the pixel file; `mapped` if that has not grown since."""
        places = os.fstat(self._pixels).st_size // self._slot_bytes
        if places <= len(mapped):
            return mapped
        memory = mmap.mmap(self._pixels, places * self._slot_bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(memory, self._dtype).reshape(places, *self._shape)

    def is_current(self) -> bool:
        """Whether the manifest still has its name: another process may have begun afresh."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._manifest))  # noqa: PTH116
        except FileNotFoundError:
            return False


def open_pair(folder: Path, settings: dict[str, Any]) -> CacheFiles:
    """Open the files of some settings, new ones where there are none that can be used."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    stem = f"fastaug-{digest[:16]}"
    for _ in range(20):  # other processes may be at it, too
        try:
            files = CacheFiles(folder, stem, settings)
        except FileNotFoundError:
            _create_pair(folder, stem, settings, afresh=False)
            continue
        if files.useful:
            return files
        with files.locked(LOCK_TIMEOUT_S) as held:
            if not held:
                raise OSError(errno.EBUSY, "another process has locked it, and it can't be read")
            if files.is_current():
                _create_pair(folder, stem, settings, afresh=True)
        files.close()
    raise OSError(errno.EBUSY, "its files come and go")


def _create_pair(folder: Path, stem: str, settings: dict[str, Any], *, afresh: bool) -> None:
    """Make an empty pixel file and a manifest, which gets its name when it is complete."""
    token = secrets.token_hex(4)
    pixels, draft = (folder / f"{stem}-{token}.{kind}" for kind in ("pixels", "draft"))
    published = False
    try:
        _create(pixels, b"")
        _create(draft, _line(settings | {"pixels": pixels.name}))
        # What nothing refers to any more.  Without a manifest, others may be about to place one.
        oldest = time.time() - (0 if afresh else 3600)
        for path in set(folder.glob(f"{stem}-*")) - {pixels, draft}:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime <= oldest:
                    path.unlink()
        published = _publish(draft, folder / f"{stem}.manifest", afresh)
    finally:
        for path in (draft,) if published else (draft, pixels):
            with contextlib.suppress(OSError):
                path.unlink()


def _publish(draft: Path, manifest: Path, afresh: bool) -> bool:
    """Give a manifest its name; return False where another process was faster."""
    if not afresh:
        try:
            manifest.hardlink_to(draft)
        except (FileExistsError, FileNotFoundError):
            return False
        except OSError:  # a file system without hard links
            pass
        else:
            return True
    draft.replace(manifest)
    return True


def _line(payload: object) -> bytes:
    """Return a line of a manifest: JSON, which is ASCII and has no line breaks, and a checksum."""
    text = json.dumps(payload).encode("ascii")
    return b"%s %08x\n" % (text, zlib.crc32(text))


def reason_of(error: Exception) -> str:
    """Return what a message says of an error."""
    return getattr(error, "strerror", None) or str(error)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _create(path: Path, data: bytes) -> None:
    descriptor = os.open(path, _FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _write_at(descriptor, memoryview(data), 0)
    finally:
        os.close(descriptor)


def _read_at(descriptor: int, nbytes: int, offset: int) -> bytes:
    """Read so many bytes, fewer only at the end of the file."""
    pieces = []
    while nbytes > 0:
        if hasattr(os, "pread"):
            piece = os.pread(descriptor, nbytes, offset)
        else:
            os.lseek(descriptor, offset, os.SEEK_SET)
            piece = os.read(descriptor, nbytes)
        if not piece:
            break
        pieces.append(piece)
        nbytes, offset = nbytes - len(piece), offset + len(piece)
    return b"".join(pieces)


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all bytes; a full disk takes some of them, and raises for the rest."""
    while data:
        if hasattr(os, "pwrite"):
            count = os.pwrite(descriptor, data, offset)
        else:
            os.lseek(descriptor, offset, os.SEEK_SET)
            count = os.write(descriptor, data)
        data, offset = data[count:], offset + count


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
