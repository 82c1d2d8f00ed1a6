"""Faults, by name, and what is promised when they happen."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_LINUX
from peeks import processes
from pools import (
    BATCH,
    Sabotage,
    alive,
    assert_reads,
    by_pillow,
    draw_photos,
    each,
    numbered,
    output_of,
    read,
    requests_of,
    source_of,
    start_script,
    wait_for,
)

from fastaug.errors import DecodeError, WorkerError
from fastaug.files.decoders.pool import DecodePool
from fastaug.files.decoders.shared_memory import KIND_VARIABLE

pytestmark = pytest.mark.skipif(not ON_LINUX, reason="looks at processes in /proc")

COUNT = 6 * BATCH
Draw = Callable[..., list[str]]


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sabotage:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    return Sabotage(tmp_path / "sabotage")


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draw photos, some of which do something to the worker that opens them."""

    def draw(count: int = COUNT, **deeds: str) -> list[str]:
        return draw_photos(tmp_path / "photos", numbered(count, **deeds))

    return draw


def kill(workers: list[int], number: int = signal.SIGKILL) -> None:
    for worker in workers:
        os.kill(worker, number)


# --- Workers that die -----------------------------------------------------------------------------


@pytest.mark.parametrize("how_many", [1, 2])
def test_killed_workers_cost_time_but_no_batch(draw, how_many):
    paths = draw()
    source = source_of(paths)
    requests = requests_of(COUNT)
    first = read(source, requests[:2])
    kill(processes(source)[:how_many])
    with pytest.warns(RuntimeWarning, match="was killed by SIGKILL.*nothing is lost") as told:
        rest = read(source, requests[2:])
    np.testing.assert_array_equal(np.concatenate(first + rest), by_pillow(paths))
    assert len(told) == 1
    assert_reads(source, paths)  # without a word
    source.close()


def test_killed_idle_workers_cost_no_batch(draw):
    paths = draw()
    source = source_of(paths, read_ahead=0)
    assert_reads(source, paths)
    before = processes(source)
    kill(before)
    wait_for(lambda: not any(map(alive, before)))
    with pytest.warns(RuntimeWarning, match="2 was killed by SIGKILL") as told:
        assert_reads(source, paths)
    assert len(told) == 1
    assert not set(processes(source)) & set(before)
    source.close()


@pytest.mark.parametrize(
    ("deed", "end"),
    [
        ("killed", "was killed by SIGKILL"),
        ("aborted", "was killed by SIGABRT"),
        ("left", "left with exit code 0"),
    ],
)
def test_file_that_ends_one_worker_is_read_by_another(draw, sabotage, deed, end):
    paths = draw(_11=f"{deed}-once")
    source = source_of(paths)
    with pytest.warns(RuntimeWarning, match=end) as told:
        assert_reads(source, paths)
    assert len(told) == 1
    source.close()


def test_file_that_kills_twice_is_named_and_no_other(draw, sabotage):
    paths = draw(_11="aborted")
    source = source_of(paths)
    requests = requests_of(COUNT)
    with pytest.warns(RuntimeWarning, match="SIGABRT"), pytest.raises(DecodeError) as caught:
        read(source, requests)
    assert caught.value.path == paths[11]
    assert "was killed by SIGABRT, and so did another one before" in str(caught.value)
    assert sabotage.opened().count("11-aborted.jpg") == 2
    rest = np.concatenate(read(source, requests[2:]))
    np.testing.assert_array_equal(rest, by_pillow(paths)[2 * BATCH :])
    source.close()


def test_innocent_files_of_a_task_are_not_blamed(draw, sabotage):
    # With one worker these eight files are one task, which sees five workers die.
    deeds = {f"_{number}": "killed-once" for number in (0, 3, 4, 5, 7)}
    paths = draw(BATCH, **deeds)
    source = source_of(paths, workers=1)
    with pytest.warns(RuntimeWarning, match="5 was killed by SIGKILL"):
        assert_reads(source, paths)
    source.close()


def test_all_deadly_files_of_a_batch_are_survived(draw, sabotage):
    paths = draw(BATCH, _2="aborted", _5="left")
    source = source_of(paths)
    with pytest.warns(RuntimeWarning), pytest.raises(DecodeError) as caught:
        read(source, requests_of(BATCH))
    assert caught.value.path == paths[2]
    np.testing.assert_array_equal(
        np.concatenate(read(source, [(0, np.array([0, 1, 3, 4, 6, 7]))])),
        by_pillow([paths[number] for number in (0, 1, 3, 4, 6, 7)]),
    )
    source.close()


def test_worker_killed_while_it_starts_is_replaced(draw, sabotage, tmp_path, monkeypatch):
    paths = draw(_3="killed-once")
    (tmp_path / "simplejpeg.py").write_text(
        "import sitecustomize, sys\n"
        "second = not sitecustomize.first_time('start 1')\n"
        "if second and sitecustomize.first_time('start 2'):\n"
        "    sitecustomize.DEEDS['killed']()\n"
        "del sys.modules['simplejpeg'], sys.path[0]\n"
        "import simplejpeg\n"
    )
    monkeypatch.syspath_prepend(tmp_path)  # which workers get, too
    source = source_of(paths, workers=1)
    # The second death is not that of the file over which the first worker died.
    with pytest.warns(RuntimeWarning, match="2 was killed by SIGKILL"):
        assert_reads(source, paths)
    source.close()


# --- Files that fail ------------------------------------------------------------------------------


def test_file_deleted_after_the_scan_is_named(draw):
    paths = draw()
    source = source_of(paths)
    Path(paths[11]).unlink()
    with pytest.raises(DecodeError, match="No such file") as caught:
        read(source, requests_of(COUNT))
    assert caught.value.path == paths[11]
    source.close()


def test_file_replaced_by_a_folder_or_a_fifo_is_named(draw):
    paths = draw()
    source = source_of(paths)
    for make, reason in ((os.mkdir, "Is a directory"), (os.mkfifo, "not a regular file")):
        Path(paths[3]).unlink()
        make(paths[3])
        with pytest.raises(DecodeError, match=reason) as caught:
            read(source, requests_of(COUNT))
        assert caught.value.path == paths[3]
        if make is os.mkdir:
            Path(paths[3]).rmdir()
            Path(paths[3]).touch()
    source.close()


# --- Workers that stand still ---------------------------------------------------------------------


@pytest.mark.parametrize("how_many", [1, 2])
def test_stopped_workers_are_a_timeout_that_names_the_files(draw, how_many):
    paths = draw()
    source = source_of(paths, timeout=1.0)
    requests = requests_of(COUNT)
    read(source, requests[:1])
    stopped = processes(source)[:how_many]
    kill(stopped, signal.SIGSTOP)
    started = time.perf_counter()
    with pytest.raises(TimeoutError, match="timeout=1.0 s; being read: .*jpg") as caught:
        read(source, requests[1:])
    assert 1.0 <= time.perf_counter() - started < 4.0
    assert any(path in str(caught.value) for path in paths)
    assert_reads(source, paths)
    assert not any(map(alive, stopped))
    source.close()


def test_hung_file_is_a_timeout_that_names_it_alone(draw, sabotage):
    paths = draw(_11="hung")
    source = source_of(paths, timeout=1.0)
    with pytest.raises(TimeoutError) as caught:
        read(source, requests_of(COUNT))
    assert [path for path in paths if path in str(caught.value)] == [paths[11]]
    rest = np.concatenate(read(source, requests_of(COUNT)[2:]))
    np.testing.assert_array_equal(rest, by_pillow(paths)[2 * BATCH :])
    source.close()


def test_slow_files_are_no_timeout(draw, sabotage):
    paths = draw(BATCH, **{f"_{number}": "slow" for number in range(BATCH)})
    source = source_of(paths, workers=1, timeout=0.8)  # one task of 1.6 s
    assert_reads(source, paths)
    source.close()


# --- The end of the parent ------------------------------------------------------------------------

# Workers are idle, at a file that takes ten minutes, or stopped.
PARENT = """
import os, signal, sys, threading, time
from peeks import processes
from pools import read, requests_of, source_of
paths, state, end = eval(sys.argv[1]), sys.argv[2], sys.argv[3]
source = source_of(paths)
def consume():
    try:
        for _ in range(2):
            read(source, requests_of(len(paths)))
    except RuntimeError as error:
        assert "closed" in str(error)  # what a thread is told that still reads at exit
if state == "hung":
    threading.Thread(target=consume, daemon=True).start()
    log = os.path.join(os.environ["PYTHONPATH"].split(os.pathsep)[0], "log")
    while not os.path.exists(log) or "hung" not in open(log).read():
        time.sleep(0.01)
else:
    consume()
if state == "stopped":
    for worker in processes(source):
        os.kill(worker, signal.SIGSTOP)
print(*processes(source), flush=True)
if end == "wait":
    input()
elif end == "raise":
    raise KeyError("the user's mistake")
elif end == "exit":
    sys.exit(3)
elif end == "_exit":
    os._exit(4)
"""


def assert_all_gone(workers: list[int]) -> None:
    wait_for(lambda: not any(map(alive, workers)), seconds=5)
    assert not list(Path("/dev/shm").glob("fastaug*"))


@pytest.mark.parametrize("whom", ["parent", "group"])
@pytest.mark.parametrize("state", ["idle", "hung", "stopped"])
@pytest.mark.parametrize("kind", ["memfd", "shm"])
def test_workers_go_when_the_parent_is_killed(draw, sabotage, monkeypatch, whom, state, kind):
    monkeypatch.setenv(KIND_VARIABLE, kind)
    paths = draw(_3="hung") if state == "hung" else draw()
    with start_script(PARENT, paths, state, "wait") as script:
        workers = list(map(int, script.stdout.readline().split()))
        assert workers
        assert all(map(alive, workers))
        (os.kill if whom == "parent" else os.killpg)(script.pid, signal.SIGKILL)
        assert output_of(script, 10) == ("", "")  # no worker complains
    assert_all_gone(workers)


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [("return", 0, ""), ("exit", 3, ""), ("raise", 1, "the user's mistake"), ("_exit", 4, "")],
)
@pytest.mark.parametrize("state", ["idle", "hung"])
def test_script_may_end_with_a_live_source(draw, sabotage, end, code, said, state):
    paths = draw(_3="hung") if state == "hung" else draw()
    script = start_script(PARENT, paths, state, end)
    out, err = output_of(script, 20)
    assert script.returncode == code
    assert err.count("Traceback") == (end == "raise")
    assert said in err
    assert_all_gone(list(map(int, out.split())))


def test_worker_without_a_death_signal_goes_in_the_middle_of_a_file(draw, sabotage):
    paths = draw(_2="deaf", _3="hung")
    with start_script(PARENT, paths, "hung", "wait") as script:
        workers = list(map(int, script.stdout.readline().split()))
        script.kill()
    assert_all_gone(workers)


def test_worker_goes_though_a_forked_sibling_holds_its_pipe(draw):
    paths = draw()
    code = """
import os, sys, time
from peeks import processes
from pools import assert_reads, source_of
source = source_of(eval(sys.argv[1]))
assert_reads(source, eval(sys.argv[1]))
sibling = os.fork()
if not sibling:
    time.sleep(600)
print(sibling, *processes(source), flush=True)
input()
"""
    with start_script(code, paths) as script:
        sibling, *workers = map(int, script.stdout.readline().split())
        try:
            script.kill()
            assert_all_gone(workers)
            assert alive(sibling)
        finally:
            os.kill(sibling, signal.SIGKILL)


def test_sources_dropped_without_close_leave_nothing(draw):
    paths = draw()
    pools = []
    for round_ in range(20):
        source = source_of(paths, workers=1 + round_ % 2)
        read(source, requests_of(COUNT)[: round_ % 3])  # with others under way
        pools += processes(source)
        if round_ % 2:
            source.itself = source  # only the collector can take this one
        del source
    gc.collect()
    wait_for(lambda: not any(map(alive, pools)))


# --- Ctrl-C, fork, threads ------------------------------------------------------------------------


@pytest.fixture
def default_ctrl_c() -> Iterator[None]:
    """This process gets its own Ctrl-C, as it does when it is not started with `nohup` or `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_ctrl_c")
def test_ctrl_c_while_waiting_is_one_keyboard_interrupt(draw, sabotage):
    paths = draw(_3="hung-once")
    source = source_of(paths)

    def press() -> None:
        wait_for(lambda: "03-hung-once.jpg" in sabotage.opened())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        read(source, requests_of(COUNT))
    thread.join()
    for _ in range(2):
        assert_reads(source, paths)
    source.close()


@pytest.mark.parametrize("step", ["submit", "wait", "release"])
def test_ctrl_c_between_two_steps_loses_nothing(draw, monkeypatch, step):
    paths = draw()
    source = source_of(paths, timeout=5.0)
    real = getattr(DecodePool, step)

    def interrupted(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DecodePool, step, interrupted)
        for _ in range(4):  # more often than there are places
            with pytest.raises(KeyboardInterrupt):
                read(source, requests_of(COUNT))
    assert_reads(source, paths)
    source.close()


def test_ctrl_c_in_a_terminal_leaves_the_workers_alone(draw):
    code = """
import sys
from peeks import processes
from pools import assert_reads, source_of
paths = eval(sys.argv[1])
source = source_of(paths)
for _ in range(10):
    assert_reads(source, paths)
    before = processes(source)
    try:
        print("ready", flush=True)
        while True:
            pass
    except KeyboardInterrupt:
        pass
    assert processes(source) == before
assert_reads(source, paths)
print("done")
"""
    with start_script(code, draw()) as script:
        for _ in range(10):
            assert script.stdout.readline() == "ready\n"
            os.killpg(script.pid, signal.SIGINT)
        assert output_of(script, 20) == ("done\n", "")


def test_forked_child_gets_an_error_and_does_no_harm(draw):
    code = """
import os, sys
from peeks import processes
from pools import assert_reads, read, requests_of, source_of
paths = eval(sys.argv[1])
source = source_of(paths)
assert_reads(source, paths)
workers = processes(source)
for leave in (sys.exit, os._exit):
    with source.lend(requests_of(len(paths))[0], []):  # its lock is held in the child
        child = os.fork()
        if not child:
            try:
                read(source, requests_of(len(paths)))
            except RuntimeError as error:
                print(error, flush=True)
            source.close()
            own = source_of(paths)
            assert_reads(own, paths)
            own.close()
            leave(0)
        assert os.waitpid(child, 0)[1] == 0
    assert_reads(source, paths)
assert processes(source) == workers
source.close()
"""
    script = start_script(code, draw())
    out, err = output_of(script, 20)
    assert "DeprecationWarning" in err or err == ""  # Python 3.12 warns of every fork
    assert out.count("can't be used in a forked process") == 2
    assert script.returncode == 0


def test_train_and_validation_may_be_interleaved(draw):
    paths = draw()
    train, validation = source_of(paths), source_of(paths[::-1], workers=1)
    requests = requests_of(COUNT)
    pairs = list(zip(each(train, requests), each(validation, requests), strict=True))
    np.testing.assert_array_equal(np.concatenate([ours for ours, _ in pairs]), by_pillow(paths))
    np.testing.assert_array_equal(
        np.concatenate([theirs for _, theirs in pairs]), by_pillow(paths[::-1])
    )
    train.close()
    validation.close()


def test_error_in_a_warning_filter_costs_one_batch_only(draw):
    paths = draw()
    source = source_of(paths)
    read(source, requests_of(COUNT)[:1])
    kill(processes(source))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="SIGKILL"):
            read(source, requests_of(COUNT)[1:])
    assert_reads(source, paths)
    source.close()


def test_workers_that_die_at_every_start_are_an_error(draw, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    source = source_of(draw())
    with (
        pytest.raises(WorkerError, match="could not start: it was killed by SIGABRT"),
        pytest.warns(RuntimeWarning, match="SIGABRT"),
    ):
        read(source, requests_of(COUNT))
    source.close()


def test_eight_threads_get_every_batch_of_an_iterator_once(photos):
    from fastaug import Generator

    generator = Generator(horizontal_flip=True, workers=2)

    def iterator() -> object:
        return generator.flow_from_directory(
            photos / "validation", target_size=(40, 40), batch_size=16, seed=3
        )

    with iterator() as alone:
        expected = sorted(next(alone)[0].tobytes() for _ in range(2 * len(alone)))
    found: list[bytes] = []
    with iterator() as shared:
        turns = iter(range(2 * len(shared)))

        def consume() -> None:
            for _ in turns:
                found.append(next(shared)[0].tobytes())

        threads = [threading.Thread(target=consume) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(found) == expected
