"""An ablation as a picture: what every change costs, beside the unchanged recipe and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from t2av_bench.errors import UsageError
from t2av_bench.models.training.validation import TOLERANCE_S
from t2av_bench.plotting import COLOURS, REACH, draw_estimate, drawing, inert, name_rows, note_rows, towards_better

_FULL = "full"


def plot_ablation(rows: Sequence[Mapping[str, float | str]], path: str | Path) -> None:
    """Draw the event F1 of every variant with its 95 % interval.

    Parameters
    ----------
    rows
        As :func:`~t2av_bench.models.training.ablation.ablate` returns them. Rows without a standard error, as older
        versions wrote them, have no interval.
    path
        File to write, ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    UsageError
        If the ending is another, or there is no row.
    PrerequisiteError
        If matplotlib is missing.
    ResultError
        If the file cannot be written.
    """
    if not rows:
        raise UsageError("there is no variant to draw")
    with drawing(path, 6.6, 1.5 + 0.32 * len(rows)) as figure:
        axes = figure.add_subplot()
        values = [float(row["event_f1"]) for row in rows]
        errors = [float(row["event_f1_stderr"]) if "event_f1_stderr" in row else None for row in rows]
        name_rows(axes, [inert(str(row["variant"])) for row in rows])
        note_rows(axes, [_note(value, error) for value, error in zip(values, errors, strict=True)])
        full = next((value for row, value in zip(rows, values, strict=True) if row["variant"] == _FULL), None)
        if full is not None:
            axes.axvline(full, color=COLOURS[1], linewidth=1.1, linestyle="--", zorder=1, label="full recipe")
        if "chance_f1" in rows[0]:
            chance = float(rows[0]["chance_f1"])
            axes.axvline(
                chance, color="0.4", linewidth=1.1, linestyle=":", zorder=1, label="chance: the next clip's times"
            )
        for place, (value, error) in enumerate(zip(values, errors, strict=True)):
            interval = None if error is None else (max(0.0, value - REACH * error), min(1.0, value + REACH * error))
            draw_estimate(axes, place, value, interval)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(towards_better(_axis(rows), higher_is_better=True))
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)


def _note(value: float, error: float | None) -> str:
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.2g}"


def _axis(rows: Sequence[Mapping[str, float | str]]) -> str:
    events = f", {float(rows[0]['events_n']):.0f} events" if "events_n" in rows[0] else ""
    intervals = ", 95 % intervals" if any("event_f1_stderr" in row for row in rows) else ""
    return f"event F1 (±{1000 * TOLERANCE_S:.0f} ms){events}{intervals}"


__all__ = ["plot_ablation"]
