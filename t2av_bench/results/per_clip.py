"""The table beside a result that holds what each clip adds to each score.

A result file stays small; its clips lie beside it in ``<result>.per_clip.csv``: the column ``clip_id``, one column per
score with the clip's contribution to it, one named ``<score> half`` per score whose error is of second order, with the
contribution by the influence function of the clip's own half, and one named ``<score> value`` per score that is a mean
over clips, with the clip's own value, empty where it is undefined. Every digit is kept. The result records the table's
name and SHA-256, so that a table of another run is noticed instead of compared.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.delimited import read_table
from t2av_bench.errors import ResultError, TableError, quoted

PerClip = Mapping[str, Mapping[str, float]]
"""Clip id to score name to number, in the unit of the score."""
_VALUE = " value"
_HALF = " half"


class ClipNumbers(Mapping[str, dict[str, float]]):
    """Clip id to score name to number, made when asked for: a dictionary per clip would take a kilobyte each.

    Parameters
    ----------
    places
        Clip id to its place in every column.
    columns
        Score name to one number per clip; NaN where a clip has none.
    """

    def __init__(self, places: Mapping[str, int], columns: Mapping[str, npt.NDArray[np.float64]]) -> None:
        self._places = places
        self._columns = dict(columns)

    def __getitem__(self, clip_id: str) -> dict[str, float]:
        place = self._places[clip_id]
        return {name: float(values[place]) for name, values in self._columns.items() if not np.isnan(values[place])}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(dict(self))


class ClipTable(NamedTuple):
    """What the table holds.

    Attributes
    ----------
    contributions
        Of each clip to each score that has a standard error.
    own_half
        The same by the influence function of the clip's own half, for errors of second order.
    values
        Each clip's own value of each score that is a mean over clips, without the clips it is undefined for.
    """

    contributions: PerClip
    own_half: PerClip
    values: PerClip


def per_clip_rows(table: ClipTable, scores: Sequence[str]) -> Iterator[str]:
    """Yield the table as CSV, row by row: one per clip; scores in the order given."""
    first: Mapping[str, float] = next(iter(table.contributions.values()), {})
    names = [name for name in scores if name in first]
    have_values = {name for values in table.values.values() for name in values}
    valued = [name for name in scores if name in have_values]
    have_halves = {name for own in table.own_half.values() for name in own}
    halved = [name for name in names if name in have_halves]
    yield _csv_row(["clip_id", *names, *(name + _HALF for name in halved), *(name + _VALUE for name in valued)])
    for clip_id, contributions in table.contributions.items():
        halves, own = table.own_half.get(clip_id, {}), table.values.get(clip_id, {})
        cells: list[float | None] = [contributions[name] for name in names]
        cells += [halves[name] for name in halved]
        cells += [own.get(name) for name in valued]
        yield _csv_row([clip_id, *("" if cell is None else repr(float(cell)) for cell in cells)])


def _csv_row(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def per_clip_path(result: Path) -> Path:
    """Return where the table of a result file lies: ``result.per_clip.csv`` beside ``result.json``."""
    return result.with_name(f"{result.stem}.per_clip.csv")


def read_per_clip(result: Path, record: Mapping[str, Any] | None, scores: Sequence[str]) -> ClipTable:
    """Read and check the table that belongs to a result file.

    Parameters
    ----------
    result
        The result file.
    record
        Its ``per_clip_file``: ``name`` and ``sha256`` of the table, or None.
    scores
        Names that columns may be of.

    Raises
    ------
    ResultError
        If the result has no table, the table is missing or of another run, or breaks a rule.
    """
    if record is None:
        raise ResultError(
            f"{result}: holds no contributions of clips, as results of older versions do not; evaluate the system again"
        )
    path = _find(result, str(record["name"]))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror or error})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != record["sha256"]:
        raise ResultError(
            f"{path}: does not belong to {result}: its sha256 must be {record['sha256']}, it is {found}. Put back the"
            f" table of that run, or evaluate the system again"
        )
    return _parsed(path, scores)


def _find(result: Path, name: str) -> Path:
    """Return the table beside the result: under the recorded name, or renamed along with the result."""
    places = list(dict.fromkeys((result.with_name(name), per_clip_path(result))))
    for place in places:
        if place.is_file():
            return place
    looked = " and ".join(str(place) for place in places)
    raise ResultError(f"{looked}: no such file; the contributions of clips must lie beside {result}")


def _parsed(path: Path, scores: Sequence[str]) -> ClipTable:
    contributions: dict[str, dict[str, float]] = {}
    own_half: dict[str, dict[str, float]] = {}
    values: dict[str, dict[str, float]] = {}
    try:
        table = read_table(path, ["clip_id"])
        columns = [column for column in table.columns if column != "clip_id"]
        for column in columns:
            name = column.removesuffix(_VALUE).removesuffix(_HALF)
            if name not in scores:
                raise ResultError(f"{path}: the result has no score {quoted(name)}")
        names = [column for column in columns if not column.endswith((_VALUE, _HALF))]
        halved = [column for column in columns if column.endswith(_HALF)]
        valued = [column for column in columns if column.endswith(_VALUE)]
        for row in table.rows:
            clip_id = row.cells["clip_id"]
            if clip_id in contributions:
                raise ResultError(f"{table.at(row, 'clip_id')}: {quoted(clip_id)} stands there twice")
            contributions[clip_id] = {name: table.number(row, name) for name in names}
            if halved:
                own_half[clip_id] = {c.removesuffix(_HALF): table.number(row, c) for c in halved}
            own = {c.removesuffix(_VALUE): table.number(row, c) for c in valued if row.cells[c]}
            if own:
                values[clip_id] = own
    except TableError as error:
        raise ResultError(str(error)) from error
    return ClipTable(contributions, own_half, values)
