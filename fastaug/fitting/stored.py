"""Statistics of a data set as a JSON file: mean, deviation and whitening of all its images.

What is stored does not depend on a generator's dtype or data format.  Knows no generator.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT, VERSION = "fastaug statistics", 1
_MATRIX_DTYPE = "<f8"  # float64, little endian

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Statistics of all images of a data set, after `rescale`.

    Attributes
    ----------
    channels
        Number of channels.
    mean, std
        (channels,) of all values of a channel; None if not known.
    whitening
        ZCA whitening matrix, (values, values), for images flattened from (height, width,
        channels), or None.
    zca_epsilon
        What was added to the singular values for it.
    rescale
        Factor that the values were multiplied by; None or 1 for none.
    count
        Number of images; None if not known.
    source
        How the images were read, for people: `target_size`, `color_mode` and so on.
    """

    channels: int
    mean: Numbers | None
    std: Numbers | None
    whitening: Numbers | None = None
    zca_epsilon: float | None = None
    rescale: float | None = None
    count: int | None = None
    source: dict[str, Any] = field(default_factory=dict)


def write_statistics(path: str | Path, statistics: Statistics) -> None:
    """Write statistics under their name once the file is complete.

    Raises
    ------
    OSError
        If it can't be written; then there is no new file, and an old one stays as it was.
    ValueError
        If a number is not finite.
    """
    whitening = statistics.whitening
    for numbers in (statistics.mean, statistics.std, whitening):
        if numbers is not None and not np.isfinite(numbers).all():
            raise ValueError("statistics that are not finite can't be saved (is zca_epsilon 0?)")
    document = {
        "format": FORMAT,
        "version": VERSION,
        "count": statistics.count,
        "source": statistics.source,
        "rescale": statistics.rescale,
        "channels": statistics.channels,
        "mean": None if statistics.mean is None else statistics.mean.tolist(),
        "std": None if statistics.std is None else statistics.std.tolist(),
        "zca_whitening": None if whitening is None else _encode(whitening, statistics.zca_epsilon),
    }
    _write(Path(path), json.dumps(document, indent=2, allow_nan=False) + "\n")


def _encode(whitening: Numbers, epsilon: float | None) -> dict[str, Any]:
    """Return a matrix as base64: millions of numbers in decimals would take a second and more."""
    data = np.ascontiguousarray(whitening, _MATRIX_DTYPE).tobytes()
    return {
        "epsilon": epsilon,
        "values": len(whitening),
        "order": ["height", "width", "channels"],
        "encoding": "base64 of float64, little endian, row by row",
        "matrix": base64.b64encode(data).decode("ascii"),
    }


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def read_statistics(path: str | Path) -> Statistics:
    """Read what `write_statistics` wrote.

    Raises
    ------
    OSError
        If there is no such file, or it can't be read.
    ValueError
        If it is something else, or its parts don't fit together; with its name.
    """
    try:
        return _parse(_load_document(Path(path)))
    except _Invalid as error:
        raise ValueError(f"{str(path)!r} holds no statistics that can be used: {error}") from None


class _Invalid(Exception):
    """What is wrong with a file."""


def _load_document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _Invalid(f"it is not JSON ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _Invalid(f'its "format" is not "{FORMAT}"')
    if document.get("version") != VERSION:
        raise _Invalid(
            f'its "version" is {document.get("version")!r}, this fastaug reads {VERSION}; '
            "make it again, or use the fastaug that wrote it"
        )
    return document


def _parse(document: dict[str, Any]) -> Statistics:
    channels = _item(document, "channels", _is_count, "a number of channels")
    if channels is None:
        raise _Invalid('its "channels" is missing')
    zca = _item(document, "zca_whitening", _is_object, "an object")
    return Statistics(
        channels=channels,
        mean=_vector(document, "mean", channels),
        std=_vector(document, "std", channels),
        whitening=None if zca is None else _decode(zca, channels),
        zca_epsilon=None if zca is None else _item(zca, "epsilon", _is_number, "a number"),
        rescale=_item(document, "rescale", _is_number, "a number"),
        count=_item(document, "count", _is_count, "a number of images"),
        source=_item(document, "source", _is_object, "an object") or {},
    )


def _item(document: dict[str, Any], name: str, fits: Callable[[Any], bool], what: str) -> Any:
    """Return a part of the file, None where it has none."""
    value = document.get(name)
    if value is not None and not fits(value):
        raise _Invalid(f'its "{name}" is not {what}: {value!r:.60}')
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and not isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _vector(document: dict[str, Any], name: str, channels: int) -> Numbers | None:
    values = _item(document, name, lambda value: isinstance(value, list), "a list")
    if values is None:
        return None
    if not all(map(_is_number, values)) or (name == "std" and min(values, default=0) < 0):
        raise _Invalid(f'its "{name}" holds something else than finite numbers, or a negative one')
    if len(values) != channels:
        raise _Invalid(f'its "{name}" has {len(values)} numbers for {channels} channels')
    return np.array(values, np.float64)


def _decode(zca: dict[str, Any], channels: int) -> Numbers:
    """Return the whitening matrix."""
    size = _item(zca, "values", _is_count, "a number of values")
    text = _item(zca, "matrix", lambda value: isinstance(value, str), "base64")
    if size is None or text is None:
        raise _Invalid('its "zca_whitening" lacks "values" or "matrix"')
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Invalid(f"its whitening matrix is damaged ({error})") from None
    if len(data) != 8 * size**2 or size % channels:
        raise _Invalid(
            f"its whitening matrix has {len(data)} bytes, which are not {size} x {size} numbers "
            f"of {channels} channels"
        )
    matrix = np.frombuffer(data, _MATRIX_DTYPE).reshape(size, size).astype(np.float64)
    if not np.isfinite(matrix).all():
        raise _Invalid("its whitening matrix holds numbers that are not finite")
    return matrix
