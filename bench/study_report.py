"""What `fastaug bench` measured, for README.md and docs/study.md.

Each benchmark of the study has a folder of its own: FOLDER/generate, FOLDER/train, FOLDER/disk.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from fastaug.study.charts import draw_charts
from fastaug.study.record import Record, load_record
from fastaug.study.report import (
    BESIDE_2017,
    CAPTIONS,
    DPI,
    beside_2017,
    columns,
    date_text,
    verdicts,
    warnings,
)

BENCHMARKS = ("generate", "train", "disk")
README_CHART = "generate", "processes"

Table = Callable[[list[str], list[list[str]]], list[str]]
Figure = Callable[[str], str]  # a chart's name -> its path, as the document links it


def load_study(folder: Path) -> list[Record]:
    """Return the records of all three benchmarks; OSError or ValueError if one is missing."""
    return [load_record(folder / name / "results.json") for name in BENCHMARKS]


def section(records: list[Record], table: Table, link: Figure) -> list[str]:
    """Return the README's lines."""
    lines = [line for record in records for line in beside_2017(record)]
    name = "_".join(README_CHART)
    return [
        *table(["benchmark", *BESIDE_2017[1:]], lines),
        "",
        *where(records),
        "",
        f"![The study]({link(name)})",
    ]


def page(records: list[Record], table: Table, link: Figure) -> list[str]:
    """Return the lines of the page with all tables and charts."""
    lines = ["# The study of 2017, run again", "", "Written by `scripts/study`.", ""]
    lines += [*where(records), ""]
    for record in records:
        lines += [f"## {record.title}", ""]
        lines += [line for said in verdicts(record) for line in wrapped(f"- {said}")]
        lines += ["", *(line for said in warnings(record) for line in wrapped(said)), ""]
        head, groups = columns(record)
        for group, cells in groups:
            lines += [f"**{group}**", "", *table([name or "contender" for name in head], cells), ""]
        for name in draw_charts(record):
            lines += [f"![{CAPTIONS[name]}]({link(f'{record.benchmark}_{name}')})", ""]
    return lines


def where(records: list[Record]) -> list[str]:
    """Return what ran where and when, in words."""
    machine = records[0].machine
    gpus = f" and {', '.join(machine['gpus'])}" if machine["gpus"] else ", no GPU"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    data = "; ".join(f"{record.title.lower()}: {record.data}" for record in records)
    return wrapped(
        f"{machine['cores']} cores of {machine['processor']}{gpus}, {machine['system']}, Python "
        f"{machine['python']}, {versions}, Keras on {machine['backend']}; {date_text(records[0])}. "
        f"Data: {data}. Times faster than Keras' own generator, medians of rounds in turn; "
        "“at most” is the model alone, which nothing that feeds it can exceed. The study: Keras "
        "1.2 on six cores (twelve threads) and an NVIDIA TITAN X."
    )


def draw_study(records: list[Record], figures: Path) -> None:
    """Draw all charts into a folder."""
    figures.mkdir(parents=True, exist_ok=True)
    for record in records:
        for name, figure in draw_charts(record).items():
            path = figures / f"{record.benchmark}_{name}.png"
            # Without the version of matplotlib in it, an unchanged chart is an unchanged file.
            figure.savefig(path, dpi=DPI, metadata={"Software": None})


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_on_hyphens=False)
