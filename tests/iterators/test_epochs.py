"""Which batch answers which index, from recorded calls: no Keras, no pixels.

A trace is what Keras calls, in order: `w` it reads `workers` (it sets up a fit, evaluate or
predict), `B` and `E` are `on_epoch_begin` and `on_epoch_end`, numbers are `__getitem__`.  A `|`
splits a trace where a reader would; the answers come in the same pieces.
"""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastaug.iterators.passes import PassSchedule, Position, following

LENGTH = 5


def answers(trace: str, schedule: PassSchedule | None = None) -> list[list[str]]:
    """The batches that answer a trace's requests, as "pass.batch", piece by piece."""
    schedule = schedule or PassSchedule(LENGTH, shuffle=True)
    calls = {
        "w": schedule.on_set_up,
        "B": schedule.on_epoch_begin,
        "E": schedule.on_epoch_end,
    }
    pieces = []
    for piece in trace.split("|"):
        pieces.append([])
        for word in piece.split():
            if word in calls:
                calls[word]()
            else:
                pieces[-1].append(named(schedule.request(int(word)), schedule.length))
    return pieces


def named(position: Position, length: int = LENGTH) -> str:
    assert position.seen == position.start + position.batch
    assert position.start % length == 0
    return f"{position.start // length}.{position.batch}"


def whole(number: int, length: int = LENGTH) -> list[str]:
    """A pass in the seeded order."""
    return [f"{number}.{batch}" for batch in range(length)]


# Calls of Keras 3.15, logged with data sets of 5 batches.  First the ones of three epochs of `fit`.


def test_tensorflow_trains_on_the_seeded_order():
    trace = "w 0 1 E | B 0 1 4 2 3 E | B 1 0 3 4 2 E | B 4 0 1 3 2 E"
    assert answers(trace) == [["0.0", "0.1"], whole(0), whole(1), whole(2)]


def test_jax_trains_on_the_seeded_order_though_it_builds_the_model_with_one_batch():
    trace = "w B 2 E | B 3 1 0 2 4 E | B 2 3 1 0 4 E | B 2 3 1 4 0 E"
    assert answers(trace) == [["0.0"], whole(0), whole(1), whole(2)]


def test_jax_on_an_accelerator_looks_at_two_batches():
    trace = "w B 2 0 E | B 3 1 0 2 4 E | B 2 3 1 0 4 E"
    assert answers(trace) == [["0.0", "0.1"], whole(0), whole(1)]


def test_steps_per_epoch_let_one_pass_live_across_epochs():
    trace = "w 0 1 E | B 1 3 4 E | B 0 2 E | B E | B 4 0 2 E | B 1 3 E"
    first, second = whole(0), whole(1)
    assert answers(trace)[1:] == [first[:3], first[3:], [], second[:3], second[3:]]


def test_jax_steps_per_epoch_begin_with_the_first_batch():
    trace = "w B 4 E | B 1 3 E | B 0 4 E | B 2 E | B 3 1 E"
    assert answers(trace)[1:] == [["0.0", "0.1"], ["0.2", "0.3"], ["0.4"], ["1.0", "1.1"]]


def test_validation_has_one_pass_an_epoch():
    trace = "w 0 1 E | B 0 1 2 3 4 E | E B 0 1 2 3 4 E | E B 0 1 2 3 4 E"
    assert answers(trace)[1:] == [whole(0), whole(1), whole(2)]
    assert answers(trace.replace("0 1 E |", "|"))[1:] == [whole(0), whole(1), whole(2)]


def test_evaluate_and_predict_have_a_pass_each():
    evaluate, predict = "w 0 1 E B | 0 1 2 3 4 E | ", "w 0 1 B | 0 1 2 3 4 E | "
    given = answers(evaluate + predict + predict + evaluate)
    assert given[1::2] == [whole(0), whole(1), whole(2), whole(3)]


def test_jax_predict_has_a_pass():
    assert answers("w B | 0 1 2 3 4 E | w B | 0 1 2 3 4 E")[1::2] == [whole(0), whole(1)]


def test_fit_goes_on_with_the_next_pass():
    trace = "w 0 1 E | B 0 1 4 2 3 E | w 0 1 E | B 2 1 4 0 3 E | w E | B 0 1 2 3 4 E"
    assert answers(trace)[1::2] == [whole(0), whole(1), whole(2)]


# The same without `w`, as another version of Keras may call: no batch is lost.


@pytest.mark.parametrize(
    "trace",
    [
        "0 1 E | B 0 1 4 2 3 E | B 1 0 3 4 2 E",
        "B 2 E | B 3 1 0 2 4 E | B 2 3 1 0 4 E",
        "B 2 0 E | B 3 1 0 2 4 E | B 2 3 1 0 4 E",
    ],
    ids=["tensorflow", "jax", "jax with an accelerator"],
)
def test_without_the_sign_of_a_set_up_each_epoch_is_a_whole_pass(trace):
    assert [sorted(piece) for piece in answers(trace)[1:]] == [whole(0), whole(1)]


# Broken off.


@pytest.mark.parametrize(
    "set_up", ["w 0 1 E", "w E", "w B 3 E"], ids=["tensorflow", "jax", "jax, another model"]
)
def test_epoch_that_was_broken_off_is_finished_by_the_next_fit(set_up):
    given = answers(f"w 0 1 E B | 4 2 0 | {set_up} | B 4 3 1 0 2 E | B 0 2 3 1 4 E")
    assert given[1] == ["0.0", "0.1", "0.2"]
    assert given[3] == ["0.3", "0.4", "0.0", "0.1", "0.2"]
    assert given[4] == whole(1)


def test_epochs_that_are_always_broken_off_still_see_all_batches():
    given = answers("w E B | 4 2 | w E B | 2 0 | w E B | 4 2 | w E B | 1 2")
    assert given[1::2] == [["0.0", "0.1"], ["0.2", "0.3"], ["0.4", "0.0"], ["1.0", "1.1"]]


def test_epoch_broken_off_when_all_was_prefetched_ends_its_pass():
    assert answers("w 0 1 E | B 4 2 0 1 3 | w 0 1 E | B 0 1 2 3 4 E")[3] == whole(1)


def test_two_batches_that_were_looked_at_after_a_break_are_not_used_up():
    schedule = PassSchedule(2, shuffle=True)
    assert answers("w 0 1 E B 1 0 | w 0 1 E | B 0 1 E", schedule)[2] == whole(1, length=2)


def test_pass_may_end_within_one_of_keras_orders_of_indices():
    # After the break every order of Keras' begins in the midst of a pass: 4 3 | 2 1 | 0, then 0 ...
    given = answers("w E B 4 | w E | B 4 3 E | B 2 1 E | B 0 E | B 0 4 E")
    assert given[2:] == [["0.1", "0.2"], ["0.3", "0.4"], ["1.0"], ["1.1", "1.2"]]


def test_pass_with_steps_per_epoch_that_was_broken_off_goes_on():
    trace = "w E B 4 2 E | B 1 | w E | B 4 1 E | B 0 3 E | B 2 E"
    assert answers(trace) == [
        ["0.0", "0.1"], ["0.2"], [], ["0.3", "0.4"], ["1.0", "1.1"], ["1.2"],
    ]  # fmt: skip


def test_many_fits_of_few_steps_share_a_pass():
    trace = "w 0 1 E B | 4 2 E | w 0 1 E B | 2 4 E | w 0 1 E B | 2 E | w 0 1 E B | 2 4 E"
    assert answers(trace)[1::2] == [["0.0", "0.1"], ["0.2", "0.3"], ["0.4"], ["1.0", "1.1"]]


def test_whole_epoch_after_a_few_steps_has_every_batch_once():
    given = answers("w 0 1 E | B 4 2 E | w 0 1 E | B 0 1 2 3 4 E | B 0 1 2 3 4 E")
    assert sorted(given[3]) == whole(0)
    assert given[4] == whole(1)


# Between epochs, and outside of any.


def test_requests_between_two_epochs_of_a_pass_belong_to_it():
    trace = "w 0 1 E | B 1 3 E | 4 0 | B 2 E | B 0 1 2 3 4 E"
    assert answers(trace)[1:] == [["0.0", "0.1"], ["0.2", "0.3"], ["0.4"], whole(1)]


def test_what_a_set_up_asks_for_in_an_unfinished_pass_is_given_out_again():
    trace = "w 0 1 E | B 1 3 E | w 0 1 E | B 0 4 2 E"
    assert answers(trace)[2:] == [["0.2", "0.3"], ["0.2", "0.3", "0.4"]]


def test_requests_outside_an_epoch_are_positional_and_have_no_effect_on_training():
    schedule = PassSchedule(LENGTH, shuffle=True)
    assert answers("3 1 1 0 3", schedule) == [["0.3", "0.1", "1.1", "0.0", "1.3"]]
    assert answers("B 4 0 1 2 3 E", schedule) == [whole(0)]
    assert answers("2 2 0", schedule) == [["1.2", "2.2", "1.0"]]


@pytest.mark.parametrize("shuffle", [True, False])
def test_loop_over_indices_goes_from_pass_to_pass(shuffle):
    schedule = PassSchedule(LENGTH, shuffle)
    trace = "0 1 2 3 4 | 4 2 3 1 0 | 0 1 2 3 4"
    assert answers(trace, schedule) == [whole(0), ["1.4", "1.2", "1.3", "1.1", "1.0"], whole(2)]


def test_what_an_index_gets_does_not_depend_on_the_order_among_threads():
    one = answers("0 1 | 4 2 0 3 1 | 1 0 2 3 4")
    other = answers("0 1 | 2 4 3 0 1 | 0 1 3 2 4")
    assert [sorted(piece) for piece in one] == [sorted(piece) for piece in other]


def test_pass_of_one_batch_is_new_each_time():
    assert answers("0 0 0", PassSchedule(1, shuffle=True)) == [["0.0", "1.0", "2.0"]]


def test_peek_is_positional_and_has_no_effect():
    schedule = PassSchedule(LENGTH, shuffle=True)
    answers("3 1 3", schedule)
    assert [named(schedule.peek(3)), named(schedule.peek(3))] == ["0.3", "0.3"]
    assert answers("3", schedule) == [["2.3"]]


def test_epoch_end_outside_an_epoch_shows_the_next_pass():
    schedule = PassSchedule(LENGTH, shuffle=True)
    assert answers("0 | E 0 | E 0 4", schedule) == [["0.0"], ["1.0"], ["2.0", "2.4"]]
    assert answers("B 0 1 2 3 4 E", schedule) == [whole(0)]


@pytest.mark.parametrize("calls", ["w B 3 E", "w B 3 2 E", "w 0 1 E B E", "E B E", "w"])
def test_set_up_without_training_leaves_the_peeks_where_they_were(calls):
    assert answers(f"{calls} | 0 1")[1] == ["0.0", "0.1"]


def test_index_that_is_asked_for_twice_in_an_epoch_gets_the_same_batch():
    assert answers("B 3 1 3 3 0 1 E") == [["0.0", "0.1", "0.0", "0.0", "0.2", "0.1"]]


# One batch only; no order of our own.


def test_pass_of_one_batch():
    schedule = PassSchedule(1, shuffle=True)
    assert answers("w 0 E | B 0 E | B 0 E | w 0 E B | 0 E", schedule) == [
        ["0.0"], ["0.0"], ["1.0"], ["2.0"], ["2.0"],
    ]  # fmt: skip
    assert answers("w 0 B 0 E | w 0 B 0 E", schedule) == [["3.0", "3.0"], ["4.0", "4.0"]]


def test_without_shuffle_an_index_is_its_batch():
    schedule = PassSchedule(LENGTH, shuffle=False)
    assert answers("w 0 1 E | B 3 1 4 0 2 E | B 0 1 2 3 4 E", schedule) == [
        ["0.0", "0.1"], ["0.3", "0.1", "0.4", "0.0", "0.2"], whole(1),
    ]  # fmt: skip


def test_without_shuffle_a_part_of_a_pass_is_followed_by_a_new_one():
    # Whether the prefetch thread asked for one batch more or less must not matter.
    for asked in ("0 1", "0 1 2", "0 1 2 3 4"):
        schedule = PassSchedule(LENGTH, shuffle=False)
        given = answers(f"w 0 1 E B | {asked} E | E B | 0 1 E | w 0 1 E B | 0 E", schedule)
        assert given[3] == ["1.0", "1.1"]
        assert given[5] == ["2.0"]
        assert answers("E | 3", schedule)[1] == ["3.3"]


def test_without_shuffle_requests_outside_an_epoch_have_no_effect_on_training():
    schedule = PassSchedule(LENGTH, shuffle=False)
    assert answers("4 0 4 | B 0 1 2 3 4 E | 2", schedule) == [
        ["0.4", "0.0", "1.4"],
        whole(0),
        ["1.2"],
    ]


# Laws.

ORDERS = st.lists(st.permutations(range(LENGTH)), min_size=1, max_size=6)
SET_UPS = st.lists(st.sampled_from(["", "w 0 1 E", "w E", "w B 3 E"]), min_size=1)
PEEKS = st.lists(st.integers(0, LENGTH - 1), max_size=4)


@given(ORDERS, PEEKS)
@settings(deadline=None, derandomize=True)
def test_whole_epochs_in_any_order_give_every_batch_of_every_pass_once(orders, peeks):
    looks = " ".join(map(str, peeks))
    epochs = [f"{looks} | B {' '.join(map(str, order))} E" for order in orders]
    given = answers(" | ".join(epochs))[1::2]
    assert given == [whole(number) for number in range(len(orders))]


@given(ORDERS, st.integers(1, LENGTH + 2), st.integers(0, 2), SET_UPS)
@settings(deadline=None, derandomize=True)
def test_steps_per_epoch_give_every_batch_of_every_pass_once(orders, steps, prefetched, set_ups):
    """Keras ends an epoch where its order of indices ends, whatever `steps` is."""
    schedule, set_ups, given = PassSchedule(LENGTH, shuffle=True), cycle(set_ups), []
    for order in orders:
        asked = 0
        while asked < LENGTH:
            indices = order[asked : asked + steps + prefetched]
            epoch = f"{next(set_ups)} | B {' '.join(map(str, indices))} E"
            given += answers(epoch, schedule)[1]
            asked += len(indices)
    assert given == [name for number in range(len(orders)) for name in whole(number)]


@given(st.lists(st.integers(1, LENGTH), max_size=8), st.permutations(range(LENGTH)))
@settings(deadline=None, derandomize=True)
def test_epoch_after_any_broken_ones_is_whole(broken, order):
    schedule = PassSchedule(LENGTH, shuffle=True)
    for count in broken:
        answers(f"w 0 1 E B {' '.join(map(str, order[:count]))}", schedule)
    epoch = f"B {' '.join(map(str, reversed(order)))} E"
    first, second = answers(f"w 0 1 E | {epoch} | {epoch}", schedule)[1:]
    assert len({name.split(".")[0] for name in first}) == 1
    assert sorted(name.split(".")[1] for name in first) == list("01234")
    assert second == whole(int(first[0].split(".")[0]) + 1)


def test_what_follows_a_batch_is_the_rest_of_its_pass_and_then_the_next():
    last_but_one = Position(start=5, batch=3, seen=8)
    ahead = [following(last_but_one, LENGTH, steps) for steps in (1, 2, 3)]
    assert ahead == [Position(5, 4, 9), Position(10, 0, 10), Position(10, 1, 11)]


def test_after_a_reset_the_pass_keeps_the_order_that_was_drawn_when_it_began():
    # `next()` twice, `reset()`, `next()`: the order was drawn when 2 batches were seen.
    assert following(Position(2, 0, 2), LENGTH) == Position(2, 1, 3)
    assert following(Position(2, 4, 6), LENGTH) == Position(7, 0, 7)
