"""A comparison as a forest plot: one panel per pair of systems, one row per score.

Scores of all units share the axis, as effects: differences in units of their spread over clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from t2av_bench.comparison.paired import Comparison, PairedTest
from t2av_bench.comparison.tables import p_text
from t2av_bench.errors import UsageError
from t2av_bench.plotting import COLOURS, check_plot_path, draw_estimate, drawing, inert, name_rows, note_rows
from t2av_bench.results.tables import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PAIRS = 12
_ROW_IN, _PANEL_IN, _COLUMN_IN = 0.24, 0.95, 7.4
# More than these and panels stand in two columns.
_ONE_COLUMN = 3


def plot_comparison(comparison: Comparison, path: str | Path) -> None:
    """Draw every test as an effect with its interval; filled where the adjusted p-value names a better system.

    Parameters
    ----------
    comparison
        Of :func:`t2av_bench.compare`.
    path
        File to write, ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    UsageError
        If the ending is another, or there are more than twelve pairs of systems.
    PrerequisiteError
        If matplotlib is missing.
    ResultError
        If the file cannot be written.
    """
    check_plot_path(path)
    pairs: dict[tuple[str, str], list[PairedTest]] = {}
    for test in comparison.tests:
        pairs.setdefault((test.first, test.second), []).append(test)
    if len(pairs) > MOST_PAIRS:
        raise UsageError(f"a plot shows at most {MOST_PAIRS} pairs of systems; got {len(pairs)}: name a baseline")
    columns_n = 1 if len(pairs) <= _ONE_COLUMN else 2
    rows_n = -(-len(pairs) // columns_n)
    tests_n = max(map(len, pairs.values()))
    size = _COLUMN_IN * columns_n, (_PANEL_IN + _ROW_IN * tests_n) * rows_n + 0.9
    with drawing(path, *size) as figure:
        panels = figure.subplots(rows_n, columns_n, squeeze=False).ravel()
        for axes, tests in zip(panels, pairs.values(), strict=False):
            _draw(axes, tests, _reach(comparison.tests))
        for axes in panels[len(pairs) :]:
            axes.set_visible(False)
        figure.suptitle(_title(comparison), size=10)
        figure.supxlabel(_legend(comparison), size=8)


def effect(test: PairedTest) -> tuple[float, tuple[float, float] | None]:
    """Return the effect and its interval, positive where the first system is better.

    The difference over its spread over clips, Cohen's d of paired samples. A difference that is the same for every clip
    has no spread: it is 0 or infinite, and has no interval.
    """
    sign = 1.0 if test.higher_is_better else -1.0
    if not test.effect_size:
        better_first = {test.first: 1.0, test.second: -1.0}
        return (better_first[test.better] * math.inf if test.better else 0.0), None
    spread = test.difference / test.effect_size
    low, high = sorted((sign * test.low / spread, sign * test.high / spread))
    return sign * test.effect_size, (low, high)


def _draw(axes: Axes, tests: Sequence[PairedTest], reach: float) -> None:
    first, second = inert(tests[0].first, 32), inert(tests[0].second, 32)
    name_rows(axes, [f"{inert(test.score)} {'↑' if test.higher_is_better else '↓'}" for test in tests])
    note_rows(axes, [f"{signed(test.difference)}, p {_p(test)}" for test in tests])
    axes.axvline(0.0, color="0.5", linewidth=0.9, linestyle="--", zorder=1)
    for row, test in enumerate(tests):
        value, interval = effect(test)
        colour = COLOURS[0] if test.better is not None else "0.4"
        if math.isinf(value):
            at = math.copysign(reach, value)
            axes.plot([at], [row], ">" if value > 0 else "<", color=colour, markersize=8, clip_on=False)
        else:
            draw_estimate(axes, row, value, interval, colour=colour, filled=test.better is not None)
    axes.set_title(f"{first} minus {second}", fontsize="medium")
    unit = _scale(axes, reach)
    axes.set_xlabel(f"← {second} is better     effect ({unit})     {first} is better →", fontsize="small")


def _scale(axes: Axes, reach: float) -> str:
    """Make the axis linear, or logarithmic beyond an effect of 1 if much lies there; return what it counts."""
    axes.set_xlim(-reach, reach)
    axes.tick_params(axis="x", labelsize="small")
    if reach > 2.0:
        axes.set_xscale("symlog", linthresh=1.0, linscale=1.5)
        steps = (1.0, 2.0, 5.0) if reach < 100.0 else (1.0,)
        beyond = [m * 10.0**k for k in range(1 + math.floor(math.log10(reach))) for m in steps if m * 10.0**k < reach]
        ticks = [*(-x for x in reversed(beyond)), -0.5, 0.0, 0.5, *beyond]
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.minorticks_off()
        return "spreads over clips; logarithmic beyond 1"
    return "spreads over clips"


def _reach(tests: Sequence[PairedTest]) -> float:
    """Return how far the axis must go to either side."""
    ends = [abs(end) for test in tests for value, interval in [effect(test)] for end in (interval or (value,))]
    return 1.08 * max([0.5, *(end for end in ends if math.isfinite(end))])


def _p(test: PairedTest) -> str:
    text = p_text(test.p_holm)
    return text if text.startswith("<") else f"= {text}"


def _title(comparison: Comparison) -> str:
    return (
        f"{inert(comparison.manifest['name'])}, {comparison.clips_n} clips,"
        f" {inert(str(comparison.protocol['features']))} features"
    )


def _legend(comparison: Comparison) -> str:
    level = 1.0 - comparison.confidence
    return (
        f"Bars: {100 * comparison.confidence:g} % intervals. At the right: difference in the score's unit, p adjusted"
        f" for {len(comparison.tests)} tests (Holm).\nFilled: one system is better (p below {level:.3g}); hollow: the"
        " systems are not told apart; a triangle: the same difference for every clip."
    )


__all__ = ["MOST_PAIRS", "effect", "plot_comparison"]
