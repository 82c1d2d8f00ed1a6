"""Charts of what a monitor saw.  The only module that draws them; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    import pandas as pd

_HEIGHT_IN, _WIDTH_IN = 1.5, 9.0
GPU_COLOR, CPU_COLOR = "#2a9d8f", "#d1495b"
_MEMORY_COLOR, _DISK_COLOR = "#5c677d", "#8d99ae"


def draw(frame: pd.DataFrame, epochs: Sequence[Any], duration: float) -> Figure:
    """Return a figure with a panel for each kind of column, one above the other.

    Parameters
    ----------
    frame
        As `SystemMonitor.frame` returns it.
    epochs
        Marks with `epoch`, `begin` and `end`.
    duration
        Seconds that the time axis spans.
    """
    panels = [panel for panel in _panels(frame) if panel[1]]
    size = (_WIDTH_IN, 0.8 + _HEIGHT_IN * max(1, len(panels)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(max(1, len(panels)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, lines, top) in zip(axes, panels, strict=False):
        for name, label, color in lines:
            axis.plot(frame.index, frame[name], color=color, linewidth=1.1, label=label)
        axis.set_ylabel(title, fontsize=8)
        axis.set_ylim(0, top)
        if len(lines) > 1:
            axis.legend(fontsize=7, loc="upper right", ncols=len(lines))
    for axis in axes:
        shade_epochs(axis, epochs)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.set_xlim(0, max(duration, 1e-3))
    axes[-1].set_xlabel("seconds", fontsize=8)
    return figure


def _panels(frame: pd.DataFrame) -> list[tuple[str, list[tuple[str, str, str]], float | None]]:
    """Return title, lines (column, label, colour) and top of each panel."""
    gpus = [name for name in frame if name.startswith("gpu_") and "memory" not in name]
    lines = [(name, name.replace("_", " ").upper(), GPU_COLOR) for name in gpus]
    panels: list[tuple[str, list[tuple[str, str, str]], float | None]] = [("GPU, %", lines, 102)]
    for name, title, color, top in (
        ("cpu", "CPU, %\nall cores", CPU_COLOR, 102),
        ("memory", "memory,\nMB in use", _MEMORY_COLOR, None),
        ("disk_read", "disk,\nMB/s read", _DISK_COLOR, None),
    ):
        panels.append((title, [(name, title, color)] if name in frame else [], top))
    return panels


def shade_epochs(axis: Any, epochs: Sequence[Any]) -> None:
    """Shade every other epoch behind the curves of an axis."""
    for mark in epochs:
        if mark.epoch % 2 == 0:
            axis.axvspan(mark.begin, mark.end, color="#000000", alpha=0.06, linewidth=0)
