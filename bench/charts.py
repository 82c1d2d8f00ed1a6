"""Bar charts of a run, as PNG files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
from names import CONTENDERS, GROUPS, SETTINGS
from rows import Row, amount, ordered, settings_of

mpl.use("Agg")  # no screen is needed

import matplotlib.pyplot as plt

OURS, OTHERS = "#d1495b", "#8d99ae"


def draw_chart(group: str, rows: list[Row], path: Path) -> None:
    """Draw a group's rows into a file: a panel for each setting, a bar for each contender."""
    kept = [row for row in rows if keeps(row, GROUPS[group].chart)]
    panels = [list(panel) for _, panel in groupby(sorted(kept, key=setting), key=setting)]
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    bars = max(map(len, panels))
    size = (5.6 * columns, lines * (0.9 + 0.32 * bars))
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, panel in zip(axes.flat, panels, strict=False):
        draw_panel(axis, panel, GROUPS[group].made)
    figure.suptitle(GROUPS[group].title, fontsize=12)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of matplotlib in it, an unchanged chart is an unchanged file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def keeps(row: Row, chart: dict[str, str]) -> bool:
    return all(row.settings.get(name) == value for name, value in chart.items())


def setting(row: Row) -> tuple[Any, ...]:
    return tuple(row.settings[name] for name in ordered(row))


def draw_panel(axis: Any, rows: list[Row], made: str) -> None:
    """Draw the bars of one setting, the best on top, with its amount on each."""
    rows = sorted(rows, key=lambda row: row.value / (row.images or 1), reverse=True)
    amounts = [row.images / row.value if made else row.value for row in rows]
    colors = [OURS if row.contender.startswith("fastaug") else OTHERS for row in rows]
    names = [CONTENDERS[row.contender].replace("`", "") for row in rows]
    bars = axis.barh(names, amounts, color=colors)
    axis.bar_label(bars, [amount(row, row.value) for row in rows], padding=3, fontsize=8)
    axis.set_title(title(rows[0]), fontsize=9)
    axis.tick_params(axis="y", labelsize=8)
    axis.xaxis.set_visible(False)  # the bars say it
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_xlim(0, 1.5 * max(amounts))  # from zero, with room for what the longest one says


def title(row: Row) -> str:
    """Return "size 32x32, batch 256"."""
    values = [value.replace("`", "") for value in settings_of(row)]
    return ", ".join(
        f"{SETTINGS[name][0]} {value}" for name, value in zip(ordered(row), values, strict=True)
    )
