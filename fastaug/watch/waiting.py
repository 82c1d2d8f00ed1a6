"""How long a model waited for its input, from the times at which things happened.

    the loop   begin 0 | step 0 ........ finish 0 | begin 1 | (waits) | step 1 ... finish 1
    the feed      request, deliver      request, .............. deliver

A model waits where it has finished a step, or its loop was kept from it until then, and the batch
of the next step isn't there.  Pure arithmetic: knows no Keras, no iterator and no clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from fastaug.counters import Delivery


class Step(NamedTuple):
    """One call of the training step: when the loop began it, and when its loss was there."""

    begun: float
    finished: float
    batches: int = 1


def seconds_waited(
    steps: Sequence[Step], deliveries: Sequence[Delivery], loop: int, since: float
) -> float:
    """Return for how many seconds of an epoch the model waited for its input.

    Parameters
    ----------
    steps
        The epoch's steps, in order.
    deliveries
        Batches of the epoch, in order; may begin with some that were fetched before it.
    loop
        The thread in which the training loop runs.
    since
        What was before is not counted.

    Notes
    -----
    The model waits from the request for a batch to its delivery, without the time until it is ready
    for it.  Where the loop itself asks (JAX, PyTorch), it is ready when it has finished the steps
    that were under way at the request: JAX runs ahead of its device.  Where another thread asks,
    ahead of time (TensorFlow), it is ready when the loop begins the step that takes the batch.
    """
    if all(delivery.thread == loop for delivery in deliveries):
        return _waited_in_loop(steps, deliveries, since)
    return _waited_for_thread(steps, deliveries, since)


def _waited_in_loop(steps: Sequence[Step], deliveries: Sequence[Delivery], since: float) -> float:
    begun = [step.begun for step in steps]
    # PyTorch's loop fetches a batch before it begins a step, that of JAX while it is in it: then
    # the step that was begun last is no work under way, it waits for this very batch.
    fetched_first = bool(deliveries and begun) and deliveries[0].requested < begun[0]
    total = 0.0
    for delivery in deliveries:
        under_way = bisect_right(begun, delivery.requested) - (0 if fetched_first else 1)
        busy_until = steps[under_way - 1].finished if under_way > 0 else since
        total += max(0.0, delivery.delivered - max(delivery.requested, busy_until, since))
    return total


def _waited_for_thread(
    steps: Sequence[Step], deliveries: Sequence[Delivery], since: float
) -> float:
    total, first, finished = 0.0, 0, since
    for step in steps:
        ready = max(step.begun, finished, since)
        for delivery in deliveries[first : first + step.batches]:
            total += max(0.0, delivery.delivered - max(delivery.requested, ready))
        first, finished = first + step.batches, step.finished
    return total
