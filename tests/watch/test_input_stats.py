"""`InputStats`: does the model wait for its input, on each backend of Keras?

`input_stats_script.py` trains where one side is slow, in one process for each backend.
"""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest
from backends import BACKENDS, observations_of
from conftest import make_images
from PIL import Image
from pools import draw_photos

import fastaug
from fastaug import Generator, InputStats
from fastaug.counters import Counters, Delivery
from fastaug.watch.advice import ENOUGH, MODEL
from fastaug.watch.waiting import Step, seconds_waited

TIMEOUT_S = 240
LOOP, OTHER = 1, 2  # threads

pytestmark = pytest.mark.timeout(TIMEOUT_S + 60)


@pytest.fixture(scope="session")
def observations() -> dict[str, dict]:
    return observations_of("input_stats_script.py", timeout_s=TIMEOUT_S)


@pytest.fixture(params=BACKENDS)
def observe(request, observations):
    if request.param not in observations:
        pytest.skip(f"{request.param} is not installed")

    def look(scenario: str):
        found = observations[request.param][scenario]
        assert "traceback" not in found, found["traceback"]
        return found

    return look


# On each backend, the best of three epochs: others may take the cores in one of them.


@pytest.mark.parametrize(
    "scenario",
    ["slow_model", "slow_loop", "slow_model_on_input_as_slow", "slow_model_in_steps_per_epoch"],
)
def test_slow_model_waits_for_nothing(observe, scenario):
    assert min(observe(scenario)["input_wait"]) < 0.2


@pytest.mark.parametrize(
    "scenario",
    ["slow_function", "slow_function_in_steps_per_epoch", "slow_function_and_steps_per_execution"],
)
def test_slow_function_is_waited_for(observe, scenario):
    found = observe(scenario)
    assert max(found["input_wait"]) > 0.6
    assert max(found["function"]) > 0.6
    assert any("preprocessing_function takes the time" in advice for advice in found["advice"])


def test_slow_decode_is_waited_for(observe):
    found = observe("slow_decode")
    assert max(found["input_wait"]) > 0.6
    assert max(found["decode"]) > 0.6
    assert max(found["function"]) == 0
    assert any("workers" in advice or "cache" in advice for advice in found["advice"])


def test_input_that_is_fetched_ahead_is_busy_but_not_waited_for(observe):
    found = observe("slow_model_on_input_as_slow")
    assert max(found["function"]) > 0.3
    assert min(found["input_wait"]) < 0.5 * min(found["function"])


def test_validation_is_not_part_of_the_epoch(observe):
    found = observe("slow_validation")
    assert min(found["input_wait"]) < 0.2
    assert max(found["function"]) == 0
    # As many batches of training as of validation, both as slow.
    assert sum(found["seconds"]) < 0.75 * found["lasted"]


def test_compilation_is_not_part_of_the_first_epoch(observe):
    found = observe("slow_loop")
    assert found["seconds"][0] < 0.75 * found["lasted"]


def test_advice_follows_from_the_wait(observe):
    for scenario in ("slow_model", "slow_loop", "slow_function"):
        found = observe(scenario)
        limits = [advice == MODEL for advice in found["advice"]]
        assert limits == [share < ENOUGH for share in found["input_wait"]]


def test_only_input_wait_is_logged(observe):
    assert observe("slow_model")["logs"] == ["input_wait", "loss"]


# In this process: logs, what is printed, and what is refused.


@pytest.fixture
def model():
    inputs = keras.Input((5, 7, 3))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    model.compile("sgd", "mse")
    return model


def flow(**options):
    batches = Generator(horizontal_flip=True, **options)
    return batches.flow(make_images(20, 5, 7, 3), np.zeros(20), batch_size=4, seed=1)


class Log(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))


def test_callbacks_behind_it_see_it_and_so_does_history(model, tmp_path):
    table = tmp_path / "log.csv"
    with flow() as batches:
        before, behind = Log(), Log()
        callbacks = [before, InputStats(batches), behind, keras.callbacks.CSVLogger(table)]
        history = model.fit(batches, epochs=2, verbose=0, callbacks=callbacks).history
    assert [type(share) for share in history["input_wait"]] == [float, float]
    assert [logs["input_wait"] for logs in behind.logs] == history["input_wait"]
    assert not any("input_wait" in logs for logs in before.logs)
    with table.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["input_wait"]) for row in rows] == history["input_wait"]


def test_each_epoch_gets_a_line_behind_its_progress_bar(model, capsys):
    with flow() as batches:
        watching = InputStats(batches, verbose=1)
        model.fit(batches, epochs=2, verbose=2, callbacks=[watching])
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    kinds = ["input" if line.startswith("input: model waited") else line[:5] for line in lines]
    assert kinds == ["Epoch", "5/5 -", "input", "Epoch", "5/5 -", "input"]
    assert "augment" in lines[2]
    assert "decode" not in lines[2]
    assert [lines[2], lines[5]] == [str(found) for found in watching.epochs]


def test_folder_and_data_frame_tell_of_decoding(model, tmp_path):
    pandas = pytest.importorskip("pandas")
    paths = draw_photos(tmp_path / "a", [f"{number}.jpg" for number in range(8)])
    frame = pandas.DataFrame({"filename": paths, "class": ["a"] * 8})
    generator = Generator(workers=0)
    options = {"target_size": (5, 7), "class_mode": "sparse", "batch_size": 2, "shuffle": False}
    for batches in (
        generator.flow_from_directory(tmp_path, **options),
        generator.flow_from_dataframe(frame, **options),
    ):
        with batches:
            watching = InputStats(batches)
            model.fit(batches, epochs=2, verbose=0, callbacks=[watching])
        assert [found.epoch for found in watching.epochs] == [0, 1]
        assert all(found.shares.decode > 0 for found in watching.epochs)
        assert "decode" in str(watching.epochs[0])


def test_one_step_is_measured_with_its_compilation(model):
    with flow() as batches:
        watching = InputStats(batches)
        model.fit(batches, steps_per_epoch=1, epochs=1, verbose=0, callbacks=[watching])
    assert 0 <= watching.epochs[0].shares.waited <= 1
    assert watching.epochs[0].seconds > 0


def test_iterator_is_watched_while_it_trains_only(model):
    with flow() as batches:
        assert batches._deliveries is None
        watching = InputStats(batches)
        for _ in range(2):  # the same callback for another `fit`
            model.fit(batches, epochs=2, verbose=0, callbacks=[watching])
            assert len(watching.epochs) == 2
        assert batches._deliveries is None
        assert len(watching._deliveries) == 0


def test_iterator_that_fit_does_not_use_is_told_of(model):
    with flow() as batches, flow() as other:
        watching = InputStats(other)
        with pytest.warns(UserWarning, match="takes no batches"):
            history = model.fit(batches, verbose=0, callbacks=[watching]).history
    assert "input_wait" not in history
    assert watching.epochs == []


@pytest.mark.parametrize("wrong", [None, np.zeros((2, 5, 7, 3)), Generator(), "folder", iter([])])
def test_what_is_no_iterator_of_ours_is_refused(wrong):
    with pytest.raises(TypeError, match="InputStats takes the iterator on which `fit` trains"):
        fastaug.InputStats(wrong)


def test_verbose_is_checked():
    with flow() as batches, pytest.raises(TypeError, match="verbose"):
        InputStats(batches, verbose="yes")


def test_large_photos_are_found(tmp_path):
    for number in range(12):
        size = (400, 300) if number % 4 else (30, 20)
        Image.new("RGB", size).save(tmp_path / f"{number:02}.jpg")
    (tmp_path / "12.jpg").write_bytes(b"broken")
    from fastaug.files.target import Target
    from fastaug.watch.input_stats import _has_large_photos

    paths = sorted(map(str, tmp_path.iterdir()))
    assert _has_large_photos(paths, Target(100, 100, "rgb", "nearest", False))
    assert not _has_large_photos(paths, Target(200, 300, "rgb", "nearest", False))


def test_time_in_the_function_is_part_of_that_in_kernels():
    def work(image):
        return np.sort(np.sort(image, axis=0), axis=1) * 0

    with flow(preprocessing_function=work) as batches:
        for _ in range(5):
            next(batches)
        assert 0 < batches.stats.function_s < batches.stats.kernel_s
    with flow(preprocessing_function="tf") as batches:
        next(batches)
        assert batches.stats.function_s == 0
    assert Counters().function_s == 0


# From times alone.


def steps_of(*times):
    return [Step(*one) for one in times]


def asked(thread, *times):
    return [Delivery(*one, thread) for one in times]


def test_thread_that_fetches_ahead_in_time_costs_nothing():
    deliveries = asked(OTHER, (0, 1), (1, 2), (2, 3))
    assert seconds_waited(steps_of((1, 5), (5, 9), (9, 13)), deliveries, LOOP, 0) == 0


def test_model_waits_for_a_thread_from_the_end_of_its_step():
    # Each batch takes 10, each step 3: the model waits for 10 first, then for 7.
    deliveries = asked(OTHER, (0, 10), (10, 20), (20, 30))
    steps = steps_of((0, 13), (13, 23), (23, 33))
    assert seconds_waited(steps, deliveries, LOOP, 0) == 10 + 7 + 7


def test_loop_that_is_kept_by_a_callback_waits_for_nothing():
    deliveries = asked(OTHER, (0, 10), (10, 20))
    assert seconds_waited(steps_of((10, 13), (19, 24)), deliveries, LOOP, 0) == 20 - 19


def test_time_before_a_request_is_not_that_of_the_feed():
    assert seconds_waited(steps_of((0, 13)), asked(OTHER, (4, 10)), LOOP, 0) == 6


def test_batches_that_were_fetched_before_the_epoch_cost_nothing():
    deliveries = asked(OTHER, (-9, -8), (-8, -7), (2, 6))
    assert seconds_waited(steps_of((0, 2), (2, 4), (4, 8)), deliveries, LOOP, 0) == 6 - 4


def test_loop_waits_from_request_to_delivery():
    # JAX: the request comes within the step.
    deliveries = asked(LOOP, (1, 4), (6, 9))
    assert seconds_waited(steps_of((0, 5), (6, 10)), deliveries, LOOP, 0) == 3 + 3
    # PyTorch: it comes before the step.
    assert seconds_waited(steps_of((4, 5), (9, 10)), deliveries, LOOP, 0) == 3 + 3


def test_loop_that_runs_ahead_of_its_device_waits_only_when_that_is_idle():
    # The loop dispatches steps at once; the device needs 10 for each, a batch takes 4.
    inside = steps_of((0, 14), (4, 24), (8, 34))
    assert seconds_waited(inside, asked(LOOP, (0, 4), (4, 8), (8, 12)), LOOP, 0) == 4
    # A batch takes 12: the device is idle for 2 before each further step.
    inside = steps_of((0, 22), (12, 34), (24, 46))
    assert seconds_waited(inside, asked(LOOP, (0, 12), (12, 24), (24, 36)), LOOP, 0) == 12 + 2 + 2
    first = steps_of((12, 22), (24, 34), (36, 46))
    assert seconds_waited(first, asked(LOOP, (0, 12), (12, 24), (24, 36)), LOOP, 0) == 12 + 2 + 2


def test_loop_may_fetch_one_batch_more_before_a_step():
    # JAX on an accelerator: batch k + 1 is fetched before step k is dispatched.
    deliveries = asked(LOOP, (0, 2), (2, 4), (9, 12))
    assert seconds_waited(steps_of((0, 9), (9, 17), (17, 22)), deliveries, LOOP, 0) == 4 + 3


def test_what_was_before_is_not_counted():
    deliveries = asked(OTHER, (0, 10), (10, 20), (20, 30))
    steps = steps_of((0, 13), (13, 23), (23, 33))
    assert seconds_waited(steps, deliveries, LOOP, 13) == 7 + 7
    assert seconds_waited(steps, asked(LOOP, (0, 10), (13, 20)), LOOP, 15) == 5


def test_steps_of_several_batches_take_as_many():
    deliveries = asked(OTHER, *((4 * k, 4 * k + 4) for k in range(5)))
    steps = [Step(0, 9, 2), Step(9, 17, 2), Step(17, 21, 2)]  # the last one has one batch only
    assert seconds_waited(steps, deliveries, LOOP, 0) == 8 + (16 - 9) + (20 - 17)


def test_nothing_happened_nothing_was_waited_for():
    assert seconds_waited([], [], LOOP, 0) == 0
