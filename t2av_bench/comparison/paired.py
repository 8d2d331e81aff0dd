"""Is one system better than another? Paired tests of every score, clip by clip.

Each result knows what every clip adds to each score (:mod:`t2av_bench.scoring.contributions`). The difference of two
systems' scores has the differences of their contributions, and these give its standard error: what both systems share,
the reference and how hard a clip is, cancels. For a score that is a mean over clips the test is the paired t test, for
a Fréchet distance it is that to second order where both results hold what that needs (4 d windows, the same seed), for
other Fréchet distances, an index or a ratio to first order. There is no bootstrap: drawing clips twice biases a Fréchet
distance, and for means it would give the same interval more slowly.

What is tested is the difference of the scores as they stand, at this number of clips. A Fréchet distance of few clips
is biased upwards; in the difference that cancels as far as both systems' sounds spread alike. Where they do not, look
at the corrected scores of both results before believing a small difference.

Many scores are tested at once, so p-values are adjusted for their number by Holm's method, over all scores and pairs of
systems. The intervals are not: each covers its own difference.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from t2av_bench._version import __version__
from t2av_bench.errors import ComparisonError, UsageError
from t2av_bench.metrics.uncertainty import Contributions, holm, paired_difference
from t2av_bench.results import Result
from t2av_bench.results.comparability import (
    Entry,
    check_comparable,
    check_confidence,
    find_entry,
    load_entries,
    shared_scores,
    systems_record,
)
from t2av_bench.schemas import SavedRecord

SCHEMA_VERSION = 1
# Below, the standard errors are themselves too uncertain.
FEW_CLIPS = 30
# Scores of equal sets differ by the rounding of their arithmetic, which is the same for every clip; tables show 0.
_ROUNDING = 5e-10


@dataclass(frozen=True)
class PairedTest:
    """One score of two systems.

    Attributes
    ----------
    score, kind, higher_is_better
        The score, as in the results.
    first, second
        Names of the systems.
    first_value, second_value, difference
        Their scores, and the first minus the second.
    stderr, low, high
        Standard error of the difference, and its confidence interval.
    effect_size
        The difference in units of its spread over clips (Cohen's d of paired samples); None without spread.
    p_value, p_holm
        Of no difference, two-sided: as it is (1 where the difference is below 5e-10, which is rounding), and adjusted
        for the number of tests.
    better
        Name of the better system, if the adjusted p-value says that there is one.
    """

    score: str
    kind: str
    higher_is_better: bool
    first: str
    second: str
    first_value: float
    second_value: float
    difference: float
    stderr: float
    low: float
    high: float
    effect_size: float | None
    p_value: float
    p_holm: float = 1.0
    better: str | None = None


@dataclass(frozen=True)
class Comparison(SavedRecord):
    """What :func:`compare` returns.

    Attributes
    ----------
    systems
        ``name``, ``file`` and ``description`` of each.
    baseline
        The system that all others are tested against; None if every pair is.
    confidence
        Of the intervals, and one minus the level at which a system counts as better.
    clips_n
        Clips that all systems were scored on.
    manifest, protocol
        As in the results.
    tests
        Score by score, and within a score pair by pair.
    untested
        Scores that were not tested, each with its reason.
    notes
        What a reader should know.
    """

    schema = "comparison"

    systems: list[dict[str, str]]
    baseline: str | None
    confidence: float
    clips_n: int
    manifest: dict[str, Any]
    protocol: dict[str, Any]
    tests: list[PairedTest]
    untested: dict[str, str]
    notes: list[str]
    command: str
    created: str
    tool_version: str
    schema_version: int = SCHEMA_VERSION


def compare(
    results: Sequence[str | Path | Result],
    baseline: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Test whether systems differ, score by score.

    Parameters
    ----------
    results
        Two or more result files with their tables of clips, or results of :func:`t2av_bench.evaluate`.
    baseline
        Name or file of the system to test all others against; by default every pair is tested. A file that is not
        among the results joins them.
    metrics
        Scores to test; by default all that every result has. Fewer tests are adjusted for less.
    confidence
        Of the intervals; one minus it is the level of the tests.

    Returns
    -------
    Comparison
        With a test for each score and pair.

    Raises
    ------
    UsageError
        If there are fewer than two results, or an option names something that does not exist.
    ComparisonError
        If anything that decides the scores differs, or nothing can be tested.
    ResultError
        If a file cannot be read.
    """
    check_confidence(confidence)
    entries = load_entries(_with_baseline(results, baseline))
    if len(entries) < 2:
        raise UsageError(f"a comparison needs at least two results; got {len(entries)}")
    reference = find_entry(entries, str(baseline)) if baseline is not None else None
    scores, untested = shared_scores(entries, metrics)
    check_comparable(entries, scores, same_clips=True)
    untested |= {name: reason for name in scores if (reason := _why_untestable(name, entries))}
    testable = [name for name in scores if name not in untested]
    clips_n = len(entries[0].result.per_clip)
    if not testable or clips_n < 2:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in untested.items())
        raise ComparisonError(f"no score can be tested ({reasons or f'there must be 2 clips, there are {clips_n}'})")
    tests = [_paired_test(name, *pair, confidence) for name in testable for pair in _pairs(entries, reference)]
    return Comparison(
        systems=systems_record(entries),
        baseline=reference.name if reference else None,
        confidence=confidence,
        clips_n=clips_n,
        manifest=entries[0].result.manifest,
        protocol=entries[0].result.protocol,
        tests=_adjusted(tests, 1.0 - confidence),
        untested=untested,
        notes=_notes(entries, testable, clips_n),
        command=shlex.join(sys.argv),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool_version=__version__,
    )


def _with_baseline(results: Sequence[str | Path | Result], baseline: str | Path | None) -> list[str | Path | Result]:
    files = {Path(given) for given in results if not isinstance(given, Result)}
    if baseline is None or not Path(baseline).is_file() or Path(baseline) in files:
        return list(results)
    return [*results, baseline]


def _pairs(entries: Sequence[Entry], reference: Entry | None) -> list[tuple[Entry, Entry]]:
    if reference is None:
        return list(combinations(entries, 2))
    return [(entry, reference) for entry in entries if entry is not reference]


def _why_untestable(score: str, entries: Sequence[Entry]) -> str | None:
    for entry in entries:
        if not all(score in contributions for contributions in entry.result.per_clip.values()):
            return f"{entry.name} has no contributions of clips"
    return None


def _paired_test(score: str, first: Entry, second: Entry, confidence: float) -> PairedTest:
    clips = list(first.result.per_clip)
    same_halves = first.result.seed == second.result.seed
    scored = [
        (entry.result.scores[score].value, _contributions(score, entry.result, clips, same_halves))
        for entry in (first, second)
    ]
    difference = paired_difference(scored[0], scored[1])
    low, high = difference.interval(confidence)
    declared = first.result.scores[score]
    return PairedTest(
        score=score,
        kind=declared.kind,
        higher_is_better=declared.higher_is_better,
        first=first.name,
        second=second.name,
        first_value=scored[0][0],
        second_value=scored[1][0],
        difference=difference.value,
        stderr=difference.stderr,
        low=low,
        high=high,
        effect_size=difference.value / (difference.stderr * len(clips) ** 0.5) if difference.stderr else None,
        p_value=1.0 if abs(difference.value) < _ROUNDING else difference.p_value,
    )


def _contributions(score: str, result: Result, clips: Sequence[str], with_halves: bool) -> Contributions:
    own_half = None
    if with_halves and all(score in result.clip_halves.get(clip_id, {}) for clip_id in clips):
        own_half = np.array([result.clip_halves[clip_id][score] for clip_id in clips])
    return Contributions(np.array(clips), np.array([result.per_clip[clip_id][score] for clip_id in clips]), own_half)


def _adjusted(tests: Sequence[PairedTest], level: float) -> list[PairedTest]:
    adjusted = []
    for test, p in zip(tests, holm([test.p_value for test in tests]), strict=True):
        better = test.first if (test.difference > 0.0) == test.higher_is_better else test.second
        adjusted.append(replace(test, p_holm=float(p), better=better if p < level else None))
    return adjusted


def _notes(entries: Sequence[Entry], scores: Sequence[str], clips_n: int) -> list[str]:
    notes = []
    if clips_n < FEW_CLIPS:
        notes.append(f"{clips_n} clips are few: standard errors are unreliable below about {FEW_CLIPS}")
    for name in scores:
        undefined = {entry.name: entry.result.scores[name].n_undefined for entry in entries}
        if len(set(undefined.values())) > 1:
            counts = ", ".join(f"{count} of {system}" for system, count in undefined.items())
            notes.append(f"{name} leaves out the clips that it is undefined for, not the same in number: {counts}")
    for entry in entries:
        if entry.result.counts["scored"] < entry.result.counts["clips"]:
            left_out = entry.result.counts["clips"] - entry.result.counts["scored"]
            notes.append(f"{entry.name} leaves out {left_out} of {entry.result.counts['clips']} clips")
    return notes
