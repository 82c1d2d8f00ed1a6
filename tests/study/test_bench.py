"""Benchmarks run, and what they measured is reported."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from fastaug.study.record import KERAS, OURS, POOL, Record, Row, Run

REPORT = ROOT / "bench" / "report.py"
MARKS = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"
MEASURES = (
    "next_32_batch_32",
    "next_32_batch_256",
    "next_32_function",
    "next_299_photos",
    "warp_over_opencv",
    "warp_over_floor",
    "two_threads",
    "fit_32",
    "fit_299",
    "next_jpeg_299",
    "next_jpeg_299_cached",
    "decode_only",
    "decode_resize",
    "photos_12mp_fast",
)


def row(group: str, median: float, params: dict, **extra) -> dict:
    """A benchmark as pytest-benchmark writes it, with what the report reads of it."""
    name = f"bench_{group}.py::test_{group}[{'-'.join(map(str, params.values()))}]"
    return {
        "fullname": name,
        "group": group,
        "params": params,
        "stats": {"median": median},
        "extra_info": extra,
    }


def a_run(*more: dict) -> dict:
    keras = {"name": "keras", "seconds": 0.2}
    rows = [
        row("headline", 0.1, {"measure": name}, images=64, calls=10, note=None, beside=keras)
        for name in MEASURES
    ]
    memory = {"name": "keras", "megabytes": 4321.0}
    rows.append(row("headline", 5, {"measure": "memory_1gb"}, megabytes=150.0, beside=memory))
    imports = {"name": "interpreter_decoders", "megabytes": 29.0}
    worker = {"megabytes": 121.0, "beside": imports, "note": "18 MB its own"}
    rows.append(row("headline", 2, {"measure": "worker_memory"}, **worker))
    first = {"images": 0, "calls": 1, "beside": {"name": "keras", "seconds": 0.5}}
    rows.append(row("headline", 0.25, {"measure": "first_batch_disk"}, **first))
    killed = {"name": "fastaug_undisturbed", "seconds": 1.0}
    killed = {"images": 0, "calls": 1, "beside": killed, "note": "+0.25 s"}
    rows.append(row("headline", 1.25, {"measure": "killed_worker"}, **killed))
    loop = {"name": "decode_loop", "seconds": 0.34}
    rows.append(row("headline", 9, {"measure": "parent_overhead"}, seconds=0.01, beside=loop))
    reader = {"contender": "fastaug_workers_2"}
    rows.append(row("disk", 0.5, reader, images=64, calls=10, beside=keras, note="real photos"))
    rows.append(row("disk", 0.4, {"contender": "keras"}, images=64, calls=1))
    ours = {"contender": "fastaug", "size": 32, "batch": 256}
    rows.append(row("pipeline", 0.25, ours, images=256, calls=100, beside=keras))
    rows.append(row("pipeline", 0.2, ours | {"contender": "keras"}, images=256, calls=1))
    rows.append(row("import", 1.5, {"contender": "fastaug"}, images=0, calls=1, beside=keras))
    machine = {"model": "Abacus 3", "cores": 2, "os": "Linux", "python_version": "3.11.7"}
    machine["packages"] = {"numpy": "2.4.6", "albumentations": None}
    time = "2026-11-24T14:57:47.123456+00:00"
    return {"machine_info": machine, "datetime": time, "benchmarks": [*rows, *more]}


@pytest.fixture
def report(tmp_path):
    """Runs the report on a run, in a folder that has a README with marks."""

    def run(measured: dict, *arguments: str, readme: str = MARKS):
        (tmp_path / "README.md").write_text(readme)
        (tmp_path / "run.json").write_text(json.dumps(measured))
        command = [sys.executable, str(REPORT), "run.json", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_report_prints_tables(report):
    done = report(a_run())
    assert done.returncode == 0, done.stderr
    assert "| `next()`, 32x32, batch 32 | 6,400 images/s | 320 images/s, Keras" in done.stdout
    assert "| 150 MB | 4,321 MB, Keras `ImageDataGenerator` | 29x |" in done.stdout
    assert "| 32x32 | 256 | fastaug | 2.5 ms | 102,400 | 80x |" in done.stdout
    assert "| 32x32 | 256 | Keras `ImageDataGenerator` | 200 ms | 1,280 | 1 |" in done.stdout
    assert "| fastaug | 1.5 s | 0.13x |" in done.stdout


def test_report_prints_rows_of_files(report):
    done = report(a_run())
    assert done.returncode == 0, done.stderr
    assert "with what it shares, 18 MB its own | 121 MB | 29 MB, an interpreter" in done.stdout
    assert "first batch, 299x299, batch 64 | 250 ms | 500 ms, Keras" in done.stdout
    assert "killed in the middle, +0.25 s | 1.25 s | 1 s, fastaug, none killed" in done.stdout
    assert "that are decoded | 10 ms | 340 ms, a loop" in done.stdout  # not the 9 s of the clock
    assert "## Batches from JPEG files" in done.stdout
    assert "| fastaug, `workers=2` | 50 ms | 1,280 | 4x |" in done.stdout


def test_report_writes_the_transforms_between_their_marks(report, tmp_path):
    ours, peer = ({"transform": "rotate", "contender": name} for name in ("fastaug", "opencv"))
    beside = {"name": "fastaug", "seconds": 0.01}
    rows = [row("transforms", 0.1, ours, images=64, calls=10)]
    rows += [row("transforms", 0.2, peer, images=64, calls=10, beside=beside)]
    policy = {"contender": "policy_uncompiled"}
    plain = {"name": "plain_uncompiled", "seconds": 10.0}
    rows += [row("first policy", 20, policy, images=0, calls=1, beside=plain)]
    (tmp_path / "docs.md").write_text(MARKS.replace("bench", "transforms"))
    done = report(a_run(*rows), "--transforms", "docs.md")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "docs.md").read_text()
    assert "| moves | rotate | 6,400 | 3,200 (2x) |" in text
    assert "| a policy, nothing compiled yet | 20 s | 0.5x |" in text
    assert "2 cores of Abacus 3" in " ".join(text.split())
    assert "old" not in text
    assert "| moves | rotate | 6,400 | 3,200 (2x) |" in report(a_run(*rows)).stdout
    done = report(a_run(), "--transforms", "docs.md")
    assert done.returncode == 1
    assert "no row of transforms" in done.stderr


def test_report_says_where_and_when(report):
    printed = " ".join(report(a_run()).stdout.split())
    assert "2 cores of Abacus 3, Linux, Python 3.11.7, numpy 2.4.6; 24 November 2026" in printed
    assert "albumentations None" not in printed


def test_report_writes_between_the_marks(report, tmp_path):
    done = report(a_run(), "--readme", "README.md", "--details", "docs.md")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- bench:begin -->\n| measure | fastaug |")
    assert text.endswith("\n<!-- bench:end -->\nafter\n")
    assert "old" not in text
    assert "[docs.md](docs.md)" in text
    assert "## Batches from memory" in (tmp_path / "docs.md").read_text()


def test_report_draws_charts(report, tmp_path):
    pytest.importorskip("matplotlib")
    done = report(a_run(), "--readme", "README.md", "--details", "docs.md", "--figures", "charts")
    assert done.returncode == 0, done.stderr
    assert "](charts/pipeline.png)" in (tmp_path / "README.md").read_text()
    for target in ("charts/pipeline.png", "charts/disk.png", "charts/import.png"):
        assert f"]({target})" in (tmp_path / "docs.md").read_text()
        assert (tmp_path / target).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("group", "params", "beside", "unknown"),
    [
        ("sorcery", {"contender": "fastaug"}, "keras", "group 'sorcery'"),
        ("flip", {"contender": "mystery"}, "keras", "contender 'mystery'"),
        ("flip", {"contender": "fastaug"}, "riddle", "contender 'riddle'"),
        ("flip", {"contender": "fastaug", "colour": 3}, "keras", "parameter 'colour'"),
        ("headline", {"measure": "guess"}, "keras", "measure 'guess'"),
    ],
)
def test_nameless_row_is_refused(group, params, beside, unknown, report, tmp_path):
    strange = row(group, 1, params, images=1, calls=1, beside={"name": beside, "seconds": 1})
    done = report(a_run(strange), "--readme", "README.md")
    assert done.returncode == 1
    assert f"{strange['fullname']}: bench/names.py has no name for {unknown}" in done.stderr
    assert (tmp_path / "README.md").read_text() == MARKS


@pytest.mark.parametrize("readme", ["", "<!-- bench:begin -->", MARKS[::-1], MARKS[30:]])
def test_readme_without_marks_is_refused(readme, report, tmp_path):
    done = report(a_run(), "--readme", "README.md", readme=readme)
    assert done.returncode == 1
    assert "README.md has no line <!-- bench:begin -->" in done.stderr
    assert (tmp_path / "README.md").read_text() == readme


def test_part_of_a_run_leaves_the_readme(report, tmp_path):
    measured = a_run()
    del measured["benchmarks"][0]
    done = report(measured, "--readme", "README.md")
    assert done.returncode == 1
    assert "lacks next_32_batch_32: README.md keeps its table" in done.stderr
    assert (tmp_path / "README.md").read_text() == MARKS


def test_missing_run_is_named(tmp_path):
    command = [sys.executable, str(REPORT), str(tmp_path / "nowhere.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_readme_has_the_marks():
    text = (ROOT / "README.md").read_text()
    for name in ("bench", "study"):
        assert 0 < text.find(f"<!-- {name}:begin -->") < text.find(f"<!-- {name}:end -->")


STUDY_MARKS = "before\n<!-- study:begin -->\nold\n<!-- study:end -->\nafter\n"


def test_report_writes_the_study(tmp_path):
    for benchmark, group in (("generate", "batches of 32"), ("train", "batches of 32")):
        rows = [Row(group, KERAS, "Keras", 0, 320, runs=[Run([6.0]), Run([8.0])])]
        rows += [Row(group, POOL, "pool", 2, 320, runs=[Run([10.0])])]
        rows += [Row(group, OURS, "fastaug", 2, 320, runs=[Run([0.25]), Run([0.1])])]
        save_record(tmp_path / benchmark, benchmark, rows)
    rows = [Row("training", KERAS, "Keras", 0, 320, runs=[Run([4.0, 4.0])])]
    rows += [Row("training", OURS, "fastaug", 2, 320, runs=[Run([1.0, 1.0])])]
    save_record(tmp_path / "disk", "disk", rows)
    (tmp_path / "README.md").write_text(STUDY_MARKS)
    command = [sys.executable, str(REPORT), "--study", ".", "--readme", "README.md"]
    command += ["--details", "study.md", "--figures", "charts"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- study:begin -->\n| benchmark | the study, 2017 |")
    assert "| generation, function in Python | 2.01x | 0.70x | 40.00x |  | 19.9 |" in text
    assert "| from disk, training | 3.95x |  | 4.00x |  | 1.0 |" in text
    assert "2 cores of Abacus 3, no GPU" in " ".join(text.split())
    assert "[study.md](study.md)" in text
    assert "old" not in text
    page = (tmp_path / "study.md").read_text()
    for target in ("charts/generate_processes.png", "charts/train_epochs.png"):
        assert f"]({target})" in page
        assert (tmp_path / target).read_bytes().startswith(b"\x89PNG")


def save_record(folder: Path, benchmark: str, rows: list[Row]) -> None:
    machine = {"processor": "Abacus 3", "cores": 2, "system": "Linux", "python": "3.11"}
    machine |= {"backend": "jax", "gpus": [], "versions": {"keras": "3.15"}}
    date = "2026-11-25T10:00:00+00:00"
    folder.mkdir()
    record = Record(benchmark, benchmark, "a few", False, {}, machine, date, False, rows)
    record.save(folder / "results.json")


def test_missing_study_is_named(tmp_path):
    command = [sys.executable, str(REPORT), "--study", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


TURNS = """
import sys
sys.path.insert(0, "bench")
import alternate

class Runner:
    disabled, extra_info = True, {}

    def pedantic(self, contender, arguments, setup, rounds, warmup_rounds):
        for _ in range(2):
            setup()
            contender(*arguments)

def says(word):
    return lambda *_: print(word, end=" ")

alternate.wait_until_idle = says("idle")
compare = alternate.Comparison(Runner(), rounds=2)
compare(says("own"), ("other", says("other")), images=1, round_s=0, drain=says("drain"))
compare(says("own"), ("other", says("other")), images=1, round_s=0)
"""


def test_what_works_ahead_is_drained_before_its_turn_and_idle_before_the_others():
    printed = subprocess.check_output([sys.executable, "-c", TURNS], cwd=ROOT, text=True)
    assert printed.split() == 2 * ["idle", "other", "drain", "own"] + 2 * ["other", "own"]


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="needs TensorFlow")
def test_benchmarks_run_once_and_are_right():
    """Collecting checks the names of all rows; these groups and rows are the quick ones."""
    command = [sys.executable, "-m", "pytest", "bench", "-q", "--benchmark-disable"]
    quick = "bench_floor or bench_flip or bench_pointwise or decode_ or parent_overhead"
    quick += " or rotate-fastaug or erase-fastaug"
    chosen = ["-k", quick, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *chosen], cwd=Path(ROOT), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
