"""`fastaug bench train`: CIFAR-10 in memory, with the study's network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug.generator import Generator
from fastaug.machine import usable_cores
from fastaug.study import of_2017 as study
from fastaug.study.data import Images
from fastaug.study.models import cifar_model
from fastaug.study.pool_method import flow as flow_by_pool
from fastaug.study.pool_method import pool_of
from fastaug.study.record import ALONE, KERAS, LABELS, OURS, POOL, SWEEP, Record, Row, Run
from fastaug.study.rounds import Contender, Screen, interruptible, run_rounds
from fastaug.study.training import SameBatches, Trainee

FUNCTION: dict[str, Any] = {"preprocessing_function": study.preprocess}
OPTIONS = study.TRAIN | FUNCTION


def run(record: Record, images: Images, rounds: int, epochs: int, screen: Screen) -> None:
    """Train by all contenders: first for each batch size, then with 1 to N workers.

    Parameters
    ----------
    record
        Gets the rows.
    images
        The data set.
    rounds, epochs
        How often each contender trains, and for how long.
    screen
        Where it is shown.
    """
    sizes = sorted({min(size, len(images.x_train)) for size in study.TRAIN_BATCHES})
    cores = usable_cores()
    with interruptible(record):
        for size in sizes:
            trainee = prepared(images, size, screen)
            group = f"batches of {size}"
            plan = [(KERAS, 0), (OURS, cores), (ALONE, 0)]
            run_rounds(
                record, contenders(group, plan, images, size, epochs, trainee), rounds, screen
            )
        group = f"{SWEEP}batches of {size}"
        counts = range(1, cores + 1)
        plan = [(KERAS, 0), *((POOL, n) for n in counts), *((OURS, n) for n in counts)]
        run_rounds(record, contenders(group, plan, images, size, epochs, trainee), rounds, screen)


def prepared(images: Images, size: int, screen: Screen) -> Trainee:
    """Return a model that is compiled for batches of this size."""
    screen.show(f"compiling the model for batches of {size}")
    model = cifar_model(images.x_train.shape[1:], images.classes)
    with feeding(OURS, 0, images, size) as (training, validation):
        return Trainee(model, training, validation)


def contenders(
    group: str,
    plan: list[tuple[str, int]],
    images: Images,
    size: int,
    epochs: int,
    trainee: Trainee,
) -> list[Contender]:
    """Return the contenders of a group, each with a number of processes or threads."""
    members = []
    for contender, count in plan:
        row = Row(group, contender, LABELS[contender], count, len(images.x_train))
        measure = partial(train, contender, count, images, size, epochs, trainee)
        members.append(Contender(row, measure))
    return members


def train(
    contender: str, count: int, images: Images, size: int, epochs: int, trainee: Trainee
) -> Run:
    """Train once, fed by a contender."""
    with feeding(contender, count, images, size) as (training, validation):
        return trainee.fit(training, validation, epochs, with_accuracy=contender != ALONE)


@contextmanager
def feeding(contender: str, count: int, images: Images, size: int) -> Iterator[tuple[Any, Any]]:
    """Give what feeds training and validation."""
    training = images.x_train, images.y_train
    testing = images.x_test, images.y_test
    arguments: dict[str, Any] = {"batch_size": size, "seed": study.SEED}
    if contender == POOL:
        with pool_of(count, OPTIONS) as pool:
            validation = ImageDataGenerator(**FUNCTION).flow(*testing, **arguments)
            yield flow_by_pool(pool, OPTIONS, *training, **arguments), validation
    elif contender == KERAS:
        validation = ImageDataGenerator(**FUNCTION).flow(*testing, **arguments)
        yield ImageDataGenerator(**OPTIONS).flow(*training, **arguments), validation
    else:
        threads: dict[str, Any] = {"threads": count or None}
        with (
            Generator(**OPTIONS, **threads).flow(*training, **arguments) as ours,
            Generator(**FUNCTION, **threads).flow(*testing, **arguments) as validation,
        ):
            yield SameBatches([ours[0]] * len(ours)) if contender == ALONE else ours, validation
