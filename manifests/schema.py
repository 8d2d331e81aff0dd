"""What a manifest is: a checked table of clips, whoever wrote it.

A manifest file is CSV (with a header) or JSON Lines with these columns:

============== ======== =======================================================================================
column         needed   meaning
============== ======== =======================================================================================
clip_id        yes      unique; a prediction's file name without its ending; no path separators
media          yes      file with pictures and sound, relative to the data folder; no path may leave that folder
caption        yes      the text a system is given
start_s        no (0)   start of the clip inside the file, seconds
duration_s     no (10)  length of the clip, seconds
source, split  no       where the clip comes from; ``train``, ``val`` or ``test``
labels         no       classes, separated by ``;``
============== ======== =======================================================================================

Other columns are kept out of the table and of its hash.
Times of events, where they are known, lie in a file beside it: :mod:`t2av_bench.manifests.events`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from t2av_bench.errors import ManifestError, quoted, shown
from t2av_bench.on_demand import OnDemand

COLUMNS = ("clip_id", "source", "media", "start_s", "duration_s", "caption", "labels", "split")
_TEXTS = tuple(column for column in COLUMNS if column not in ("start_s", "duration_s"))
_NEEDED = ("clip_id", "media", "caption")
_DEFAULTS: dict[str, Any] = {"source": "", "start_s": 0.0, "duration_s": 10.0, "labels": "", "split": ""}
_NO_FILE_NAME = re.compile(r"[/\\\x00-\x1f]")
# Control characters have no place in a name or a caption, and two of them separate fields in the hash; half characters
# (surrogates) cannot be written to a file.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
# A larger table is no list of clips. Rows are counted before any is kept, so that no file can fill the memory.
_MAX_CLIPS_N = 1_000_000
_MAX_BYTES_N = 1 << 30
_MAX_ID_BYTES = 200  # leaves room for an ending within the 255 bytes a file name may have


class Clip(NamedTuple):
    """One row of a manifest; see the module's table."""

    clip_id: str
    source: str
    media: str
    start_s: float
    duration_s: float
    caption: str
    labels: str
    split: str


@dataclass(frozen=True)
class Manifest:
    """A checked list of clips.

    Attributes
    ----------
    name, version, licence
        Identity; two manifests of one name and version have the same hash.
    table
        One row per clip with the columns of :data:`COLUMNS`, in the order of the file.
    data_dir
        Folder that ``media`` is relative to, where the manifest knows it.
    official
        Whether this is a manifest that the toolkit ships or builds, unmodified.
    """

    name: str
    table: pd.DataFrame
    version: str = "1"
    licence: str = ""
    data_dir: Path | None = None
    official: bool = False
    _sha256: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the table and compute its hash."""
        object.__setattr__(self, "table", _checked(self.table, self.name))
        object.__setattr__(self, "_sha256", table_sha256(self.table))

    @property
    def sha256(self) -> str:
        """SHA-256 of the table in canonical form: the same for CSV, JSONL and any line ends."""
        return self._sha256

    def __len__(self) -> int:
        return len(self.table)

    def clips(self) -> Sequence[Clip]:
        """Return the clips in the table's order, each made when it is asked for."""
        columns = [self.table[column].to_numpy() for column in COLUMNS]

        def clip(place: int) -> Clip:
            cells = (column[place] for column in columns)
            return Clip._make(float(cell) if isinstance(cell, float) else cell for cell in cells)

        return OnDemand(range(len(self)), clip)


def table_sha256(table: pd.DataFrame) -> str:
    """SHA-256 of a manifest's table: fields in column order, times to the microsecond, one unit separator each."""
    digest = hashlib.sha256()
    for row in table[list(COLUMNS)].itertuples(index=False, name=None):
        cells = (f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row)
        digest.update(("\x1f".join(cells) + "\x1e").encode())
    return digest.hexdigest()


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest file, ``.csv`` or ``.jsonl``.

    Raises
    ------
    ManifestError
        Naming the row (the header is row 1 of a CSV) and the column that break a rule.
    """
    path = Path(path)
    reader = {".csv": _read_csv, ".jsonl": _read_jsonl}.get(path.suffix.lower())
    if reader is None:
        raise ManifestError(f"{path}: a manifest ends in .csv or .jsonl")
    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    try:
        if path.stat().st_size > _MAX_BYTES_N:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, and a list of clips at most {_MAX_BYTES_N:,}")
        table = reader(path)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: must be text in UTF-8 ({error})") from error
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise ManifestError(f"{path}: cannot be read as a table ({shown(str(error), 200)})") from error
    return Manifest(name=path.stem, table=table, data_dir=path.parent)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest as CSV that :func:`read_manifest` reads back with the same hash."""
    # Quotes around all text: a lone carriage return would end a row otherwise.
    manifest.table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC)


def _read_csv(path: Path) -> pd.DataFrame:
    # Not pandas: it takes a row that is too short for one with NaN, and rows that are too long for an index.
    _count(_csv_rows(path), _MAX_CLIPS_N + 1)
    rows = list(_csv_rows(path))
    if not rows:
        return pd.DataFrame()
    header = rows.pop(0)
    for character, what in (("\t", "TAB"), (";", "semicolons")):
        if len(header) == 1 and character in header[0]:
            raise ValueError(f"fields must be separated by commas, and here they are by {what}")
    if len(set(header)) < len(header):
        raise ValueError("two columns have the same name")
    for i, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {i + 2} has {len(row)} fields, the header has {len(header)}")
    return pd.DataFrame(rows, columns=header, dtype=object)


def _read_jsonl(path: Path) -> pd.DataFrame:
    # Not pandas: it changes the last digits of numbers.
    _count(_lines(path), _MAX_CLIPS_N)
    rows = [_json_row(line, i + 2) for i, line in enumerate(_lines(path))]
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"row {i + 2} is not an object")
    # Every value is judged as text, as in a CSV; an absent or null one is empty there.
    columns = dict.fromkeys(key for row in rows for key in row)
    cells = {key: ["" if row.get(key) is None else str(row[key]) for row in rows] for key in columns}
    return pd.DataFrame(cells, dtype=object)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from (row for row in csv.reader(file, strict=True) if row)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        yield from (line for line in file if line.strip())


def _json_row(line: str, row: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ValueError(f"row {row} is not JSON: {error}") from error


def _count(rows: Iterable[object], limit: int) -> None:
    """Raise if there are more rows than a limit, without keeping any."""
    for number, _ in enumerate(rows):
        if number == limit:
            raise ValueError(f"it has more than {_MAX_CLIPS_N:,} clips; divide it into several manifests")


def _checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with exactly :data:`COLUMNS`, typed; raise on the first broken rule."""
    for column in _NEEDED:
        if column not in table.columns:
            found = shown(", ".join(map(str, table.columns)), 200) or "none"
            raise ManifestError(f"{name}: there must be a column {column!r}; found {found}")
    if len(table) == 0:
        raise ManifestError(f"{name}: there must be at least one clip; the table is empty")
    columns = {c: list(table[c]) if c in table else [_DEFAULTS[c]] * len(table) for c in COLUMNS}
    for column in ("start_s", "duration_s"):
        lowest = 0.0 if column == "start_s" else math.ulp(0.0)
        judge = partial(_number, default=_DEFAULTS[column], lowest=lowest)
        columns[column] = _each(columns[column], judge, name, column)
    for column in _TEXTS:
        _each(columns[column], _check_text, name, column)
    _each(columns["clip_id"], _check_id, name, "clip_id")
    _check_unique(columns["clip_id"], name)
    _each(columns["media"], _check_media, name, "media")
    _each(columns["caption"], _check_caption, name, "caption")
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _each(values: Iterable[Any], judge: Callable[[Any], Any], name: str, column: str) -> list[Any]:
    """Judge every cell of a column; where a cell stands is put into words only if it breaks a rule."""
    judged = []
    try:
        for value in values:
            judged.append(judge(value))
    except ValueError as error:
        raise ManifestError(f"{name}: row {len(judged) + 2}, column {column!r}: {error}") from None
    return judged


def _number(value: Any, default: float, lowest: float) -> float:
    if value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be a number of seconds, got {quoted(value)}") from None
    if not math.isfinite(number) or number < lowest:
        raise ValueError(f"must be finite and {'positive' if lowest else 'not negative'}, got {quoted(value)}")
    return number + 0.0  # no negative zero, which the hash would tell from zero


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError(f"must be text, got {quoted(text)}")
    if _FORBIDDEN.search(text):
        raise ValueError(f"must hold no control characters and no half characters, got {quoted(text)}")


def _check_id(clip_id: str) -> None:
    if not clip_id.strip():
        raise ValueError("must not be empty")
    # The id becomes a file name, so it must not be able to name any other place.
    if clip_id in (".", "..") or _NO_FILE_NAME.search(clip_id):
        raise ValueError(f"must be usable as a file name, without separators, got {quoted(clip_id)}")
    if len(clip_id.encode()) > _MAX_ID_BYTES:
        raise ValueError(f"must be at most {_MAX_ID_BYTES} bytes long, got {len(clip_id.encode())}")


def _check_unique(ids: list[str], name: str) -> None:
    seen: dict[str, int] = {}
    for row, clip_id in enumerate(ids, start=2):
        if seen.setdefault(clip_id, row) != row:
            raise ManifestError(
                f"{name}: row {row}, column 'clip_id': {quoted(clip_id)} stands in row {seen[clip_id]} already; "
                "ids must be unique"
            )


def _check_media(media: str) -> None:
    if not media.strip():
        raise ValueError("must name a file")
    path = media.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or path[1:2] == ":":
        raise ValueError(f"must stay inside the data folder, got {quoted(media)}")


def _check_caption(caption: str) -> None:
    if not caption.strip():
        raise ValueError("must not be empty")
