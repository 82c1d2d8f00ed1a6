"""Scripts as people write them: without a guard, from stdin, typed, and ended at any moment."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from conftest import ON_LINUX
from pools import (
    Sabotage,
    alive,
    draw_photos,
    numbered,
    output_of,
    script_path,
    start_script,
    wait_for,
)

# Makes batches of files with decode processes and with a function that can't be pickled.  Each
# statement is one line, so that it can be typed.
SCRIPT = """
import hashlib
from fastaug import Generator
print("running", __name__)
two = 2
generator = Generator(workers=2, preprocessing_function=lambda image: image / two)
photos = generator.flow_from_directory(FOLDER, (8, 8), batch_size=4, class_mode=None, seed=1)
batches = [next(photos).tobytes() for _ in range(6)]
print("made", hashlib.sha256(b"".join(batches)).hexdigest())
"""
WAYS = {"a file": ["script.py"], "stdin": ["-"], "-c": ["-c", SCRIPT], "typed": ["-i", "-q"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, tuple[str, str, int]]:
    """What the script printed on stdout and stderr, and its exit code, by the way it was run."""
    folder = tmp_path_factory.mktemp("scripts")
    draw_photos(folder / "photos" / "a", numbered(12))
    code = SCRIPT.replace("FOLDER", repr(str(folder / "photos")))
    (folder / "script.py").write_text(code)
    scripts = {
        way: subprocess.Popen(
            [sys.executable, *(code if word is SCRIPT else word for word in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(script_path())},
        )
        for way, arguments in WAYS.items()
    }
    try:
        return {
            way: (*script.communicate(code, timeout=100), script.returncode)
            for way, script in scripts.items()
        }
    finally:
        for script in scripts.values():
            script.kill()
            script.communicate()


@pytest.mark.parametrize("way", WAYS)
def test_unguarded_script_with_workers_and_a_lambda_runs_once(runs, way):
    out, err, code = runs[way]
    assert code == 0, err
    assert "Traceback" not in err
    assert out.count("running __main__") == out.count("running") == 1
    made = [re.findall("made ([0-9a-f]{64})", runs[one][0]) for one in ("a file", way)]
    assert len(made[0]) == 1
    assert made[0] == made[1]


# Ends while the next batch is being made ahead, from a file that takes ten minutes.
READING_AHEAD = """
import faulthandler, os, sys, time
faulthandler.dump_traceback_later(20, exit=True)
from fastaug import Generator
from peeks import processes
folder, end = sys.argv[1:]
generator = Generator(workers=2, read_ahead=1)
photos = generator.flow_from_directory(folder, (8, 8), batch_size=4, shuffle=False)
for _ in range(2):
    next(photos)
    time.sleep(0.05)  # as if it trained: so the next batch is made meanwhile
log = os.path.join(os.environ["PYTHONPATH"].split(os.pathsep)[0], "log")
while not os.path.exists(log) or "hung" not in open(log).read():
    time.sleep(0.01)
print(*processes(photos), flush=True)
if end == "raise":
    raise KeyError("the user's mistake")
elif end == "sys.exit":
    sys.exit(3)
"""


@pytest.mark.skipif(not ON_LINUX, reason="looks at processes in /proc")
@pytest.mark.parametrize(("end", "code"), [("sys.exit", 3), ("raise", 1)])
def test_script_may_end_while_a_file_that_hangs_is_read_ahead(tmp_path, monkeypatch, end, code):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    Sabotage(tmp_path / "sabotage")
    draw_photos(tmp_path / "photos" / "a", numbered(16, _9="hung"))
    script = start_script(READING_AHEAD, tmp_path / "photos", end)
    out, err = output_of(script, 90)
    assert "Timeout" not in err, err
    assert script.returncode == code
    workers = list(map(int, out.splitlines()[-1].split()))
    assert len(workers) == 2
    assert err.count("Traceback") == (end == "raise")
    wait_for(lambda: not any(map(alive, workers)), seconds=5)
