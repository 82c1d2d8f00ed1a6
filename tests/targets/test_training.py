"""Models learn from what iterators give: masks, mixed labels, boxes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from backends import installed
from conftest import ROOT


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_three_models_learn_on_each_backend(backend):
    if not installed(backend):
        pytest.skip(f"{backend} is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "training.py", "--quick"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["U-Net", "classifier", "detector"]
    for line in lines:
        first, last = map(float, re.search(r"from ([\d.]+) to ([\d.]+)$", line).groups())
        assert last < first, line
