"""What the parent and a decode process say to each other: frames of JSON over pipes."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin

_LENGTH = struct.Struct(">I")

_PILLOW_SETTINGS = {
    "MAX_IMAGE_PIXELS": Image,
    "LOAD_TRUNCATED_IMAGES": ImageFile,
    "MAX_TEXT_CHUNK": PngImagePlugin,
    "MAX_TEXT_MEMORY": PngImagePlugin,
}


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
    return {name: getattr(module, name) for name, module in _PILLOW_SETTINGS.items()}


def apply_pillow_settings(settings: dict[str, Any]) -> None:
    """Set Pillow as it is set in the parent."""
    for name, value in settings.items():
        setattr(_PILLOW_SETTINGS[name], name, value)
