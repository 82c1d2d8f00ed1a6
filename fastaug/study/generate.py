"""`fastaug bench generate`: batches of CIFAR-10 in memory, nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug.generator import Generator
from fastaug.machine import usable_cores
from fastaug.study import of_2017 as study
from fastaug.study.data import Images
from fastaug.study.pool_method import flow as flow_by_pool
from fastaug.study.pool_method import pool_of
from fastaug.study.record import KERAS, LABELS, OURS, OURS_FUSED, POOL, Record, Row, Run
from fastaug.study.rounds import Contender, Screen, interruptible, run_rounds

GROUP = "batches of 32"
FUNCTION: dict[str, Any] = {"preprocessing_function": study.preprocess}
WARM_UP = 20  # batches


def run(record: Record, images: Images, rounds: int, screen: Screen) -> None:
    """Measure all contenders; what they make is compared before.

    Parameters
    ----------
    record
        Gets the rows.
    images
        The data set.
    rounds
        How often each is measured.
    screen
        Where it is shown.
    """
    batches = record.settings["batches"]
    with interruptible(record), _numpy_state():
        screen.show("comparing what the contenders make")
        record.checks.extend(check(images))
        run_rounds(record, contenders(images, batches), rounds, screen)


def contenders(images: Images, batches: int) -> list[Contender]:
    """Return Keras, the pool with 1 to N processes, and fastaug with 1 to N threads, twice."""
    counts = range(1, usable_cores() + 1)
    plan = [(KERAS, 0)]
    plan += [(contender, n) for contender in (POOL, OURS, OURS_FUSED) for n in counts]
    total = batches * study.GENERATE_BATCH
    return [
        Contender(
            Row(GROUP, contender, LABELS[contender], count, total),
            partial(time_batches, contender, count, images, batches),
        )
        for contender, count in plan
    ]


def time_batches(contender: str, count: int, images: Images, batches: int) -> Run:
    """Take so many batches from a new iterator that has made a few before."""
    with iterator_of(contender, count, images) as iterator:
        for _ in islice(iterator, WARM_UP):
            pass
        started = perf_counter()
        for _ in islice(iterator, batches):
            pass
        return Run([perf_counter() - started])


@contextmanager
def iterator_of(contender: str, count: int, images: Images) -> Iterator[Any]:
    """Give a contender's iterator with the study's settings."""
    arguments: dict[str, Any] = {"batch_size": study.GENERATE_BATCH, "seed": study.SEED}
    data = images.x_train, images.y_train
    if contender == POOL:
        with pool_of(count, study.GENERATE | FUNCTION) as pool:
            yield flow_by_pool(pool, study.GENERATE | FUNCTION, *data, **arguments)
    elif contender == KERAS:
        yield ImageDataGenerator(**study.GENERATE, **FUNCTION).flow(*data, **arguments)
    else:
        function: dict[str, Any] = (
            FUNCTION if contender == OURS else {"preprocessing_function": "tf"}
        )
        generator = Generator(**study.GENERATE, **function, threads=count)
        with generator.flow(*data, **arguments) as iterator:
            yield iterator


def check(images: Images) -> list[str]:
    """Compare the first two batches of each contender with Keras'; return what was found.

    Raises
    ------
    RuntimeError
        If one makes other pictures: then its time would mean nothing.
    """
    few = images.first(4 * study.GENERATE_BATCH, 1)
    expected = _two_batches(KERAS, 0, few)
    results = []
    for contender, tolerance in ((POOL, 0.0), (OURS, 0.0), (OURS_FUSED, 1e-5)):
        batches = _two_batches(contender, min(2, usable_cores()), few)
        worst = float(np.abs(batches - expected).max())
        if worst > tolerance:
            raise RuntimeError(
                f"{LABELS[contender]} makes other pictures than Keras: {worst} apart"
            )
        same = "the same as Keras', bit by bit" if not worst else f"within {worst:.1g} of Keras'"
        results.append(f"{LABELS[contender]}: pixels {same}")
    return results


def _two_batches(contender: str, count: int, images: Images) -> Any:
    with iterator_of(contender, count, images) as iterator:
        return np.stack([batch for batch, _ in islice(iterator, 2)])


@contextmanager
def _numpy_state() -> Iterator[None]:
    """Leave NumPy's global random state as it was; Keras' iterators set it."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
