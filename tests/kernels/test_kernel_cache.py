"""The cache of compiled kernels: whoever changes a kernel gets the new code, and nobody else waits.

What happens where it can't be written is in `test_file_faults.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from pools import COMPILING

# A kernel whose work is done in another file, as in `batch.py`, but compiled in a second.
CALLER = """
from fastaug.kernels.launch import inner
from fastaug.kernels.pointwise import shift_channels

@inner
def shift_all(values, shift, low, high):
    shift_channels(values, 0, len(values), shift, low, high)
"""
SHIFT = """
import numpy as np
from fastaug.kernels.caller import shift_all
values = np.arange(6, dtype=np.float32)
shift_all(values, np.float32(2), np.float32(0), np.float32(9))
print(values.tolist())
"""
SHIFTED = "[2.0, 3.0, 4.0, 5.0, 6.0, 7.0]\n"
SHIFTED_TWICE = "[4.0, 5.0, 6.0, 7.0, 8.0, 9.0]\n"


class Package:
    """A copy of the package, with one kernel more, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.kernels = folder / "fastaug" / "kernels"
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "fastaug", folder / "fastaug", ignore=no_caches)
        (self.kernels / "caller.py").write_text(CALLER)

    def shift(self, before: str = "") -> tuple[str, str]:
        """Let a new process shift some values; return what it printed, and what it said."""
        environment = {name: os.environ[name] for name in os.environ if name != "NUMBA_CACHE_DIR"}
        homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), str(self.home))
        done = subprocess.run(
            [sys.executable, "-c", before + SHIFT],
            cwd=self.home.parent,  # what `-c` imports comes from there
            env=environment | homes | {"PYTHONPATH": str(self.home.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        return done.stdout, done.stderr

    def edit(self) -> None:
        """Change the file of the function that the kernel calls, as an upgrade does."""
        path = self.kernels / "pointwise.py"
        source = path.read_text()
        assert source.count("values[np.uintp(k)] + shift, low") == 1
        path.write_text(source.replace("+ shift, low", "+ 2 * shift, low"))

    def kept(self) -> list[Path]:
        """Files of the compiled kernel, wherever they are."""
        return sorted(self.home.parent.rglob("caller.shift_all*.nbc"))


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


@pytest.fixture(params=["inner", "inlined"])
def inlining(package: Package, request) -> Package:
    """The same, where the function is called, and where Numba puts it in place."""
    path = package.kernels / "pointwise.py"
    source = path.read_text()
    assert "@inner\ndef shift_channels" in source
    changed = source.replace("@inner\ndef shift_channels", f"@{request.param}\ndef shift_channels")
    path.write_text(changed)
    return package


def test_kernel_is_compiled_once(package):
    assert package.shift() == (SHIFTED, COMPILING)
    [kept] = package.kept()
    assert kept.parent == package.kernels / "__pycache__"
    assert package.shift() == (SHIFTED, "")


def test_kernel_is_compiled_anew_where_what_it_calls_has_changed(inlining):
    assert inlining.shift() == (SHIFTED, COMPILING)
    [old] = inlining.kept()
    inlining.edit()
    assert inlining.shift() == (SHIFTED_TWICE, COMPILING)
    [new] = inlining.kept()
    assert new != old
    assert inlining.shift() == (SHIFTED_TWICE, "")


# As where a process is killed, or the disk is full, between Numba's two files.
KILLED = """
import os
from numba.core.caching import IndexDataCacheFile
IndexDataCacheFile._save_data = lambda *_: os._exit(0)
"""


def test_old_code_is_not_taken_for_new_where_only_the_index_is(package):
    package.shift()
    package.edit()
    assert package.shift(KILLED) == ("", COMPILING)
    assert package.shift() == (SHIFTED_TWICE, COMPILING)
    assert package.shift() == (SHIFTED_TWICE, "")


UNREADABLE = """
import pathlib
def refuse(*_):
    raise PermissionError(13, "Permission denied")
pathlib.Path.read_bytes = refuse
"""
# Numba asks by a temporary file whether it may write to a folder; root may write to all of them.
READ_ONLY = """
import os, tempfile
temporary_file = tempfile.TemporaryFile
def refuse(*arguments, dir=None, **options):
    if dir is None or {} in os.fspath(dir):
        raise PermissionError(13, "Permission denied")
    return temporary_file(*arguments, dir=dir, **options)
tempfile.TemporaryFile = refuse
"""


def test_kernels_file_is_looked_at_where_the_others_cannot_be_read(package):
    assert package.shift(UNREADABLE) == (SHIFTED, COMPILING)
    assert package.shift(UNREADABLE) == (SHIFTED, "")
    caller = package.kernels / "caller.py"
    caller.write_text(caller.read_text().replace("values), shift", "values), 2 * shift"))
    assert package.shift(UNREADABLE) == (SHIFTED_TWICE, COMPILING)


def test_home_has_the_cache_where_the_package_is_read_only(package):
    before = READ_ONLY.format("'__pycache__'")
    assert package.shift(before) == (SHIFTED, COMPILING)
    [kept] = package.kept()
    assert kept.is_relative_to(package.home)
    assert package.shift(before) == (SHIFTED, "")
    package.edit()
    assert package.shift(before) == (SHIFTED_TWICE, COMPILING)


def test_nothing_is_kept_where_all_is_read_only(package):
    for _ in range(2):
        assert package.shift(READ_ONLY.format("''")) == (SHIFTED, COMPILING)
    assert package.kept() == []


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_what_is_damaged_is_made_anew(package, ending):
    package.shift()
    for path in package.kernels.glob(f"__pycache__/caller.*.{ending}"):
        path.write_bytes(path.read_bytes()[:9])
    assert package.shift() == (SHIFTED, COMPILING)
    assert package.shift() == (SHIFTED, "")
