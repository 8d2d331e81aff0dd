"""Results as tables: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from t2av_bench.errors import UsageError
from t2av_bench.grids import csv_grid, latex_grid, markdown_grid, plain_grid
from t2av_bench.results.result import Result, Score

TableFormat = Literal["plain", "latex", "markdown", "csv", "json"]
FORMATS: tuple[str, ...] = get_args(TableFormat)


def format_results(results: Sequence[Result], form: TableFormat = "plain", scores: Sequence[str] | None = None) -> str:
    """Return one or several results as text that ends in a line break.

    Parameters
    ----------
    results
        Of one manifest and protocol.
    form
        ``plain``: one row per score for one result, one row per system for several. ``latex`` (booktabs), ``markdown``:
        one row per system; ``csv``: one row per system and score. ``json``: the result files, a list for several.
    scores
        Names of the scores to show, all by default; without effect on ``json``.
    """
    if scores is not None and form != "json":
        kept = [name for name in scores if any(name in result.scores for result in results)]
        results = [replace(r, scores={name: r.scores[name] for name in kept if name in r.scores}) for r in results]
    if form == "json":
        records = [result.to_json() for result in results]
        return json.dumps(records[0] if len(records) == 1 else records, indent=2, ensure_ascii=False) + "\n"
    if form == "csv":
        return _csv(results)
    if form == "latex":
        return latex_grid(*_systems(results, "System"), left=1)
    if form == "markdown":
        return markdown_grid(*_systems(results, "system"), left=1)
    return _plain_one(results[0]) if len(results) == 1 else plain_systems(results)


def format_worst(result: Result, count: int, score: str | None = None) -> str:
    """Return the clips that harm a score most as text that ends in a line break.

    Parameters
    ----------
    result
        As :func:`t2av_bench.evaluate` returns it.
    count
        Number of clips.
    score
        By default FAVD, or the first score of which it is known what each clip adds.

    Raises
    ------
    UsageError
        If the result has no such score.
    """
    known = {name for contributions in result.per_clip.values() for name in contributions}
    name = score or next((name for name in ("FAVD", *result.scores) if name in known), next(iter(result.scores), ""))
    if name not in result.scores:
        reason = result.absent.get(name, "it was not computed")
        raise UsageError(f"the result has no {name or 'score'} to rank clips by: {reason}")
    if name not in known:
        raise UsageError(f"what each clip adds to {name} is not known; choose a score with a standard error")
    worst = result.worst_clips(name, count)
    if not worst:
        return f"No clip harms {name}.\n"
    direction = "down" if result.scores[name].higher_is_better else "up"
    rows = [(clip_id, signed(value, digits=4)) for clip_id, value in worst]
    head = f"Clips that draw {name} {direction} most, and by how much:\n\n"
    return head + plain_grid(("clip", name), rows, left=1)


def number(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits and no exponent where one can do without."""
    if abs(value) < 5e-10:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    return f"{value:.{min(digits, 3) - 1}e}"


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign."""
    text = number(value, digits)
    return f"+{text}" if value > 0.0 and text != "0" else text


def with_error(score: Score) -> str:
    """Return value ± standard error, as far as that is known."""
    return number(score.value) + (f" ± {number(score.stderr, 2)}" if score.stderr is not None else "")


# Columns that judge a distance, and the score's field for each.
_COLUMNS = {"corrected": "corrected", "FD∞": "fd_infinity", "floor": "floor", "vs floor": "floor_score"}
_LEGENDS = {
    "corrected": "corrected: the distance of very many clips like these, and its 95 % interval where that is known.",
    "floor": "floor: one half of the reference against the other.",
    "vs floor": "vs floor: the same with the generated sound of one half.",
}
KIND_TITLES = {
    "raw": "Fréchet distances",
    "balanced": "Balanced Fréchet distances",
    "index": "Alignment indices",
    "kernel": "Kernel distances",
    "classes": "Sound classes",
    "support": "Support of the sets",
    "similarity": "Sound and caption",
    "sync": "Synchrony",
}


def _judgement(score: Score, column: str) -> str:
    value = getattr(score, _COLUMNS[column])
    # FD∞ estimates what the corrected distance does, without an interval, which needs its room.
    if value is None or (column == "FD∞" and score.corrected is not None):
        return ""
    if column == "corrected" and score.corrected_low is not None and score.corrected_high is not None:
        return "{} [{}, {}]".format(*(number(x, 3) for x in (value, score.corrected_low, score.corrected_high)))
    return number(value)


def _grouped(lines: Sequence[str], scores: Sequence[Score]) -> list[str]:
    """Put a title above each kind of score, if there is more than one kind; ``lines`` starts with head and rule."""
    if len({score.kind for score in scores}) < 2:
        return list(lines)
    grouped, kind = list(lines[:2]), ""
    for line, score in zip(lines[2:], scores, strict=True):
        if score.kind != kind:
            grouped += [""] * bool(kind) + [KIND_TITLES.get(score.kind, score.kind)]
            kind = score.kind
        grouped.append(line)
    return grouped


def _plain_one(result: Result) -> str:
    features, protocol = result.protocol["features"], result.protocol["name"]
    head = (
        f"{result.system['name']} on {result.manifest['name']} ({result.counts['scored']} of {result.counts['clips']}"
        f" clips),{'' if features == protocol else f' {features} features,'} protocol {protocol}"
    )
    shown = [column for column in _COLUMNS if any(_judgement(score, column) for score in result.scores.values())]
    header = ("score", "value", "± s.e.", *shown, "clips", "samples", "d", "rank")
    rows = []
    for name, score in result.scores.items():
        stderr = "" if score.stderr is None else number(score.stderr, 2)
        sizes = (str(score.n_clips), str(score.n_windows), _size(score.d), _size(score.rank))
        judged = (_judgement(score, column) for column in shown)
        rows.append((_headed([result], name), number(score.value), stderr, *judged, *sizes))
    table = plain_grid(header, rows, left=1).splitlines()
    lines = [head, "", *_grouped(table, list(result.scores.values()))]
    legends = [legend for column, legend in _LEGENDS.items() if column in shown]
    lines += [""] * bool(legends) + legends
    lines += [f"{name} is absent: {reason}" for name, reason in result.absent.items()]
    lines += [f"Note: {note}" for note in result.notes]
    if result.not_comparable_because:
        lines.append("Not comparable: " + "; ".join(result.not_comparable_because) + ".")
    return "\n".join(lines) + "\n"


def _size(value: int | None) -> str:
    return "" if value is None else str(value)


def plain_systems(results: Sequence[Result]) -> str:
    """Return several systems as one table, a row each."""
    return plain_grid(*_systems(results, "system"), left=1)


def _systems(results: Sequence[Result], first: str) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table with one row per system and one column per score."""
    names = _score_names(results)
    header = [first, *(_headed(results, name) for name in names)]
    return header, [[result.system["name"], *(_cell(result, name) for name in names)] for result in results]


def _headed(results: Sequence[Result], name: str) -> str:
    score = next(result.scores[name] for result in results if name in result.scores)
    return f"{name} {'↑' if score.higher_is_better else '↓'}"


def _score_names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(name for result in results for name in result.scores))


def _cell(result: Result, name: str) -> str:
    return with_error(result.scores[name]) if name in result.scores else "—"


def _csv(results: Sequence[Result]) -> str:
    corrected = ["corrected", "corrected_stderr", "corrected_low", "corrected_high"]
    judged = [*corrected, "fd_infinity", "floor", "floor_score"]
    sizes = ["n_clips", "n_windows", "d", "rank", "n_undefined"]
    numbers = ["value", "stderr", *judged, *sizes]
    rows = [
        (result.system["name"], name, *(getattr(score, column) for column in numbers), result.comparable)
        for result in results
        for name, score in result.scores.items()
    ]
    return csv_grid(["system", "score", *numbers, "comparable"], rows)
