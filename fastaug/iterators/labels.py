"""Class numbers -> the label part of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class ClassLabels:
    """The labels of a data set, ready to be taken batch by batch.

    Parameters
    ----------
    classes
        Class number of every row: integers, or for several labels a row also lists of them.
    num_classes
        How many classes there are.
    one_hot
        True for `categorical`, False for `binary` and `sparse`.
    dtype
        Dtype of the labels.
    """

    def __init__(self, classes: Any, num_classes: int, one_hot: bool, dtype: Any) -> None:
        lists = [number if isinstance(number, list) else [number] for number in classes]
        self._counts = np.array([len(numbers) for numbers in lists], np.intp)
        self._starts = np.cumsum(self._counts) - self._counts
        self._numbers = np.array([number for numbers in lists for number in numbers], np.intp)
        self._num_classes = num_classes
        self._one_hot = one_hot
        self._dtype = dtype

    def batch(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Return the rows' labels: (n,) class numbers, or (n, classes) with ones at them."""
        if not self._one_hot:
            return self._numbers[rows].astype(self._dtype)
        labels = np.zeros((len(rows), self._num_classes), self._dtype)
        counts = self._counts[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers = self._numbers[np.repeat(self._starts[rows], counts) + within]
        labels[np.repeat(np.arange(len(rows)), counts), numbers] = 1
        return labels


def in_tuples(batch: Any) -> Any:
    """Return a batch with tuples in place of lists, for several inputs or labels.

    As lists, Keras takes inputs without labels for (inputs, labels), and TensorFlow takes several
    inputs or labels for one tensor: with Keras' own iterators `fit` fails there.
    """
    if isinstance(batch, list):
        return (tuple(batch),)
    if isinstance(batch, tuple):
        return tuple(tuple(part) if isinstance(part, list) else part for part in batch)
    return batch
