"""Charts of a benchmark, as matplotlib figures.  The only module of it that draws."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fastaug.study import of_2017 as study
from fastaug.study.record import (
    ALONE,
    KERAS,
    LABELS,
    OURS,
    OURS_CACHED,
    OURS_FUSED,
    POOL,
    SWEEP,
    Record,
    Row,
)
from fastaug.watch.monitor_chart import CPU_COLOR, GPU_COLOR

COLORS = {
    KERAS: "#5c677d",
    POOL: "#e09f3e",
    OURS: "#d1495b",
    OURS_FUSED: "#7b2d43",
    OURS_CACHED: "#7b2d43",
    ALONE: "#2a9d8f",
}
_STUDY_COLOR = "#b0b7c3"
_GAP = 1.4  # bars' heights between two groups, with a title in it


def draw_charts(record: Record) -> dict[str, Figure]:
    """Return the charts of a benchmark by their file names, in the order of the report."""
    figures = {}
    if record.benchmark == "generate":
        for group in record.groups:
            figures["processes"] = by_count(record, group, study.SPEEDUP_BY_PROCESSES)
    elif record.benchmark == "train":
        sizes = [group for group in record.groups if not group.startswith(SWEEP)]
        if sizes:
            figures["epochs"] = bars(record, sizes, "seconds for an epoch")
        for group in record.groups[len(sizes) :]:
            figures["workers"] = by_count(record, group, {})
    else:
        for number, group in enumerate(record.groups):
            figures[f"seconds_{number}"] = bars(record, [group], "seconds for an epoch")
    watched = [row for row in record.rows if row.runs and row.runs[0].curves]
    if watched:
        figures["utilisation"] = utilisation(watched)
    return figures


def by_count(record: Record, group: str, of_2017: dict[int, float]) -> Figure:
    """Draw seconds and speedup against processes or threads."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    seconds, speedups = figure.subplots(1, 2)
    if of_2017:
        speedups.plot(
            *zip(*of_2017.items(), strict=True),
            color=_STUDY_COLOR,
            marker=".",
            label="the study, 2017 (6 cores)",
        )
    for contender in dict.fromkeys(row.contender for row in record.of(group)):
        rows = [row for row in record.of(group) if row.contender == contender]
        counts = [row.count for row in rows]
        style = {"color": COLORS[contender], "marker": "o", "label": LABELS[contender]}
        seconds.plot(counts, [row.seconds for row in rows], **style)
        speedups.plot(counts, [record.speedup(row) for row in rows], **style)
    seconds.set_title("seconds", fontsize=10)
    speedups.set_title("times faster than Keras' generator", fontsize=10)
    speedups.axhline(1, color=COLORS[KERAS], linestyle="--", linewidth=0.8)
    for axis, form in ((seconds, "{:g}"), (speedups, "{:g}x")):
        if axis.dataLim.ymax > 10 * axis.dataLim.ymin:
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(_formatter(""))
        else:
            axis.set_ylim(0, 1.1 * axis.dataLim.ymax)
        axis.yaxis.set_major_formatter(_formatter(form))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("processes or threads (0: neither)", fontsize=9)
        _tidy(axis)
    handles, labels = speedups.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def bars(record: Record, groups: list[str], title: str) -> Figure:
    """Draw the seconds of each contender's best row as bars, group by group."""
    present = {row.contender for group in groups for row in record.of(group)}
    contenders = [name for name in LABELS if name in present]
    figure = Figure(figsize=(9, 0.8 + 0.33 * len(groups) * (len(contenders) + _GAP)))
    figure.set_layout_engine("constrained")
    axis = figure.subplots()
    places, names, longest = [], [], 0.0
    for number, group in enumerate(groups):
        for offset, contender in enumerate(contenders):
            row = record.best(group, contender)
            if row is None or row.seconds is None:
                continue
            place = -(number * (len(contenders) + _GAP) + offset)
            axis.barh(place, row.seconds, color=COLORS[contender], height=0.85)
            axis.text(row.seconds, place, f"  {_time_text(record, row)}", va="center", fontsize=8)
            longest = max(longest, row.seconds)
            places.append(place)
            names.append(LABELS[contender])
        top = -number * (len(contenders) + _GAP)
        axis.text(0, top + 0.75, f" {group}", fontsize=9, fontweight="bold", va="center")
    axis.set_yticks(places, names, fontsize=8)
    axis.set_xlim(0, 1.3 * longest or 1)
    axis.set_title(title, fontsize=10, loc="left")
    _tidy(axis)
    return figure


def utilisation(rows: list[Row]) -> Figure:
    """Draw how busy processors and GPU were in each row's first run, one above the other."""
    span = max(row.runs[0].curves["time"][-1] for row in rows if row.runs[0].curves["time"])
    figure = Figure(figsize=(9, 0.6 + 1.15 * len(rows)), layout="constrained")
    for axis, row in zip(
        figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0], rows, strict=True
    ):
        run = row.runs[0]
        for name, label, color in (("gpu_0", "GPU", GPU_COLOR), ("cpu", "CPU", CPU_COLOR)):
            if name in run.curves:
                axis.plot(run.curves["time"], run.curves[name], color=color, lw=1, label=label)
        for end in accumulate(run.epochs):
            axis.axvline(end, color="#000000", lw=0.6, alpha=0.4)
        count = f", {row.count} at work" if row.count else ""
        title = f"{row.group}: {LABELS[row.contender]}{count}; {sum(run.epochs):.1f} s of training"
        axis.set_title(title, fontsize=8, loc="left", pad=3)
        axis.set_ylim(0, 103)
        axis.set_xlim(0, span)
        axis.set_yticks([0, 50, 100])
        _tidy(axis)
    axis.set_xlabel("seconds; a line where an epoch ends", fontsize=8)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    figure.suptitle("% busy", fontsize=9, x=0.02, ha="left")
    return figure


def _time_text(record: Record, row: Row) -> str:
    speedup = record.speedup(row)
    text = f"{row.seconds:.2f} s"
    return text if speedup is None or row.contender == KERAS else f"{text}, {speedup:.1f}x"


def _formatter(form: str) -> FuncFormatter:
    text_of: Callable[[float, Any], str] = lambda value, _: form.format(value)  # noqa: E731
    return FuncFormatter(text_of)


def _tidy(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
