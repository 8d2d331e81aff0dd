"""A comparison as a table: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import json
from dataclasses import astuple, fields

from t2av_bench.comparison.paired import Comparison, PairedTest
from t2av_bench.grids import csv_grid, latex_grid, markdown_grid, plain_grid
from t2av_bench.results.tables import TableFormat, number, signed

_LEFT = 3


def format_comparison(comparison: Comparison, form: TableFormat = "plain") -> str:
    """Return a comparison as text that ends in a line break.

    Parameters
    ----------
    comparison
        Of :func:`t2av_bench.compare`.
    form
        ``plain``, ``markdown``, ``latex`` (booktabs): a row per score and pair; ``csv``: the same with every digit and
        column; ``json``: the comparison file.
    """
    if form == "json":
        return json.dumps(comparison.to_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "csv":
        return csv_grid([field.name for field in fields(PairedTest)], [astuple(test) for test in comparison.tests])
    header = ["score", "first", "second", "value", "value", "difference"]
    header += [f"{100 * comparison.confidence:g} % interval", "p", "p (Holm)", "better"]
    rows = [_cells(test) for test in comparison.tests]
    if form == "latex":
        return latex_grid(header, rows, _LEFT)
    if form == "markdown":
        return markdown_grid(header, rows, _LEFT)
    return _head(comparison) + plain_grid(header, rows, _LEFT) + _tail(comparison)


def _head(comparison: Comparison) -> str:
    pairs = "every pair" if comparison.baseline is None else f"all against {comparison.baseline}"
    return (
        f"{len(comparison.systems)} systems, {pairs}, on {comparison.manifest['name']} ({comparison.clips_n} clips),"
        f" {comparison.protocol['features']} features, protocol {comparison.protocol['name']}\n\n"
    )


def _tail(comparison: Comparison) -> str:
    level = 1.0 - comparison.confidence
    count = len(comparison.tests)
    lines = []
    for reason in dict.fromkeys(comparison.untested.values()):
        names = [name for name, other in comparison.untested.items() if other == reason]
        lines.append(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not tested: {reason}")
    lines += [f"Note: {note}" for note in comparison.notes]
    adjusted = "as it is" if count == 1 else f"adjusted for {count} tests"
    lines.append(f"Difference: first minus second. Better: p (Holm, {adjusted}) below {level:.3g}; — where neither is.")
    return "\n".join(lines) + "\n"


def _cells(test: PairedTest) -> list[str]:
    return [
        f"{test.score} {'↑' if test.higher_is_better else '↓'}",
        test.first,
        test.second,
        number(test.first_value),
        number(test.second_value),
        signed(test.difference),
        f"[{signed(test.low)}, {signed(test.high)}]",
        p_text(test.p_value),
        p_text(test.p_holm),
        test.better or "—",
    ]


def p_text(value: float) -> str:
    """Return a p-value with two digits."""
    return "<0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.0995 else f"{value:.2f}"
