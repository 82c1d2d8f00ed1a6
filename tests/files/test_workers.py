"""The pool of decode processes when nothing goes wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_LINUX, _descriptors
from peeks import processes
from PIL import Image, ImageFile
from pools import (
    BATCH,
    TARGET,
    Sabotage,
    alive,
    assert_reads,
    by_pillow,
    draw_photos,
    numbered,
    output_of,
    read,
    requests_of,
    script_path,
    source_of,
    start_script,
    wait_for,
)

from fastaug.errors import DecodeError, WorkerError
from fastaug.files.decoders.pool import DecodePool
from fastaug.files.decoders.shared_memory import KIND_VARIABLE, SharedMemory
from fastaug.sources.files import LocalFileSource

KINDS = ["memfd", "shm"] if hasattr(os, "memfd_create") else ["shm"]
COUNT = 5 * BATCH + 3  # the last batch is short


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return draw_photos(tmp_path / "photos", numbered(COUNT))


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sabotage:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    return Sabotage(tmp_path / "sabotage")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_pixels_are_the_same_with_any_number_of_workers(paths, monkeypatch, workers, kind):
    monkeypatch.setenv(KIND_VARIABLE, kind)
    source = source_of(paths, workers)
    for _ in range(2):  # epochs
        assert_reads(source, paths)
    assert len(processes(source)) == workers
    source.close()


def test_pixels_are_the_same_without_workers(paths):
    assert_reads(LocalFileSource(paths, TARGET, "channels_last"), paths)


def test_float_slots_and_channels_first_come_through(tmp_path):
    from dataclasses import replace

    from fastaug.sources.files import FileSource

    values = np.arange(33 * 47, dtype=np.uint16).reshape(33, 47) * 40
    Image.fromarray(values).save(tmp_path / "deep.png")
    target = replace(TARGET, color_mode="grayscale")
    source = FileSource(
        [str(tmp_path / "deep.png")], target, "channels_first",
        workers=1, timeout=30, batch_size=1, read_ahead=0,
    )  # fmt: skip
    with source.lend((0, np.array([0])), []) as (images, _):
        np.testing.assert_array_equal(images, values[np.newaxis, np.newaxis])
    del images
    source.close()


def test_worker_imports_neither_numba_nor_keras():
    program = "import fastaug.files.decoders.child, sys; print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    heavy = {
        "numba",
        "keras",
        "tensorflow",
        "jax",
        "torch",
        "pandas",
        "scipy",
        "fastaug.files.decoders.pool",
    }
    assert not heavy & set(output.split())


def test_batches_in_any_order_are_right(paths):
    source = source_of(paths, read_ahead=2)
    requests = requests_of(COUNT)
    pixels = by_pillow(paths)
    rng = np.random.default_rng(0)
    for _ in range(60):
        request, *ahead = (requests[number] for number in rng.integers(0, len(requests), 3))
        with source.lend(request, ahead) as (images, rows):
            np.testing.assert_array_equal(images[rows], pixels[request[1]])
    del images
    source.close()


def test_same_file_twice_in_a_batch(paths):
    source = source_of([paths[0], paths[1], paths[0]])
    assert_reads(source, [paths[0], paths[1], paths[0]])
    source.close()


def test_read_ahead_batches_are_under_way_while_one_is_used(paths, sabotage):
    source = source_of(paths, read_ahead=2)
    requests = requests_of(COUNT)
    with source.lend(requests[0], requests[1:]):
        # Nobody asks for anything here.
        wait_for(lambda: len(sabotage.opened()) == 3 * BATCH)
    assert set(sabotage.opened()) == set(numbered(COUNT)[: 3 * BATCH])
    rest = np.concatenate(read(source, requests[1:]))
    np.testing.assert_array_equal(rest, by_pillow(paths)[BATCH:])
    assert sorted(sabotage.opened()) == numbered(COUNT)  # and none of them was decoded twice
    source.close()


def test_nothing_is_read_ahead_when_nothing_shall_be(paths, sabotage):
    source = source_of(paths, read_ahead=0)
    requests = requests_of(COUNT)
    for batch, request in enumerate(requests[:3], start=1):
        with source.lend(request, requests[batch:]):
            assert sorted(sabotage.opened()) == numbered(COUNT)[: batch * BATCH]
    source.close()


def test_all_workers_share_a_batch(paths, sabotage):
    source = source_of(draw_photos(Path(paths[0]).parent, numbered(8, _0="hung")), 4, timeout=1)
    with pytest.raises(TimeoutError), source.lend(requests_of(8)[0], []):
        pass
    # Only the file that shared a task with the hung one was not reached.
    assert len(sabotage.opened()) == 7
    source.close()


def test_print_in_a_worker_does_not_break_the_protocol(tmp_path, sabotage, capfd):
    paths = draw_photos(tmp_path / "photos", numbered(BATCH, _2="loud", _5="loud"))
    source = source_of(paths)
    assert_reads(source, paths)
    source.close()
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("x" * 100) == printed.err.count("y" * 100) == 2


def test_pillow_settings_reach_workers_at_any_time(paths, monkeypatch):
    source = source_of(paths[:BATCH])
    [request] = requests_of(BATCH)
    data = Path(paths[3]).read_bytes()
    assert_reads(source, paths[:BATCH])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DecodeError, match="DecompressionBombError"):
        read(source, [request])
    monkeypatch.undo()
    assert_reads(source, paths[:BATCH])
    Path(paths[3]).write_bytes(data[: len(data) // 2])
    with pytest.raises(DecodeError, match="truncated"):
        read(source, [request])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert_reads(source, paths[:BATCH])
    assert len(processes(source)) == 2
    source.close()


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX allows")
def test_odd_names_reach_workers(tmp_path):
    names = ["line\nbreak.jpg", "\N{CAT FACE}.jpg", os.fsdecode(b"\xff\xe9.jpg")]
    paths = draw_photos(tmp_path / "photos", names)
    source = source_of(paths)
    assert_reads(source, paths)
    Path(paths[2]).write_bytes(b"")
    with pytest.raises(DecodeError) as caught:
        read(source, requests_of(3))
    assert caught.value.path == paths[2]
    source.close()


def test_relative_names_stay_where_they_were(paths, monkeypatch, tmp_path):
    monkeypatch.chdir(Path(paths[0]).parent)
    names = [Path(path).name for path in paths]
    sources = [source_of(names), LocalFileSource(names, TARGET, "channels_last")]
    monkeypatch.chdir(tmp_path)
    for source in sources:
        assert_reads(source, paths)
    Path(paths[0]).unlink()
    for source in sources:
        with pytest.raises(DecodeError) as caught:
            read(source, requests_of(COUNT)[:1])
        assert caught.value.path == paths[0]  # in full
        source.close()


def test_first_bad_file_of_a_batch_is_named(paths):
    for number in (6, 1):
        Path(paths[number]).write_bytes(b"")
    source = source_of(paths)
    with pytest.raises(DecodeError) as caught:
        read(source, requests_of(COUNT))
    assert caught.value.path == paths[1]
    # The batches behind it are there.
    batches = read(source, requests_of(COUNT)[1:])
    np.testing.assert_array_equal(np.concatenate(batches), by_pillow(paths[BATCH:]))
    source.close()


def test_closed_source_says_so_and_frees_its_memory(paths):
    before = _descriptors()
    source = source_of(paths)
    assert_reads(source, paths)
    assert _descriptors() > before
    workers = processes(source)
    source.close()
    source.close()
    assert not any(map(alive, workers))
    assert _descriptors() == before  # while `source` is still here
    with pytest.raises(RuntimeError, match="closed"):
        read(source, requests_of(COUNT))


def test_close_ends_a_wait_in_another_thread(tmp_path, sabotage):
    source = source_of(draw_photos(tmp_path / "photos", numbered(BATCH, _0="hung")))
    said: list[BaseException] = []

    def consume() -> None:
        try:
            read(source, requests_of(BATCH))
        except RuntimeError as error:
            said.append(error)

    thread = threading.Thread(target=consume)
    thread.start()
    wait_for(lambda: "00-hung.jpg" in sabotage.opened())
    source.close()
    thread.join(5)
    assert "closed" in str(said)


def test_pool_may_be_used_by_many_threads(paths):
    pool = DecodePool(TARGET, workers=2, batch_size=BATCH, batches=3, timeout=30)
    pixels = by_pillow(paths)
    wrong: list[int] = []

    def consume(first: int) -> None:
        for _ in range(10):
            ticket = pool.submit(paths[first : first + BATCH])
            if not np.array_equal(pool.wait(ticket), pixels[first : first + BATCH]):
                wrong.append(first)
            pool.release(ticket)

    threads = [threading.Thread(target=consume, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert pool.places == 3
    pool.close()


SCRIPT = """
import sys
from conftest import make_images
from pools import assert_reads, source_of
print("running")
source = source_of(PATHS)
assert_reads(source, PATHS)
source.close()
print("done")
"""


@pytest.mark.parametrize("way", ["file", "stdin", "-c"])
def test_script_without_a_guard_runs_once(paths, tmp_path, way):
    code = SCRIPT.replace("PATHS", repr(paths))
    (tmp_path / "script.py").write_text(code)
    arguments = {"file": [str(tmp_path / "script.py")], "stdin": ["-"], "-c": ["-c", code]}[way]
    done = subprocess.run(
        [sys.executable, *arguments],
        input=code,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(script_path())},
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("running\ndone\n", "", 0)


def test_modules_in_the_working_folder_do_not_get_into_workers(paths, tmp_path):
    for name in ("json", "struct", "threading", "fastaug", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(SCRIPT.replace("PATHS", repr(paths)))
    done = subprocess.run(
        [sys.executable, "script/script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(script_path())},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("running\ndone\n", "")


@pytest.mark.parametrize("executable", [None, "", "/nowhere/python", "/bin/false"])
def test_workers_that_cannot_start_are_an_error_at_once(paths, monkeypatch, executable):
    source = source_of(paths, workers=1)
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(WorkerError, match="could not start.*workers=0"):
        read(source, requests_of(COUNT))
    monkeypatch.undo()
    assert_reads(source, paths)  # it works as soon as that is mended
    source.close()


def test_few_descriptors_are_enough(paths):
    code = SCRIPT.replace("PATHS", repr(paths)).replace(
        "import sys", "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    )
    out, err = output_of(start_script(code))
    assert (out, err) == ("running\ndone\n", "")


def test_no_descriptors_are_an_error(paths):
    code = f"""
import os, resource
from pools import read, requests_of, source_of
source = source_of({paths})
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), 64))
try:
    read(source, requests_of({COUNT}))
except Exception as error:
    print(type(error).__name__, error)
"""
    out, err = output_of(start_script(code))
    assert out.startswith("WorkerError")
    assert "Too many open files" in out
    assert err == ""


@pytest.mark.skipif(not ON_LINUX, reason="measures /dev/shm")
def test_full_shared_memory_is_an_error_with_the_size(monkeypatch):
    status = os.statvfs("/dev/shm")
    size = status.f_blocks * status.f_frsize
    if not size:  # it has no limit here

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match=rf"cannot reserve {(size + 2**20) / 2**20:.1f} MiB"):
        SharedMemory(size + 2**20, "shm")


def test_unknown_kind_of_shared_memory_is_an_error(paths, monkeypatch):
    monkeypatch.setenv(KIND_VARIABLE, "carrier-pigeon")
    with pytest.raises(ValueError, match="FASTAUG_SHARED_MEMORY='carrier-pigeon' is not one of"):
        source_of(paths)


@pytest.mark.skipif(not ON_LINUX, reason="looks into /dev/shm")
def test_named_shared_memory_has_no_name_for_long(paths, monkeypatch):
    monkeypatch.setenv(KIND_VARIABLE, "shm")
    source = source_of(paths)
    assert not list(Path("/dev/shm").glob("fastaug*"))
    assert_reads(source, paths)
    source.close()


def test_worker_changes_nothing_in_the_parent(paths):
    environment, settings = dict(os.environ), Image.MAX_IMAGE_PIXELS
    folder, state = Path.cwd(), np.random.get_state()[1].tolist()
    source = source_of(paths)
    assert_reads(source, paths)
    source.close()
    assert (dict(os.environ), Image.MAX_IMAGE_PIXELS) == (environment, settings)
    assert (Path.cwd(), np.random.get_state()[1].tolist()) == (folder, state)


def test_generator_gives_the_same_batches_with_any_number_of_workers(photos):
    from fastaug import Generator

    def epoch(workers: int) -> list[np.ndarray]:
        generator = Generator(rotation_range=20, horizontal_flip=True, workers=workers)
        with generator.flow_from_directory(
            photos / "validation", target_size=(40, 40), batch_size=32, seed=5
        ) as iterator:
            return [next(iterator)[0] for _ in range(len(iterator))]

    without = epoch(0)
    for workers in (1, 2, 4):
        np.testing.assert_array_equal(np.concatenate(epoch(workers)), np.concatenate(without))
