"""A correlation with ratings as a table: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import json
from dataclasses import astuple, fields

from t2av_bench.correlation.agreement import Agreement, Correlation
from t2av_bench.grids import csv_grid, latex_grid, markdown_grid, plain_grid
from t2av_bench.metrics.correlation import KINDS
from t2av_bench.results.tables import TableFormat

_LEFT = 2
_NAMES = {"spearman": "Spearman", "kendall": "Kendall", "pearson": "Pearson"}


def format_correlation(correlation: Correlation, form: TableFormat = "plain") -> str:
    """Return a correlation as text that ends in a line break.

    Parameters
    ----------
    correlation
        Of :func:`t2av_bench.correlate`.
    form
        ``plain``, ``markdown``, ``latex`` (booktabs): a row per level and score; ``csv``: one per coefficient, with
        every digit; ``json``: the correlation file.
    """
    if form == "json":
        return json.dumps(correlation.to_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "csv":
        return csv_grid([field.name for field in fields(Agreement)], [astuple(a) for a in correlation.agreements])
    header = ["level", "score", *(_NAMES[kind] for kind in KINDS), "systems", "pairs"]
    rows = _rows(correlation)
    if form == "latex":
        return latex_grid(header, rows, _LEFT)
    if form == "markdown":
        return markdown_grid(header, rows, _LEFT)
    return _head(correlation) + plain_grid(header, rows, _LEFT) + _tail(correlation)


def _rows(correlation: Correlation) -> list[list[str]]:
    cells: dict[tuple[str, str], dict[str, Agreement]] = {}
    for agreement in correlation.agreements:
        cells.setdefault((agreement.level, agreement.score), {})[agreement.coefficient] = agreement
    return [
        [*key, *(_cell(row[kind]) for kind in KINDS), str(row[KINDS[0]].n_systems), str(row[KINDS[0]].n_pairs)]
        for key, row in cells.items()
    ]


def _cell(agreement: Agreement) -> str:
    if agreement.low is None or agreement.high is None:
        return f"{agreement.value:+.2f}"
    return f"{agreement.value:+.2f} [{agreement.low:+.2f}, {agreement.high:+.2f}]"


def _head(correlation: Correlation) -> str:
    ratings = correlation.ratings
    what = f"{ratings['clips_n']} rated clips" if ratings["clips_n"] else "systems rated as a whole"
    raters = f", {ratings['raters_n']} raters" if ratings["raters_n"] else ""
    return (
        f"{len(correlation.systems)} systems on {correlation.manifest['name']}, {what}{raters},"
        f" {correlation.protocol['features']} features, protocol {correlation.protocol['name']}\n\n"
    )


def _tail(correlation: Correlation) -> str:
    lines = [f"{what} is absent: {reason}" for what, reason in correlation.absent.items()]
    reasons = dict.fromkeys(a.no_interval_because for a in correlation.agreements if a.no_interval_because)
    lines += [f"Without an interval: {reason}" for reason in reasons]
    lines += [f"Note: {note}" for note in correlation.notes]
    lines.append(
        f"Positive: agrees with the ratings. Brackets: {100 * correlation.confidence:g} % intervals (Fisher's scale;"
        f" over systems, or clustered by clip)."
    )
    return "\n".join(lines) + "\n"
