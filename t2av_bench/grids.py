"""Text tables of rows and columns: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Rows = Sequence[Sequence[str]]
Marks = Mapping[tuple[int, int], Literal["best", "second"]]
"""Row and column of a cell to how it stands out; rows are counted from the first below the header."""

_GREEK = (
    *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "pi", "rho", "sigma", "tau", "varphi", "chi", "psi", "omega"),
    *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"),
)
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "\n": " "}
    | {"±": r"$\pm$", "−": "$-$", "—": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "<": "$<$", ">": "$>$"}
    | {"†": r"$^\dagger$", "∞": r"$\infty$", "≤": r"$\le$", "≥": r"$\ge$", "≈": r"$\approx$", "\0": "{}"}
    | {c: rf"$\{name}$" for c, name in zip("αβγδεζηθικλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK, strict=True)}
)
# Of the rest beyond ASCII, what pdfTeX typesets with no more than booktabs (TeX Live 2022).
_PDFTEX = frozenset(
    "¡¢£¤¥¦§¨©ª¬®¯°²³´µ¶·¸¹º¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖ×ØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõö÷øùúûüýÿĀāĂăĆćĈĉĊċČčĎďĒēĔĕĖėĚěĜĝĞğĠġĢģĤĥĨĩ"
    "ĪīĬĭİıĴĵĶķĹĺĻļĽľŁłŃńŅņŇňŌōŎŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽžȘșȚț‐–—‘’“”•…‰€№™←→"
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
    """Return a LaTeX table (booktabs) in which names are inert; the best in bold, the second underlined.

    It compiles with every engine. A character that pdfTeX does not have is shown by XeTeX and LuaTeX, with a font that
    has it, and as its number by pdfTeX.
    """
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
    styles = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    text = " & ".join(_styled(i, map(_latex_cell, row), marks, styles)) + r" \\"
    # The command that ends the row before would take these for its own.
    return "{}" + text if text.startswith(("[", "*")) else text


def _latex_cell(cell: str) -> str:
    # TeX stops at control characters; the replacement character is one more that it does not know.
    text = _visible(unicodedata.normalize("NFC", cell)).replace("\N{REPLACEMENT CHARACTER}", " ")
    text = re.sub("-(?=-)", "-\0", text).translate(_LATEX)  # two hyphens are no dash
    return "".join(c if c.isascii() or c in _PDFTEX else _either(c) for c in text)


def _either(character: str) -> str:
    """Return what is a character to XeTeX and LuaTeX, which alone know this command, and its number to pdfTeX."""
    return rf"\ifdefined\Umathcode {character}\else U+{ord(character):04X}\fi{{}}"


def _styled(i: int, cells: Iterable[str], marks: Marks | None, styles: Mapping[str, str]) -> list[str]:
    marks = marks or {}
    return [styles[marks[i, j]].format(cell) if (i, j) in marks else cell for j, cell in enumerate(cells)]
