"""Feed images to a Keras model: ImageDataGenerator's interface and pixels, much faster.

`fastaug.Generator` takes the place of Keras' ImageDataGenerator.  Nothing heavy is imported until
it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastaug import recipes as recipes
    from fastaug import transforms as transforms
    from fastaug.augmenter import Augmenter as Augmenter
    from fastaug.errors import DecodeError as DecodeError
    from fastaug.errors import WorkerError as WorkerError
    from fastaug.fitting.folders import fit_folder as fit_folder
    from fastaug.generator import Generator as Generator
    from fastaug.iterators.arrays import NumpyArrayIterator as NumpyArrayIterator
    from fastaug.iterators.dataframes import DataFrameIterator as DataFrameIterator
    from fastaug.iterators.files import DirectoryIterator as DirectoryIterator
    from fastaug.keras_legacy import Iterator as Iterator
    from fastaug.keras_legacy import array_to_img as array_to_img
    from fastaug.keras_legacy import img_to_array as img_to_array
    from fastaug.keras_legacy import load_img as load_img
    from fastaug.keras_legacy import save_img as save_img
    from fastaug.kernels.launch import set_num_threads as set_num_threads
    from fastaug.pixels.preprocessing import batched as batched
    from fastaug.preview.preview import Preview as Preview
    from fastaug.scan.report import scan_folder as scan_folder
    from fastaug.watch.input_stats import InputStats as InputStats
    from fastaug.watch.monitor import SystemMonitor as SystemMonitor

__version__ = "0.1.0"

_HOME = {
    "Augmenter": "fastaug.augmenter",
    "recipes": "fastaug.recipes",
    "DataFrameIterator": "fastaug.iterators.dataframes",
    "DecodeError": "fastaug.errors",
    "DirectoryIterator": "fastaug.iterators.files",
    "Generator": "fastaug.generator",
    "Iterator": "fastaug.keras_legacy",
    "InputStats": "fastaug.watch.input_stats",
    "NumpyArrayIterator": "fastaug.iterators.arrays",
    "Preview": "fastaug.preview.preview",
    "SystemMonitor": "fastaug.watch.monitor",
    "WorkerError": "fastaug.errors",
    "array_to_img": "fastaug.keras_legacy",
    "batched": "fastaug.pixels.preprocessing",
    "fit_folder": "fastaug.fitting.folders",
    "img_to_array": "fastaug.keras_legacy",
    "load_img": "fastaug.keras_legacy",
    "save_img": "fastaug.keras_legacy",
    "scan_folder": "fastaug.scan.report",
    "set_num_threads": "fastaug.kernels.launch",
    "transforms": "fastaug.transforms",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - sorted() of strings is a list of strings


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_HOME[name])
    value = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
