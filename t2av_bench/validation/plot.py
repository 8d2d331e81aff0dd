"""A validation as a picture: one panel per distortion, one line per score.

Lines differ in dash and marker as well as in colour; see :mod:`t2av_bench.plotting`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

from t2av_bench.errors import UsageError
from t2av_bench.plotting import COLOURS, drawing, inert
from t2av_bench.validation.record import Response, Validation
from t2av_bench.validation.responses import DETECTED_AT

_MARKERS = "osD^vPX*<>"
_DASHES = ("-", "--", "-.", ":")
# More lines than these cannot be told apart.
FAVOURED = ("FAD", "FAVD", "FAD-b", "FAVD-b", "AV-index", "AT-index", "KAD", "CLAP", "onset-AP", "AV-Align", "DeSync")
MOST_LINES = 10
_COLUMNS = 3
_TITLE_WIDTH = 48


def plot_validation(validation: Validation, path: str | Path, metrics: Sequence[str] | None = None) -> None:
    """Draw the worsening of scores over the levels of every distortion, in paired standard errors.

    Parameters
    ----------
    validation
        As :func:`t2av_bench.validate_metrics` returns it.
    path
        File to write, ``.png``, ``.svg`` or ``.pdf``.
    metrics
        Scores to draw; by default up to ten that have standard errors, the best known first.

    Raises
    ------
    UsageError
        If the ending is another, or no score can be drawn.
    PrerequisiteError
        If matplotlib is missing.
    ResultError
        If the file cannot be written.
    """
    names = list(metrics or drawn_metrics(validation))
    if not names:
        raise UsageError("there is no score with standard errors to draw")
    rows = -(-len(validation.distortions) // _COLUMNS)
    with drawing(path, 4.2 * _COLUMNS, 3.2 * rows + 0.9) as figure:
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for panel, name in zip(panels, validation.distortions, strict=False):
            found = [r for r in validation.responses if r.distortion == name and r.metric in names]
            _draw(panel, validation, name, found, names)
        for panel in panels[len(validation.distortions) :]:
            panel.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize="small")
        manifest, features = inert(validation.manifest["name"]), inert(str(validation.protocol["features"]))
        figure.suptitle(f"{manifest}, {validation.n_clips} clips, {features} features", size=11)


def drawn_metrics(validation: Validation) -> list[str]:
    """Return the scores that are drawn by default: with standard errors, the best known first, at most ten."""
    able = {r.metric for r in validation.responses if any(point.stderr is not None for point in r.points)}
    favoured = [name for name in FAVOURED if name in able]
    others = [name for name in validation.metrics if name in able and name not in favoured]
    chosen = (favoured + others)[:MOST_LINES]
    return [name for name in validation.metrics if name in chosen]


def _draw(panel: Any, validation: Validation, name: str, found: Sequence[Response], names: Sequence[str]) -> None:
    """Draw one distortion: levels as they follow in strength, worsening in standard errors on a linear-log axis."""
    record = validation.distortions[name]
    places = {level: place for place, level in enumerate(record["levels"], start=1)}
    styles = dict(zip(names, _styles(), strict=False))
    panel.axhspan(-DETECTED_AT, DETECTED_AT, color="0.9", label="within 2 standard errors")
    for response in found:
        points = [p for p in response.points if p.stderr or p.worsening == 0.0]
        heights = [p.worsening / p.stderr if p.stderr else 0.0 for p in points]
        x = [0, *(places[p.level] for p in points)]
        panel.plot(x, [0.0, *heights], label=response.metric, linewidth=1.3, markersize=4, **styles[response.metric])
    panel.set_yscale("symlog", linthresh=DETECTED_AT)
    none = "none" if record["none"] is None or record["none"] == 0.0 else f"{record['none']:g}"
    panel.set_xticks([0, *places.values()], [none, *(f"{level:g}" for level in places)], fontsize="small")
    panel.set_title(fill(f"{name}: {record['what']}", _TITLE_WIDTH), fontsize="small")
    panel.set_xlabel(f"level ({record['unit'] or 'share'})", fontsize="small")
    panel.set_ylabel("worsening (standard errors)", fontsize="small")


def _styles() -> Iterator[dict[str, Any]]:
    """Yield looks that differ in colour, marker and dash at once."""
    for colour, marker, dash in zip(cycle(COLOURS), cycle(_MARKERS), cycle(_DASHES), strict=False):
        yield {"color": colour, "marker": marker, "linestyle": dash}
