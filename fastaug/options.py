"""What a generator's attributes mean: checked when it is made, read again for every batch.

Scripts change attributes of a generator after they made it (`generator.mean = ...`), as Keras
allows, so nothing is kept between batches.
"""

from __future__ import annotations

import multiprocessing.pool
import numbers
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastaug.decode import DECODES
from fastaug.draws import Ranges, ShiftRange
from fastaug.errors import (
    check_flag,
    check_integer,
    check_number,
    check_one_of,
    check_pair,
    users_stacklevel,
)
from fastaug.kernels.warp import FILL_MODES
from fastaug.pipeline import DTYPES, Recipe
from fastaug.preprocessing import check_function
from fastaug.spline import require_ndimage
from fastaug.transforms import TRANSFORMS, Geometric, Photometric, Transform

if TYPE_CHECKING:
    from fastaug.generator import Generator

DATA_FORMATS = ("channels_last", "channels_first")
ON_ERROR = ("raise", "skip")
READ_AHEAD, TIMEOUT_S = 2, 120.0  # where no generator says otherwise
_FLAGS = (
    "featurewise_center",
    "featurewise_std_normalization",
    "samplewise_center",
    "samplewise_std_normalization",
    "zca_whitening",
    "horizontal_flip",
    "vertical_flip",
)
_DIM_ORDERINGS = {"th": "channels_first", "tf": "channels_last", "default": None}


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve_workers(pool: Any, workers: int | None) -> int:
    """Return the number of decode processes that `pool` and `workers` ask for."""
    if pool is not None and workers is not None:
        raise ValueError(f"give workers={workers!r} or pool={pool!r}, not both")
    if isinstance(pool, multiprocessing.pool.Pool):
        workers = int(pool._processes)  # type: ignore[attr-defined]
        warnings.warn(
            f"pool= is a multiprocessing.Pool: its size, {workers}, is taken as workers={workers}; "
            "the pool itself is not used and may be closed",
            stacklevel=3,
        )
    elif pool is not None:
        check_integer("pool", pool, minimum=0)
        workers = int(pool)
    if workers is None:
        return usable_cores()
    check_integer("workers", workers, minimum=0)
    return int(workers)


def resolve_data_format(data_format: str | None, dim_ordering: str | None) -> str | None:
    """Return the data format, also from the 2017 fork's `dim_ordering`."""
    if dim_ordering is not None:
        check_one_of("dim_ordering", dim_ordering, _DIM_ORDERINGS)
        warnings.warn(
            f"dim_ordering={dim_ordering!r} is Keras 1; write "
            f"data_format={_DIM_ORDERINGS[dim_ordering]!r}",
            DeprecationWarning,
            stacklevel=3,
        )
        from_ordering = _DIM_ORDERINGS[dim_ordering]
        if data_format is not None and from_ordering not in (None, data_format):
            raise ValueError(f"dim_ordering={dim_ordering!r} contradicts {data_format=}")
        data_format = data_format or from_ordering
    if data_format is not None and data_format not in DATA_FORMATS:
        raise ValueError(
            '`data_format` should be `"channels_last"` (channel after row and column) or '
            '`"channels_first"` (channel before row and column). '
            f"Received: {data_format!r}"
        )
    return data_format


def check_options(generator: Generator) -> None:
    """Raise a ValueError or TypeError, in the user's words, for the first bad attribute."""
    for name in _FLAGS:
        check_flag(name, getattr(generator, name))
    for name in ("rotation_range", "shear_range", "channel_shift_range"):
        check_number(name, getattr(generator, name), minimum=0)
    for name in ("width_shift_range", "height_shift_range"):
        _check_shift(name, getattr(generator, name))
    check_number("cval", generator.cval)
    check_number("zca_epsilon", generator.zca_epsilon, minimum=0)
    check_number("timeout", generator.timeout)
    if generator.timeout <= 0:
        raise ValueError(f"timeout={generator.timeout!r} must be above 0 seconds")
    check_one_of("fill_mode", generator.fill_mode, FILL_MODES)
    check_one_of("on_error", generator.on_error, ON_ERROR)
    check_one_of("decode", generator.decode, DECODES)
    check_flag("exif_transpose", generator.exif_transpose)
    check_flag("scale_16bit", generator.scale_16bit)
    _check_cache(generator.cache, generator.cache_bytes)
    check_integer("interpolation_order", generator.interpolation_order, minimum=0, maximum=5)
    if generator.interpolation_order > 1:
        require_ndimage(generator.interpolation_order)
    check_integer("read_ahead", generator.read_ahead, minimum=0)
    if generator.threads is not None:
        check_integer("threads", generator.threads, minimum=1)
    if generator.rescale is not None:
        check_number("rescale", generator.rescale)
    if generator.brightness_range is not None:
        check_pair("`brightness_range`", generator.brightness_range)
    check_dtype(generator.dtype)
    check_function(generator.preprocessing_function)


def _check_cache(cache: Any, nbytes: Any) -> None:
    if cache is not None and not isinstance(cache, str | os.PathLike):
        raise TypeError(f"cache={cache!r} is neither None, 'memory' nor the path of a folder")
    if cache == "":
        raise ValueError("cache='' is neither None, 'memory' nor the path of a folder")
    if nbytes is not None:
        check_integer("cache_bytes", nbytes, minimum=1)
        if cache != "memory":
            raise ValueError(f"cache_bytes={nbytes!r} needs cache='memory', not cache={cache!r}")


def check_split(validation_split: Any) -> None:
    """Raise unless `validation_split` is 0, None or a share."""
    if validation_split:
        check_number("validation_split", validation_split)
        if not 0 < validation_split < 1:
            raise ValueError(
                "`validation_split` must be strictly between 0 and 1. "
                f"Received: {validation_split!r}"
            )


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the output dtype, or raise an error that lists the accepted ones."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        check_one_of("dtype", name, DTYPES)
    return np.dtype(name)


def _check_shift(name: str, value: Any) -> None:
    """Accept a fraction or a number of pixels, or a non-empty list of them to choose from."""
    if isinstance(value, list | tuple | np.ndarray):
        if np.ndim(value) != 1:
            raise ValueError(f"{name} must be a number or a flat list of numbers, not {value!r}")
        for number in value:
            check_number(f"each of {name}", number)
    else:
        check_number(name, value, minimum=0)


def checked_transforms(transforms: Any) -> tuple[Transform, ...]:
    """Return `transforms` as a tuple; TypeError unless it is a list or tuple of transforms."""
    known = ", ".join(f"fastaug.transforms.{kind.__name__}()" for kind in TRANSFORMS)
    if not isinstance(transforms, list | tuple):
        raise TypeError(f"transforms={transforms!r} is not a list of transforms, such as [{known}]")
    for transform in transforms:
        if isinstance(transform, type) or not isinstance(transform, Geometric | Photometric):
            raise TypeError(
                f"transforms={transforms!r}: {transform!r} is not a transform, such as {known}"
            )
    return tuple(transforms)


def zoom_pair(zoom_range: Any) -> list[float]:
    """Return `zoom_range` as [lowest, highest] factor; a number z means [1 - z, 1 + z]."""
    if isinstance(zoom_range, numbers.Real):
        check_number("zoom_range", zoom_range)
        return [1 - zoom_range, 1 + zoom_range]  # type: ignore[list-item]
    try:
        return list(check_pair("`zoom_range`", list(zoom_range)))
    except TypeError:
        raise ValueError(
            "`zoom_range` should be a float or a tuple or list of two floats. "
            f"Received: {zoom_range!r}"
        ) from None


def ranges_of(generator: Generator) -> Ranges:
    """Return what a generator draws from."""
    return Ranges(
        rotation=float(generator.rotation_range),
        height_shift=_shift_of(generator.height_shift_range),
        width_shift=_shift_of(generator.width_shift_range),
        shear=float(generator.shear_range),
        zoom=(generator.zoom_range[0], generator.zoom_range[1]),
        horizontal_flip=bool(generator.horizontal_flip),
        vertical_flip=bool(generator.vertical_flip),
        channel_shift=float(generator.channel_shift_range),
        brightness=(
            None
            if generator.brightness_range is None
            else (generator.brightness_range[0], generator.brightness_range[1])
        ),
    )


def _shift_of(value: Any) -> ShiftRange:
    """Return a float where Keras draws with `uniform`, else what it hands to `choice`."""
    if isinstance(value, float):
        return value
    if np.ndim(value):
        return list(value) if len(value) else 0.0
    return int(value) if isinstance(value, numbers.Integral) and int(value) > 0 else float(value)


def recipe_of(generator: Generator, dtype: Any = None, data_format: str | None = None) -> Recipe:
    """Return what a generator does to every batch; `dtype` and `data_format` override its own."""
    return _recipe(
        generator,
        dtype=np.dtype(generator.dtype if dtype is None else dtype),
        data_format=data_format or generator.data_format,
        mean=_fitted(generator, "featurewise_center", "mean"),
        deviation=_fitted(generator, "featurewise_std_normalization", "std"),
        whitening=_fitted(generator, "zca_whitening", "zca_whitening_matrix"),
    )


def drawn_recipe_of(generator: Generator) -> Recipe:
    """Return a generator's recipe without the statistics, which it needn't have yet."""
    dtype = np.dtype(generator.dtype)
    return _recipe(generator, dtype=dtype, data_format=generator.data_format)


def _recipe(generator: Generator, **settings: Any) -> Recipe:
    return Recipe(
        fill_mode=generator.fill_mode,
        cval=generator.cval,
        order=generator.interpolation_order,
        quirks=generator.keras_quirks,
        transforms=tuple(generator.transforms),
        preprocessing_function=generator.preprocessing_function,
        rescale=generator.rescale,
        samplewise_center=bool(generator.samplewise_center),
        samplewise_normalize=bool(generator.samplewise_std_normalization),
        threads=generator.threads,
        **settings,
    )


def _fitted(generator: Generator, option: str, statistic: str) -> Any:
    """Return a statistic if its option is on; None, with Keras' warning, if it is missing."""
    if not getattr(generator, option):
        return None
    value = getattr(generator, statistic)
    if value is None:
        warnings.warn(
            f"This Generator specifies `{option}`, but it hasn't been fit on any training data. "
            "Fit it first by calling `.fit(numpy_data)`.",
            stacklevel=users_stacklevel(),
        )
        return None
    return np.asarray(value)


def visible_quirks(generator: Generator, height: int, width: int) -> list[str]:
    """Describe the quirks of Keras that show in images of this size with these options."""
    ranges = ranges_of(generator)
    shifts = bool(ranges.height_shift) or bool(ranges.width_shift)
    turned = ranges.rotation or ranges.shear or tuple(ranges.zoom) != (1, 1)
    quirks = []
    if shifts and (height != width or ranges.height_shift != ranges.width_shift):
        quirks.append(
            "height_shift_range moves images horizontally and width_shift_range vertically"
        )
    if turned and height != width:
        quirks.append(
            f"images of {height}x{width} are turned, sheared and zoomed about ({(width - 1) / 2}, "
            f"{(height - 1) / 2}) (row, col), which is not their centre"
        )
    return quirks


def dataframe_arguments(kwargs: dict[str, Any]) -> tuple[bool, bool]:
    """Check `flow_from_dataframe`'s extra arguments; return `keep_aspect_ratio` and `root_only`.

    Keras' old `has_ext`, `sort` and `drop_duplicates` change nothing but a warning.
    """
    kwargs = dict(kwargs)
    keep_aspect_ratio = bool(kwargs.pop("keep_aspect_ratio", False))
    root_only = kwargs.pop("root_only", False)
    check_flag("root_only", root_only)
    for name, advice in _OLD_DATAFRAME_ARGUMENTS.items():
        if name in kwargs:
            del kwargs[name]
            warnings.warn(f"{name} is deprecated, {advice}", DeprecationWarning, stacklevel=3)
    if kwargs:
        raise TypeError(
            f"flow_from_dataframe() got an unexpected keyword argument {next(iter(kwargs))!r}"
        )
    return keep_aspect_ratio, bool(root_only)


_OLD_DATAFRAME_ARGUMENTS = {
    "has_ext": "filenames in the dataframe have to match the exact filenames in disk.",
    "sort": "batches will be created in the same order than the filenames provided if `shuffle` "
    "is set to `False`.",
    "drop_duplicates": "you can drop duplicates by using the pandas.DataFrame.drop_duplicates "
    "method.",
}
