"""Rows of a run: read from pytest-benchmark's JSON, and written as cells of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from names import CONTENDERS, GROUPS, HEADLINE, MEASURES, OURS, SETTINGS


class NamelessRow(ValueError):
    """A row that `names.py` does not know."""


@dataclass(frozen=True)
class Row:
    """A contender's median beside another's, each in seconds a call, or in megabytes.

    Seconds are those that were timed, or those that the benchmark counted itself.  `settings` are
    the parameters of its benchmark; `images` is what one call makes, 0 where a call makes none.
    `beside` is None for the one that the others stand beside.
    """

    group: str
    contender: str
    settings: dict[str, Any]
    images: int
    value: float
    beside: str | None
    beside_value: float
    unit: str
    note: str

    @property
    def measure(self) -> str:
        """What a headline row measures, in words."""
        words = MEASURES[self.settings["measure"]]
        return f"{words}, {self.note}" if self.note else words

    @property
    def ratio(self) -> float:
        """How many times as fast as the other, or how many times less memory."""
        return self.beside_value / self.value


def read_row(entry: dict[str, Any]) -> Row:
    """Return a benchmark of the JSON as a row; NamelessRow for one that has no name."""
    settings, extra = dict(entry["params"] or {}), entry["extra_info"]
    beside = extra.get("beside") or {}
    check_names(entry["fullname"], entry["group"], settings, beside.get("name"))
    unit = "megabytes" if "megabytes" in extra else "seconds"
    seconds = entry["stats"]["median"] / extra.get("calls", 1)
    value = extra.get(unit, seconds)
    return Row(
        group=entry["group"],
        contender=settings.pop("contender", OURS),
        settings=settings,
        images=extra.get("images", 0),
        value=value,
        beside=beside.get("name"),
        beside_value=beside.get(unit, value),
        unit=unit,
        note=extra.get("note") or "",
    )


def check_names(row: str, group: Any, parameters: dict[str, Any], beside: str | None) -> None:
    """Raise NamelessRow unless `names.py` has all that the row's table says of it."""
    wanted = [("group", group, (*GROUPS, HEADLINE))]
    wanted += [("parameter", name, (*SETTINGS, "contender", "measure")) for name in parameters]
    if "contender" in parameters:
        wanted.append(("contender", parameters["contender"], CONTENDERS))
    if beside is not None:
        wanted.append(("contender", beside, CONTENDERS))
    if group == HEADLINE:
        wanted.append(("measure", parameters.get("measure"), MEASURES))
    for kind, name, known in wanted:
        if name not in known:
            raise NamelessRow(f"{row}: bench/names.py has no name for {kind} {name!r}")


def amount(row: Row, value: float) -> str:
    """Return images a second, or the time or the memory itself."""
    if row.unit == "megabytes":
        return f"{value:,.0f} MB"
    return f"{row.images / value:,.0f} images/s" if row.images else duration(value)


def duration(seconds: float) -> str:
    """Return a time in the unit in which it has one to three digits before the point."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def times(ratio: float) -> str:
    """Return a ratio with two digits or, from ten on, without fractions."""
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def settings_of(row: Row) -> list[str]:
    """Return a row's parameters in words."""
    return [SETTINGS[name][1].format(row.settings[name]) for name in ordered(row)]


def ordered(row: Row) -> list[str]:
    """Return the names of a row's parameters in the order of a table."""
    return [name for name in SETTINGS if name in row.settings]
