"""What each clip adds to each score, and the standard errors that follow from it.

A score's derivative with respect to one sample is that sample's influence; the influences of a clip's samples, of both
sides, add up to the clip's contribution; the spread of the contributions over clips is the standard error of the score
(:mod:`t2av_bench.metrics.uncertainty`). The influences are functions fitted on the statistics, so a second pass over
the cache evaluates them a few clips at a time: memory grows with the number of clips by one float per clip and score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from t2av_bench.cache import EmbeddingCache
from t2av_bench.metrics import METRICS, Balance, MetricSpec
from t2av_bench.metrics.index_influence import RePairedIndexMap
from t2av_bench.metrics.influence import InfluenceMap
from t2av_bench.metrics.joint import score_stats
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr
from t2av_bench.protocol import Pooling
from t2av_bench.results import Score
from t2av_bench.scoring import ClipJobs, Float32Array, Scored, SideStats, clip_rows, frechet_jobs

# Clips whose samples are in memory at once: enough rows for a matrix product to run at full speed.
BATCH_CLIPS = 64
# Contributions whose sizes add up to less than this part of the reference's variance are rounding.
_ROUNDING = 1e-9

Sides = tuple[SideStats, SideStats]
_InfluenceMap = InfluenceMap | RePairedIndexMap


def clip_contributions(
    clips: Sequence[ClipJobs], cache: EmbeddingCache, pooling: Pooling, sides: Sides, scored: Scored
) -> dict[str, Float64Array]:
    """Compute the contribution of every clip to every score.

    Parameters
    ----------
    clips, cache, pooling
        What the statistics were gathered from.
    sides
        Statistics of the reference and of the generated side.
    scored
        The scores, with their influence functions and the balance behind them. The balance is held fixed: that it is
        fitted on the reference adds nothing.

    Returns
    -------
    dict
        Name of each score with an influence function to an array of shape (clips,), in the unit of the score. Each adds
        up to zero; a clip above zero draws the score up, and without it the score would be lower by about that much.
        All are exactly zero where the score does not change to first order, as that of a set against itself.
    """
    maps = {name: scored.maps[name] for name in scored.scores if name in scored.maps}
    scales = {
        name: 1.0 if METRICS[name].kind == "index" else _variance(METRICS[name], sides[0], scored.balance)
        for name in maps
    }
    if not maps:
        return {}
    contributions = _second_pass(clips, cache, pooling, maps, sides, scored.balance)
    return {name: _without_rounding(values, scales[name]) for name, values in contributions.items()}


def with_stderr(scores: Mapping[str, Score], contributions: Mapping[str, Float64Array]) -> dict[str, Score]:
    """Return the scores with the standard errors that follow from the clips' contributions."""
    return {
        name: replace(score, stderr=contributions_stderr(contributions[name])) if name in contributions else score
        for name, score in scores.items()
    }


def by_clip(clips: Sequence[ClipJobs], numbers: Mapping[str, Float64Array]) -> dict[str, dict[str, float]]:
    """Return one number per score and clip as clip id to score name to number, without those that are NaN."""
    return {
        clip.clip_id: {name: float(values[i]) for name, values in numbers.items() if not np.isnan(values[i])}
        for i, clip in enumerate(clips)
    }


def _variance(spec: MetricSpec, reference: SideStats, balance: Balance | None) -> float:
    return score_stats(spec, reference.of(spec), balance).total_variance


def _second_pass(
    clips: Sequence[ClipJobs],
    cache: EmbeddingCache,
    pooling: Pooling,
    maps: Mapping[str, _InfluenceMap],
    sides: Sides,
    balance: Balance | None,
) -> dict[str, Float64Array]:
    """Add up the influences of each clip's rows, of both sides."""
    totals: dict[str, Float64Array] = {name: np.zeros(len(clips)) for name in maps}
    for which, side in enumerate(sides):
        for first in range(0, len(clips), BATCH_CLIPS):
            batch = [
                clip_rows(frechet_jobs(clip, which == 1), cache, pooling) for clip in clips[first : first + BATCH_CLIPS]
            ]
            samples = _Samples(batch, balance)
            for name, fitted in maps.items():
                spec = METRICS[name]
                influence = fitted.generated if which == 1 else fitted.reference
                starts = np.cumsum([0, *samples.counts(spec)[:-1]])
                values = np.add.reduceat(influence(samples.of(spec)), starts) / side.of(spec).n
                totals[name][first : first + len(batch)] += values
                if which == 1 and isinstance(fitted, RePairedIndexMap):
                    totals[name] += fitted.re_paired(first, samples.sounds())
    return totals


class _Samples:
    """The rows of a few clips, one below the other, in the coordinates of each score."""

    def __init__(self, clips: Sequence[Mapping[str, Float32Array]], balance: Balance | None) -> None:
        self._clips = clips
        self._balance = balance
        self._blocks: dict[tuple[str, bool], Float64Array] = {}  # many scores share a block

    def of(self, spec: MetricSpec) -> Float64Array:
        """Return the rows a score is over, shape (rows, d)."""
        return np.concatenate([self._block(block, spec.kind != "raw") for block in spec.blocks], axis=1)

    def sounds(self) -> list[Float64Array]:
        """Return each clip's balanced sound, shape (rows, d)."""
        counts = [len(rows["audio"]) for rows in self._clips]
        return np.split(self._block("audio", True), np.cumsum(counts)[:-1])

    def counts(self, spec: MetricSpec) -> list[int]:
        """Return the number of rows of each clip."""
        return [len(rows[spec.blocks[0]]) for rows in self._clips]

    def _block(self, block: str, balanced: bool) -> Float64Array:
        if (block, balanced) not in self._blocks:
            if balanced:
                assert self._balance is not None  # there are no balanced scores without it
                rows = self._block(block, False) @ self._balance.maps[block]
            else:
                rows = np.concatenate([rows[block] for rows in self._clips]).astype(np.float64)
            self._blocks[block, balanced] = rows
        return self._blocks[block, balanced]


def _without_rounding(contributions: Float64Array, scale: float) -> Float64Array:
    """Return contributions, or zeros if they are no more than rounding: a ranking of rounding would mislead."""
    return contributions if np.abs(contributions).sum() > _ROUNDING * scale else np.zeros_like(contributions)
