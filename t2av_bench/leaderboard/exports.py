"""A leaderboard as a table: for the terminal, a paper, a README or a spreadsheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from t2av_bench.errors import no_such_name
from t2av_bench.errors import shown as printable
from t2av_bench.grids import Marks, csv_grid, latex_grid, markdown_grid, plain_grid
from t2av_bench.leaderboard.board import Leaderboard
from t2av_bench.leaderboard.places import ROUNDED_TO
from t2av_bench.leaderboard.submissions import Entry
from t2av_bench.results.tables import with_error

BoardFormat = Literal["plain", "csv", "markdown", "latex"]
_DEFAULT_ORDER = "FAVD"
# A spreadsheet takes a cell that starts like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LEGEND = "† not told apart from the best at 95 %; place and exact values: --format csv"


def format_board(
    board: Leaderboard, form: BoardFormat = "plain", scores: Sequence[str] | None = None, order: str | None = None
) -> str:
    """Return a leaderboard as text that ends in a line break.

    Parameters
    ----------
    board
        With at least one entry.
    form
        ``plain``, ``markdown`` and ``latex`` (booktabs): a row per system, value ± standard error. In the latter two
        the best value of a score is bold and the second underlined (Markdown: italic), by their exact values; † marks
        others that cannot be told from the best. ``csv``: the columns of :meth:`Leaderboard.to_dataframe` with every
        digit; a name that a spreadsheet would take for a formula gets an apostrophe in front.
    scores
        Names of the scores to show, all by default.
    order
        Score that the rows are sorted by, best first; by default FAVD, or the first one shown.

    Raises
    ------
    UsageError
        If no entry has such a score.
    """
    shown = check_scores(board, scores)
    if form == "csv":
        return _csv(board, shown)
    by = check_scores(board, [order])[0] if order else _DEFAULT_ORDER if _DEFAULT_ORDER in shown else shown[0]
    entries = _ordered(board, by)
    header = ["system", *(f"{name} {_arrow(board, name)}" for name in shown)]
    placed = {name: {entry.id: place for entry, place in board.ranked(name)} for name in shown}
    marks = _marks(board, entries, shown)
    rows = [
        [_title(entry), *(_cell(entry, name, placed[name], (i, j) in marks) for j, name in enumerate(shown, start=1))]
        for i, entry in enumerate(entries)
    ]
    notes = [*_notes(board), *([_LEGEND] if any("†" in cell for row in rows for cell in row[1:]) else [])]
    if form == "latex":
        return "".join(f"% {note}\n" for note in notes) + latex_grid(header, rows, 1, marks)
    if form == "markdown":
        return markdown_grid(header, rows, 1, marks) + "".join(f"\n{note}.\n" for note in notes)
    return plain_grid(header, rows, 1) + "".join(f"{note}.\n" for note in notes)


def check_scores(board: Leaderboard, names: Sequence[str] | None) -> list[str]:
    """Return names of scores that the board has, by default all.

    Raises
    ------
    UsageError
        If it has not.
    """
    for name in names or ():
        if name not in board.scores:
            raise no_such_name(f"The leaderboard has no score named {name!r}", name, board.scores)
    return board.scores if names is None else list(dict.fromkeys(names))


def _ordered(board: Leaderboard, score: str) -> list[Entry]:
    """Return all entries: best first, then those without the score, then those listed apart."""
    ranked = [entry for entry, _ in board.ranked(score)]
    others = [entry for entry in board.entries if entry not in ranked]
    return ranked + sorted(others, key=lambda entry: bool(entry.incomplete))


def _arrow(board: Leaderboard, name: str) -> str:
    score = next(entry.result.scores[name] for entry in board.entries if name in entry.result.scores)
    return "↑" if score.higher_is_better else "↓"


def _title(entry: Entry) -> str:
    return f"{entry.name} (incomplete)" if entry.incomplete else entry.name


def _cell(entry: Entry, name: str, placed: dict[str, int], marked: bool) -> str:
    score = entry.result.scores.get(name)
    if score is None:
        return "—"
    tied = placed.get(entry.id) == 1 and not marked and len(placed) > 1
    return with_error(score) + (" †" if tied else "")


def _marks(board: Leaderboard, entries: Sequence[Entry], scores: Sequence[str]) -> Marks:
    row_of = {entry.id: i for i, entry in enumerate(entries)}
    marks: dict[tuple[int, int], Literal["best", "second"]] = {}
    for j, name in enumerate(scores, start=1):
        ranked = [
            (row_of[entry.id], round(entry.result.scores[name].value, ROUNDED_TO)) for entry, _ in board.ranked(name)
        ]
        distinct = list(dict.fromkeys(value for _, value in ranked))
        if len(distinct) < 2:
            continue
        for i, value in ranked:
            if value in distinct[:2]:
                marks[i, j] = "best" if value == distinct[0] else "second"
    return marks


def _notes(board: Leaderboard) -> list[str]:
    manifest, protocol = board.manifest, board.protocol
    head = (
        f"{manifest['name']} version {manifest['version']} ({manifest['clips']} clips), {protocol['features']} features"
    )
    notes = [f"{head}, protocol {protocol['name']}; value ± standard error over clips"]
    if board.not_comparable_because:
        notes.append(f"Not comparable with other leaderboards: {'; '.join(board.not_comparable_because)}")
    return [printable(" ".join(note.split()), 2000) for note in notes]


def _csv(board: Leaderboard, scores: Sequence[str]) -> str:
    table = board.to_dataframe(scores)
    rows = [[_plain(cell) for cell in row] for row in table.astype(object).itertuples(index=False)]
    return csv_grid(list(table.columns), rows)


def _plain(cell: object) -> object:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    if isinstance(cell, float):
        return None if math.isnan(cell) else float(cell)
    return None if repr(cell) == "<NA>" else cell
