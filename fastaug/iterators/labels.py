"""Class numbers -> the label part of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_labels(
    classes: Any, rows: NDArray[np.intp], num_classes: int, one_hot: bool, dtype: Any
) -> NDArray[Any]:
    """Return the labels of some rows as they are now: scripts change `classes`.

    Parameters
    ----------
    classes
        Class number of every row: integers, or for several labels a row also lists of them.
    rows
        (n,) the rows.
    num_classes
        How many classes there are.
    one_hot
        True for `categorical`: (n, num_classes) with ones.  False for `binary` and `sparse`: (n,).
    dtype
        Dtype of the labels.

    Raises
    ------
    ValueError
        If a number stands for no class.
    """
    numbers = classes[rows] if isinstance(classes, np.ndarray) else [classes[row] for row in rows]
    if not one_hot:
        return np.array(numbers).astype(dtype)
    labels = np.zeros((len(rows), num_classes), dtype)
    try:
        if isinstance(numbers, np.ndarray) and numbers.ndim == 1:
            labels[np.arange(len(rows)), numbers] = 1
            return labels
        for i, number in enumerate(numbers):
            labels[i, number] = 1
    except IndexError:
        raise ValueError(
            f"classes holds numbers that stand for none of the {num_classes} classes in "
            f"class_indices, among rows {rows.tolist()}: change both"
        ) from None
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
