"""`fastaug bench`: the method of 2017, the three benchmarks, and the report."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import psutil
import pytest
from browser import after_scripts, screenshot
from conftest import ROOT, make_images
from keras.datasets import cifar10
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image
from pools import draw_photos, numbered

from fastaug.cli import bench
from fastaug.cli.main import main
from fastaug.machine import usable_cores
from fastaug.study import data
from fastaug.study import of_2017 as study
from fastaug.study.pool_method import flow, flow_from_directory, pool_of
from fastaug.study.record import (
    ALONE,
    KERAS,
    OURS,
    OURS_CACHED,
    OURS_FUSED,
    POOL,
    Record,
    Row,
    Run,
    load_record,
)
from fastaug.study.report import beside_2017, render, verdicts, write_report

# Of SciPy, about what Keras imports.
pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")

resource_tracker.ensure_running()  # Python's own process, which lives as long as this one

OPTIONS = study.TRAIN | {"preprocessing_function": study.preprocess, "fill_mode": "reflect"}


def children() -> list[psutil.Process]:
    """Processes of ours, but for the one that looks after named semaphores."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


# --- The method of 2017 ---------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
def test_pool_makes_the_images_of_keras_in_memory(shuffle):
    images, labels = make_images(10, 14, 24, 3), np.arange(10)
    arguments = {"batch_size": 4, "seed": 5, "shuffle": shuffle}
    theirs = ImageDataGenerator(**OPTIONS).flow(images, labels, **arguments)
    with pool_of(2, OPTIONS) as pool:
        ours = flow(pool, OPTIONS, images, labels, **arguments)
        for (x, y), (their_x, their_y) in zip(islice(ours, 6), theirs, strict=False):
            np.testing.assert_array_equal(x, their_x)
            np.testing.assert_array_equal(y, their_y)


def test_pool_makes_the_images_of_keras_from_files(tmp_path):
    draw_photos(tmp_path / "a", numbered(5))
    draw_photos(tmp_path / "b", numbered(4))
    arguments = {"target_size": (20, 34), "batch_size": 4, "class_mode": "binary", "seed": 5}
    theirs = ImageDataGenerator(**OPTIONS).flow_from_directory(str(tmp_path), **arguments)
    with pool_of(2, OPTIONS) as pool:
        ours = flow_from_directory(pool, OPTIONS, tmp_path, **arguments)
        for (x, y), (their_x, their_y) in zip(islice(ours, 6), theirs, strict=False):
            np.testing.assert_array_equal(x, their_x)
            np.testing.assert_array_equal(y, their_y)


def test_pool_leaves_no_process_behind():
    before = len(children())
    with pool_of(2, OPTIONS):
        assert len(children()) == before + 2
    for _ in range(100):
        if len(children()) == before:
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {children()}")


# --- Data -----------------------------------------------------------------------------------------


@pytest.fixture
def npz(tmp_path) -> Path:
    images = data.draw_images(64, classes=3)
    path = tmp_path / "small.npz"
    arrays = {name: getattr(images, name) for name in ("x_train", "x_test", "y_test")}
    np.savez(path, **arrays, y_train=images.y_train[:, np.newaxis])  # as keras.datasets has them
    return path


def test_npz_is_read_as_it_is(npz):
    images, drawn = data.load_images(npz, 0), data.draw_images(64, classes=3)
    np.testing.assert_array_equal(images.x_train, drawn.x_train)
    np.testing.assert_array_equal(images.y_train, drawn.y_train)
    assert images.classes == 3
    assert images.origin == "small.npz"
    assert not images.drawn


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "lacks the arrays x_train, y_train, x_test, y_test"),
        ({"x_train": np.zeros((4, 32, 32))}, "x_train .*shape .*uint8 images"),
        ({"y_train": np.zeros(3, int)}, "x_train and y_train .*same length"),
    ],
)
def test_npz_that_is_no_data_set_is_refused_by_what_is_wrong(tmp_path, arrays, said):
    good = {f"x_{part}": np.zeros((4, 8, 8, 3), np.uint8) for part in ("train", "test")}
    good |= {f"y_{part}": np.zeros(4, int) for part in ("train", "test")}
    np.savez(tmp_path / "bad.npz", **(good | arrays if arrays else {}))
    with pytest.raises(ValueError, match=said):
        data.load_images(tmp_path / "bad.npz", 0)


def test_text_is_no_data_set(tmp_path):
    (tmp_path / "notes.txt").write_text("no arrays")
    with pytest.raises(ValueError, match=r"notes.txt.*neither an npz file nor a folder"):
        data.load_images(tmp_path / "notes.txt", 0)


def test_folder_is_read_at_32_by_32(tmp_path):
    for name in ("a", "b"):
        draw_photos(tmp_path / name, numbered(10))
    images = data.load_images(tmp_path, 0)
    assert images.x_train.shape == (16, 32, 32, 3)
    assert images.x_test.shape == (4, 32, 32, 3)
    assert np.bincount(images.y_train).tolist() == [8, 8]
    assert len(np.unique(np.diff(images.y_train))) > 2  # not class by class
    theirs = ImageDataGenerator(validation_split=0.2).flow_from_directory(
        str(tmp_path), (32, 32), class_mode="sparse", shuffle=False, subset="validation"
    )
    np.testing.assert_array_equal(images.x_test, next(theirs)[0])


def test_train_and_validation_folders_are_taken_as_they_are(tmp_path):
    for part, count in (("train", 3), ("validation", 2)):
        for name in ("a", "b"):
            draw_photos(tmp_path / part / name, numbered(count))
    images = data.load_images(tmp_path, 0)
    assert (len(images.x_train), len(images.x_test)) == (6, 4)


def test_without_cifar_pictures_are_drawn_and_it_is_said(monkeypatch, capsys):
    def fail():
        raise OSError("no network\nmore")

    monkeypatch.setattr(cifar10, "load_data", fail)
    images = data.load_images(None, 50)
    assert images.drawn
    assert len(images.x_train) == 50
    assert "not at hand (no network)" in capsys.readouterr().out


def test_drawn_pictures_repeat_and_can_be_told_apart():
    first, second = data.draw_images(300), data.draw_images(300)
    np.testing.assert_array_equal(first.x_train, second.x_train)
    tints = [first.x_train[first.y_train == k].mean((0, 1, 2)) for k in range(10)]
    assert np.abs(tints[0] - tints[5]).max() > 30


# --- Numbers --------------------------------------------------------------------------------------


def record_of(benchmark: str, *rows: Row, **changed) -> Record:
    machine = {"processor": "Slow & Co", "cores": 2, "system": "Linux", "python": "3.11"}
    machine |= {"backend": "jax", "gpus": [], "versions": {"keras": "3.15"}}
    known = {"title": "Benchmark", "data": "a few", "drawn": False, "settings": {"rounds": 3}}
    known |= {"machine": machine, "date": "2026-11-25T10:00:00+00:00", "quick": False}
    return Record(benchmark, **(known | changed), rows=list(rows))


def a_row(contender: str, *epochs: list[float], group="batches of 32", first=0, count=1) -> Row:
    curves = {"time": [0.1, 0.2, 0.3], "cpu": [10.0, 90.0, 50.0]}
    runs = [Run(one, accuracy=0.5, summary={"cpu_mean": 50.0}, curves=curves) for one in epochs]
    return Row(group, contender, contender, count, 640, first, runs)


def test_seconds_are_the_median_of_all_epochs_that_count():
    assert a_row(OURS, [1.0, 2.0], [9.0, 4.0], [3.0, 3.5]).seconds == 3.25
    assert a_row(OURS_CACHED, [9.0, 2.0, 3.0], [8.0, 4.0, 1.0], first=1).seconds == 2.5
    assert a_row(OURS_CACHED, [9.0], first=1).seconds is None
    assert a_row(OURS).seconds is None


def test_speedup_is_over_keras_in_the_same_group():
    record = record_of(
        "train",
        a_row(KERAS, [6.0]),
        a_row(OURS, [2.0]),
        a_row(ALONE, [1.0]),
        a_row(KERAS, [10.0], group="batches of 256"),
        a_row(OURS, [4.0], count=1, group="batches of 256"),
        a_row(OURS, [2.5], count=2, group="batches of 256"),
        a_row(OURS, [1.0], group="without Keras"),
    )
    speedups = [record.speedup(row) for row in record.rows]
    assert speedups == [1.0, 3.0, 6.0, 1.0, 2.5, 4.0, None]
    assert record.best("batches of 256", OURS).count == 2
    lines = beside_2017(record)
    assert lines[0] == ["training, batches of 32", "1.88x", "", "3.00x", "6.00x", "1.6"]
    assert lines[1][3] == "4.00x"


def test_record_comes_back_from_its_file(tmp_path):
    record = record_of("disk", a_row(KERAS, [6.0, 5.0]), a_row(OURS, [2.0]), interrupted=True)
    record.save(tmp_path / "results.json")
    assert load_record(tmp_path / "results.json") == record
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["rows"][1]["speedup"] == 2.75


def test_other_json_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": [{}]}')
    with pytest.raises(ValueError, match=r"other.json.*not written by `fastaug bench`"):
        load_record(tmp_path / "other.json")


def test_report_says_what_a_reader_must_know_first():
    plain = record_of("train", a_row(KERAS, [6.0]), a_row(OURS, [2.0]), a_row(ALONE, [1.5]))
    page = render(plain, [])
    assert "no GPU" in page
    assert "Interrupted" not in page
    assert "stand-in" not in page
    assert any("75%" in verdict for verdict in verdicts(plain))
    page = render(record_of("train", a_row(KERAS, [6.0]), drawn=True, interrupted=True), [])
    assert "Interrupted by Ctrl-C" in page
    assert "stand-in" in page


def test_report_takes_names_for_text():
    page = render(record_of("generate", a_row(KERAS, [1.0]), data="<script>alert(1)</script>"), [])
    assert "<script>alert" not in page
    assert "Slow &amp; Co" in page


# --- The page in a browser ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["generate", "train", "disk"])
def test_report_shows_its_pictures_in_a_browser(tmp_path, name):
    rows = [a_row(KERAS, [6.0], count=0), a_row(POOL, [7.0]), a_row(OURS, [2.0], count=2)]
    more = [a_row(row.contender, [3.0], group="workers, batches of 96") for row in rows]
    page = write_report(record_of(name, *rows, *more), tmp_path)
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    ask = "return [...document.images].filter(i => i.complete && i.naturalWidth > 500).length"
    assert int(after_scripts(page, ask)) == len(drawn) >= 2
    ask = "return document.querySelectorAll('tbody tr').length"
    assert int(after_scripts(page, ask)) > 6
    assert not re.search(r"(src|href)=.http", page.read_text())
    screenshot(page, tmp_path / "seen.png")
    with Image.open(tmp_path / "seen.png") as seen:
        colors = {color for _, color in seen.convert("RGB").getcolors(10**7)}
    assert (0xD1, 0x49, 0x5B) in colors  # fastaug's curves or bars


# --- The command ----------------------------------------------------------------------------------


def run_small(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(bench, "BATCHES", (6, 6))
    return main(["bench", *arguments, "--quick", "--rounds", "2"])


def test_generate_measures_all_and_reports(monkeypatch, tmp_path, npz, capsys):
    assert run_small(monkeypatch, "generate", "--data", str(npz), "--output", str(tmp_path)) == 0
    record = load_record(tmp_path / "results.json")
    cores = usable_cores()
    assert [(row.contender, row.count) for row in record.rows] == [
        ("keras", 0),
        *((name, n) for name in ("pool", "fastaug", "fastaug_tf") for n in range(1, cores + 1)),
    ]
    assert all(len(row.runs) == 2 for row in record.rows)
    assert len(record.checks) == 3
    assert "bit by bit" in record.checks[0]
    # A tenth of what is usual: a busy machine must not make this fail.
    assert record.speedup(record.best("batches of 32", OURS)) > 2
    said = capsys.readouterr().out
    assert "ImageDataGenerator" in said
    assert "report.html" in said
    assert "2.01" in (tmp_path / "report.html").read_text()


def test_train_measures_all_and_reports(monkeypatch, tmp_path, npz):
    assert run_small(monkeypatch, "train", "--data", str(npz), "--output", str(tmp_path)) == 0
    record = load_record(tmp_path / "results.json")
    assert record.groups == ["batches of 32", "batches of 64", "workers, batches of 64"]
    assert [row.contender for row in record.of("batches of 32")] == [KERAS, OURS, ALONE]
    assert {row.contender for row in record.of(record.groups[2])} == {KERAS, POOL, OURS}
    for row in record.rows:
        assert all(len(run.epochs) == 1 for run in row.runs)
        assert (row.accuracy is None) == (row.contender == ALONE)
        assert row.images == 64
    assert {path.stem for path in tmp_path.glob("*.png")} >= {"epochs", "workers", "utilisation"}


def test_disk_measures_all_and_reports(monkeypatch, tmp_path):
    photos = tmp_path / "photos"
    for name in ("cat", "dog"):
        draw_photos(photos / name, numbered(5))
    monkeypatch.setattr(study, "DISK_SIZE", 48)  # at 299x299 compiling alone takes a minute
    monkeypatch.setattr(study, "DISK_BATCH", 3)
    arguments = ("disk", "--data", str(photos), "--output", str(tmp_path / "report"))
    assert run_small(monkeypatch, *arguments) == 0
    record = load_record(tmp_path / "report" / "results.json")
    reading, training = (record.of(group) for group in record.groups)
    assert [row.contender for row in reading] == [KERAS, POOL, OURS, OURS_FUSED, OURS_CACHED]
    assert [row.contender for row in training] == [KERAS, POOL, OURS, OURS_CACHED, ALONE]
    assert all(len(run.epochs) == 2 for row in training for run in row.runs)
    assert all(row.images == 8 for row in record.rows)
    assert len(children()) == 0


@pytest.mark.filterwarnings("ignore:class_mode='binary' gives one number")
def test_disk_wants_two_classes(monkeypatch, tmp_path, capsys):
    for name in ("a", "b", "c"):
        draw_photos(tmp_path / "photos" / name, numbered(5))
    arguments = ("disk", "--data", str(tmp_path / "photos"), "--output", str(tmp_path))
    assert run_small(monkeypatch, *arguments) == 1
    assert "two classes" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["generate", "train", "disk"])
def test_missing_data_is_named(monkeypatch, tmp_path, capsys, name):
    missing = str(tmp_path / "nowhere.npz")
    assert run_small(monkeypatch, name, "--data", missing, "--output", str(tmp_path)) == 1
    assert "nowhere.npz" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run_small(monkeypatch, "generate", "--output", str(tmp_path)) == 1
    assert "pip install 'fastaug[bench]'" in capsys.readouterr().err


def test_another_backend_comes_too_late(monkeypatch, tmp_path, capsys):
    arguments = ("generate", "--backend", "torch", "--output", str(tmp_path))
    assert run_small(monkeypatch, *arguments) == 1
    assert "runs on jax already" in capsys.readouterr().err


def wait_for_the_second_pool(process: psutil.Process) -> None:
    """Return when Keras has been measured: after the pool of the comparison comes another one."""
    seen: set[int] = set()
    while len(seen) <= min(2, usable_cores()):
        for child in process.children():
            with contextlib.suppress(psutil.Error):  # it has just ended
                if any("spawn_main" in word for word in child.cmdline()):
                    seen.add(child.pid)
        time.sleep(0.02)


def test_ctrl_c_keeps_what_has_been_measured(tmp_path, npz):
    command = [sys.executable, "-m", "fastaug", "bench", "generate", "--rounds", "1000"]
    command += ["--quick", "--data", str(npz), "--output", str(tmp_path), "--backend", "jax"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_the_second_pool(psutil.Process(process.pid))
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    record = load_record(tmp_path / "results.json")
    assert record.interrupted
    assert "Interrupted by Ctrl-C" in (tmp_path / "report.html").read_text()
    assert "Report:" in output
