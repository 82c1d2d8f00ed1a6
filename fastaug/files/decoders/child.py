"""A decode process: reads requests from stdin, fills slots of shared memory, answers on stdout.

Frames in both directions are a length (4 bytes, big endian) and JSON.  The parent sends one
`setup`, gets `{"ready": true}`, then sends requests `{"files": [[slot, path], ...], "pillow": {}}`
and gets `{"reasons": [[slot, reason], ...], "notices": [[slot, category, text], ...],
"seconds": s}` for each.  Must import neither numba nor keras.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import warnings
from typing import Any

from fastaug.errors import DecodeError
from fastaug.files.decode import decode_into
from fastaug.files.decoders.frames import apply_pillow_settings, read_frame, write_frame
from fastaug.files.decoders.shared_memory import attach
from fastaug.files.decoders.slots import Slots, divide
from fastaug.files.notices import collected
from fastaug.files.target import Target

_PARENT_CHECK_S = 1.0  # how often a worker looks whether its parent is still there
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
# The parent's kernels come last and hold up each batch, so they get the cores first: on two cores
# 2,900 images of 299x299 a second instead of 2,650.
_NICENESS = 10


def _serve(number: int, requests: int, replies: int) -> None:
    """Answer requests until the parent closes the pipe."""
    setup = read_frame(requests)
    target = Target(**setup["target"])
    slots = divide(attach(setup["memory"]), *setup["slots"])
    write_frame(replies, {"ready": True})
    # What Pillow warns of beside what `decode` foresees goes to the parent, too.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        while True:
            request = read_frame(requests)
            apply_pillow_settings(request["pillow"])
            write_frame(replies, _decode_all(request["files"], target, slots, number, caught))


def _decode_all(
    files: list[tuple[int, str]],
    target: Target,
    slots: Slots,
    number: int,
    caught: list[warnings.WarningMessage],
) -> dict[str, Any]:
    """Decode the files of a request; return the reply."""
    started = time.perf_counter()
    reasons, notices = [], []
    for slot, path in files:
        slots.notes[number] = slot + 1
        try:
            height, width, found = decode_into(path, target, slots.pixels[slot])
        except DecodeError as error:
            reasons.append((slot, error.reason))
            height, width, found = target.height, target.width, ()
        slots.sizes[slot] = height, width
        notices += [(slot, *notice) for notice in (*found, *collected(caught))]
        caught.clear()
    slots.notes[number] = 0
    return {"reasons": reasons, "notices": notices, "seconds": time.perf_counter() - started}


def _end_with_parent(parent: int) -> None:
    """End this process soon after its parent, even in the middle of a long decode.

    A forked sibling may hold the other end of the pipe open, so end-of-file is not enough.
    """
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(0)


def main(number: int, parent: int) -> None:
    """Run decode process `number`; `parent` is the process that must stay alive."""
    # Only the parent handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # the only way that ends a stopped process, too
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    # The protocol gets descriptors of its own: a library's print must not break it.
    nothing = os.open(os.devnull, os.O_RDWR)  # becomes stderr where the parent has none
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    try:
        _serve(number, requests, replies)
    except (EOFError, BrokenPipeError):
        sys.exit(0)
