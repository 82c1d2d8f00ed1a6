"""Every option of a `Generator`: a field each, with its default and its check.

Scripts change options after they made a generator, as Keras allows.  So what follows from them is
forgotten when one is changed, and what was changed is checked before it is used.
"""

from __future__ import annotations

import contextlib
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, InitVar, asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastaug.checks import (
    check_flag,
    check_integer,
    check_number,
    check_one_of,
    check_optional,
    check_pair,
    check_share,
)
from fastaug.errors import users_stacklevel
from fastaug.files.cache.base import check_cache
from fastaug.files.cache.memory import MemoryCaches
from fastaug.files.target import DECODES, Target
from fastaug.fork_2017 import with_ordering, with_pool
from fastaug.keras_settings import check_data_format, default_data_format, default_dtype
from fastaug.kernels.warp import FILL_MODES
from fastaug.machine import usable_cores
from fastaug.pixels.batch import Recipe
from fastaug.pixels.layout import Array, check_dtype, working_dtype
from fastaug.pixels.preprocessing import check_function
from fastaug.pixels.spline import require_ndimage
from fastaug.pixels.standardization import PENDING, Standardization, standardization
from fastaug.targets.boxes import FORMATS as BOX_FORMATS
from fastaug.targets.boxes import BoxRules
from fastaug.targets.following import TargetRules
from fastaug.targets.points import check_pairs
from fastaug.transforms.base import Mixes, Moves, Recolours, Repaints, Transform
from fastaug.transforms.keras.draws import Ranges
from fastaug.transforms.keras.policy import (
    KerasAugmentation,
    check_shift_range,
    shift_range,
    without_augmentation,
    zoom_pair,
)
from fastaug.transforms.listing import check_transforms, plain_transforms, words_of
from fastaug.transforms.policy import Policy
from fastaug.transforms.recolours.normalize import Normalize

ON_ERROR = ("raise", "skip")
TIMEOUT_S = 120.0
# What an option needs that `fit` finds.
_STATISTICS = {
    "featurewise_center": "mean",
    "featurewise_std_normalization": "std",
    "zca_whitening": "zca_whitening_matrix",
}


def _check_order(name: str, value: Any) -> None:
    check_integer(name, value, minimum=0, maximum=5)
    if value > 1:
        require_ndimage(value)


def _check_timeout(name: str, value: Any) -> None:
    check_number(name, value)
    if value <= 0:
        raise ValueError(f"{name}={value!r} must be above 0 seconds")


def _option(default: Any, check: Callable[[str, Any], object]) -> Any:
    """Return the field of an option: `check` takes its name and its value, and raises."""
    return field(default=default, metadata={"check": check})


_FLAG = partial(_option, check=check_flag)
_from_zero = partial(check_number, minimum=0)
_check_range = partial(check_optional, check_number)  # below 0, too: Keras draws from it


class _Inside:
    """What is no option: not in `vars(generator)`, which programs write down as JSON."""

    __slots__ = ("_derived", "_told", "memory_caches")
    _derived: dict[Any, Any] | None  # what follows from the options, until one is changed
    _told: frozenset[str]  # what was warned of already
    memory_caches: MemoryCaches


@dataclass(eq=False, repr=False)
class Settings(_Inside):
    """Every option of `Generator`, where they are explained; checked here.

    Up to `dtype` they are Keras', in its order; the others are keyword-only and fastaug's own.
    An option that is changed later is checked before the next batch.
    """

    featurewise_center: bool = _FLAG(False)
    samplewise_center: bool = _FLAG(False)
    featurewise_std_normalization: bool = _FLAG(False)
    samplewise_std_normalization: bool = _FLAG(False)
    zca_whitening: bool = _FLAG(False)
    zca_epsilon: float = _option(1e-6, _from_zero)
    rotation_range: float | None = _option(0, _check_range)
    width_shift_range: Any = _option(0.0, check_shift_range)
    height_shift_range: Any = _option(0.0, check_shift_range)
    brightness_range: Sequence[float] | None = _option(None, partial(check_optional, check_pair))
    shear_range: float | None = _option(0.0, _check_range)
    zoom_range: Any = _option(0.0, zoom_pair)
    channel_shift_range: float | None = _option(0.0, _check_range)
    fill_mode: str = _option("nearest", partial(check_one_of, accepted=FILL_MODES))
    cval: float = _option(0.0, check_number)
    horizontal_flip: bool = _FLAG(False)
    vertical_flip: bool = _FLAG(False)
    rescale: float | None = _option(None, partial(check_optional, check_number))
    preprocessing_function: Callable[[Array], Array] | str | None = _option(None, check_function)
    data_format: str | None = _option(None, check_data_format)
    validation_split: InitVar[float] = 0.0
    interpolation_order: int = _option(1, _check_order)
    dtype: Any = _option(None, check_dtype)
    _: KW_ONLY
    pool: InitVar[Any] = None
    workers: int | None = _option(None, partial(check_optional, partial(check_integer, minimum=0)))
    threads: int | None = _option(None, partial(check_optional, partial(check_integer, minimum=1)))
    read_ahead: int = _option(2, partial(check_integer, minimum=0))
    timeout: float = _option(TIMEOUT_S, _check_timeout)
    on_error: str = _option("raise", partial(check_one_of, accepted=ON_ERROR))
    decode: str = _option("exact", partial(check_one_of, accepted=DECODES))
    exif_transpose: bool = _FLAG(False)
    scale_16bit: bool = _FLAG(False)
    cache: str | Path | None = _option(None, check_cache)
    cache_bytes: int | None = _option(
        None, partial(check_optional, partial(check_integer, minimum=1))
    )
    keras_quirks: bool = _FLAG(True)
    transforms: Sequence[Transform] = _option((), check_transforms)
    bounding_box_format: str = _option("xyxy", partial(check_one_of, accepted=BOX_FORMATS))
    max_boxes: int | None = _option(
        None, partial(check_optional, partial(check_integer, minimum=1))
    )
    min_visibility: float = _option(0.0, check_share)
    min_area: float = _option(0.0, _from_zero)
    mask_fill: float = _option(0, check_number)
    erase_masks: bool = _FLAG(False)
    flip_pairs: Sequence[tuple[int, int]] | None = _option(
        None, lambda _, pairs: check_pairs(pairs)
    )
    dim_ordering: InitVar[str | None] = None

    def __post_init__(self, validation_split: float, pool: Any, dim_ordering: str | None) -> None:
        self.data_format = with_ordering(self.data_format, dim_ordering) or default_data_format()
        self.dtype = check_dtype(
            "dtype", default_dtype() if self.dtype is None else self.dtype
        ).name
        self.workers = with_pool(self.workers, pool)
        _check_split(validation_split)
        self._validation_split = validation_split
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None
        self.memory_caches = MemoryCaches(self.cache_bytes)
        object.__setattr__(self, "_told", frozenset())
        self.check()
        self._resolve_standardization()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        object.__setattr__(self, "_derived", None)

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value!r}" for name, value in self.changed().items())
        return f"{type(self).__name__}({changed})"

    def changed(self) -> dict[str, Any]:
        """Return the options that differ from the defaults, as they are now."""
        with contextlib.suppress(ValueError, TypeError):
            self.check()  # brings some to the form that they are kept in
        default, changed = Settings(), {}
        for option, attribute in _OPTIONS.items():
            value, usual = getattr(self, attribute), getattr(default, attribute)
            if value is not usual and not np.array_equal(value, usual):
                changed[option] = value
        return changed

    def check(self) -> None:
        """Raise a ValueError or TypeError, in the user's words, for the first bad option."""
        if self._derived is not None:
            return
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))
        if self.cache_bytes is not None and self.cache != "memory":
            raise ValueError(
                f"cache_bytes={self.cache_bytes!r} needs cache='memory', not cache={self.cache!r}"
            )
        # Past `__setattr__`: to bring them to the form that they are kept in is no change.
        self.__dict__["zoom_range"] = zoom_pair("zoom_range", self.zoom_range)
        self.__dict__["transforms"] = tuple(self.transforms)
        object.__setattr__(self, "_derived", {})

    def _resolve_standardization(self) -> None:
        """Switch on what an option needs and off what it excludes, with Keras' warnings."""
        for option, other, value in (
            ("zca_whitening", "featurewise_center", True),
            ("zca_whitening", "featurewise_std_normalization", False),
            ("featurewise_std_normalization", "featurewise_center", True),
            ("samplewise_std_normalization", "samplewise_center", True),
        ):
            if getattr(self, option) and bool(getattr(self, other)) is not value:
                setattr(self, other, value)
                warnings.warn(
                    f"This Generator specifies `{option}`, which overrides setting of `{other}`.",
                    stacklevel=users_stacklevel(),
                )

    @property
    def decode_workers(self) -> int:
        """How many processes decode files."""
        return usable_cores() if self.workers is None else int(self.workers)

    def policy(self, *, augment: bool = True) -> Policy:
        """Return what is drawn; without `augment` only what brings images to their size."""
        self.check()
        if not augment:
            return self._derive(
                "plain policy",
                lambda: Policy(without_augmentation(), plain_transforms(self.transforms)),
                lasting=True,
            )
        zoom, bright = self.zoom_range, self.brightness_range
        # Lists may be changed in place, past `__setattr__`.
        pairs = (zoom[0], zoom[1]), None if bright is None else (bright[0], bright[1])
        shifts = self.height_shift_range, self.width_shift_range
        return self._derive(
            ("policy", *pairs),
            self._new_policy,
            lasting=all(isinstance(shift, int | float) for shift in shifts),
        )

    def _new_policy(self) -> Policy:
        zoom, bright = self.zoom_range, self.brightness_range
        ranges = Ranges(
            rotation=float(self.rotation_range or 0),
            height_shift=shift_range(self.height_shift_range),
            width_shift=shift_range(self.width_shift_range),
            shear=float(self.shear_range or 0),
            zoom=(zoom[0], zoom[1]),
            horizontal_flip=bool(self.horizontal_flip),
            vertical_flip=bool(self.vertical_flip),
            channel_shift=float(self.channel_shift_range or 0),
            brightness=None if bright is None else (bright[0], bright[1]),
        )
        keras = KerasAugmentation(ranges, bool(self.keras_quirks))
        return Policy(keras, tuple(self.transforms))

    def recipe(self, channels: int, dtype: Any = None, data_format: str | None = None) -> Recipe:
        """Return what is done to every batch; `dtype` and `data_format` override the options."""
        self.check()
        self.warn_of_missing_statistics()
        return self._derive(
            ("recipe", channels, dtype, data_format),
            lambda: self._new_recipe(channels, dtype, data_format),
            lasting=not any(getattr(self, option) for option in _STATISTICS),
        )

    def _new_recipe(self, channels: int, dtype: Any, data_format: str | None) -> Recipe:
        data_format = data_format or str(self.data_format)
        return replace(
            self.drawn_recipe(),
            dtype=np.dtype(self.dtype if dtype is None else dtype),
            data_format=data_format,
            standardization=self.standardization(channels, data_format),
        )

    def _derive(self, key: Any, make: Callable[[], Any], *, lasting: bool) -> Any:
        """Return what follows from the options: from before, if none was changed since.

        `lasting` says that nothing in it can be changed in place without a change of the key.
        """
        derived = self._derived
        if not lasting or derived is None:  # another thread may have changed an option
            return make()
        if key not in derived:
            derived[key] = make()
        return derived[key]

    def drawn_recipe(self) -> Recipe:
        """Return the recipe of the augmentation alone."""
        self.check()
        return Recipe(
            dtype=np.dtype(self.dtype),
            data_format=str(self.data_format),
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
            threads=self.threads,
        )

    def standardization(self, channels: int, data_format: str | None = None) -> Standardization:
        """Return the steps that follow the augmentation.

        Parameters
        ----------
        channels, data_format
            Of the images.
        """
        self.check()
        fitted: dict[str, Any] = {}
        for option, statistic in _STATISTICS.items():
            value = getattr(self, statistic)
            fitted[option] = None
            if getattr(self, option):
                fitted[option] = PENDING if value is None else np.asarray(value)
        return standardization(
            channels,
            data_format or str(self.data_format),
            working_dtype(self.dtype),
            preprocessing_function=self.preprocessing_function,
            normalize=next((each for each in self.transforms if isinstance(each, Normalize)), None),
            rescale=self.rescale,
            samplewise_center=bool(self.samplewise_center),
            samplewise_normalize=bool(self.samplewise_std_normalization),
            mean=fitted["featurewise_center"],
            deviation=fitted["featurewise_std_normalization"],
            whitening=fitted["zca_whitening"],
        )

    def target_rules(self) -> TargetRules:
        """Return how masks, boxes and points follow their images."""
        self.check()
        boxes = BoxRules(
            self.bounding_box_format, self.max_boxes, self.min_visibility, self.min_area
        )
        pairs = check_pairs(self.flip_pairs)
        return TargetRules(boxes, self.mask_fill, bool(self.erase_masks), pairs)

    def warn_of_missing_statistics(self) -> None:
        """Warn, as Keras does, if an option needs what `fit` has not found yet."""
        for option, statistic in _STATISTICS.items():
            if getattr(self, option) and getattr(self, statistic) is None:
                warnings.warn(
                    f"This Generator specifies `{option}`, but it hasn't been fit on any training "
                    "data. Fit it first by calling `.fit(numpy_data)`.",
                    stacklevel=users_stacklevel(),
                )

    def augments(self) -> bool:
        """Tell whether anything is drawn for images."""
        plain, whole = self.policy(augment=False), self.policy()
        ranges = (asdict(policy.keras.ranges) for policy in (plain, whole))
        return operator.ne(*ranges) or whole.transforms != plain.transforms

    def warn_once(self, topic: str, message: str) -> None:
        """Warn of something that this generator has not warned of yet."""
        if topic not in self._told:
            object.__setattr__(self, "_told", self._told | {topic})
            warnings.warn(message, stacklevel=users_stacklevel())

    def warn_of_quirks(self, height: int, width: int) -> None:
        """Warn, once, if quirks of Keras show in images of this size."""
        quirks = self.policy().keras.visible_quirks(height, width)
        if quirks:
            self.warn_once(
                "quirks",
                f"as in Keras, {'; and '.join(quirks)}. "
                "keras_quirks=False does what the documentation says.",
            )

    def words(self) -> str:
        """Return what happens to every image, in order, one numbered line each."""
        steps = [*self._warp_words(), *self.policy().keras.changing_words]
        steps += words_of(self.transforms, Recolours)
        steps += words_of(self.transforms, Repaints)
        steps += self.standardization(channels=3).words
        steps += words_of(self.transforms, Mixes)
        steps.append(f"give out as {self.dtype}, {self.data_format}")
        lines = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
        return "\n".join(["Each image, in this order:", *lines])

    def _warp_words(self) -> list[str]:
        moves = words_of(self.transforms, Moves)
        moves += self.policy().keras.moving_words
        if not moves:
            return []
        outside = f"fill_mode={self.fill_mode!r}"
        if self.fill_mode == "constant":
            outside += f", cval={self.cval}"
        order = f"interpolation_order={self.interpolation_order}"
        return [f"warp, once: {'; '.join(moves)} ({outside}, {order})"]

    def decoding(self, target: Target) -> Target:
        """Return what files are turned into: a target with what the options say of decoding."""
        self.check()
        return replace(
            target,
            decode=self.decode,
            exif_transpose=bool(self.exif_transpose),
            scale_16bit=bool(self.scale_16bit),
        )


_CHECKS = {option.name: option.metadata["check"] for option in fields(Settings) if option.metadata}
# Arguments that are no attributes themselves, and the attribute that each is kept in, if any.
_ATTRIBUTES = {"validation_split": "_validation_split", "pool": "", "dim_ordering": ""}
_OPTIONS = {
    name: _ATTRIBUTES.get(name, name)
    for name, option in Settings.__dataclass_fields__.items()
    if _ATTRIBUTES.get(name, name)
}
for _name in _ATTRIBUTES:
    delattr(Settings, _name)  # a default that an instance would show whatever it was given


def _check_split(validation_split: Any) -> None:
    if validation_split:
        check_number("validation_split", validation_split)
        if not 0 < validation_split < 1:
            raise ValueError(
                "`validation_split` must be strictly between 0 and 1. "
                f"Received: {validation_split!r}"
            )
