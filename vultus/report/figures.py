"""Charts as SVG, each in a light and a dark version; bytes depend on the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from vultus.data.media import MediaError, read_frames


@dataclass(frozen=True)
class Theme:
    """Colours of a chart."""

    name: str
    ink: str
    faint: str
    series: tuple[str, ...]


THEMES = (
    Theme("light", "#22262b", "#d5d9de", ("#0b6e75", "#c8552b", "#6b4fa0", "#8a8f98", "#3f7d2c", "#b08900")),
    Theme("dark", "#e6e8ea", "#3a4047", ("#4fc3c9", "#f08a5d", "#b79ce8", "#9aa1ab", "#8fcf74", "#e3bf4b")),
)


@dataclass(frozen=True)
class Series:
    """Values with intervals for the same labels as the other series of a chart."""

    name: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def draw_curves(history: pd.DataFrame, names: Sequence[str], title: str, folder: Path, stem: str) -> list[Path]:
    """One panel a quantity over epochs, a line a split, the range over folds shaded.

    Args:
        history: rows of ``history.parquet``.
        names: the quantities (column ``name``), in order.
        title: of the whole chart; says when the people are synthetic.
        folder: where ``<stem>-light.svg`` and ``<stem>-dark.svg`` go.
        stem: name of the chart.
    """
    columns = min(3, len(names))
    rows = -(-len(names) // columns)

    def draw(figure: Any, theme: Theme) -> None:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=theme.ink)
        lines: dict[str, Any] = {}
        for number, name in enumerate(names):
            axes = figure.add_subplot(rows, columns, number + 1)
            _style(axes, theme)
            axes.set_title(name, loc="left", fontsize=10, color=theme.ink)
            for colour, split in zip(theme.series, ("train", "validation"), strict=False):
                chosen = history[(history["name"] == name) & (history["split"] == split)].dropna(subset=["value"])
                if chosen.empty:
                    continue
                epochs = chosen.groupby(["epoch", "fold"])["value"].mean().groupby("epoch").agg(["mean", "min", "max"])
                (lines[split],) = axes.plot(epochs.index + 1, epochs["mean"], color=colour, marker="o", markersize=3)
                axes.fill_between(epochs.index + 1, epochs["min"], epochs["max"], color=colour, alpha=0.2, linewidth=0)
            axes.set_xlim(0.5, history["epoch"].max() + 1.5)
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            axes.set_xlabel("epoch", fontsize=9)
        where = {"loc": "outside upper right", "ncols": 2}
        figure.legend(lines.values(), lines.keys(), frameon=False, fontsize=9, labelcolor=theme.ink, **where)

    return _save(draw, (3.6 * columns, 2.5 * rows), folder, stem)


def draw_bars(labels: Sequence[str], series: Sequence[Series], axis: str, folder: Path, stem: str) -> list[Path]:
    """Grouped bars with intervals, one group a label, one colour a series; the axis starts at zero."""

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.add_subplot(1, 1, 1)
        _style(axes, theme)
        at = np.arange(len(labels))
        width = 0.8 / len(series)
        for number, one in enumerate(series):
            x = at + (number - (len(series) - 1) / 2) * width
            values = np.asarray(one.values, float)
            spread = np.nan_to_num(
                np.stack([values - np.asarray(one.low, float), np.asarray(one.high, float) - values])
            )
            axes.bar(x, np.nan_to_num(values), width * 0.92, color=theme.series[number % 6], label=one.name)
            axes.errorbar(x, values, yerr=spread.clip(min=0), fmt="none", ecolor=theme.ink, elinewidth=1, capsize=1.5)
        axes.set_xticks(at, labels, fontsize=9)
        axes.set_ylabel(axis, fontsize=9)
        axes.set_ylim(bottom=0)
        if len(series) > 1:
            axes.legend(
                frameon=False, fontsize=9, ncols=4, labelcolor=theme.ink, loc="lower left", bbox_to_anchor=(0, 1)
            )

    return _save(draw, (max(5.0, 0.55 * len(labels) * max(1.0, 0.5 * len(series)) + 1), 3.0), folder, stem)


def draw_intervals(labels: Sequence[str], one: Series, axis: str, folder: Path, stem: str) -> list[Path]:
    """A point with its interval for each label, from top to bottom; for values that should be compared, not added."""

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.add_subplot(1, 1, 1)
        _style(axes, theme)
        at = np.arange(len(labels))[::-1]
        axes.hlines(at, one.low, one.high, color=theme.series[0], linewidth=3, alpha=0.5)
        axes.plot(one.values, at, "o", color=theme.series[0])
        axes.set_yticks(at, labels, fontsize=9)
        axes.set_xlabel(axis, fontsize=9)
        axes.margins(y=0.4 / len(labels) + 0.08)

    return _save(draw, (6.4, 0.42 * len(labels) + 0.9), folder, stem)


def draw_poster(film: Path, path: Path) -> bool:
    """The film's first frame as a picture; phones show nothing else before a film plays.

    Returns:
        False when the film cannot be decoded; nothing is written then.
    """
    try:
        _, _, rgb = next(read_frames(film))
    except MediaError:
        return False
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return True


def _style(axes: Any, theme: Theme) -> None:
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.faint)
    axes.tick_params(colors=theme.ink, labelsize=9)
    axes.grid(color=theme.faint, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)


def _save(draw: Any, size: tuple[float, float], folder: Path, stem: str) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    paths = []
    with mpl.rc_context({"svg.hashsalt": "vultus", "font.family": "DejaVu Sans"}):
        for theme in THEMES:
            figure = Figure(figsize=size, layout="constrained", facecolor="none")
            FigureCanvasSVG(figure)
            draw(figure, theme)
            path = folder / f"{stem}-{theme.name}.svg"
            figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
            paths.append(path)
    return paths
