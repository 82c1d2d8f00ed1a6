"""What a benchmark has measured, and its JSON.  Knows no other module."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

KERAS, POOL, OURS, OURS_FUSED, OURS_CACHED, ALONE = (
    *("keras", "pool", "fastaug", "fastaug_tf", "fastaug_cache", "alone"),
)
SWEEP = "workers, "  # how the groups begin that compare numbers of workers
TRAINING = "training"  # the group of `disk` that the study knows, too
LABELS = {
    KERAS: "Keras ImageDataGenerator",
    POOL: "2017's process pool",
    OURS: "fastaug",
    OURS_FUSED: 'fastaug, fused "tf"',
    OURS_CACHED: 'fastaug, cache="memory"',
    ALONE: "the model alone",  # fed one batch again and again: nothing can be faster
}


@dataclass
class Run:
    """One run of a contender."""

    epochs: list[float]  # seconds of each; a single one where nothing is trained
    accuracy: float | None = None  # of the validation images, after the last epoch
    summary: dict[str, float] = field(default_factory=dict)  # SystemMonitor.summary
    curves: dict[str, list[float]] = field(default_factory=dict)  # time, cpu, gpu_0 ...
    input_wait: float | None = None  # share of the time that the model waited, by InputStats


@dataclass
class Row:
    """A contender in one setting, with all its rounds."""

    group: str  # what is compared: rows of a group share images and settings
    contender: str  # KERAS, POOL ...
    label: str
    count: int  # processes or threads; 0 for Keras' own, which has none
    images: int  # in an epoch
    from_epoch: int = 0  # the first that counts: 1 where the first one fills a cache
    runs: list[Run] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """Median over all epochs that count; None if none has ended."""
        counted = [seconds for run in self.runs for seconds in run.epochs[self.from_epoch :]]
        return median(counted) if counted else None

    @property
    def images_per_second(self) -> float | None:
        """Images over seconds."""
        return self.images / self.seconds if self.seconds else None

    def mean(self, name: str) -> float | None:
        """Return the median over the rounds of an entry of the monitor's summary."""
        values = [run.summary[name] for run in self.runs if name in run.summary]
        return median(values) if values else None

    @property
    def accuracy(self) -> float | None:
        """Median over the rounds."""
        values = [run.accuracy for run in self.runs if run.accuracy is not None]
        return median(values) if values else None


@dataclass
class Record:
    """One benchmark: what was measured, on what, where and when."""

    benchmark: str  # generate, train or disk
    title: str
    data: str  # in words
    drawn: bool  # whether the pictures are a stand-in
    settings: dict[str, Any]
    machine: dict[str, Any]
    date: str
    quick: bool
    rows: list[Row] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)  # what was compared before it was timed
    interrupted: bool = False

    def of(self, group: str) -> list[Row]:
        """Return the rows of a group."""
        return [row for row in self.rows if row.group == group]

    @property
    def groups(self) -> list[str]:
        """Names of the groups, in order."""
        return list(dict.fromkeys(row.group for row in self.rows))

    def speedup(self, row: Row) -> float | None:
        """Return how many times faster than Keras' own generator in the same group."""
        keras = [other.seconds for other in self.of(row.group) if other.contender == KERAS]
        if not keras or keras[0] is None or row.seconds is None:
            return None
        return keras[0] / row.seconds

    def best(self, group: str, contender: str) -> Row | None:
        """Return the fastest row of a contender; None if none was measured."""
        rows = [row for row in self.of(group) if row.contender == contender and row.seconds]
        return min(rows, key=lambda row: row.seconds or 0, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return everything, with medians and speedups beside the rounds."""
        document = asdict(self)
        for row, entry in zip(self.rows, document["rows"], strict=True):
            entry |= {"seconds": row.seconds, "speedup": self.speedup(row)}
        return document

    def save(self, path: Path) -> None:
        """Write the JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")


def load_record(path: Path) -> Record:
    """Read the JSON of a benchmark; ValueError if it is none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows = stored.pop("rows")
        for row in rows:
            del row["seconds"], row["speedup"]
            row["runs"] = [Run(**run) for run in row["runs"]]
        return Record(**stored, rows=[Row(**row) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} was not written by `fastaug bench`: {error}") from error
