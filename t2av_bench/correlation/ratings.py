"""Human ratings of systems, read from a table.

========= ======== ===========================================================================================
column    needed   meaning
========= ======== ===========================================================================================
system    yes      name of the system, as in its result
clip_id   no       the clip that was rated; without this column the ratings are of whole systems
rating    yes      a number; higher is better
rater     no       who rated; with it several people may rate the same thing, and their mean counts
========= ======== ===========================================================================================

Commas, semicolons or tabs separate the cells. Other columns are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from t2av_bench.delimited import Row, Table, read_table
from t2av_bench.errors import TableError, quoted

_SYSTEM_LEVEL = ""


@dataclass(frozen=True)
class Ratings:
    """Mean ratings over raters.

    Attributes
    ----------
    path
        The table.
    has_clips
        Whether single clips were rated.
    by_clip
        System to clip id to rating; empty if whole systems were rated.
    by_system
        System to rating: as given, or the mean over its rated clips.
    rows
        (System, clip id) to the first row of the table that is about it, for messages.
    raters_n
        Number of raters, None without that column.
    """

    path: Path
    has_clips: bool
    by_clip: dict[str, dict[str, float]]
    by_system: dict[str, float]
    rows: dict[tuple[str, str], int]
    raters_n: int | None


def read_ratings(path: str | Path) -> Ratings:
    """Read a table of ratings; see the module for its columns.

    Raises
    ------
    TableError
        If the table is malformed, a cell is empty or no finite number, or the same thing is rated twice; names the
        row (the header is row 1) and the column.
    """
    table = read_table(path, ["system", "rating"])
    has_clips, has_raters = "clip_id" in table.columns, "rater" in table.columns
    collected: dict[tuple[str, str], list[float]] = {}
    rows: dict[tuple[str, str], int] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for row in table.rows:
        key = (table.text(row, "system"), table.text(row, "clip_id") if has_clips else _SYSTEM_LEVEL)
        rater = table.text(row, "rater") if has_raters else ""
        _check_once(table, row, (*key, rater), seen, has_raters)
        collected.setdefault(key, []).append(table.number(row, "rating"))
        rows.setdefault(key, row.number)
    means = {key: sum(given) / len(given) for key, given in collected.items()}
    by_clip: dict[str, dict[str, float]] = {}
    for (system, clip_id), rating in means.items():
        by_clip.setdefault(system, {})[clip_id] = rating
    return Ratings(
        path=table.path,
        has_clips=has_clips,
        by_clip=by_clip if has_clips else {},
        by_system={system: sum(clips.values()) / len(clips) for system, clips in by_clip.items()},
        rows=rows,
        raters_n=len({rater for _, _, rater in seen}) if has_raters else None,
    )


def _check_once(
    table: Table, row: Row, key: tuple[str, str, str], seen: dict[tuple[str, str, str], int], has_raters: bool
) -> None:
    if key not in seen:
        seen[key] = row.number
        return
    what = " ".join(quoted(name) for name in key[:2] if name)
    who = f" by {quoted(key[2])}" if has_raters else ""
    advice = "" if has_raters else "; if several people rated it, say who in a column 'rater'"
    raise TableError(f"{table.at(row, 'rating')}: {what} is rated{who} in row {seen[key]} already{advice}")
