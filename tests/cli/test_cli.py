"""The command line and the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import fastaug
from fastaug.cli.main import main
from fastaug.demo import CLASSES, draw_folder

MODULE = [sys.executable, "-m", "fastaug"]


def run(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    command = [*MODULE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_help_names_the_commands():
    done = run("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "ImageDataGenerator" in done.stdout


def test_installed_command_is_the_module():
    command = Path(sys.executable).with_name("fastaug")
    if not command.exists():
        pytest.skip("fastaug is not installed, only importable")
    output = subprocess.check_output([command, "--version"], text=True)
    assert output.strip() == f"fastaug {fastaug.__version__}"


def test_without_a_command_it_says_what_is_missing():
    done = run()
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


@pytest.mark.parametrize("epochs", ["0", "-1", "two"])
def test_bad_epochs_are_refused(epochs, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--epochs", epochs])
    assert "--epochs" in capsys.readouterr().err


def test_missing_folder_is_named(capsys, tmp_path):
    assert main(["demo", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_folder_without_classes_is_named(capsys, tmp_path):
    assert main(["demo", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_drawn_folder_is_varied_and_repeats(tmp_path):
    draw_folder(tmp_path / "one", count=6, seed=3)
    draw_folder(tmp_path / "two", count=6, seed=3)
    draw_folder(tmp_path / "three", count=6, seed=4)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jpg"))
    assert [str(file.parent) for file in files] == [name for name in CLASSES for _ in range(6)]
    for file in files:
        first = (tmp_path / "one" / file).read_bytes()
        assert first == (tmp_path / "two" / file).read_bytes()
        assert first != (tmp_path / "three" / file).read_bytes()
    assert len({size_of(tmp_path / "one" / file) for file in files}) == len(files)


def test_demo_trains_and_measures_beside_keras():
    done = run("demo", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    speed = float(re.search(r"fastaug +(\d+) images/s", done.stdout)[1])
    keras_speed = float(re.search(r"ImageDataGenerator +(\d+) images/s", done.stdout)[1])
    ratio = float(re.search(r"ratio +([\d.]+)x", done.stdout)[1])
    assert ratio == pytest.approx(speed / keras_speed, rel=0.05)
    # A quarter of what two idle cores give: a shared machine must not make this fail.
    assert ratio > 2
    assert "val_accuracy" in done.stdout
    assert re.search(r"after 1 epochs: [01]\.\d\d", done.stdout)
