"""What the summary's charts show: numbers of all scored clips, made small enough for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.companions.synchrony import EVENT_TOLERANCE_S
from t2av_bench.manifests import Clip
from t2av_bench.metrics.onsets import count_matches
from t2av_bench.reporting.clips import ClipFacts
from t2av_bench.results import Result

BINS_N = 40
# Beyond these quantiles of all systems together, values are counted in the last bin of their side.
_QUANTILES = (0.005, 0.995)
_MOST_LABELS = 24
_TIMING_REACH_S = 0.6
_TIMING_STEP_S = 0.025

Float64Array = npt.NDArray[np.float64]


def short(value: float | None, digits: int = 4) -> float | None:
    """Return a number with as many digits as a page needs."""
    return None if value is None else float(f"{value:.{digits}g}")


def histogram(columns: Sequence[Sequence[float]]) -> dict[str, Any] | None:
    """Count the values of each system in bins that all share.

    Returns
    -------
    dict or None
        ``edges``, one more than bins; ``counts`` of each system; ``beyond``: how many of each system lie below and
        above the edges, counted in the outermost bins. None if there are no values, or they are all the same.
    """
    pooled = np.concatenate([np.asarray(column, dtype=np.float64) for column in columns] or [np.zeros(0)])
    if len(pooled) == 0 or np.ptp(pooled) == 0.0:
        return None
    low, high = np.quantile(pooled, _QUANTILES)
    if low == high:
        low, high = pooled.min(), pooled.max()
    edges = np.linspace(low, high, BINS_N + 1)
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    return {
        "edges": [short(edge, 6) for edge in edges],
        "counts": [np.histogram(np.clip(array, low, high), edges)[0].tolist() for array in arrays],
        "beyond": [[int((array < low).sum()), int((array > high).sum())] for array in arrays],
    }


def labels_of(clips: Sequence[Clip]) -> dict[str, list[str]]:
    """Return the most frequent labels, most frequent first, with the ids of their clips; two clips or more each."""
    found: dict[str, list[str]] = {}
    for clip in clips:
        for label in dict.fromkeys(part.strip() for part in clip.labels.split(";")):
            if label:
                found.setdefault(label, []).append(clip.clip_id)
    ranked = sorted((label for label in found if len(found[label]) > 1), key=lambda label: (-len(found[label]), label))
    return {label: found[label] for label in ranked[:_MOST_LABELS]}


def label_means(result: Result, score: str, labels: Mapping[str, Sequence[str]]) -> list[list[float | None]]:
    """Return how far a score moves towards what it is on clips of each label, to first order, with its standard error.

    The mean of n times the contribution over a label's clips, where n is the number of scored clips: the score's
    directional derivative from all clips to these. For a mean over clips it is the label's mean less that of all.
    """
    means: list[list[float | None]] = []
    scored_n = len(result.per_clip)
    for ids in labels.values():
        own = [result.per_clip[clip_id][score] for clip_id in ids if score in result.per_clip.get(clip_id, {})]
        moved = scored_n * np.asarray(own, dtype=np.float64)
        if len(moved) < 2:
            means.append([None, None])
        else:
            means.append([short(float(moved.mean())), short(float(moved.std(ddof=1) / np.sqrt(len(moved))), 2)])
    return means


def timing(
    events: Mapping[str, Float64Array] | None, facts: Mapping[str, ClipFacts], sounds_n: int
) -> dict[str, Any] | None:
    """Return how far the nearest onset of each sound is from each known event.

    Returns
    -------
    dict or None
        ``edges_ms`` of bins; for each sound, the original first, ``counts`` of signed errors (positive: late) in them,
        the number of ``events``, of ``hits`` (one to one, within the tolerance of event-F1), of ``onsets``, and of
        events with no onset within reach (``none``). None where no events are known.
    """
    if events is None:
        return None
    bins_n = round(2 * _TIMING_REACH_S / _TIMING_STEP_S)
    edges_s = np.linspace(-_TIMING_REACH_S, _TIMING_REACH_S, bins_n + 1)
    rows = []
    for sound in range(sounds_n):
        errors: list[float] = []
        row = {"events": 0, "hits": 0, "onsets": 0, "none": 0}
        for clip_id, fact in facts.items():
            found = fact.sounds[sound].onsets_s if fact.sounds else None
            if found is None or clip_id not in events:
                continue
            known, onsets = events[clip_id], np.asarray(found, dtype=np.float64)
            row["events"] += len(known)
            row["onsets"] += len(onsets)
            row["hits"] += count_matches(known, onsets, EVENT_TOLERANCE_S)
            near = [float(d[np.argmin(np.abs(d))]) for d in (onsets - time_s for time_s in known) if len(d)]
            within = [error for error in near if abs(error) <= _TIMING_REACH_S]
            row["none"] += len(known) - len(within)
            errors += within
        rows.append({**row, "counts": np.histogram(errors, edges_s)[0].tolist()})
    if not any(row["events"] for row in rows):
        return None
    return {
        "edges_ms": [round(1000 * edge) for edge in edges_s],
        "tolerance_ms": 1000 * EVENT_TOLERANCE_S,
        "rows": rows,
    }
