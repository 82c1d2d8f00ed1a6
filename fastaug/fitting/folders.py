"""Mean, deviation and ZCA whitening of the images of a folder, a batch at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_number, folder_path
from fastaug.errors import DecodeError
from fastaug.files.catalog import FilePaths
from fastaug.files.folders import list_images
from fastaug.files.progress import progress_bar
from fastaug.files.target import Target, checked_target
from fastaug.fitting.arrays import whitening_of_products
from fastaug.fitting.stored import Statistics, write_statistics
from fastaug.iterators.files import DirectoryIterator
from fastaug.iterators.substitutes import Unreadable
from fastaug.machine import default_cache_bytes
from fastaug.settings import TIMEOUT_S, Settings

Numbers = NDArray[np.float64]

_BATCH_VALUES, _BATCH_FILES = 2**23, 512  # at most
_PIECE_VALUES = 2**17  # of a batch at a time: 1 MB in float64, which stays in the cache
# Of (values, values) float64 at a time: sums, a scaled copy, eigenvectors, and three for LAPACK.
_MATRICES = 6


@dataclass(frozen=True, slots=True, eq=False)
class FolderStatistics:
    """Statistics of a folder, and the files that can't be read and are not in them."""

    statistics: Statistics
    skipped: tuple[Unreadable, ...]

    def save(self, path: str | Path) -> None:
        """Write the statistics to a JSON file, for `Generator.load_statistics`."""
        write_statistics(path, self.statistics)


def fit_folder(
    directory: str | Path,
    target_size: tuple[int, int],
    *,
    color_mode: str = "rgb",
    interpolation: str = "nearest",
    rescale: float | None = None,
    zca: bool = False,
    zca_epsilon: float = 1e-6,
    keep_aspect_ratio: bool = False,
    exif_transpose: bool = False,
    scale_16bit: bool = False,
    skip_errors: bool = False,
    workers: int | None = None,
    timeout: float = TIMEOUT_S,
    progress: bool = False,
) -> FolderStatistics:
    """Find what `Generator.fit` finds on all images of a folder, without holding all of them.

    Parameters
    ----------
    directory
        Folder with one sub-folder per class, as for `flow_from_directory`, or with images only.
    target_size, color_mode, interpolation
        As for `flow_from_directory`; target_size is (height, width).
    rescale
        The factor of the generator that will use the statistics.
    zca, zca_epsilon
        Whether to make the ZCA whitening matrix, too, and what is added to its singular values.
    keep_aspect_ratio, exif_transpose, scale_16bit
        As for `flow_from_directory` and `Generator`.
    skip_errors
        Whether files that can't be read are left out.  False: the first one is an error.
    workers, timeout
        As for `Generator`.
    progress
        Whether to show a progress bar, if stderr is a screen.

    Raises
    ------
    DecodeError
        If a file can't be read and `skip_errors` is False, or if none can be read.
    FileNotFoundError, NotADirectoryError
        If the folder is missing or is none.
    ValueError, TypeError
        For an argument out of range, a folder without images, or a whitening matrix that would
        take more than half of the memory that is free.
    """
    check_flag("zca", zca)
    check_flag("skip_errors", skip_errors)
    check_number("zca_epsilon", zca_epsilon, minimum=0)
    if rescale is not None:
        check_number("rescale", rescale)
        rescale = float(rescale) or None  # as in `fit`, a factor of 0 is none
    directory = folder_path("directory", directory)
    target = checked_target(target_size, color_mode, interpolation, keep_aspect_ratio)
    if zca:
        _check_memory(*target.slot_shape)
    settings = Settings(
        data_format="channels_last",
        dtype="float32",
        workers=workers,
        timeout=timeout,
        on_error="skip" if skip_errors else "raise",
        exif_transpose=exif_transpose,
        scale_16bit=scale_16bit,
    )
    with _open(directory, settings, target) as images:
        if not images.n:
            raise ValueError(f"there are no images in {str(directory)!r}")
        sums = _sum_images(images, target, bool(zca), progress)
        skipped = tuple(images.errors)
    source = {
        "directory": str(directory),
        "target_size": [target.height, target.width],
        "color_mode": color_mode,
        "interpolation": interpolation,
        "keep_aspect_ratio": bool(keep_aspect_ratio),
        "exif_transpose": bool(exif_transpose),
        "scale_16bit": bool(scale_16bit),
        "skipped": len(skipped),
    }
    return FolderStatistics(sums.statistics(rescale, float(zca_epsilon), source), skipped)


def _check_memory(height: int, width: int, channels: int) -> None:
    """Raise a ValueError that tells the memory, unless half of what is free will do."""
    values = height * width * channels
    needed, free = _MATRICES * 8 * values**2, default_cache_bytes()
    if needed > free:
        raise ValueError(
            f"ZCA whitening of images of {height}x{width} with {channels} channels needs a matrix "
            f"of {values:,} x {values:,} numbers, and {needed / 1e9:,.1f} GB of memory to compute "
            f"it; half of what is free is {free / 1e9:,.1f} GB: a smaller target_size would do"
        )


class _Images(DirectoryIterator):
    """The images of a folder, in order."""

    def _report(self) -> None:
        """Tell nothing of others in the places of files that can't be read: these don't count."""


def _open(directory: str | Path, settings: Settings, target: Target) -> _Images:
    folder, classes = Path(directory), None
    if folder.is_dir() and not _has_folders(folder) and list_images(str(folder)):
        folder = folder.resolve()  # images only: one class of the folder above
        folder, classes = folder.parent, [folder.name]
    return _Images(
        folder,
        settings,
        target_size=(target.height, target.width),
        color_mode=target.color_mode,
        interpolation=target.interpolation,
        keep_aspect_ratio=target.keep_aspect_ratio,
        classes=classes,
        class_mode=None,
        batch_size=max(1, min(_BATCH_FILES, _BATCH_VALUES // math.prod(target.slot_shape))),
        shuffle=False,
        seed=0,  # so that none is drawn from the user's random numbers
        data_format="channels_last",
        dtype="float32",
    )


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() for entry in folder.iterdir())


class _Moments:
    """Count, mean and deviations from it, of rows of numbers that come a batch at a time.

    Parameters
    ----------
    width
        How many numbers a row has.
    products
        Whether `deviations` are sums of products, (width, width), or of squares, (width,).

    References
    ----------
    Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances", 1979, equation 2.1: two sets are merged without a sum of squares of values, which
    would cancel.
    """

    def __init__(self, width: int, *, products: bool) -> None:
        self._products = products
        self.count = 0
        self.mean = np.zeros(width)
        self.deviations = np.zeros((width, width) if products else width)

    def add(self, rows: Numbers) -> None:
        """Merge a batch of rows, (n, width), which is changed."""
        count = len(rows)
        if not count:
            return
        mean = rows.mean(axis=0)
        rows -= mean
        total = self.count + count
        step, weight = mean - self.mean, self.count * count / total
        if self._products:
            self.deviations += rows.T @ rows
            self.deviations += np.outer(weight * step, step)
        else:
            self.deviations += np.einsum("ij,ij->j", rows, rows) + weight * step**2
        self.mean += step * (count / total)
        self.count = total

    def of_groups(self, width: int) -> tuple[Numbers, Numbers]:
        """Return means and mean squares of deviations where columns k, k + width, ... are one."""
        means = self.mean.reshape(-1, width)
        mean = means.mean(axis=0)
        squares = self.deviations.reshape(-1, width).sum(axis=0) / self.count
        return mean, (squares + np.square(means - mean).sum(axis=0)) / len(means)

    def products_about(self, center: Numbers) -> Numbers:
        """Return the sums of products, (width, width), of deviations from another center."""
        step = self.mean - center
        return self.deviations + np.outer(self.count * step, step)


@dataclass(frozen=True, slots=True)
class _Sums:
    """The moments of lines of pixels, and those of whole images if they are asked for."""

    channels: int
    lines: _Moments
    images: _Moments | None
    count: int  # of images

    def statistics(
        self, rescale: float | None, zca_epsilon: float, source: dict[str, Any]
    ) -> Statistics:
        """Return what `fit` finds; `rescale` is done here, which is the same by then."""
        factor = rescale or 1.0
        mean, variance = self.lines.of_groups(self.channels)
        whitening = None
        if self.images is not None:
            # `fit` centres the values of a channel, not each on its own.
            center = np.resize(mean, self.images.mean.shape)
            products = self.images.products_about(center) * factor**2
            whitening = whitening_of_products(products, self.count, zca_epsilon)
        return Statistics(
            channels=self.channels,
            mean=mean * factor,
            std=np.sqrt(variance) * abs(factor),
            whitening=whitening,
            zca_epsilon=None if whitening is None else zca_epsilon,
            rescale=rescale,
            count=self.count,
            source=source,
        )


def _sum_images(images: _Images, target: Target, zca: bool, progress: bool) -> _Sums:
    """Read all images once."""
    height, width, channels = target.slot_shape
    values = height * width * channels
    # NumPy is slow along an axis of three: a line of pixels is one sample, channels come last.
    lines = _Moments(width * channels, products=False)
    of_images = _Moments(values, products=True) if zca else None
    paths, count = FilePaths(images.filepaths), 0
    with progress_bar("Reading", images.n, shown=progress) as done:
        for first in range(0, images.n, images.batch_size):
            batch = _next_batch(images)
            done(len(batch))
            # Others stand in the places of files that can't be read: out with them.
            broken = {error.path for error in images.errors}
            if broken:
                batch = batch[[paths[first + i] not in broken for i in range(len(batch))]]
            count += len(batch)
            if of_images is not None:
                of_images.add(batch.reshape(len(batch), values).astype(np.float64))
            samples = batch.reshape(-1, width * channels)
            piece = max(1, _PIECE_VALUES // samples.shape[1])
            for start in range(0, len(samples), piece):
                lines.add(samples[start : start + piece].astype(np.float64))
    return _Sums(channels, lines, of_images, count)


def _next_batch(images: _Images) -> NDArray[np.float32]:
    try:
        return next(images)
    except DecodeError as error:
        advice = "skip_errors leaves such files out, `fastaug scan` lists them all"
        raise DecodeError(error.path, f"{error.reason}; {advice}") from error
