"""Scripts that run once for each backend of Keras, in processes of their own, and tell in JSON."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
BACKENDS = ("tensorflow", "jax")


def installed(backend: str) -> bool:
    return importlib.util.find_spec(backend) is not None


def observations_of(script: str, *arguments: str, timeout_s: float) -> dict[str, dict[str, Any]]:
    """Run a script of the tests on each installed backend, side by side; return what it told.

    By backend: {scenario: what it observed, "stderr": ...}.  Each has a process group of its own.
    """
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    (path,) = TESTS.rglob(script)
    runs = {
        backend: subprocess.Popen(
            [sys.executable, str(path), backend, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        for backend in filter(installed, BACKENDS)
    }
    observed, end = {}, time.monotonic() + timeout_s
    try:
        for backend, run in runs.items():
            output, errors = run.communicate(timeout=end - time.monotonic())
            assert run.returncode == 0, errors
            observed[backend] = json.loads(output.splitlines()[-1]) | {"stderr": errors}
    finally:
        for run in runs.values():
            run.kill()
            run.communicate()
    return observed


def report(scenarios: Iterable[tuple[str, Callable[[], Any]]]) -> None:
    """Run scenarios in a script; print what they observed, or {"traceback": ...}."""
    import keras

    keras.utils.disable_interactive_logging()
    keras.utils.set_random_seed(7)
    results = {}
    for name, run in scenarios:
        start = time.perf_counter()
        try:
            results[name] = run()
        except Exception:
            results[name] = {"traceback": traceback.format_exc()}
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    print(json.dumps({"backend": keras.backend.backend(), **results}))
