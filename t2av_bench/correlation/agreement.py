"""Do the scores agree with people? Correlations of every score with human ratings.

Three levels, each of them another question:

``system``
    Over systems: score against mean rating. Does the score rank systems as people do? Intervals take the systems as
    drawn independently; with fewer than ten they are wide.
``clip-pooled``
    Over all rated clips of all systems together.
``clip``
    Over the clips of one system, then the mean over systems: does the score know which clips of a system are bad? What
    tells systems apart plays no part in it, so a score may do well at the first two levels and fail at this one.

The value of a clip is its own where the score is a mean over clips. A distance between sets has no value per clip; the
jackknife's pseudo-value stands in for it, score + clips × contribution, whose mean over clips is the score.

A positive coefficient means agreement: scores of which lower is better enter with their sign changed. Intervals at the
clip levels account for the same clips being rated in every system; see :mod:`t2av_bench.metrics.correlation`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from t2av_bench._version import __version__
from t2av_bench.correlation.pairs import LEVELS, Level, RatedGroup, check_against_ratings, paired_groups
from t2av_bench.correlation.ratings import Ratings, read_ratings
from t2av_bench.errors import ComparisonError, MetricError, UsageError
from t2av_bench.metrics.correlation import (
    KINDS,
    MIN_PAIRS,
    Kind,
    clustered_interval,
    coefficient,
    coefficient_influence,
    independent_interval,
    varies,
)
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.results import Result
from t2av_bench.results.comparability import (
    check_comparable,
    check_confidence,
    load_entries,
    shared_scores,
    systems_record,
)
from t2av_bench.schemas import SavedRecord

SCHEMA_VERSION = 1
FEW_SYSTEMS = 10


@dataclass(frozen=True)
class Agreement:
    """One coefficient between one score and the ratings.

    Attributes
    ----------
    score, level, coefficient
        What it is of: ``spearman``, ``kendall`` or ``pearson``; see the module for the levels.
    value
        From -1 to 1; positive where the score agrees with the ratings.
    low, high
        Confidence interval; None if there is none.
    no_interval_because
        Why there is none, else empty.
    n_systems, n_pairs
        Systems, and pairs of a value and a rating.
    """

    score: str
    level: Level
    coefficient: Kind
    value: float
    low: float | None
    high: float | None
    no_interval_because: str
    n_systems: int
    n_pairs: int


@dataclass(frozen=True)
class Correlation(SavedRecord):
    """What :func:`correlate` returns.

    Attributes
    ----------
    agreements
        Level by level, score by score.
    absent
        Level and score (``"clip, FAD"``) to the reason why there is no coefficient.
    ratings
        ``file``, ``raters_n``, and how many systems and clips are rated.
    systems, confidence, manifest, protocol, notes
        As in :class:`~t2av_bench.Comparison`.
    """

    schema = "correlation"

    agreements: list[Agreement]
    absent: dict[str, str]
    ratings: dict[str, Any]
    systems: list[dict[str, str]]
    confidence: float
    manifest: dict[str, Any]
    protocol: dict[str, Any]
    notes: list[str]
    command: str
    created: str
    tool_version: str
    schema_version: int = SCHEMA_VERSION


def correlate(
    results: Sequence[str | Path | Result],
    ratings: str | Path | Ratings,
    *,
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Correlation:
    """Correlate scores with human ratings.

    Parameters
    ----------
    results
        Result files of the rated systems, with their tables of clips where clips are rated, or results of
        :func:`t2av_bench.evaluate`.
    ratings
        Table with the columns ``system,rating`` or ``system,clip_id,rating``, and ``rater`` if several people rated;
        see :mod:`t2av_bench.correlation.ratings`.
    metrics
        Scores to correlate; by default all that every result has.
    confidence
        Of the intervals.

    Returns
    -------
    Correlation
        At the level of systems, and at those of clips where clips are rated.

    Raises
    ------
    UsageError
        If there is no result, or a score is in none of them.
    TableError
        If the ratings are malformed.
    ComparisonError
        If a result has no rating, a rated clip is not in the result, or results were not made in the same way.
    ResultError
        If a result file cannot be read.
    """
    if not results:
        raise UsageError("correlating needs at least one result; got none")
    check_confidence(confidence)
    rated = ratings if isinstance(ratings, Ratings) else read_ratings(ratings)
    entries = load_entries(results, per_clip=rated.has_clips)
    scores, reasons = shared_scores(entries, metrics)
    check_comparable(entries, scores, same_clips=False)
    notes = check_against_ratings(entries, rated)
    agreements: list[Agreement] = []
    absent = {f"every level, {name}": reason for name, reason in reasons.items()}
    for level in LEVELS if rated.has_clips else LEVELS[:1]:
        for name in scores:
            groups = paired_groups(level, name, entries, rated)
            try:
                agreements += [_agreement(name, level, kind, groups, confidence) for kind in KINDS]
            except MetricError as error:
                absent[f"{level}, {name}"] = str(error)
    if not agreements:
        raise ComparisonError("no score can be correlated: " + "; ".join(dict.fromkeys(absent.values())))
    return Correlation(
        agreements=agreements,
        absent=absent,
        ratings={
            "file": str(rated.path),
            "raters_n": rated.raters_n,
            "systems_n": len(rated.by_system),
            "clips_n": sum(map(len, rated.by_clip.values())),
        },
        systems=systems_record(entries),
        confidence=confidence,
        manifest=entries[0].result.manifest,
        protocol=entries[0].result.protocol,
        notes=notes + _notes(agreements, len(entries)),
        command=shlex.join(sys.argv),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool_version=__version__,
    )


def _notes(agreements: Sequence[Agreement], systems_n: int) -> list[str]:
    notes = []
    if systems_n < FEW_SYSTEMS:
        notes.append(
            f"{systems_n} systems are few: at the level of systems, intervals are wide or undefined below about"
            f" {FEW_SYSTEMS}"
        )
    partial: dict[int, list[str]] = {}
    for agreement in agreements:
        if agreement.level == "clip" and agreement.coefficient == KINDS[0] and agreement.n_systems < systems_n:
            partial.setdefault(agreement.n_systems, []).append(agreement.score)
    for count, scores in partial.items():
        notes.append(
            f"at the level of clips, {', '.join(scores)} can be told in {count} of {systems_n} systems; in the others"
            f" the score or the rating does not vary, or fewer than {MIN_PAIRS} clips are rated"
        )
    return notes


def _agreement(score: str, level: Level, kind: Kind, groups: Sequence[RatedGroup], confidence: float) -> Agreement:
    """Compute a coefficient, the mean over the groups in which it is defined, and its interval."""
    reasons = [_why_undefined(group, level) for group in groups]
    kept = [group for group, reason in zip(groups, reasons, strict=True) if reason is None]
    if not kept:
        raise MetricError(next(reason for reason in reasons if reason))
    values = [coefficient(kind, group.values, group.ratings) for group in kept]
    value, pairs_n = float(np.mean(values)), sum(len(group.names) for group in kept)
    try:
        if level == "system":
            low, high = independent_interval(kind, value, pairs_n, confidence)
        else:
            low, high = clustered_interval(value, _clip_contributions(kind, kept), confidence)
        interval: tuple[float | None, float | None, str] = (low, high, "")
    except MetricError as error:
        interval = (None, None, str(error))
    return Agreement(score, level, kind, value, *interval, sum(group.systems_n for group in kept), pairs_n)


def _why_undefined(group: RatedGroup, level: Level) -> str | None:
    things = "systems" if level == "system" else "rated clips"
    if level != "system" and not group.names:
        return "no rated clip has a value of it"
    if len(group.names) < MIN_PAIRS:
        return f"a correlation needs at least {MIN_PAIRS} {things}; there are {len(group.names)}"
    if not varies(group.values):
        return f"the score is the same for all {things}"
    if not varies(group.ratings):
        return f"the rating is the same for all {things}"
    return None


def _clip_contributions(kind: Kind, groups: Sequence[RatedGroup]) -> Float64Array:
    """Add up the influences of each clip's pairs on the mean coefficient, over all systems."""
    names = [name for group in groups for name in group.names]
    influence = [
        coefficient_influence(kind, group.values, group.ratings) / (len(group.names) * len(groups)) for group in groups
    ]
    _, clip = np.unique(names, return_inverse=True)
    return np.bincount(clip, weights=np.concatenate(influence)).astype(np.float64)
