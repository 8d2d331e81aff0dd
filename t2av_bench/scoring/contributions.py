"""What each clip adds to each score, and the standard errors that follow from it.

A score's derivative with respect to one sample is that sample's influence; the influences of a clip's samples, of both
sides, add up to the clip's contribution; the spread of the contributions over clips is the standard error of the score,
to first order, and to second order with those of each half of the clips (:mod:`t2av_bench.metrics.uncertainty`). The
influences are functions fitted on the statistics, so a second pass over the cache evaluates them a few clips at a time:
memory grows with the number of clips by one or two floats per clip and score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache
from t2av_bench.metrics import METRICS, Balance, MetricSpec
from t2av_bench.metrics.algebra import is_large
from t2av_bench.metrics.grouped_bias import converged
from t2av_bench.metrics.index_influence import RePairedIndexMap
from t2av_bench.metrics.influence import InfluenceMap
from t2av_bench.metrics.intervals import corrected_interval
from t2av_bench.metrics.joint import score_stats
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order
from t2av_bench.protocol import Pooling
from t2av_bench.results import Score
from t2av_bench.scoring.distances import ClipJobs, Float32Array, HalfMaps, Scored, SideStats, clip_rows, frechet_jobs

# Clips whose samples are in memory at once: enough rows for a matrix product to run at full speed.
BATCH_CLIPS = 64
_FIRST_ORDER = "a bias of unknown size is left with fewer than 4 d windows or 8 clips"
_NOT_CONVERGED = (
    "a bias larger than it may be left: windows of one clip resemble each other, and the clips are few for the"
    " dimensions; score more clips, or use the balanced distance"
)
# Contributions whose sizes add up to less than this part of the reference's variance are rounding.
_ROUNDING = 1e-9
_SINGLE_ROUNDING = 1e-6  # where influences are computed in float32

Sides = tuple[SideStats, SideStats]
_InfluenceMap = InfluenceMap | RePairedIndexMap


class ClipContributions(NamedTuple):
    """What :func:`clip_contributions` returns, by score: arrays of shape (clips,), in the unit of the score.

    Attributes
    ----------
    whole
        By the influence function of the score. Each adds up to zero; a clip above zero draws the score up, and without
        it the score would be lower by about that much. All are exactly zero where the score does not change to first
        order, as that of a set against itself.
    own_half
        By the influence function of the clip's own half; only of scores whose errors are of second order.
    """

    whole: dict[str, Float64Array]
    own_half: dict[str, Float64Array]


def clip_contributions(
    clips: Sequence[ClipJobs],
    cache: EmbeddingCache,
    pooling: Pooling,
    sides: Sides,
    scored: Scored,
    halves: HalfMaps | None = None,
) -> ClipContributions:
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
    halves
        Influence functions of halves, for errors of second order; None for none.
    """
    maps = {name: scored.maps[name] for name in scored.scores if name in scored.maps}
    scales = {
        name: 1.0 if METRICS[name].kind == "index" else _variance(METRICS[name], sides[0], scored.balance)
        for name in maps
    }
    if not maps:
        return ClipContributions({}, {})
    by_half = halves or HalfMaps({}, np.zeros(len(clips), dtype=np.intp))
    found = _second_pass(clips, cache, pooling, maps, by_half, sides, scored.balance)
    for name, values in found.whole.items():
        rounding = _SINGLE_ROUNDING if is_large(scored.scores[name].d or 0) else _ROUNDING
        if np.abs(values).sum() <= rounding * scales[name]:  # a ranking of rounding would mislead
            for kind in found:
                if name in kind:
                    kind[name] = np.zeros_like(values)
    return found


def with_stderr(scores: Mapping[str, Score], contributions: ClipContributions) -> dict[str, Score]:
    """Return the scores with the standard errors that follow from the clips' contributions.

    Of second order where there are contributions by halves: then the corrected score has an error and an interval of
    its own, unless its correction has not converged.
    """
    return {
        name: _with_stderr(score, contributions.whole[name], contributions.own_half.get(name))
        if name in contributions.whole
        else score
        for name, score in scores.items()
    }


def _with_stderr(score: Score, whole: Float64Array, own_half: Float64Array | None) -> Score:
    if own_half is None:
        reason = {} if score.corrected is None else {"corrected_stderr": _FIRST_ORDER}
        return replace(score, stderr=contributions_stderr(whole), withheld={**score.withheld, **reason})
    errors = second_order(whole, own_half)
    score = replace(score, stderr=errors.stderr, settings={**score.settings, "stderr": "second order"})
    half_split = score.settings.get("half_split_corrected")
    if score.corrected is None or half_split is None:
        return score
    if errors.corrected and not converged(score.value, score.corrected, half_split, errors.corrected):
        return replace(score, withheld={**score.withheld, "corrected_stderr": _NOT_CONVERGED})
    low, high = corrected_interval(score.value, score.corrected, errors)
    return replace(score, corrected_stderr=errors.corrected, corrected_low=low, corrected_high=high)


def _variance(spec: MetricSpec, reference: SideStats, balance: Balance | None) -> float:
    return score_stats(spec, reference.of(spec), balance).total_variance


def _second_pass(
    clips: Sequence[ClipJobs],
    cache: EmbeddingCache,
    pooling: Pooling,
    maps: Mapping[str, _InfluenceMap],
    by_half: HalfMaps,
    sides: Sides,
    balance: Balance | None,
) -> ClipContributions:
    """Add up the influences of each clip's rows, of both sides."""
    totals, of_halves = ({name: np.zeros(len(clips)) for name in names} for names in (maps, by_half.maps))
    for which, side in enumerate(sides):
        for first in range(0, len(clips), BATCH_CLIPS):
            batch = [
                clip_rows(frechet_jobs(clip, which == 1), cache, pooling) for clip in clips[first : first + BATCH_CLIPS]
            ]
            samples = _Samples(batch, balance)
            for name, fitted in maps.items():
                spec = METRICS[name]
                rows, counts, place = samples.of(spec), samples.counts(spec), slice(first, first + len(batch))
                starts, rows_n = np.cumsum([0, *counts[:-1]]), side.of(spec).n
                totals[name][place] += np.add.reduceat(_influence(fitted, which)(rows), starts) / rows_n
                if name in by_half.maps:
                    own = _by_half(by_half.maps[name], which, rows, np.repeat(by_half.halves[place], counts))
                    of_halves[name][place] += np.add.reduceat(own, starts) / rows_n
                if which == 1 and isinstance(fitted, RePairedIndexMap):
                    totals[name] += fitted.re_paired(first, samples.sounds())
    return ClipContributions(totals, of_halves)


def _influence(fitted: _InfluenceMap, which: int) -> Callable[[Float64Array], Float64Array]:
    """Return the influence function of the reference side, 0, or of the generated one, 1."""
    return fitted.generated if which == 1 else fitted.reference


def _by_half(
    maps: tuple[InfluenceMap, InfluenceMap], which: int, rows: Float64Array, halves: npt.NDArray[np.intp]
) -> Float64Array:
    """Return the influence of rows by the function of the half that each is in."""
    found = np.empty(len(rows))
    for half, fitted in enumerate(maps):
        found[halves == half] = _influence(fitted, which)(rows[halves == half])
    return found


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
