"""The parent's end of one decode process, whose own end is `child.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from fastaug.files.decoders.frames import pillow_settings, read_frame, write_frame

# The worker must find what the parent finds, so it gets the parent's search path; until then it
# imports nothing that a file in the working directory could shadow.
_BOOTSTRAP = (
    "import sys; sys.path[:] = {path}; from fastaug.files.decoders.child import main; "
    "main({number}, {parent})"
)

# Ctrl-C in a terminal goes to the whole process group, and only the parent should handle it.  A
# session of its own would do, too, but Linux divides the cores among sessions first: `os.nice` in
# the worker would then have no effect, and the parent's kernels would wait for a core.
_OWN_GROUP: dict[str, Any] = (
    {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
)


class DecoderProcess:
    """One decode process and its two pipes.

    OSError if it can't be started; its methods raise EOFError or OSError if it dies.
    """

    def __init__(self, number: int, descriptors: tuple[int, ...]) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise OSError(f"sys.executable={sys.executable!r} is not a Python interpreter")
        path = ascii([entry for entry in sys.path if isinstance(entry, str)])
        program = _BOOTSTRAP.format(path=path, number=number, parent=os.getpid())
        self.process = subprocess.Popen(
            # File names mean the same in both only with the same encoding.
            [sys.executable, "-X", f"utf8={sys.flags.utf8_mode}", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=descriptors,
            # NumPy would start a thread for every core, and decoding uses none of them.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            **_OWN_GROUP,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._requests, self._replies = self.process.stdin, self.process.stdout
        self.ready = False
        self.interrupted = False  # killed by us: that is no failure
        self.end_reported = False  # whether its end is in `Supervisor.ends` already

    def set_up(self, setup: dict[str, Any]) -> None:
        """Send the setup and wait for the worker to be ready."""
        write_frame(self._requests.fileno(), setup)
        read_frame(self._replies.fileno())
        self.ready = True

    def send(self, files: Iterable[tuple[int, str]]) -> None:
        """Give the worker files to decode: (slot, path) each."""
        files = list(files)
        write_frame(self._requests.fileno(), {"files": files, "pillow": pillow_settings()})

    def receive(self) -> dict[str, Any]:
        """Return the worker's reply to the first request that it has not answered yet."""
        return read_frame(self._replies.fileno())

    def close(self) -> str:
        """Kill the process if it still runs, free its pipes, and say how it ended."""
        self.process.kill()
        self.process.wait()
        self._requests.close()
        self._replies.close()
        return self.describe_end()

    def describe_end(self) -> str:
        """Say how the process ended; nothing if it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        if code >= 0:
            return f"left with exit code {code}"
        names = {number.value: number.name for number in signal.Signals}
        return f"was killed by {names.get(-code, f'signal {-code}')}"
