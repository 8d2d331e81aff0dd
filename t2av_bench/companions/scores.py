"""From measures to scores: one pass over the clips for those of single clips, then those of whole sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from t2av_bench.cache import EmbeddingCache
from t2av_bench.companions import COMPANIONS
from t2av_bench.companions.base import ClipArrays, ClipMeasure, ClipSet, Ratio, SetMeasure, Undefined
from t2av_bench.errors import MetricError
from t2av_bench.manifests import Clip
from t2av_bench.metrics import Balance
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order
from t2av_bench.models.extractors import Extractor
from t2av_bench.protocol import Pooling
from t2av_bench.results import Score
from t2av_bench.scoring.distances import ClipJobs, sides_of


class Companions(NamedTuple):
    """What :func:`score_companions` returns.

    Attributes
    ----------
    scores
        By name, with standard errors where there are any.
    absent
        Name to reason, for scores that are undefined here.
    contributions
        Score name to what each clip adds to it, shape (clips,), in the unit of the score; adds up to zero.
    own_half
        The same by the influence functions of the clips' own halves, of scores whose errors are of second order.
    clip_values
        Score name to the clips' own values; NaN where a clip has none.
    """

    scores: dict[str, Score]
    absent: dict[str, str]
    contributions: dict[str, Float64Array]
    own_half: dict[str, Float64Array]
    clip_values: dict[str, Float64Array]


def cached_clips(
    clips: Sequence[Clip],
    jobs: Sequence[ClipJobs],
    cache: EmbeddingCache,
    pooling: Pooling,
    balance: Balance | None,
    events: Mapping[str, Float64Array] | None = None,
) -> ClipSet:
    """Return the clips of an evaluation as companions see them; ``jobs`` in the order of ``clips``."""

    def read(place: int, parts: Sequence[str]) -> ClipArrays:
        sides = sides_of(jobs[place], parts, cache, pooling)
        if events is not None and "events" in parts:
            times_s = events[clips[place].clip_id][:, None].astype(np.float32)
            sides = [{**side, "events": times_s} for side in sides]
        return ClipArrays(clips[place], *sides)

    return ClipSet(clips, read, balance)


def score_companions(
    metrics: Sequence[str],
    clips: ClipSet,
    seed: int,
    extractors: Mapping[str, Extractor] | None = None,
    *,
    measures: Mapping[str, ClipMeasure | SetMeasure] = COMPANIONS,
) -> Companions:
    """Compute those among some scores that have a measure: the companions, or what a preset has in their place.

    ``extractors`` by part are for measures that need more than arrays.
    """
    result = Companions({}, {}, {}, {}, {})
    chosen = [measures[name] for name in metrics if name in measures]
    of_clips = [measure.prepared(extractors or {}) for measure in chosen if isinstance(measure, ClipMeasure)]
    _score_clips(of_clips, clips, result)
    for measure in of_clips:
        if measure.name in result.scores:
            result.scores[measure.name].settings.update(measure.controls(clips, seed))
    for of_sets in chosen:
        if isinstance(of_sets, SetMeasure):
            _score_sets(of_sets, clips, seed, result)
    return result


def _score_clips(measures: Sequence[ClipMeasure], clips: ClipSet, result: Companions) -> None:
    """Measure every clip, in one pass over those parts that any measure needs."""
    parts = list(dict.fromkeys(block for measure in measures for block in measure.spec.blocks))
    if not parts:
        return
    found = {measure.name: _Ratios(len(clips)) for measure in measures}
    for place, arrays in enumerate(clips.arrays(parts)):
        for measure in measures:
            try:
                found[measure.name].put(place, measure.measure(arrays))
            except MetricError as error:
                found[measure.name].put(place, Undefined(f"{arrays.clip.clip_id}: {error}"))
    for measure in measures:
        _score_ratio(measure, found[measure.name], result)


class _Ratios:
    """One measure's ratios, shape (clips,); zero where a clip has none, with the first reason for that."""

    def __init__(self, clips_n: int) -> None:
        self.numerators, self.denominators = np.zeros(clips_n), np.zeros(clips_n)
        self.defined = np.zeros(clips_n, dtype=bool)
        self.reason = ""

    def put(self, place: int, ratio: Ratio | Undefined) -> None:
        if isinstance(ratio, Ratio):
            self.numerators[place], self.denominators[place] = ratio
            self.defined[place] = True
        else:
            self.reason = self.reason or ratio.reason


def _score_ratio(measure: ClipMeasure, found: _Ratios, result: Companions) -> None:
    """Turn one measure's ratios into a score; its standard error is that of a ratio estimator over clips."""
    name, spec = measure.name, measure.spec
    numerators, denominators, defined = found.numerators, found.denominators, found.defined
    total = float(denominators.sum())
    if total <= 0.0:
        reason = found.reason or "no clip has anything that it could be measured on"
        result.absent[name] = f"undefined for all {len(defined)} clips: {reason}"
        return
    value = float(numerators.sum()) / total
    contributions = (numerators - value * denominators) / total
    n = int(defined.sum())
    result.contributions[name] = contributions
    result.clip_values[name] = np.divide(
        numerators, denominators, out=np.full(len(defined), np.nan), where=denominators > 0.0
    )
    result.scores[name] = Score(
        value,
        contributions_stderr(contributions[defined]) if n > 1 else None,
        spec.kind,
        spec.higher_is_better,
        spec.version,
        n,
        n,
        n_undefined=len(defined) - n,
        withheld={} if n > 1 else {"stderr": "a standard error needs at least 2 clips"},
        settings=measure.settings,
    )


def _score_sets(measure: SetMeasure, clips: ClipSet, seed: int, result: Companions) -> None:
    name, spec = measure.name, measure.spec
    try:
        found = measure.measure(clips, seed)
    except MetricError as error:
        result.absent[name] = str(error)
        return
    stderr = found.stderr
    if found.contributions is not None:
        result.contributions[name] = found.contributions
        stderr = contributions_stderr(found.contributions)
    settings = dict(found.settings)
    if found.contributions is not None and found.own_half is not None:
        result.own_half[name] = found.own_half
        stderr = second_order(found.contributions, found.own_half).stderr
        settings["stderr"] = "second order"
    result.scores[name] = Score(
        found.value,
        stderr,
        spec.kind,
        spec.higher_is_better,
        spec.version,
        len(clips),
        found.samples_n,
        found.d,
        withheld={} if stderr is not None else {"stderr": found.why_no_stderr},
        settings=settings,
    )
