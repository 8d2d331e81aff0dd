"""A leaderboard as a page: one HTML file that needs no network and no server.

The page's data is a JSON block that ``page/*.js`` turn into text nodes; nothing from a submission is ever parsed as
HTML. See :mod:`t2av_bench.pages`.
"""

from __future__ import annotations

from typing import Any

from t2av_bench._version import __version__
from t2av_bench.leaderboard.board import Leaderboard
from t2av_bench.leaderboard.submissions import Entry
from t2av_bench.metrics import METRICS
from t2av_bench.pages import render
from t2av_bench.results.tables import KIND_TITLES

_DIGITS = 6
# Columns that are there at first; the others at a click.
_SHOWN_KINDS = ("raw", "index")
_DETAILS = ("corrected", "fd_infinity", "floor", "floor_score")


def render_page(board: Leaderboard) -> str:
    """Return the page of a leaderboard.

    Raises
    ------
    LeaderboardError
        If there are no entries.
    """
    return render(
        "t2av_bench.leaderboard",
        ["charts.js", "script.js"],
        title=board.title,
        data=page_data(board),
        version=__version__,
        manifest=board.manifest,
        protocol=board.protocol,
        extractors=board.extractors,
        systems_n=len(board.entries),
        reasons=board.not_comparable_because,
    )


def page_data(board: Leaderboard) -> dict[str, Any]:
    """Return what the page's script needs: the scores' declarations, and the systems."""
    names = board.scores
    placed = {name: {entry.id: place for entry, place in board.ranked(name)} for name in names}
    return {
        "scores": [
            {
                "name": name,
                "kind": METRICS[name].kind,
                "title": KIND_TITLES.get(METRICS[name].kind, METRICS[name].kind),
                "high": METRICS[name].higher_is_better,
                "shown": METRICS[name].kind in _SHOWN_KINDS,
            }
            for name in names
        ],
        "systems": [_system(entry, names, placed) for entry in board.entries],
    }


def _system(entry: Entry, names: list[str], placed: dict[str, dict[str, int]]) -> dict[str, Any]:
    result = entry.result
    facts = {
        "Description": result.system["description"],
        "Created": result.created,
        "t2av-bench": result.tool_version,
        "Clips": f"{result.counts['scored']} of {result.counts['clips']}",
        "Standard errors": "recomputed from the table of clips" if entry.clips_checked else "as submitted",
        "Features": f"{result.protocol['features']}, {result.protocol['weights']} weights",
        "Seed": str(result.seed),
        "Command": result.command,
        "Result SHA-256": entry.sha256,
        "Environment": ", ".join(f"{name} {value}" for name, value in sorted(result.environment.items())),
    }
    return {
        "id": entry.id,
        "name": entry.name,
        "apart": entry.incomplete,
        "scores": [_score(entry, name, placed[name]) for name in names],
        "absent": result.absent,
        "notes": result.notes,
        "facts": {name: value for name, value in facts.items() if value},
    }


def _score(entry: Entry, name: str, placed: dict[str, int]) -> list[float | int | None] | None:
    """Return value, standard error, place, clips, and as far as known the numbers that judge a distance."""
    score = entry.result.scores.get(name)
    if score is None:
        return None
    numbers = [_short(score.value), _short(score.stderr), placed.get(entry.id), score.n_clips]
    numbers += [_short(getattr(score, key)) for key in _DETAILS]
    while numbers[-1] is None:
        numbers.pop()
    return numbers


def _short(value: float | None) -> float | None:
    """Return a number with as many digits as the page needs to sort and to draw."""
    return None if value is None else float(f"{value:.{_DIGITS}g}")
