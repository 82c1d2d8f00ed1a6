"""Pull matrices: output position -> source position.  Knows no pixels."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrices: TypeAlias = NDArray[np.float64]


def compose(last: Matrices, first: Matrices) -> Matrices:
    """Pull through `first`, then through `last`: (n, 2, 3) matrices, as one step."""
    linear = last[:, :, :2]
    return np.concatenate([linear @ first[:, :, :2], linear @ first[:, :, 2:] + last[:, :, 2:]], 2)
