"""`fastaug scan`: what is in the folders of a data set, and what is wrong with it."""

from __future__ import annotations

import json
import os
from argparse import Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastaug.cli.arguments import positive, seconds

if TYPE_CHECKING:
    from fastaug.scan.report import Copies, FolderReport, ScanReport, Spread

JSON_VERSION = 1
_LISTED = 10  # of files of a kind; --json has all
_DESCRIPTION = """\
Decode every image of a folder and print what is in it and what is wrong with it: sizes, formats,
colour modes, EXIF orientation, files that can't be read, files that flow_from_directory passes
over, files with the same bytes, the balance of the classes and weights for it. With a second
folder, also the files that are in both.

FOLDER has one sub-folder per class, as for flow_from_directory, or images only.
"""
_EPILOG = """\
exit status: 0; 1 if a file can't be read, or a folder is missing; 2 for wrong arguments.

examples:
  fastaug scan data/train                      one folder
  fastaug scan data/train data/validation      and which images leak from one into the other
  fastaug scan data/train --json > scan.json   all of it for a program

--json: {"version": 1, "folders": [...], "leaks": [...]}, with the fields of fastaug.scan_folder's
report. The keys of class_weight are strings there, as JSON wants:
  {int(number): weight for number, weight in folder["class_weight"].items()}
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's sub-commands."""
    parser = commands.add_parser(
        "scan",
        help="look for broken, double and leaking images; sizes, formats, balance of classes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the images")
    parser.add_argument(
        "other", nargs="?", type=Path, metavar="OTHER", help="another folder, to compare with"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="decode processes (one per usable core)"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long nothing may move until a file counts as unreadable (60)",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Scan the folders; return the exit status."""
    from fastaug.scan.report import scan_folder  # noqa: PLC0415 - `--help` must not wait for it

    report = scan_folder(
        options.folder,
        options.other,
        workers=options.workers,
        timeout=options.timeout,
        progress=True,
    )
    if options.json:
        print(json.dumps({"version": JSON_VERSION, **asdict(report)}, indent=2))
    else:
        _print_report(report)
    return int(any(folder.unreadable for folder in report.folders))


def _print_report(report: ScanReport) -> None:
    from rich.console import Console  # noqa: PLC0415 - likewise

    console = Console(markup=False, highlight=False)
    console.print(_summary(report))
    if any(folder.class_indices for folder in report.folders):
        console.print(_classes(report))
    for line in _findings(report):
        print(line)


def _summary(report: ScanReport) -> Any:
    """Return the table of numbers, one column per folder."""
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table("min / median / max")
    for folder in report.folders:
        table.add_column(_printable(folder.folder), overflow="fold")
    rows = {
        "images": lambda folder: f"{folder.images:,}",
        "unreadable": lambda folder: f"{len(folder.unreadable):,}",
        "passed over": lambda folder: f"{len(folder.ignored):,}",
        "same bytes": lambda folder: _sum_of_copies(folder.duplicates),
        "size of all": lambda folder: f"{folder.nbytes / 1e6:,.1f} MB",
        "bytes of a file": lambda folder: _spread(folder.file_nbytes),
        "width": lambda folder: _spread(folder.widths),
        "height": lambda folder: _spread(folder.heights),
        "formats": lambda folder: _counts(folder.formats),
        "colour modes": lambda folder: _counts(folder.modes),
        "EXIF orientation": lambda folder: _counts(folder.orientations),
    }
    for name, cell in rows.items():
        table.add_row(name, *map(cell, report.folders))
    return table


def _classes(report: ScanReport) -> Any:
    """Return the table of the classes, three columns per folder."""
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table("class", title="Classes: readable images, number, balanced class_weight")
    for _ in report.folders:
        for name in ("images", "number", "weight"):
            table.add_column(name, justify="right")
    for name in sorted({name for folder in report.folders for name in folder.class_indices}):
        cells = []
        for folder in report.folders:
            number = folder.class_indices.get(name)
            weight = None if number is None else folder.class_weight.get(number)
            cells.append("-" if number is None else f"{folder.class_counts[name]:,}")
            cells.append("-" if number is None else str(number))
            cells.append("-" if weight is None else f"{weight:.4g}")
        table.add_row(_printable(name), *cells)
    return table


def _findings(report: ScanReport) -> Iterable[str]:
    """Yield what deserves a look, in words."""
    for folder in report.folders:
        yield from _findings_of(folder)
    if len(report.folders) == 2:
        yield from _comparison(report)


def _findings_of(folder: FolderReport) -> Iterable[str]:
    where = _printable(folder.folder)
    if not folder.images:
        yield f"{where} holds no images."
    elif not folder.class_indices:
        yield f"{where} has no class folders: flow_from_directory would find nothing in it."
    if folder.unreadable:
        yield f"{len(folder.unreadable):,} files of {where} can't be read:"
        yield from _first_lines(
            f"{_printable(problem.path)}: {problem.reason}" for problem in folder.unreadable
        )
    across = [copies for copies in folder.duplicates if len(copies.classes) > 1]
    within = [copies for copies in folder.duplicates if len(copies.classes) <= 1]
    if within:
        yield f"{len(within):,} groups of files of {where} hold the same bytes:"
        yield from _first_lines(map(_file_list, within))
    if across:
        yield f"{len(across):,} groups of files of {where} hold the same bytes, in several classes:"
        yield from _first_lines(
            f"{_file_list(copies)} ({', '.join(map(_printable, copies.classes))})"
            for copies in across
        )
    if folder.ignored:
        kinds = Counter(f"{_kind(problem.path)} ({problem.reason})" for problem in folder.ignored)
        yield f"{len(folder.ignored):,} in {where} are passed over by flow_from_directory:"
        yield from _first_lines(f"{count:,} x {kind}" for kind, count in kinds.most_common())
    turned = sum(count for number, count in folder.orientations.items() if number != 1)
    if turned:
        yield (
            f"{turned:,} photos of {where} are stored turned or mirrored: "
            "Generator(exif_transpose=True) puts them upright."
        )
    deep = sum(count for mode, count in folder.modes.items() if mode.startswith("I"))
    if deep:
        yield (
            f"{deep:,} images of {where} are greyscale above 8 bits, whose values above 255 are "
            "cut to white in colour: Generator(scale_16bit=True) scales them."
        )
    if len(set(folder.class_counts.values())) > 1:
        weights = ", ".join(f"{number}: {w:.6g}" for number, w in folder.class_weight.items())
        yield f"For model.fit on {where}: class_weight={{{weights}}}"


def _comparison(report: ScanReport) -> Iterable[str]:
    """Yield what two folders have in common and should not, and the other way round."""
    first, second = report.folders
    names = f"{_printable(first.folder)} and {_printable(second.folder)}"
    only_one = sorted(first.class_indices.keys() ^ second.class_indices.keys())
    if first.class_indices and second.class_indices and only_one:
        yield f"Only one of {names} has these classes, and so the numbers of others may differ:"
        yield from _first_lines(map(_printable, only_one))
    if not report.leaks:
        yield f"No file of {names} holds the same bytes as one of the other."
        return
    yield f"{len(report.leaks):,} groups of files with the same bytes are in both {names}:"
    yield from _first_lines(
        f"{_file_list(leak.in_folder)} = {_file_list(leak.in_other)}" for leak in report.leaks
    )


def _first_lines(lines: Iterable[str]) -> Iterable[str]:
    """Yield the first lines, indented, and how many more there are."""
    lines = list(lines)
    yield from (f"  {line}" for line in lines[:_LISTED])
    if len(lines) > _LISTED:
        yield f"  ... and {len(lines) - _LISTED:,} more (--json has all)"


def _printable(name: str) -> str:
    """Return a name without what a terminal would obey, or can't show."""
    return name if name.isprintable() else ascii(name)


def _file_list(copies: Copies) -> str:
    return ", ".join(map(_printable, copies.files))


def _kind(path: str) -> str:
    """Return what files of a kind have in common, the end of their names; a folder's name."""
    if path.endswith("/"):
        return _printable(path)
    suffix = os.path.splitext(path)[1]  # noqa: PTH122
    return f"*{_printable(suffix)}" if suffix else "no extension"


def _sum_of_copies(groups: Sequence[Copies]) -> str:
    files = sum(len(group.files) for group in groups)
    return f"{files:,} files in {len(groups):,} groups" if groups else "0"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.minimum:,} / {spread.median:,g} / {spread.maximum:,}"


def _counts(counts: dict[Any, int]) -> str:
    return ", ".join(f"{value}: {count:,}" for value, count in counts.items()) or "-"
