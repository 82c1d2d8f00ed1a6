"""What models are fed: `fit`, `evaluate` and `predict`, on each backend of Keras.

`feeding_script.py` runs all scenarios, in one process for each backend; the tests look at what it
observed.  Batches are told apart by a digest of their images: no two are equal, because they are
rotated at random.  `passes` are the passes that `for batch in iterator` shows.
"""

from __future__ import annotations

import re

import pytest
from backends import BACKENDS, observations_of
from conftest import DATA

LENGTH = 5  # batches in a pass
TIMEOUT_S = 500  # of both processes; about 50 on two idle cores

pytestmark = pytest.mark.timeout(TIMEOUT_S + 60)


@pytest.fixture(scope="session")
def observations() -> dict[str, dict]:
    """What each installed backend's process observed, by scenario; both run side by side."""
    images = [str(DATA)] if DATA.is_dir() else []
    return observations_of("feeding_script.py", *images, timeout_s=TIMEOUT_S)


@pytest.fixture(params=BACKENDS)
def observe(request, observations):
    """Call it with a scenario's name to get what was observed."""
    if request.param not in observations:
        pytest.skip(f"{request.param} is not installed")
    observed = observations[request.param]
    assert observed["backend"] == request.param

    def look(scenario: str):
        found = observed[scenario]
        assert "traceback" not in found, found["traceback"]
        return found

    return look


def named(digests: list[str], passes: list[list[str]]) -> list[str]:
    """Batches as "pass.batch"."""
    names = {
        digest: f"{number}.{batch}"
        for number, digests_of_pass in enumerate(passes)
        for batch, digest in enumerate(digests_of_pass)
    }
    return [names.get(digest, digest) for digest in digests]


def whole(*numbers: int) -> list[str]:
    """Passes in the seeded order."""
    return [f"{number}.{batch}" for number in numbers for batch in range(LENGTH)]


def passes_of(names: list[str]) -> list[str]:
    return [name.split(".")[0] for name in names]


def prefetches(observe) -> bool:
    """Whether Keras asks for more than it trains on: TensorFlow does, and some versions on JAX."""
    return observe("backend") == "tensorflow" or observe("plain_fit")["calls"][2] != "E"


# Every sample once a pass, in the seeded order.


def test_fit_trains_on_what_a_loop_over_the_iterator_shows(observe):
    found = observe("plain_fit")
    assert named(found["seen"], observe("passes")) == whole(0, 1, 2, 3)


def test_calls_are_as_the_schedule_was_made_for(observe):
    """The first `fit`, two epochs; more traces are in `test_epochs.py`."""
    calls = " ".join(named(observe("plain_fit")["calls"], observe("passes")))
    set_up = {"tensorflow": "0.0 0.1 E", "jax": "B 0.0( 0.1)? E"}[observe("backend")]
    epochs = [f"B {' '.join(whole(number))} E" for number in range(2)]
    assert re.match(" ".join([set_up, *epochs]), calls)


def test_validation_does_not_disturb_training(observe):
    found = observe("fit_with_validation")
    names = named(found["seen"], observe("passes"))
    validation = found["validation"]
    assert names == [*whole(0), *validation, *whole(1), *validation, *whole(2), *validation]


def test_validation_that_is_shuffled_has_its_own_passes(observe):
    names = named(observe("fit_with_shuffled_validation"), observe("passes"))
    assert names == whole(0, 0, 1, 1, 2, 2)


@pytest.mark.parametrize(
    ("steps", "trained"),
    [
        (1, [*whole(0), "1.0", "1.1"]),
        (2, whole(0, 1)),  # 2 + 2 + 1, and again
        (5, whole(0, 1)),
        (7, whole(0, 1)),
    ],
)
def test_steps_per_epoch_give_every_batch_of_a_pass_once(observe, steps, trained):
    assert named(observe(f"steps_per_epoch={steps}"), observe("passes")) == trained


def test_many_fits_of_few_steps_go_through_the_passes(observe):
    found = observe("fits_of_few_steps")
    few, then = (named(found[part], observe("passes")) for part in ("few", "then"))
    assert few[:2] == ["0.0", "0.1"]
    assert passes_of(few) == sorted(passes_of(few))
    if not prefetches(observe):  # and throws away in each fit what was not trained on
        assert few == [*whole(0), "0.0", "1.0", "1.1"]
    last = int(few[-1][0])
    assert sorted(then[:LENGTH]) in (whole(last), whole(last + 1))
    assert then[LENGTH:] == whole(int(then[0][0]) + 1)


@pytest.mark.parametrize("how", ["error", "Ctrl-C", "stop_training"])
def test_epoch_that_was_broken_off_is_finished_by_the_next_fit(observe, how):
    found = observe(f"broken off: {how}")
    raised = {"error": "OSError", "Ctrl-C": "KeyboardInterrupt", "stop_training": None}[how]
    assert found["error"] == raised
    first, then = (named(found[part], observe("passes")) for part in ("first", "then"))
    assert first == ["0.0", "0.1", "0.2"]
    # The prefetch thread may have had all of the pass when it was broken off.
    assert sorted(then[:LENGTH]) in (whole(0), whole(1))
    assert then[:LENGTH] == whole(1) or then[0] in ("0.3", "0.4")
    assert then[LENGTH:] == whole(int(then[0][0]) + 1)


def test_epoch_of_some_steps_that_was_broken_off_leaves_no_pass_out(observe):
    found = observe("broken off: error, steps_per_epoch=4")
    names = named(found["first"] + found["then"], observe("passes"))
    assert passes_of(names) == sorted(passes_of(names))
    if not prefetches(observe):
        assert names == [*whole(0), "0.0", "0.1", "1.0"]


def test_error_of_the_users_function_arrives_and_the_next_fit_works(observe):
    found = observe("raising_function")
    assert "a bad image" in found["message"]
    names = named(found["then"], observe("passes"))
    assert sorted(names) in [whole(number) for number in (1, 2, 3)]


def test_workers_set_by_the_user_change_nothing_but_warn(observe):
    found = observe("workers_set_to_four")
    assert named(found["seen"], observe("passes")) == whole(0, 1)
    assert len(found["warnings"]) == 1
    assert "workers=4 is ignored" in found["warnings"][0]


def test_unshuffled_iterator_gives_each_batch_once_in_keras_order(observe):
    found = observe("unshuffled_fit")
    seen, passes = found["seen"], found["passes"]
    assert [sorted(seen[:5]), sorted(seen[5:10])] == [sorted(passes[0]), sorted(passes[1])]
    assert seen[10:] == passes[2]  # fit(shuffle=False)


def test_next_and_fit_do_not_disturb_each_other(observe):
    found = observe("next_beside_fit")
    assert named(found["next"], observe("passes")) == ["0.0", "0.1", "0.2", "0.3"]
    assert named(found["fit"], observe("passes")) == whole(0)


def test_evaluate_and_predict_have_passes_of_their_own(observe):
    found = observe("evaluate_and_predict")
    for number, method in enumerate(("evaluate", "predict", "fit")):
        assert named(found[method], observe("passes")) == whole(number)


def test_each_predict_has_draws_of_its_own(observe):
    seen = observe("predict_twice_unshuffled")
    passes = observe("unshuffled_fit")["passes"]
    assert seen == passes[0] + passes[1]


def test_pass_of_one_batch_is_drawn_anew_every_epoch(observe):
    found = observe("one_batch")
    # To look at the only batch, as Keras does on JAX, is to have a pass.
    first = {"tensorflow": 0, "jax": 1}[observe("backend")]
    assert found["seen"] == found["passes"][first : first + 3]


def test_training_from_files_beside_validation_from_files(observe):
    found = observe("folder_fit")
    names = named(found["seen"], found["passes"])
    validation = found["validation"]
    expected = [name for number in range(3) for name in [*whole(number), *validation[number]]]
    assert names == [*expected, *whole(3, 4)]  # epochs of 3, 2, 3 and 2 steps


# Labels, weights, order.


def test_predictions_are_in_the_order_of_filenames(observe):
    found = observe("predict_order")
    for predicted in found["predicted"]:
        assert predicted == pytest.approx(found["means"], abs=1e-5)


@pytest.mark.parametrize("kind", ["class_weight", "sample_weight", "evaluate"])
def test_weights_weigh(observe, kind):
    loss, expected = observe("weights")[kind]
    assert loss == pytest.approx(expected, rel=1e-5)


def test_several_inputs(observe):
    found = observe("several_inputs")
    assert found["with labels"] == pytest.approx(found["expected"], rel=1e-5)
    assert found["without labels"] == pytest.approx(found["expected"], rel=1e-5)
    assert found["loss"] == pytest.approx(found["expected loss"], rel=1e-5)


def test_several_labels(observe):
    found = observe("several_labels")
    assert found["evaluate"][0] == pytest.approx(found["expected"][0], rel=1e-5)
    assert found["loss"] == pytest.approx(found["expected"][:1], rel=1e-5)


def test_batches_of_bytes_can_be_trained_on(observe):
    losses = observe("images_as_bytes")
    assert losses[-1] < losses[0]


# The 2017 study's models learn.


@pytest.mark.usefixtures("real_data")
def test_loss_falls_on_cifar(observe):
    losses = observe("cifar")["loss"]
    assert losses[-1] < 0.97 * losses[0]  # 0.90 to 0.95 with other seeds


@pytest.mark.usefixtures("real_data")
def test_loss_falls_on_dogs_and_cats(observe):
    found = observe("dogs")
    losses = found["history"]["loss"]
    assert losses[-1] < 0.985 * losses[0]  # 0.93 to 0.96 with other seeds
    assert len(found["history"]["val_loss"]) == len(losses)
    assert found["left"] == {"children": 0, "threads": 0}
