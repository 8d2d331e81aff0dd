"""Text tables of rows and columns: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Rows = Sequence[Sequence[str]]
Marks = Mapping[tuple[int, int], Literal["best", "second"]]
"""Row and column of a cell to how it stands out; rows are counted from the first below the header."""

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "\n": " "}
    | {"±": r"$\pm$", "−": "$-$", "—": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "<": "$<$", ">": "$>$"}
    | {"†": r"$^\dagger$", "∞": r"$\infty$"}
)
# What would start a tag or finish a link; a plain `<0.05` or `[a, b]` stays readable.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[:])")


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


def markdown_grid(header: Sequence[str], rows: Rows, left: int, marks: Marks | None = None) -> str:
    """Return a Markdown table in which names are inert; the best in bold, the second in italics."""
    lines = ["| " + " | ".join(map(_markdown, header)) + " |"]
    lines.append("|" + "---|" * left + "---:|" * (len(header) - left))
    styles = {"best": "**{}**", "second": "*{}*"}
    lines += ["| " + " | ".join(_styled(i, map(_markdown, row), marks, styles)) + " |" for i, row in enumerate(rows)]
    return "\n".join(lines) + "\n"


def latex_grid(header: Sequence[str], rows: Rows, left: int, marks: Marks | None = None) -> str:
    """Return a LaTeX table (booktabs) in which names are inert; the best in bold, the second underlined."""
    body = [_latex(row, i, marks) for i, row in enumerate(rows)]
    lines = [r"% needs \usepackage{booktabs}", r"\begin{tabular}{" + "l" * left + "r" * (len(header) - left) + "}"]
    lines += [r"\toprule", _latex(header), r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
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
    text = _visible(text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " "))
    return _MARKUP.sub(lambda match: "\\" + match[0], text)


def _latex(row: Sequence[str], i: int = -1, marks: Marks | None = None) -> str:
    # TeX stops at control characters; the replacement character is one more that pdflatex does not know.
    cells = (_visible(cell).replace("\N{REPLACEMENT CHARACTER}", " ").translate(_LATEX) for cell in row)
    return " & ".join(_styled(i, cells, marks, {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"})) + r" \\"


def _styled(i: int, cells: Iterable[str], marks: Marks | None, styles: Mapping[str, str]) -> list[str]:
    marks = marks or {}
    return [styles[marks[i, j]].format(cell) if (i, j) in marks else cell for j, cell in enumerate(cells)]
