"""What the suite itself rests on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DATA, ROOT


def test_ci_has_the_real_images():
    if os.environ.get("CI"):
        assert (DATA / "dogs_vs_cats" / "train" / "cat").is_dir()
        assert (DATA / "cifar10" / "cifar10_subset.npz").is_file()
        assert (DATA / "tough_images").is_dir()


def run_suite(
    folder: Path, code: str, *options: str, before: Callable[[], object] | None = None
) -> str:
    """Run a small file of tests with this suite's configuration and fixtures; return its words."""
    (folder / "test_small.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest"]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), *options, str(folder / "test_small.py")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        preexec_fn=before,
    )
    return done.stdout + done.stderr


HANGING = """
import threading, time
import pytest
@pytest.mark.parametrize("wait", [time.sleep, lambda s: threading.Event().wait(s)])
def test_hangs(wait):
    wait(100)
@pytest.fixture
def slow():
    time.sleep(100)
def test_gets_nothing(slow):
    pass
def test_goes_on():
    pass
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="elsewhere a timeout ends the run")
def test_a_test_that_hangs_fails_alone(tmp_path):
    said = run_suite(tmp_path, HANGING, "--timeout", "0.5")
    assert "2 failed, 1 passed, 1 error" in said, said
    assert said.count("Timeout (>0.5s)") >= 3


SIGNALLED = """
import os, signal, subprocess, sys, time
import pytest
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM"])
def test_child_gets_it(name):
    number = getattr(signal, name)
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child.stdout.readline()
    os.kill(child.pid, number)
    assert child.wait(30) in (-number, 1)
    child.stdout.close()
    os.kill(os.getpid(), number)  # which this process was told to ignore, and does
"""


def ignore_all() -> None:
    """Do as `nohup`, and a shell's `&`, before a program is started; and block them."""
    numbers = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD}
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_signals_ignored_by_who_started_the_tests_reach_what_they_start(tmp_path):
    said = run_suite(tmp_path, SIGNALLED, before=ignore_all)
    assert "3 passed" in said, said
