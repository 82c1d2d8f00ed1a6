"""A decode process: reads requests from stdin, fills slots of shared memory, answers on stdout.

Frames in both directions are a length (4 bytes, big endian) and JSON.  The parent sends one
`setup`, gets `{"ready": true}`, then sends requests `{"files": [[slot, path], ...]}` and gets
`{"errors": [[path, reason], ...]}` for each.  Must import neither numba nor keras.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from fastaug.decode import Target, decode_file
from fastaug.errors import DecodeError
from fastaug.shared_memory import attach

_LENGTH = struct.Struct(">I")
_PARENT_CHECK_S = 1.0  # how often an idle worker looks whether its parent is still there


def encode_frame(message: dict[str, Any]) -> bytes:
    """Return a message as a frame; names that are not UTF-8 survive as lone surrogates."""
    body = json.dumps(message).encode("ascii")
    return _LENGTH.pack(len(body)) + body


def read_frame(descriptor: int) -> dict[str, Any]:
    """Read one frame; EOFError if the other side is gone."""
    (length,) = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size))
    message: dict[str, Any] = json.loads(_read_exactly(descriptor, length))
    return message


def write_frame(descriptor: int, message: dict[str, Any]) -> None:
    """Write one frame; OSError if the other side is gone."""
    frame = memoryview(encode_frame(message))
    while frame:
        frame = frame[os.write(descriptor, frame) :]


def _read_exactly(descriptor: int, nbytes: int) -> bytes:
    data = b""
    while len(data) < nbytes:
        piece = os.read(descriptor, nbytes - len(data))
        if not piece:
            raise EOFError("the other side closed the pipe")
        data += piece
    return data


def pillow_settings() -> dict[str, Any]:
    """Return the user's settings of Pillow, which decode processes must share."""
    return {
        "MAX_IMAGE_PIXELS": Image.MAX_IMAGE_PIXELS,
        "LOAD_TRUNCATED_IMAGES": ImageFile.LOAD_TRUNCATED_IMAGES,
    }


def _serve(requests: int, replies: int, parent: int) -> None:
    """Answer requests until the parent closes the pipe or dies."""
    setup = read_frame(requests)
    Image.MAX_IMAGE_PIXELS = setup["pillow"]["MAX_IMAGE_PIXELS"]
    ImageFile.LOAD_TRUNCATED_IMAGES = setup["pillow"]["LOAD_TRUNCATED_IMAGES"]
    target = Target(**setup["target"])
    memory = attach(setup["memory"])
    slots = np.frombuffer(memory, target.slot_dtype).reshape(-1, *target.slot_shape)
    write_frame(replies, {"ready": True})
    while True:
        _wait_for(requests, parent)
        errors = []
        for slot, path in read_frame(requests)["files"]:
            try:
                decode_file(path, target, slots[slot])
            except DecodeError as error:
                errors.append([error.path, error.reason])
        write_frame(replies, {"errors": errors})


def _wait_for(requests: int, parent: int) -> None:
    """Return when there is something to read; leave when the parent is gone.

    A forked sibling may hold the other end of the pipe open, so end-of-file alone is not enough.
    """
    if os.name == "nt":
        return  # pipes can't be waited for; handles are not inherited by siblings there
    while not select.select([requests], [], [], _PARENT_CHECK_S)[0]:
        if os.getppid() != parent:
            raise EOFError("the parent is gone")


def main(parent: int) -> None:
    """Run a decode process; `parent` is the process that must stay alive."""
    # Ctrl-C is the parent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The protocol gets descriptors of its own: a library's print must not break it.
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        _serve(requests, replies, parent)
    except (EOFError, BrokenPipeError):
        sys.exit(0)
