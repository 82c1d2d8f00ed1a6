"""Feed images to a Keras model: ImageDataGenerator's interface and pixels, much faster.

`fastaug.Generator` takes the place of Keras' ImageDataGenerator.  Nothing heavy is imported until
it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastaug import transforms as transforms
    from fastaug.array_iterator import NumpyArrayIterator as NumpyArrayIterator
    from fastaug.errors import DecodeError as DecodeError
    from fastaug.errors import WorkerError as WorkerError
    from fastaug.file_iterators import DataFrameIterator as DataFrameIterator
    from fastaug.file_iterators import DirectoryIterator as DirectoryIterator
    from fastaug.folder_statistics import fit_folder as fit_folder
    from fastaug.generator import Generator as Generator
    from fastaug.input_stats import InputStats as InputStats
    from fastaug.kernels.launch import set_num_threads as set_num_threads
    from fastaug.monitor import SystemMonitor as SystemMonitor
    from fastaug.preprocessing import batched as batched
    from fastaug.scan import scan_folder as scan_folder

__version__ = "0.1.0"

_HOME = {
    "DataFrameIterator": "fastaug.file_iterators",
    "DecodeError": "fastaug.errors",
    "DirectoryIterator": "fastaug.file_iterators",
    "Generator": "fastaug.generator",
    "InputStats": "fastaug.input_stats",
    "NumpyArrayIterator": "fastaug.array_iterator",
    "SystemMonitor": "fastaug.monitor",
    "WorkerError": "fastaug.errors",
    "batched": "fastaug.preprocessing",
    "fit_folder": "fastaug.folder_statistics",
    "scan_folder": "fastaug.scan",
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
