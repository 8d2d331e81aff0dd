"""A validation as a table of what each score can and cannot see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, get_args

from t2av_bench.grids import csv_grid, markdown_grid, plain_grid
from t2av_bench.validation.record import Response, Validation

ReportFormat = Literal["plain", "markdown", "csv", "json"]
FORMATS: tuple[str, ...] = get_args(ReportFormat)

BLIND, REWARDS, UNKNOWN, NOT_COMPUTED = "—", "✗", "?", ""
_LEGEND = (
    "A number: the weakest level tried that the score notices, at two standard errors of the paired change. In"
    " brackets: the weakest that differs by more than real sound of other clips does, if that is a stronger one;"
    " °: none does.",
    "~: it notices, and does not put the levels in order (the 95 % interval of Spearman's correlation is not above 0,"
    " or the strongest level is not noticed).",
    f"{BLIND}: it notices no level. {REWARDS}: it scores the strongest level better than the real sound."
    f" {UNKNOWN}: its changes have no standard error; with Spearman's correlation ρ where it changes at all.",
)


def format_validation(validation: Validation, form: ReportFormat = "plain") -> str:
    """Return a validation as text that ends in a line break.

    Parameters
    ----------
    validation
        As :func:`t2av_bench.validate_metrics` returns it.
    form
        ``plain`` and ``markdown``: one row per score and one column per distortion, with a legend; ``csv``: one row per
        score, distortion and level, every digit kept; ``json``: the file.
    """
    if form == "json":
        return json.dumps(validation.to_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "csv":
        return _csv(validation)
    header = ["score", *(_headed(validation, name) for name in validation.distortions)]
    rows = [[metric, *_row(validation, metric)] for metric in validation.metrics]
    blocks = [
        _head(validation),
        (markdown_grid if form == "markdown" else plain_grid)(header, rows, left=1),
        _lines(_LEGEND, form),
    ]
    absent = [f"{name} is absent: {reason}" for name, reason in validation.absent.items()]
    remarks = [*absent, *(f"Note: {note}" for note in validation.notes)]
    return "\n".join(blocks + ([_lines(remarks, form)] if remarks else []))


def cell(response: Response) -> str:
    """Return a response as it stands in the table."""
    if response.verdict == "unknown":
        return UNKNOWN if response.spearman is None else f"{UNKNOWN} ρ {response.spearman:.2f}"
    if response.verdict == "rewards":
        return REWARDS
    if response.first_detected is None:
        return BLIND
    out_of_order = response.verdict == "sees" and len(response.points) > 1
    text = f"{response.first_detected:g}" + "~" * out_of_order
    if "first_above_floor" in response.withheld or response.first_above_floor == response.first_detected:
        return text
    return text + ("°" if response.first_above_floor is None else f" ({response.first_above_floor:g})")


def _row(validation: Validation, metric: str) -> list[str]:
    found = {response.distortion: response for response in validation.responses if response.metric == metric}
    return [cell(found[name]) if name in found else NOT_COMPUTED for name in validation.distortions]


def _headed(validation: Validation, name: str) -> str:
    unit = validation.distortions[name]["unit"]
    return f"{name}, {unit}" if unit else name


def _head(validation: Validation) -> str:
    return (
        f"First level noticed, {validation.manifest['name']} ({validation.n_clips} clips),"
        f" {validation.protocol['features']} features, protocol {validation.protocol['name']}\n"
    )


def _lines(lines: Sequence[str], form: ReportFormat) -> str:
    return "".join(f"- {line}\n" if form == "markdown" else f"{line}\n" for line in lines)


def _csv(validation: Validation) -> str:
    header = ["score", "distortion", "unit", "level", "value", "worsening", "stderr", "detected", "above_floor"]
    header += ["spearman", "spearman_low", "spearman_high", "first_detected", "first_above_floor", "verdict"]
    rows = []
    for response in validation.responses:
        unit = validation.distortions[response.distortion]["unit"]
        low, high = response.interval or (None, None)
        whole = [response.spearman, low, high, response.first_detected, response.first_above_floor, response.verdict]
        for point in response.points:
            numbers = [point.level, point.value, point.worsening, point.stderr, point.detected, point.above_floor]
            rows.append([response.metric, response.distortion, unit, *numbers, *whole])
    return csv_grid(header, rows)
