"""Contenders in turn, round by round, with a table on the terminal while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from fastaug.study.record import Record, Row, Run

_WIDTH = 110  # of the table, with all its columns


@dataclass(frozen=True)
class Contender:
    """Who is measured: `measure` runs one round, its own set-up untimed."""

    row: Row
    measure: Callable[[], Run]


class Screen:
    """A table of what has been measured, kept up to date below what else is printed."""

    def __init__(self, record: Record, console: Console | None = None) -> None:
        self._record = record
        self._console = console or _wide_console()
        self._live = Live(console=self._console, refresh_per_second=4)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(table_of(self._record), refresh=True)
        self._live.stop()

    def show(self, doing: str) -> None:
        """Say what is under way, above it what is known."""
        spinner = Spinner("line", doing)
        self._live.update(Group(table_of(self._record), spinner), refresh=True)


def run_rounds(
    record: Record, contenders: Sequence[Contender], rounds: int, screen: Screen
) -> None:
    """Measure each contender once a round, so that all are compared at the same time of day.

    Parameters
    ----------
    record
        Gets the contenders' rows, each when it has its first run.
    contenders
        In the order in which they take turns.
    rounds
        How often.
    screen
        Where it is shown.
    """
    for number in range(rounds):
        for contender in contenders:
            row = contender.row
            screen.show(f"{row.group}: {row.label}, round {number + 1} of {rounds}")
            run = contender.measure()
            if not row.runs:
                record.rows.append(row)
            row.runs.append(run)


@contextmanager
def interruptible(record: Record) -> Iterator[None]:
    """Let a Ctrl-C end the measuring, not the report of what has been measured."""
    try:
        yield
    except KeyboardInterrupt:
        record.interrupted = True


def _wide_console() -> Console:
    """Return a console that doesn't wrap the table where it goes into a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


HEAD = ("", "processes\nor threads", "seconds", "images/s", "speedup", "accuracy", "CPU", "waits")


def table_of(record: Record) -> Table:
    """Return all rows as a table for the terminal."""
    table = Table(title=record.title, title_justify="left", header_style="bold")
    lines = [(group, cells(record, row)) for group in record.groups for row in record.of(group)]
    used = [any(line[column] for _, line in lines) or column < 2 for column in range(len(HEAD))]
    for column, name in enumerate(HEAD):
        if used[column]:
            table.add_column(name, justify="right" if column else "left", no_wrap=not column)
    for number, (group, line) in enumerate(lines):
        if number == 0 or lines[number - 1][0] != group:
            table.add_section()
            table.add_row(f"[bold]{group}[/bold]")
        table.add_row(*(cell for cell, use in zip(line, used, strict=True) if use))
    return table


def cells(record: Record, row: Row) -> list[str]:
    """Return what a table says of a row, in the order of HEAD; empty where it knows nothing."""
    waits = [run.input_wait for run in row.runs if run.input_wait is not None]
    return [
        row.label,
        str(row.count) if row.count else "",
        _number(row.seconds, "{:.2f}"),
        _number(row.images_per_second, "{:,.0f}"),
        _number(record.speedup(row), "{:.2f}x"),
        _number(row.accuracy, "{:.3f}"),
        _number(row.mean("cpu_mean"), "{:.0f}%"),
        _number(waits[-1] if waits else None, "{:.0%}"),
    ]


def _number(value: Any, form: str) -> str:
    return "" if value is None else form.format(value)
