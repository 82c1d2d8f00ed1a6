"""Turn a run's JSON into tables and charts.

    python bench/report.py JSON                        print all tables
    python bench/report.py JSON --readme README.md     put the headline into the README
        --details docs/benchmarks.md                   write the longer tables
        --figures docs/figures                         draw the charts
    python bench/report.py JSON --transforms docs/benchmarks.md
                                                       put the transforms alone between its marks

    python bench/report.py --study FOLDER --readme ... the same for what `fastaug bench` wrote

Numbers are medians.  A ratio compares a contender with the one that was timed beside it, in turn,
in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

from names import (
    CONTENDERS,
    GROUPS,
    HEADLINE,
    MEASURES,
    OURS,
    README_CHART,
    SETTINGS,
    TRANSFORMS,
)
from rows import NamelessRow, Row, amount, duration, ordered, read_row, settings_of, times
from study_report import Figure, draw_study, load_study, page, section

Rows = dict[str, list[Row]]

OF_TRANSFORMS = BY_STAGE, FIRST_POLICY = "transforms", "first policy"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if it can't be done, with the reason on the error stream."""
    options = parse(arguments)
    try:
        if options.study:
            write_study(options)
            return 0
        run = json.loads(options.json.read_text())
        rows = read_rows(run)
        if options.readme:
            write_readme(options, run, rows)
        if options.details:
            options.details.write_text(details(options, run, rows))
        if options.transforms:
            write_transforms(options.transforms, run, rows)
        if options.figures:
            draw_charts(options.figures, rows)
    except (NamelessRow, ReportError, OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    if not (options.readme or options.details or options.transforms):
        print(details(options, run, rows))
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Turn a run's JSON into tables and charts.")
    parser.add_argument(
        "json", type=Path, nargs="?", metavar="JSON", help="written by --benchmark-json"
    )
    parser.add_argument("--study", type=Path, metavar="FOLDER", help="written by `fastaug bench`")
    parser.add_argument("--readme", type=Path, help="gets the headline between its marks")
    parser.add_argument("--details", type=Path, help="is written: a page with all tables")
    parser.add_argument("--transforms", type=Path, help="gets their tables between its marks")
    parser.add_argument("--figures", type=Path, help="folder for the charts")
    options = parser.parse_args(arguments)
    if (options.json is None) == (options.study is None):
        parser.error("give either JSON or --study FOLDER")
    return options


class ReportError(ValueError):
    """A run or a document that can't be used."""


def read_rows(run: dict[str, Any]) -> Rows:
    """Return the rows of each group, in the order of the tables."""
    rows = [read_row(entry) for entry in run["benchmarks"]]
    found = {name: [row for row in rows if row.group == name] for name in (HEADLINE, *GROUPS)}
    order = list(MEASURES)
    found[HEADLINE].sort(key=lambda row: order.index(row.settings["measure"]))
    return {name: rows for name, rows in found.items() if rows}


def write_readme(options: argparse.Namespace, run: dict[str, Any], rows: Rows) -> None:
    """Replace what stands between the marks."""
    missing = set(MEASURES) - {row.settings["measure"] for row in rows.get(HEADLINE, ())}
    if missing:
        raise ReportError(
            f"{options.json} lacks {', '.join(sorted(missing))}: {options.readme} keeps its table"
        )
    lines = ["", *headline_table(rows[HEADLINE]), "", *machine(run), ""]
    base = options.readme.parent
    if options.figures and README_CHART in rows:
        lines += [picture(README_CHART, options.figures, base), ""]
    if options.details:
        lines += [f"More in [{options.details.name}]({relative(options.details, base)}).", ""]
    text = options.readme.read_text()
    options.readme.write_text(between_marks(text, "\n".join(lines), options.readme))


def write_study(options: argparse.Namespace) -> None:
    """Write or print what `fastaug bench` measured, beside the study of 2017."""
    records = load_study(options.study)
    figures = options.figures or options.study

    def link(base: Path) -> Figure:
        return lambda name: relative(figures / f"{name}.png", base)

    if options.readme:
        lines = section(records, table, link(options.readme.parent))
        if options.details:
            details = relative(options.details, options.readme.parent)
            lines += ["", f"More in [{options.details.name}]({details})."]
        text = between_marks(options.readme.read_text(), "\n".join(lines), options.readme, "study")
        options.readme.write_text(text)
    if options.details:
        lines = page(records, table, link(options.details.parent))
        options.details.write_text("\n".join(lines).strip() + "\n")
    if options.figures:
        draw_study(records, options.figures)
    if not (options.readme or options.details):
        print("\n".join(section(records, table, link(Path()))))


def between_marks(text: str, new: str, path: Path, name: str = "bench") -> str:
    """Return the text with `new` between its marks; ReportError unless it has both, in order."""
    first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ReportError(f"{path} has no line {first} with a line {last} below it")
    return f"{before}{first}\n{new.strip()}\n{last}{after}"


def details(options: argparse.Namespace, run: dict[str, Any], rows: Rows) -> str:
    """Return the page with all tables."""
    lines = ["# Benchmarks", "", "Written by `scripts/bench` from one run.", "", *machine(run), ""]
    base = options.details.parent if options.details else Path()
    if HEADLINE in rows:
        lines += ["## Headline", "", *headline_table(rows[HEADLINE]), ""]
    for name, group in GROUPS.items():
        if name == BY_STAGE and name in rows:
            lines += ["<!-- transforms:begin -->", *transforms_section(run, rows)]
            lines += ["<!-- transforms:end -->", ""]
        if name not in rows or name in OF_TRANSFORMS:
            continue
        lines += [f"## {group.title}", "", *textwrap.wrap(group.text, 100), ""]
        lines += [*group_table(rows[name]), ""]
        if options.figures:
            lines += [picture(name, options.figures, base), ""]
    return "\n".join(lines)


def write_transforms(path: Path, run: dict[str, Any], rows: Rows) -> None:
    """Replace the section of transforms, which has its own machine and date, between its marks."""
    if BY_STAGE not in rows:
        raise ReportError(f"the run has no row of transforms: {path} keeps its table")
    lines = transforms_section(run, rows)
    path.write_text(between_marks(path.read_text(), "\n".join(lines), path, "transforms"))


def transforms_section(run: dict[str, Any], rows: Rows) -> list[str]:
    """Return the table of transforms, by stage, and that of the first batches of a policy."""
    group = GROUPS[BY_STAGE]
    lines = [f"## {group.title}", "", *textwrap.wrap(group.text, 100), "", *machine(run), ""]
    lines += stage_table(rows[BY_STAGE])
    if FIRST_POLICY in rows:
        first = GROUPS[FIRST_POLICY]
        lines += ["", f"### {first.title}", "", *textwrap.wrap(first.text, 100), ""]
        lines += group_table(rows[FIRST_POLICY])
    return lines


def stage_table(rows: list[Row]) -> list[str]:
    """Return a table with a line for each transform, by stage, and a column for each contender."""
    found = {(row.settings["transform"], row.contender): row for row in rows}
    others = [name for name in CONTENDERS if any(row.contender == name for row in rows)]
    others.remove(OURS)
    cells = []
    for name, (stage, words) in TRANSFORMS.items():
        if (name, OURS) in found:
            speeds = [against(found.get((name, other))) for other in others]
            cells.append([stage, words, rate(found[name, OURS]), *speeds])
    return table(["stage", "transform", OURS, *[CONTENDERS[name] for name in others]], cells)


def against(row: Row | None) -> str:
    """Return a contender's images a second, and how many times as fast fastaug was beside it."""
    return "" if row is None else f"{rate(row)} ({times(1 / row.ratio)})"


def headline_table(rows: list[Row]) -> list[str]:
    cells = [[row.measure, amount(row, row.value), beside(row), times(row.ratio)] for row in rows]
    return table(["measure", "fastaug", "beside", "ratio"], cells)


def beside(row: Row) -> str:
    return f"{amount(row, row.beside_value)}, {CONTENDERS[row.beside]}" if row.beside else ""


def group_table(rows: list[Row]) -> list[str]:
    """Return a table with a line for each contender and setting."""
    settings = [SETTINGS[name][0] for name in ordered(rows[0])]
    other = next((row.beside for row in rows if row.beside), None)
    ratio = f"ratio to {CONTENDERS[other]}" if other else "ratio"
    if GROUPS[rows[0].group].made:
        head, numbers = ["a call", "images/s"], [duration, rate]
    else:
        head, numbers = ["a process"], [duration]
    cells = [
        [*settings_of(row), CONTENDERS[row.contender]]
        + [number(row.value) if number is duration else number(row) for number in numbers]
        + [times(row.ratio) if row.beside else "1"]
        for row in rows
    ]
    return table([*settings, "contender", *head, ratio], cells)


def rate(row: Row) -> str:
    return f"{row.images / row.value:,.0f}"


def table(head: list[str], cells: list[list[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [head, ["---"] * len(head), *cells]
    return [f"| {' | '.join(line)} |" for line in lines]


def machine(run: dict[str, Any]) -> list[str]:
    """Return what ran where and when, in words."""
    info = run["machine_info"]
    versions = [f"{name} {version}" for name, version in info["packages"].items() if version]
    date = datetime.fromisoformat(run["datetime"])
    cores = "1 core" if info["cores"] == 1 else f"{info['cores']} cores"
    text = (
        f"Medians of one run on {cores} of {info['model']}, {info['os']}, Python "
        f"{info['python_version']}, {', '.join(versions)}; {date.day} {date:%B %Y}. Contenders are "
        "timed in turn, round by round; a ratio above 1 is faster, or less memory."
    )
    return textwrap.wrap(text, 100, break_on_hyphens=False)


def picture(group: str, figures: Path, base: Path) -> str:
    path = relative(figures / f"{file_name(group)}.png", base)
    return f"![{GROUPS[group].title}]({path})"


def file_name(group: str) -> str:
    return group.replace(" ", "_")


def relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def draw_charts(figures: Path, rows: Rows) -> None:
    from charts import draw_chart  # matplotlib, only once it is needed

    for name in GROUPS:
        if name in rows and name not in OF_TRANSFORMS:
            draw_chart(name, rows[name], figures / f"{file_name(name)}.png")


if __name__ == "__main__":
    sys.exit(main())
