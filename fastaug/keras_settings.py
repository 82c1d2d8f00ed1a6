"""What Keras is set to: its data format, its dtype, whether it may print."""

from __future__ import annotations

import keras

from fastaug.checks import check_one_of

DATA_FORMATS = ("channels_last", "channels_first")


def default_data_format() -> str:
    """Return Keras' `image_data_format`."""
    return str(keras.config.image_data_format())


def default_dtype() -> str:
    """Return Keras' `floatx`."""
    return str(keras.config.floatx())


def check_data_format(name: str, value: object) -> None:
    """Raise a ValueError, in Keras' words, unless `value` is a data format."""
    if value not in DATA_FORMATS:
        raise ValueError(
            f'`{name}` should be `"channels_last"` (channel after row and column) or '
            f'`"channels_first"` (channel before row and column). Received: {value!r}'
        )


def checked_format(data_format: str | None) -> str:
    """Return a data format, Keras' own for None; ValueError for an unknown one."""
    if data_format is None:
        return default_data_format()
    check_one_of("data_format", data_format, DATA_FORMATS)
    return data_format


def say(message: str) -> None:
    """Print as Keras does, where its interactive logging is on."""
    if keras.config.is_interactive_logging_enabled():
        print(message, flush=True)  # noqa: T201 - Keras prints the same line
