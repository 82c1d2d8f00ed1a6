"""`fastaug bench disk`: cats and dogs from JPEG files, with the study's network for photos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug.generator import Generator
from fastaug.machine import usable_cores
from fastaug.study import of_2017 as study
from fastaug.study.data import Photos
from fastaug.study.models import photo_model
from fastaug.study.pool_method import flow_from_directory as flow_by_pool
from fastaug.study.pool_method import pool_of
from fastaug.study.record import (
    ALONE,
    KERAS,
    LABELS,
    OURS,
    OURS_CACHED,
    OURS_FUSED,
    POOL,
    TRAINING,
    Record,
    Row,
    Run,
)
from fastaug.study.rounds import Contender, Screen, interruptible, run_rounds
from fastaug.study.training import SameBatches, Trainee

FUNCTION: dict[str, Any] = {"preprocessing_function": study.preprocess}
OPTIONS = study.TRAIN | FUNCTION
READING_S = 2.0  # single passes over few files say little
READING = "reading, nothing is trained"


def run(record: Record, photos: Photos, rounds: int, epochs: int, screen: Screen) -> None:
    """Train by all contenders.

    Parameters
    ----------
    record
        Gets the rows.
    photos
        The two folders.
    rounds, epochs
        How often each contender trains, and for how long; from the second epoch on the cache holds
        all images, so with one epoch it is left out.
    screen
        Where it is shown.
    """
    cores = usable_cores()
    counts = [cores] if record.quick else range(1, cores + 1)
    plan = [(KERAS, 0), *((POOL, n) for n in counts), (OURS, cores)]
    cached = [(OURS_CACHED, cores)]
    reading = [*plan, (OURS_FUSED, cores), *cached]
    training = [*plan, *(cached if epochs > 1 else ()), (ALONE, 0)]
    with interruptible(record):
        screen.show("compiling the model")
        with feeding(OURS, cores, photos) as (batches, validation):
            check_two_classes(batches)
            images = batches.n
            trainee = Trainee(photo_model(study.DISK_SIZE), batches, validation)
        readers, trainers = [], []
        for contender, count in reading:
            arguments = contender, count, photos
            row = Row(READING, contender, LABELS[contender], count, images, _warm(contender))
            readers.append(Contender(row, partial(read, *arguments)))
        for contender, count in training:
            arguments = contender, count, photos
            row = Row(TRAINING, contender, LABELS[contender], count, images, _warm(contender))
            trainers.append(Contender(row, partial(train, *arguments, epochs, trainee)))
        run_rounds(record, readers, rounds, screen)
        run_rounds(record, trainers, rounds, screen)


def _warm(contender: str) -> int:
    """Return the first epoch that counts: with a cache, the one in which it holds all images."""
    return int(contender == OURS_CACHED)


def check_two_classes(training: Any) -> None:
    """Raise a ValueError unless the study's network fits the folder."""
    if training.num_classes != 2:
        raise ValueError(
            f"the study's network tells two classes apart; {training.directory!r} has "
            f"{training.num_classes}"
        )


def read(contender: str, count: int, photos: Photos) -> Run:
    """Take passes of batches for a while, at least one; with a cache, one more before."""
    with feeding(contender, count, photos) as (training, _):
        next(training)  # its processes have begun
        seconds: list[float] = []
        while len(seconds) <= _warm(contender) or sum(seconds) < READING_S:
            started = perf_counter()
            for _ in range(len(training)):
                next(training)
            seconds.append(perf_counter() - started)
    return Run(seconds)


def train(contender: str, count: int, photos: Photos, epochs: int, trainee: Trainee) -> Run:
    """Train once, fed by a contender."""
    with feeding(contender, count, photos) as (training, validation):
        return trainee.fit(training, validation, epochs, with_accuracy=contender != ALONE)


@contextmanager
def feeding(contender: str, count: int, photos: Photos) -> Iterator[tuple[Any, Any]]:
    """Give what feeds training and validation."""
    theirs = contender in (KERAS, POOL)
    own: dict[str, Any] = {} if theirs else {"workers": count or None}
    own |= {"cache": "memory"} if contender == OURS_CACHED else {}
    own |= {"validation_split": photos.split} if photos.split else {}
    kind: Any = ImageDataGenerator if theirs else Generator
    with ExitStack() as stack:
        if contender == POOL:
            pool = stack.enter_context(pool_of(count, OPTIONS | own))
            read: Any = partial(flow_by_pool, pool, OPTIONS | own)
        else:
            function = {"preprocessing_function": "tf"} if contender == OURS_FUSED else {}
            read = kind(**(OPTIONS | function | own)).flow_from_directory
        training = _open(read, photos.train, photos.split and "training")
        validating = kind(**FUNCTION, **own).flow_from_directory
        validation = _open(validating, photos.validation, photos.split and "validation")
        if not theirs:
            stack.enter_context(training)
            stack.enter_context(validation)
        fed = SameBatches([training[0]] * len(training)) if contender == ALONE else training
        yield fed, validation


def _open(read: Any, folder: Path, subset: Any) -> Any:
    return read(
        str(folder),
        target_size=(study.DISK_SIZE, study.DISK_SIZE),
        batch_size=study.DISK_BATCH,
        class_mode="binary",
        seed=study.SEED,
        subset=subset or None,
    )
