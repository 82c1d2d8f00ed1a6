"""`fastaug bench`: the study of 2017 on the user's machine."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fastaug.cli.arguments import positive
from fastaug.extras import optional

BACKENDS = ("tensorflow", "jax", "torch")
TITLES = {
    "generate": "Generation of batches in memory",
    "train": "Training from memory",
    "disk": "Training from JPEG files",
}
HELP = {
    "generate": "make 1,000 batches of 32 in memory: Keras, a process pool, fastaug",
    "train": "train the study's CIFAR-10 network at four batch sizes, then by workers",
    "disk": "read, augment and train on photos from JPEG files",
}
DATA = {
    "generate": "npz file (x_train, y_train, x_test, y_test) or folder of class sub-folders; "
    "without it CIFAR-10 of keras.datasets, or drawn pictures where that is not to be had",
    "disk": "folder with train/ and validation/, or with class sub-folders of which a fifth is "
    "kept for validation; two classes; without it, photos are drawn",
}
# How much is done: for long, and with --quick.  Epochs are few and rounds more, because a shared
# machine is fast in one minute and slow in the next.
ROUNDS = {"generate": (5, 3), "train": (3, 1), "disk": (2, 1)}
EPOCHS = {"train": (2, 1), "disk": (2, 2)}
BATCHES = (1000, 300)
DRAWN_IMAGES = (50_000, 2048)  # of which the quick run takes as many from any data set
QUICK_TEST = 512
DRAWN_PHOTOS = (1000, 96)  # of each of two classes


def add_to(commands: Any) -> None:
    """Add the command to a parser's sub-commands."""
    parser = commands.add_parser(
        "bench",
        help="run the study of 2017 on this machine: tables, charts, a report",
        description="Run a benchmark of the study of 2017, with Keras' ImageDataGenerator, the "
        "study's own method and fastaug in turn.  Writes results.json, charts and report.html.  "
        "Ctrl-C ends it early and keeps what was measured.",
    )
    benchmarks = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name in TITLES:
        benchmark = benchmarks.add_parser(name, help=HELP[name], description=f"{HELP[name]}.")
        _add_options(benchmark, name)
        benchmark.set_defaults(run=run)


def _add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--data", type=Path, metavar="PATH", help=DATA.get(name, DATA["generate"]))
    parser.add_argument(
        "--quick", action="store_true", help="few images and rounds: three minutes on two cores"
    )
    long, short = ROUNDS[name]
    text = f"times that each contender is measured ({long}, with --quick {short})"
    parser.add_argument("--rounds", type=positive, help=text)
    if name in EPOCHS:
        long, short = EPOCHS[name]
        text = f"epochs that each contender trains ({long}, with --quick {short})"
        parser.add_argument("--epochs", type=positive, help=text)
    parser.add_argument(
        "--backend", choices=BACKENDS, help="Keras' backend (that of KERAS_BACKEND or keras.json)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"folder for the report (fastaug-bench/{name})",
    )


def run(options: Namespace) -> int:
    """Run a benchmark and write its report; return the exit status."""
    if options.backend:
        _choose_backend(options.backend)
    for module in ("matplotlib", "pandas", "scipy", "jinja2"):
        optional(module, "bench", "fastaug bench")
    output = options.output or Path("fastaug-bench") / options.benchmark
    output.mkdir(parents=True, exist_ok=True)  # fails now, not after an hour
    with quiet_keras():
        record = _measure(options)
    if not record.rows:
        print("fastaug: interrupted before anything was measured", file=sys.stderr)
        return 130
    from fastaug.study.report import verdicts, write_report  # noqa: PLC0415 - needs the extra

    page = write_report(record, output)
    print("", *verdicts(record), "", f"Report: {page}", sep="\n")
    return 130 if record.interrupted else 0


def _choose_backend(backend: str) -> None:
    """Let Keras start with a backend; ValueError if it has started with another one."""
    if "keras" in sys.modules and sys.modules["keras"].backend.backend() != backend:
        raise ValueError(
            f"--backend {backend} comes too late: Keras runs on "
            f"{sys.modules['keras'].backend.backend()} already"
        )
    os.environ["KERAS_BACKEND"] = backend


@contextmanager
def quiet_keras() -> Iterator[None]:
    """Keep Keras from printing what it found in folders; the table would be lost among that."""
    import keras  # noqa: PLC0415 - `--help` must not wait for it

    before = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if before:
            keras.config.enable_interactive_logging()


def _measure(options: Namespace) -> Any:
    import keras  # noqa: PLC0415 - `--help` must not wait for it

    from fastaug.machine import facts  # noqa: PLC0415
    from fastaug.study import data, disk, generate, train  # noqa: PLC0415 - imports keras
    from fastaug.study.record import Record  # noqa: PLC0415
    from fastaug.study.rounds import Screen  # noqa: PLC0415

    name, quick = options.benchmark, bool(options.quick)
    rounds = options.rounds or ROUNDS[name][quick]
    settings: dict[str, Any] = {"rounds": rounds}
    record = Record(
        benchmark=name,
        title=TITLES[name],
        data="",
        drawn=options.data is None,
        settings=settings,
        machine=facts(keras.backend.backend()),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        quick=quick,
    )
    if name in EPOCHS:
        settings["epochs"] = options.epochs or EPOCHS[name][quick]
    if name == "disk":
        with data.photos_for(options.data, DRAWN_PHOTOS[quick]) as photos, Screen(record) as screen:
            record.data = photos.origin
            disk.run(record, photos, rounds, settings["epochs"], screen)
        return record
    images = data.load_images(options.data, DRAWN_IMAGES[quick])
    if quick and name == "train":
        images = images.first(DRAWN_IMAGES[quick], QUICK_TEST)
    record.data, record.drawn = images.origin, images.drawn
    with Screen(record) as screen:
        if name == "generate":
            settings["batches"] = BATCHES[quick]
            generate.run(record, images, rounds, screen)
        else:
            train.run(record, images, rounds, settings["epochs"], screen)
    return record
