"""Which numbers of a result stand opposite which human ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from t2av_bench.correlation.ratings import Ratings
from t2av_bench.errors import ComparisonError
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.results import Result
from t2av_bench.results.comparability import Entry

Level = Literal["system", "clip-pooled", "clip"]
LEVELS: tuple[Level, ...] = get_args(Level)
_SHOWN = 5


class RatedGroup(NamedTuple):
    """Things that were scored and rated: systems, or clips of one or all systems."""

    names: list[str]
    values: Float64Array  # higher is better, whatever the score
    ratings: Float64Array
    systems_n: int


def check_against_ratings(entries: Sequence[Entry], rated: Ratings) -> list[str]:
    """Refuse results without ratings and ratings of unknown clips; return what else does not match, as notes.

    Raises
    ------
    ComparisonError
        Naming the system, or the row of the ratings.
    """
    notes = []
    unrated: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        if entry.name not in rated.by_system:
            known = ", ".join(list(rated.by_system)[:_SHOWN])
            raise ComparisonError(
                f"{rated.path}: rates no system {entry.name!r}, which a result is of; it rates {known}. The names in"
                f" the column 'system' must be those of the results"
            )
        clips, given = entry.result.per_clip, rated.by_clip.get(entry.name, {})
        for clip_id in given:
            if clip_id not in clips:
                raise ComparisonError(
                    f"{rated.path}: row {rated.rows[entry.name, clip_id]}, column 'clip_id': {clip_id!r} is not among"
                    f" the {len(clips)} clips that {entry.name} was scored on"
                )
        if rated.has_clips and len(given) < len(clips):
            unrated.setdefault(tuple(clip_id for clip_id in clips if clip_id not in given), []).append(entry.name)
    for clip_ids, systems in unrated.items():
        notes.append(
            f"{len(clip_ids)} clips of {', '.join(systems)} have no rating ({_some(clip_ids)}); at the level of"
            f" systems, scores are over all clips and ratings over the rated ones"
        )
    others = [name for name in rated.by_system if name not in {entry.name for entry in entries}]
    if others:
        notes.append(f"{len(others)} rated systems have no result here: {_some(others)}")
    return notes


def paired_groups(level: Level, score: str, entries: Sequence[Entry], rated: Ratings) -> list[RatedGroup]:
    """Return what is correlated with what: one list of pairs, or one per system at the level ``clip``."""
    sign = 1.0 if entries[0].result.scores[score].higher_is_better else -1.0
    if level == "system":
        values = [sign * entry.result.scores[score].value for entry in entries]
        given = [rated.by_system[entry.name] for entry in entries]
        return [RatedGroup([entry.name for entry in entries], np.array(values), np.array(given), len(entries))]
    groups = []
    for entry in entries:
        found = _clip_values(score, entry.result)
        names = [clip_id for clip_id in rated.by_clip[entry.name] if clip_id in found]
        values = [sign * found[clip_id] for clip_id in names]
        given = [rated.by_clip[entry.name][clip_id] for clip_id in names]
        groups.append(RatedGroup(names, np.array(values), np.array(given), 1))
    if level == "clip":
        return groups
    names = [name for group in groups for name in group.names]
    pooled = [np.concatenate([getattr(group, side) for group in groups]) for side in ("values", "ratings")]
    return [RatedGroup(names, pooled[0], pooled[1], len(entries))]


def _clip_values(score: str, result: Result) -> dict[str, float]:
    """Return each clip's own value of a score, or its pseudo-value; empty without contributions."""
    own = {clip_id: values[score] for clip_id, values in result.clip_values.items() if score in values}
    if own:
        return own
    value, clips_n = result.scores[score].value, len(result.per_clip)
    return {clip_id: value + clips_n * added[score] for clip_id, added in result.per_clip.items() if score in added}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
