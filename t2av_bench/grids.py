"""Text tables of rows and columns: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "\n": " "}
    | {"±": r"$\pm$", "−": "$-$", "—": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "<": "$<$"}
)


def plain_grid(header: Sequence[str], rows: Rows, left: int) -> str:
    """Return columns aligned for a terminal; the first ``left`` of them to the left, and names inert."""
    table = [[_visible(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = []
    for row in table:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines) + "\n"


def markdown_grid(header: Sequence[str], rows: Rows, left: int) -> str:
    """Return a Markdown table in which names are inert."""
    lines = ["| " + " | ".join(map(_markdown, header)) + " |"]
    lines.append("|" + "---|" * left + "---:|" * (len(header) - left))
    lines += ["| " + " | ".join(map(_markdown, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def latex_grid(header: Sequence[str], rows: Rows, left: int) -> str:
    """Return a LaTeX table (booktabs) in which names are inert."""
    lines = [r"% needs \usepackage{booktabs}", r"\begin{tabular}{" + "l" * left + "r" * (len(header) - left) + "}"]
    lines += [r"\toprule", _latex(header), r"\midrule", *map(_latex, rows), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def csv_grid(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return CSV with every digit of the numbers; None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows)
    return out.getvalue()


def _visible(text: str) -> str:
    """Return text without what would move the cursor or turn the direction of writing."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _latex(row: Sequence[str]) -> str:
    return " & ".join(cell.translate(_LATEX) for cell in row) + r" \\"
