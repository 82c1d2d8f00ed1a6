"""A benchmark as a page that a person can read: tables, charts, and what they mean."""

from __future__ import annotations

import base64
import io
from datetime import datetime
from pathlib import Path
from typing import Any

from fastaug.study import of_2017 as study
from fastaug.study.charts import draw_charts
from fastaug.study.record import ALONE, OURS, OURS_CACHED, OURS_FUSED, POOL, SWEEP, TRAINING, Record
from fastaug.study.rounds import HEAD, cells

DPI = 120
CAPTIONS = {
    "processes": "Time and speedup by processes or threads",
    "epochs": "An epoch, by batch size",
    "workers": "An epoch, by processes or threads",
    "seconds_0": "Reading and augmenting alone",
    "seconds_1": "With training",
    "utilisation": "How busy the machine was",
}
_DISK_VERDICTS = ("Files are read and augmented", "Epochs are over")
_COMMON = (
    "Contenders take turns, round by round, so that all see the machine at its fast and at its "
    "slow moments. Figures are medians of all rounds. A speedup is Keras' seconds over those of "
    "the row, in the same table; above 1 is faster."
)
_READING = {
    "generate": (
        "Nothing is trained: the question is how fast augmented batches can be made. "
        "“2017's process pool” maps Keras' own transform of one image over a pool of processes, "
        "as the study did. Each image and each result travels through a pipe, which costs about as "
        "much as small images take to make: on few cores the pool is slower than no pool at all.",
        '“fused” gives the study\'s preprocessing function by its name, "tf": the same '
        "arithmetic, done inside the kernel instead of in Python.",
    ),
    "train": (
        "An epoch takes as long as the slower of two: the model, and what feeds it. “The model "
        "alone” gets one batch again and again; nothing that feeds it can be faster. The closer "
        "fastaug is to that row, the less the model waits.",
        "On a machine without a GPU the model takes most of the time on the same cores, so little "
        "can be gained by feeding it faster; with a GPU it is the other way round.",
    ),
    "disk": (
        "The first table reads, decodes and augments every file once and trains nothing. In the "
        "second the study's network trains; without a GPU it takes most of the time itself. “The "
        "model alone” gets one batch again and again; nothing that feeds it can be faster.",
        "With a cache the first epoch decodes; the row counts the epochs after it. The study's "
        "function in Python takes most of fastaug's time then; “fused” gives it by its name, "
        '"tf", and the kernel does it.',
    ),
}


def write_report(record: Record, folder: Path) -> Path:
    """Write `results.json`, the charts and `report.html`.

    Parameters
    ----------
    record
        What was measured, perhaps not all of it.
    folder
        Made if it is missing; files of an earlier run of the same benchmark are replaced.

    Returns
    -------
    The path of the page.  It holds its charts and needs no other file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record.save(folder / "results.json")
    pictures = []
    for name, figure in draw_charts(record).items():
        stored = io.BytesIO()
        figure.savefig(stored, dpi=DPI, metadata={"Software": None})
        (folder / f"{name}.png").write_bytes(stored.getvalue())
        pictures.append((name, base64.b64encode(stored.getvalue()).decode()))
    page = folder / "report.html"
    page.write_text(render(record, pictures), encoding="utf-8")
    return page


def render(record: Record, pictures: list[tuple[str, str]]) -> str:
    """Return the page; `pictures` are names and PNG files in base64."""
    import jinja2  # noqa: PLC0415 - only once it is needed

    loader = jinja2.PackageLoader("fastaug.study", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    head, groups = columns(record)
    return environment.get_template("report.html").render(
        record=record,
        date=date_text(record),
        warnings=warnings(record),
        verdicts=verdicts(record),
        head=head,
        groups=groups,
        beside_head=BESIDE_2017,
        beside=beside_2017(record),
        reading=(*_READING[record.benchmark], _COMMON),
        pictures=pictures,
        captions=CAPTIONS,
        facts=facts(record),
    )


def columns(record: Record) -> tuple[list[str], list[tuple[str, list[list[str]]]]]:
    """Return the head and, by groups, the lines of the table, without columns that are empty."""
    groups = [(name, [cells(record, row) for row in record.of(name)]) for name in record.groups]
    used = [
        column
        for column in range(len(HEAD))
        if column == 0 or any(line[column] for _, lines in groups for line in lines)
    ]
    head = [HEAD[column].replace("\n", " ") for column in used]
    return head, [(name, [[line[i] for i in used] for line in lines]) for name, lines in groups]


def warnings(record: Record) -> list[str]:
    """Return what a reader must know before anything else."""
    sentences = []
    if record.interrupted:
        sentences.append("Interrupted by Ctrl-C: the tables hold what had been measured by then.")
    if record.drawn:
        sentences.append(
            f"The data are a stand-in ({record.data}). Times mean what they say; accuracies don't. "
            "--data names a data set of yours."
        )
    if record.quick:
        sentences.append(
            "A quick run: few images and rounds. Without --quick figures are steadier."
        )
    if record.benchmark != "generate" and not record.machine["gpus"]:
        sentences.append("There is no GPU here: the model trains on the cores that also feed it.")
    return sentences


def verdicts(record: Record) -> list[str]:
    """Return the results in a sentence each, as far as they were measured."""
    if record.benchmark == "generate":
        return _generate_verdicts(record)
    if record.benchmark == "train":
        return _train_verdicts(record)
    return _disk_verdicts(record)


def _best_speedup(record: Record, group: str, contender: str) -> float | None:
    row = record.best(group, contender)
    return None if row is None else record.speedup(row)


def _generate_verdicts(record: Record) -> list[str]:
    sentences = []
    for group in record.groups:
        pool, ours, fused = (
            _best_speedup(record, group, name) for name in (POOL, OURS, OURS_FUSED)
        )
        if ours is not None:
            sentences.append(
                f"fastaug makes batches {ours:.0f} times as fast as Keras' ImageDataGenerator "
                "with the study's function in Python"
                + (f", and {fused:.0f} times with the same function fused." if fused else ".")
            )
        if pool is not None:
            sentences.append(
                f"The study's own method reaches {pool:.2f} times here; it reached "
                f"{study.GENERATE_SPEEDUP} in 2017."
            )
    return sentences


def _train_verdicts(record: Record) -> list[str]:
    shares, speedups = [], []
    for group in record.groups:
        ours, alone = record.best(group, OURS), record.best(group, ALONE)
        if ours and alone and ours.seconds and alone.seconds:
            shares.append(alone.seconds / ours.seconds)
        speedup = _best_speedup(record, group, OURS)
        if speedup is not None and not group.startswith(SWEEP):
            speedups.append(speedup)
    if not speedups:
        return []
    least, most = min(speedups), max(speedups)
    sentences = [
        f"Epochs are {least:.2f} to {most:.2f} times as fast with fastaug as with Keras' own."
    ]
    if shares:
        sentences.append(
            f"Fed by fastaug the model runs at {min(shares):.0%} to {max(shares):.0%} of its speed "
            "without any feeding."
        )
    return sentences


def _disk_verdicts(record: Record) -> list[str]:
    sentences = []
    for group, beginning in zip(record.groups, _DISK_VERDICTS, strict=False):
        speedups = (
            (_best_speedup(record, group, name), when)
            for name, when in (
                (OURS, "with fastaug"),
                (OURS_FUSED, "with the function fused"),
                (OURS_CACHED, "with a cache that holds them"),
            )
        )
        results = [f"{speedup:.1f} times {when}" for speedup, when in speedups if speedup]
        if results:
            sentences.append(
                f"{beginning} faster than with Keras' own generator: {', '.join(results)}."
            )
        ours, alone = record.best(group, OURS), record.best(group, ALONE)
        if ours and alone and ours.seconds and alone.seconds:
            sentences.append(
                f"Fed by fastaug the model runs at {alone.seconds / ours.seconds:.0%} of its speed "
                "without any feeding."
            )
    return sentences


BESIDE_2017 = (
    *("", "the study, 2017", "its method, here", "fastaug, here", "at most, here"),
    "fastaug over the study",
)


def beside_2017(record: Record) -> list[list[str]]:
    """Return a line for each figure of the study, with the columns of BESIDE_2017."""
    lines = []
    for title, group, contender, then in _figures_of_2017(record):
        pool, ours = (_best_speedup(record, group, name) for name in (POOL, contender))
        most = _best_speedup(record, group.removeprefix(SWEEP), ALONE)
        if ours is not None:
            speedups = ["" if value is None else f"{value:.2f}x" for value in (pool, ours, most)]
            lines.append([title, f"{then:.2f}x", *speedups, f"{ours / then:.1f}"])
    return lines


def _figures_of_2017(record: Record) -> list[tuple[str, str, str, float]]:
    if record.benchmark == "generate":
        return [
            (title, group, contender, study.GENERATE_SPEEDUP)
            for group in record.groups
            for title, contender in (
                ("generation, function in Python", OURS),
                ("generation, function fused", OURS_FUSED),
            )
        ]
    if record.benchmark == "train":
        sizes = dict(zip(study.TRAIN_BATCHES, record.groups, strict=False))
        figures = [
            (f"training, {sizes[size]}", sizes[size], OURS, study.TRAIN_SPEEDUP[size])
            for size in sizes
            if not sizes[size].startswith(SWEEP)
        ]
        sweeps = [group for group in record.groups if group.startswith(SWEEP)]
        return figures + [
            (f"training, best of {group}", group, OURS, study.SWEEP_SPEEDUP) for group in sweeps
        ]
    return [
        (f"from disk, {title}", group, contender, study.DISK_SPEEDUP)
        for group in record.groups
        if group == TRAINING  # the study read files for training only
        for title, contender in (("training", OURS), ("training, cached", OURS_CACHED))
    ]


def date_text(record: Record) -> str:
    """Return "25 November 2026"."""
    date = datetime.fromisoformat(record.date)
    return f"{date.day} {date:%B %Y}"


def facts(record: Record) -> list[tuple[str, Any]]:
    """Return names and values of settings and versions."""
    machine = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    settings = [(name.replace("_", " "), value) for name, value in record.settings.items()]
    return [
        *settings,
        ("Keras' backend", machine["backend"]),
        ("Python", machine["python"]),
        ("packages", versions),
    ]
