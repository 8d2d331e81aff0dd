"""From a result file that somebody sent to an entry of a leaderboard."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from t2av_bench.errors import LeaderboardError, shown
from t2av_bench.leaderboard.consistency import clip_contradictions, contradictions
from t2av_bench.results import Result
from t2av_bench.results.per_clip import per_clip_path
from t2av_bench.results.records import incomplete
from t2av_bench.schemas import read_json

_ID_LENGTH = 60


@dataclass(frozen=True)
class Entry:
    """One system on a leaderboard.

    Attributes
    ----------
    id
        Lower-case letters, digits and hyphens; made from the name when the system is added, and never changed: it is
        what links to the system name.
    result
        What was submitted.
    record
        The same as it stood in the file.
    sha256
        Of the record as canonical JSON (sorted keys, no spaces, UTF-8).
    clips_checked
        Whether the table of clips was there when the result was added, and the errors recomputed from it agreed.
    """

    id: str
    result: Result
    record: dict[str, Any] = field(repr=False, compare=False)
    sha256: str
    clips_checked: bool

    @property
    def name(self) -> str:
        """The system's name."""
        return str(self.result.system["name"])

    @property
    def incomplete(self) -> str:
        """Why the entry is listed apart and has no place: it leaves clips out; empty otherwise."""
        return incomplete(self.result.counts["scored"], self.result.counts["clips"])

    def to_json(self) -> dict[str, Any]:
        """Return what the leaderboard's file holds of the entry."""
        return {"id": self.id, "sha256": self.sha256, "clips_checked": self.clips_checked, "result": self.record}


def read_submission(given: str | Path | Result) -> Entry:
    """Read a result and everything that can be recomputed from it.

    Parameters
    ----------
    given
        Result file, or a result. If the table of clips lies beside the file, it must belong to the result, and the
        standard errors and means that follow from it must be the result's.

    Raises
    ------
    ResultError
        If the file is no result, or the table beside it is of another run.
    LeaderboardError
        If the result contradicts itself or its table.
    """
    if isinstance(given, Result):
        record = json.loads(json.dumps(given.to_json()))
        read = Result.from_json(record, shown(given.system["name"]))
        read = replace(read, per_clip=given.per_clip, clip_halves=given.clip_halves, clip_values=given.clip_values)
        return make_entry(system_id(given.system["name"]), record, shown(given.system["name"]), read)
    path = Path(given)
    record = read_json(path)
    result = Result.from_json(record, str(path))
    if _table_of(path, result) is not None:
        result = Result.load(path, per_clip=True)
    return make_entry(system_id(result.system["name"]), record, str(path), result)


def make_entry(
    entry_id: str, record: dict[str, Any], where: str, result: Result | None = None, clips_checked: bool = False
) -> Entry:
    """Return an entry whose result does not contradict itself; ``where`` names its origin in errors.

    Raises
    ------
    ResultError
        If the record is no result.
    LeaderboardError
        If it contradicts itself, or its table of clips where ``result`` holds that.
    """
    result = result or Result.from_json(record, where)
    found = list(contradictions(result))
    if not found and result.per_clip:
        found = list(clip_contradictions(result))
        clips_checked = True
    if found:
        raise LeaderboardError(f"{where}: refused: {_listed(found)}")
    without_clips = replace(result, per_clip={}, clip_halves={}, clip_values={})
    return Entry(entry_id, without_clips, record, record_sha256(record), clips_checked)


def record_sha256(record: dict[str, Any]) -> str:
    """Return the SHA-256 of a record as canonical JSON."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def system_id(name: str) -> str:
    """Return an id for links: ``My System (v2)`` becomes ``my-system-v2``; what has no Latin letters, a hash."""
    plain = unicodedata.normalize("NFKD", name[:200]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_ID_LENGTH].strip("-")
    return slug or f"system-{name_hash(name)}"


def name_hash(name: str) -> str:
    """Return a few digits that tell names apart."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _table_of(path: Path, result: Result) -> Path | None:
    if result.per_clip_file is None:
        return None
    places = (path.with_name(result.per_clip_file["name"]), per_clip_path(path))
    return next((place for place in places if place.is_file()), None)


def _listed(reasons: Iterable[str], most: int = 3) -> str:
    reasons = [shown(reason, 300) for reason in reasons]
    more = f"; and {len(reasons) - most} more" if len(reasons) > most else ""
    return "; ".join(reasons[:most]) + more
