"""A result as a picture: every score with its interval, beside what it is to be judged by.

Scores share an axis where they share a unit. Raw Fréchet distances do not: theirs is the square of whatever their
features are in, so each has an axis of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from t2av_bench.errors import UsageError
from t2av_bench.metrics import METRICS
from t2av_bench.plotting import COLOURS, REACH, draw_estimate, drawing, inert, name_rows, note_rows, towards_better
from t2av_bench.results.result import Result, Score
from t2av_bench.results.tables import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Kinds of scores with a unit of their own each, and the axis of each kind.
_APART = ("raw", "kernel")
_AXES = {
    "raw": "Fréchet distance (squared feature units)",
    "balanced": "balanced Fréchet distance (squared, blocks of variance 1)",
    "index": "alignment index (0 other clips' sounds, 1 real sound)",
    "kernel": "kernel distance (squared, no unit)",
    "support": "support of the sets (share)",
    "similarity": "sound and caption (cosine)",
    "sync": "synchrony (share)",
}
_AXIS_OF = {
    "IS": "inception score (effective classes)",
    "KL-softmax": "sound classes (nats)",
    "KL-sigmoid": "sound classes (nats)",
    "AV-offset": "offset of sound and picture (s)",
    "DeSync": "offset of sound and picture (s)",
}
# From so many rows on, two columns of panels.
_MOST_ROWS = 8
_ROW_IN, _PANEL_IN, _COLUMN_IN, _LEGEND_IN = 0.36, 0.58, 6.2, 1.2


class _Panel(NamedTuple):
    axis: str
    higher_is_better: bool
    names: list[str]

    @property
    def height_in(self) -> float:
        return _PANEL_IN + _ROW_IN * len(self.names)


def plot_result(result: Result, path: str | Path, scores: Sequence[str] | None = None) -> None:
    """Draw the scores of a result with their 95 % intervals, floors and controls.

    Parameters
    ----------
    result
        As :func:`t2av_bench.evaluate` returns it.
    path
        File to write, ``.png``, ``.svg`` or ``.pdf``.
    scores
        Names of the scores to draw, all by default.

    Raises
    ------
    UsageError
        If the ending is another, or the result has no such score.
    PrerequisiteError
        If matplotlib is missing.
    ResultError
        If the file cannot be written.
    """
    names = list(result.scores) if scores is None else list(scores)
    for name in names:
        if name not in result.scores:
            raise UsageError(f"the result has no score {name!r}; it has {', '.join(result.scores) or 'none'}")
    if not names:
        raise UsageError("there is no score to draw")
    panels = _panels(result, names)
    columns = _columns(panels)
    height_in = max(sum(panel.height_in for panel in column) for column in columns)
    with drawing(path, _COLUMN_IN * len(columns), height_in + _LEGEND_IN / len(columns) + 0.4) as figure:
        figure.suptitle(_title(result), size=10)
        parts = figure.subfigures(1, len(columns), squeeze=False).ravel() if len(columns) > 1 else [figure]
        for part, column in zip(parts, columns, strict=True):
            heights = [panel.height_in for panel in column]
            rows = part.subplots(len(column), 1, squeeze=False, height_ratios=heights).ravel()
            for axes, panel in zip(rows, column, strict=True):
                _draw(axes, panel, result)
        _add_legend(figure, len(columns))


def _panels(result: Result, names: Sequence[str]) -> list[_Panel]:
    """Put scores of one unit and direction together, in the order of the result."""
    panels: dict[tuple[str, ...], _Panel] = {}
    for name in names:
        score = result.scores[name]
        axis = _axis_of(name, score.kind)
        alone = axis is None or score.kind in _APART
        key = (name,) if alone else (str(axis), str(score.higher_is_better))
        named = axis or f"as {inert(result.protocol['name'])} counts"
        panels.setdefault(key, _Panel(named, score.higher_is_better, [])).names.append(name)
    return list(panels.values())


def _axis_of(name: str, kind: str) -> str | None:
    # Another toolkit's scores have their own names, and units that only it knows.
    return _AXIS_OF.get(name, _AXES.get(kind)) if name in METRICS else None


def _columns(panels: Sequence[_Panel]) -> list[list[_Panel]]:
    """Share panels out to one column, or two of about the same height."""
    if sum(len(panel.names) for panel in panels) <= _MOST_ROWS or len(panels) == 1:
        return [list(panels)]
    whole = sum(panel.height_in for panel in panels)
    uneven = [abs(whole - 2 * sum(panel.height_in for panel in panels[:cut])) for cut in range(1, len(panels))]
    cut = 1 + uneven.index(min(uneven))
    return [list(panels[:cut]), list(panels[cut:])]


def _title(result: Result) -> str:
    counts, features = result.counts, inert(str(result.protocol["features"]))
    return (
        f"{inert(result.system['name'])} on {inert(result.manifest['name'])}, {counts['scored']} of {counts['clips']}"
        f" clips, {features} features" + ("" if result.comparable else " (not comparable)")
    )


def _draw(axes: Axes, panel: _Panel, result: Result) -> None:
    scores = [result.scores[name] for name in panel.names]
    name_rows(axes, [inert(name) for name in panel.names])
    note_rows(axes, [with_error(score) for score in scores])
    for row, score in enumerate(scores):
        _draw_score(axes, row, score)
    _set_limits(axes, scores)
    axes.set_xlabel(towards_better(panel.axis, higher_is_better=panel.higher_is_better), fontsize="small")
    axes.tick_params(axis="x", labelsize="small")


def _draw_score(axes: Axes, row: int, score: Score) -> None:
    """Draw what the score is in the upper half of its row, and what to judge it by in the lower."""
    judged = score.floor is not None or score.floor_score is not None or "shuffled_value" in score.settings
    upper, lower = (row - 0.14, row + 0.24) if judged else (float(row), row + 0.24)
    interval = None
    if score.stderr is not None:
        interval = score.value - REACH * score.stderr, score.value + REACH * score.stderr
    draw_estimate(axes, upper, score.value, interval)
    if score.corrected is not None:
        axes.plot([score.corrected], [upper], **_MARKS["corrected"])
    if score.floor is not None:
        spread = score.floor_spread or 0.0
        axes.hlines(lower, score.floor - spread, score.floor + spread, color="0.75", linewidth=6)
        axes.plot([score.floor], [lower], **_MARKS["floor"])
    if score.floor_score is not None:
        axes.plot([score.floor_score], [lower], **_MARKS["vs floor"])
    if "shuffled_value" in score.settings:
        axes.plot([score.settings["shuffled_value"]], [lower], **_MARKS["shuffled"])
    if "reference_value" in score.settings:
        axes.plot([score.settings["reference_value"]], [lower], **_MARKS["real"])


_MARKS: dict[str, dict[str, Any]] = {
    "corrected": {"marker": "D", "color": COLOURS[1], "markerfacecolor": "white", "markersize": 5, "zorder": 5},
    "floor": {"marker": "|", "color": "black", "markersize": 9, "markeredgewidth": 2.0, "zorder": 3},
    "vs floor": {"marker": "x", "color": COLOURS[1], "markersize": 6, "markeredgewidth": 1.8, "zorder": 4},
    "shuffled": {"marker": "v", "color": "0.35", "markersize": 5, "zorder": 3},
    "real": {"marker": "*", "color": COLOURS[2], "markersize": 8, "zorder": 3},
}
_MEANINGS = {
    "corrected": "corrected for the number of clips",
    "floor": "floor: real sound of other clips (band: its spread over halvings)",
    "vs floor": "the system in the floor's place",
    "shuffled": "control: other clips' pictures",
    "real": "control: the real sound",
}


def _set_limits(axes: Axes, scores: Sequence[Score]) -> None:
    """Start every axis at the score's natural end, so that lengths can be compared; an index is shown from 0 to 1."""
    low, high = axes.get_xlim()
    if scores[0].kind == "index":
        low, high = min(low, -0.05), max(high, 1.05)
        for known in (0.0, 1.0):
            axes.axvline(known, color="0.5", linewidth=0.9, linestyle="--", zorder=1)
    elif low > 0.0 or _leftmost(axes) >= 0.0:
        low, high = -0.02 * high, 1.02 * high
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    axes.set_xlim(low, high)


def _leftmost(axes: Axes) -> float:
    return min(float(x) for line in axes.lines if line.get_marker() != "None" for x in np.atleast_1d(line.get_xdata()))


def _add_legend(figure: Figure, columns: int) -> None:
    """Explain what is drawn somewhere."""
    from matplotlib.lines import Line2D

    drawn = {(line.get_marker(), line.get_color()) for axes in figure.axes for line in axes.lines}
    handles = [Line2D([], [], color=COLOURS[0], marker="o", label="score, 95 % interval over clips where one is known")]
    for name, mark in _MARKS.items():
        if (mark["marker"], mark["color"]) in drawn:
            handles.append(Line2D([], [], linestyle="none", label=_MEANINGS[name], **mark))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize="small", frameon=False)


__all__ = ["plot_result"]
