"""Memory that this process and its decode processes share, without a name wherever possible.

A name in /dev/shm outlives a process group that is killed; a descriptor does not.  So the parent
makes an unnamed file in memory and the workers inherit its descriptor:

- ``memfd``: Linux.  Not limited by the size of /dev/shm.
- ``shm``: other POSIX systems.  A POSIX shared memory object, whose name is removed at once.
- ``tag``: Windows.  A named mapping, which the system removes with its last handle.
"""

from __future__ import annotations

import mmap
import os
import secrets
from typing import Any

from fastaug.checks import check_one_of

KINDS = ("memfd", "shm", "tag")
# Tests run the ways of other systems by setting this.
KIND_VARIABLE = "FASTAUG_SHARED_MEMORY"


def default_kind() -> str:
    """Return the way of this system, unless the environment asks for another."""
    if os.name == "nt":
        return "tag"
    kind = os.environ.get(KIND_VARIABLE) or ("memfd" if hasattr(os, "memfd_create") else "shm")
    check_one_of(KIND_VARIABLE, kind, KINDS)
    return kind


class SharedMemory:
    """A zeroed block of memory that child processes can map.

    Parameters
    ----------
    nbytes
        Its size.
    kind
        One of KINDS; None chooses for this system.

    Raises
    ------
    OSError
        If the memory can't be reserved, with the size in the message; never a SIGBUS later.
    """

    def __init__(self, nbytes: int, kind: str | None = None) -> None:
        self.nbytes = nbytes
        self.kind = kind or default_kind()
        self.descriptor = -1
        self.tag = ""
        if self.kind == "tag":
            self.tag = f"fastaug-{secrets.token_hex(8)}"
            self.buffer = mmap.mmap(-1, nbytes, tagname=self.tag)  # type: ignore[call-arg,unused-ignore]
            return
        self.descriptor = _unnamed_file(self.kind)
        try:
            _reserve(self.descriptor, nbytes)
            self.buffer = mmap.mmap(self.descriptor, nbytes)
        except OSError as error:
            os.close(self.descriptor)
            raise OSError(
                error.errno,
                f"cannot reserve {nbytes / 2**20:.1f} MiB of shared memory for decoded images "
                f"({error.strerror}); a smaller batch_size, target_size or read_ahead needs less",
            ) from error

    def address(self) -> dict[str, Any]:
        """Return what `attach` needs in a child that inherited the descriptor."""
        return {"descriptor": self.descriptor, "tag": self.tag, "nbytes": self.nbytes}

    def close(self) -> None:
        """Close the descriptor; the mapping goes with the last array over it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        del self.buffer


def attach(address: dict[str, Any]) -> mmap.mmap:
    """Map the parent's memory into this process."""
    if address["tag"]:
        return mmap.mmap(-1, address["nbytes"], tagname=address["tag"])  # type: ignore[call-arg,unused-ignore]
    return mmap.mmap(address["descriptor"], address["nbytes"])


def _unnamed_file(kind: str) -> int:
    if kind == "memfd":
        return os.memfd_create("fastaug", os.MFD_CLOEXEC)
    # `multiprocessing.shared_memory` would start a tracker process and keep the name.
    import _posixshmem  # noqa: PLC0415 - POSIX only

    name = f"/fastaug-{secrets.token_hex(8)}"
    descriptor: int = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
    _posixshmem.shm_unlink(name)
    return descriptor


def _reserve(descriptor: int, nbytes: int) -> None:
    os.ftruncate(descriptor, nbytes)
    # Truncating reserves nothing: a full /dev/shm would be a SIGBUS at the first write.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, nbytes)
