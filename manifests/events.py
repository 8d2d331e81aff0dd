"""Times of events that a manifest knows: a file ``events.csv`` beside it.

=========  ===============================================================
column     meaning
=========  ===============================================================
clip_id    a clip of the manifest; other ids and other columns are left out
time_s     when it is heard, seconds from the clip's start
=========  ===============================================================

A clip without a row has no events. The mini world writes such a file; anybody's manifest may have one.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import ManifestError, quoted, shown
from t2av_bench.manifests.schema import Manifest

FILE_NAME = "events.csv"
_MAX_EVENTS_N = 10_000_000


def event_times(manifest: Manifest) -> dict[str, npt.NDArray[np.float64]] | None:
    """Read the event times of a manifest's clips.

    Parameters
    ----------
    manifest
        Its ``data_dir`` is where the file is looked for.

    Returns
    -------
    dict or None
        Clip id to times in seconds, ascending, shape (events,), for every clip; None where no such file is.

    Raises
    ------
    ManifestError
        If the file lacks a column, or a time is no number or does not lie within its clip.
    """
    path = None if manifest.data_dir is None else Path(manifest.data_dir) / FILE_NAME
    if path is None or not path.is_file():
        return None
    durations_s = {clip.clip_id: clip.duration_s for clip in manifest.clips()}
    found: dict[str, list[float]] = {clip_id: [] for clip_id in durations_s}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if not {"clip_id", "time_s"} <= set(rows.fieldnames or ()):
                got = quoted(rows.fieldnames) if rows.fieldnames else "none"
                raise ManifestError(f"{path}: must have the columns clip_id and time_s; got {got}")
            for number, row in enumerate(rows, start=2):
                if number > _MAX_EVENTS_N:
                    raise ManifestError(f"{path}: must have at most {_MAX_EVENTS_N} rows")
                if row["clip_id"] in found:
                    found[row["clip_id"]].append(_time_s(row["time_s"], durations_s[row["clip_id"]], path, number))
    except (OSError, ValueError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot be read as a table of events ({shown(str(error), 200)})") from error
    return {clip_id: np.sort(np.array(times, dtype=np.float64)) for clip_id, times in found.items()}


def _time_s(text: str | None, duration_s: float, path: Path, number: int) -> float:
    try:
        time_s = float(text or "")
    except ValueError:
        time_s = math.nan
    if not 0.0 <= time_s <= duration_s:
        raise ManifestError(
            f"{path}: row {number}: time_s must be a number from 0 to the clip's {duration_s:g} s; got {quoted(text)}"
        )
    return time_s
