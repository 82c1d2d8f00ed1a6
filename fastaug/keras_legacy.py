"""Keras' own generator and iterators, which ours are, too, and functions for images beside them.

Programs ask `isinstance`, and one changed import line stays one.

`import keras` loads them (3.8 to 3.15).  Where a later Keras has none, nobody can ask.
"""

from __future__ import annotations

from typing import Any

import keras

try:
    from keras.src.legacy.preprocessing import image as _keras
except ImportError:

    class _keras:  # type: ignore[no-redef]  # noqa: N801
        """Stand-ins without a method."""

        class ImageDataGenerator:
            """Of nobody's."""

        class Iterator(keras.utils.PyDataset):  # type: ignore[misc]
            """Of nobody's."""

        class NumpyArrayIterator(Iterator):
            """Of nobody's."""

        class DirectoryIterator(Iterator):
            """Of nobody's."""

        class DataFrameIterator(Iterator):
            """Of nobody's."""


ImageDataGenerator: Any = _keras.ImageDataGenerator
Iterator: Any = _keras.Iterator
NumpyArrayIterator: Any = _keras.NumpyArrayIterator
DirectoryIterator: Any = _keras.DirectoryIterator
DataFrameIterator: Any = _keras.DataFrameIterator

array_to_img = keras.utils.array_to_img
img_to_array = keras.utils.img_to_array
load_img = keras.utils.load_img
save_img = keras.utils.save_img
