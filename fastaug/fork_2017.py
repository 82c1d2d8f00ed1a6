"""Arguments of the fork of 2017, in whose scripts `Generator` takes the place of its generator."""

from __future__ import annotations

import multiprocessing.pool
import warnings
from typing import Any

from fastaug.checks import check_integer, check_one_of
from fastaug.errors import users_stacklevel

_DIM_ORDERINGS = {"th": "channels_first", "tf": "channels_last", "default": None}


def with_pool(workers: int | None, pool: Any) -> int | None:
    """Return the number of decode processes that `pool` and `workers` ask for."""
    if pool is None:
        return workers
    if workers is not None:
        raise ValueError(f"give workers={workers!r} or pool={pool!r}, not both")
    if isinstance(pool, multiprocessing.pool.Pool):
        size = int(pool._processes)  # type: ignore[attr-defined]
        warnings.warn(
            f"pool= is a multiprocessing.Pool: its size, {size}, is taken as workers={size}; "
            "the pool itself is not used and may be closed",
            stacklevel=users_stacklevel(),
        )
        return size
    check_integer("pool", pool, minimum=0)
    return int(pool)


def with_ordering(data_format: str | None, dim_ordering: str | None) -> str | None:
    """Return the data format, also from the 2017 fork's `dim_ordering`."""
    if dim_ordering is None:
        return data_format
    check_one_of("dim_ordering", dim_ordering, _DIM_ORDERINGS)
    ordered = _DIM_ORDERINGS[dim_ordering]
    warnings.warn(
        f"dim_ordering={dim_ordering!r} is Keras 1; write data_format={ordered!r}",
        DeprecationWarning,
        stacklevel=users_stacklevel(),
    )
    if data_format is not None and ordered not in (None, data_format):
        raise ValueError(f"dim_ordering={dim_ordering!r} contradicts {data_format=}")
    return data_format or ordered
