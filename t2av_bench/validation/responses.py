"""How one score responds to one distortion: in order, from which level on, and in the right direction.

Everything is stated as *worsening*, the change from the undistorted sound against the score's better direction.

Order
    Spearman's correlation of the worsening with the strength of the level, over all levels and "none". Its interval is
    a bootstrap over clips (1,000 draws): the clips' contributions to the score at every level are weighted alike, with
    the spread of the standard error below, and the central 95 % of the correlations are the interval. It says whether
    other clips would have put the levels in another order, and nothing of levels or seeds that were not tried.

Sensitivity
    The first level whose worsening exceeds two standard errors. Worsening is paired: its standard error is that of the
    differences of the clips' contributions, so that what clips contribute to both cancels, and of second order where
    both results hold what that needs (:mod:`t2av_bench.metrics.uncertainty`), as in ``compare``. Below it noise of the
    order of the choice of clips could be all there is; one score in forty that does not respond at all passes at a
    given level.

Above the floor
    A paired test sees what no comparison of systems with other sounds would: a distance from a set to itself has no
    noise. So for distances there is a second level, the first at which one half of the clips, distorted, lies further
    from the other half's real sound than that half's real sound does, by two standard deviations over the halvings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order
from t2av_bench.results import Result, Score
from t2av_bench.results.per_clip import PerClip
from t2av_bench.validation.record import Point, Response, Verdict

DETECTED_AT = 2.0
DRAWS_N = 1000
# Changes below this part of a score's scale are rounding.
_ROUNDING = 1e-9


def respond(
    metric: str, distortion: str, none: Result, levels: Mapping[float, Result], scale: float, seed: int
) -> Response:
    """Judge one score over the levels of one distortion.

    Parameters
    ----------
    metric, distortion
        Their names.
    none
        Result of the undistorted sound; it has the score.
    levels
        Results by level, in order of strength.
    scale
        Largest magnitude of the score over all distortions: smaller changes than a billionth of it are rounding.
    seed
        Of the bootstrap.
    """
    scores = {level: result.scores[metric] for level, result in levels.items() if metric in result.scores}
    clips = _Clips(metric, none, {level: levels[level] for level in scores})
    least = _ROUNDING * scale
    points = [_point(level, score, none.scores[metric], clips, least) for level, score in scores.items()]
    withheld: dict[str, str] = {}
    spearman, interval = None, None
    try:
        spearman = order([0.0, *(point.worsening for point in points)])
        interval = clips.order_interval([point.worsening for point in points], seed)
    except MetricError as error:
        withheld["spearman" if spearman is None else "interval"] = str(error)
    if points and points[0].stderr is None:
        withheld["first_detected"] = "changes of the score have no standard error"
    if points and all(point.above_floor is None for point in points):
        withheld["first_above_floor"] = "the score has no floor"
    detected = [point.level for point in points if point.detected]
    above = [point.level for point in points if point.above_floor]
    return Response(
        metric,
        distortion,
        points,
        spearman,
        interval,
        detected[0] if detected else None,
        above[0] if above else None,
        _verdict(points, interval),
        withheld,
    )


def order(worsening: Sequence[float]) -> float:
    """Return Spearman's correlation of worsenings with their places, -1 to 1.

    >>> order([0.0, 0.1, 0.4, 0.3])
    0.8

    Raises
    ------
    MetricError
        If there are fewer than three, or all are the same.
    """
    if len(worsening) < 3:
        raise MetricError(f"an order needs at least 2 levels besides none; there are {max(len(worsening) - 1, 0)}")
    if np.ptp(worsening) == 0.0:
        raise MetricError("the score does not change")
    return round(float(stats.spearmanr(np.arange(len(worsening)), worsening).statistic), 12)


class _Clips:
    """What the clips contribute to a score at every level, as worsening."""

    def __init__(self, metric: str, none: Result, levels: Mapping[float, Result]) -> None:
        self._sign = -1.0 if none.scores[metric].higher_is_better else 1.0
        shared = [clip for clip in none.per_clip if all(clip in result.per_clip for result in levels.values())]
        columns = [_column(metric, result.per_clip, shared) for result in (none, *levels.values())]
        # What the clips add, less what they add to the undistorted score; a row for it and for every level.
        self._apart = None if any(column is None for column in columns) else _less_first(columns)
        if self._apart is not None and self._apart.shape[1] < 2:
            self._apart = None
        self._stderrs = None if self._apart is None else self._errors(metric, none, levels)
        self._rows = {level: row for row, level in enumerate(levels, start=1)}

    def stderr(self, level: float) -> float | None:
        """Return the paired standard error of a level's worsening, None without contributions."""
        return None if self._stderrs is None else float(self._stderrs[self._rows[level]])

    def order_interval(self, worsening: Sequence[float], seed: int) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of the order; the worsenings are of all levels."""
        if self._apart is None or self._stderrs is None:
            raise MetricError("the score has no contributions of clips")
        clips_n = self._apart.shape[1]
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(clips_n, np.full(clips_n, 1.0 / clips_n), size=DRAWS_N)
        centred = self._apart - self._apart.mean(axis=1, keepdims=True)
        first = np.array([contributions_stderr(row) for row in centred])
        centred *= np.divide(self._stderrs, first, out=np.ones(len(first)), where=first > 0.0)[:, None]
        drawn = np.array([0.0, *worsening]) + self._sign * (weights @ centred.T)
        low, high = np.percentile(_orders(drawn), [2.5, 97.5])
        return float(low), float(high)

    def _errors(self, metric: str, none: Result, levels: Mapping[float, Result]) -> Float64Array:
        """Return the standard error of every row; of second order where all clips are in the same halves as in none."""
        assert self._apart is not None
        clips = list(none.per_clip)
        own = _column(metric, none.clip_halves, clips)
        found = [0.0]
        for row, result in zip(self._apart[1:], levels.values(), strict=True):
            of_level = _column(metric, result.clip_halves, clips) if result.per_clip.keys() == set(clips) else None
            if own is None or of_level is None or len(row) != len(clips):
                found.append(contributions_stderr(row))
            else:
                found.append(second_order(row, np.array(of_level) - np.array(own)).stderr)
        return np.array(found)


def _less_first(columns: Sequence[Sequence[float] | None]) -> Float64Array:
    found: Float64Array = np.array(columns, dtype=np.float64)
    found -= found[0].copy()
    return found


def _column(metric: str, table: PerClip, clips: Sequence[str]) -> list[float] | None:
    if not any(metric in values for values in table.values()):
        return None
    # Clips without a contribution are those the score is undefined for: they add nothing.
    return [table[clip].get(metric, 0.0) for clip in clips]


def _orders(drawn: Float64Array) -> Float64Array:
    """Return the order of each row; rows that do not vary have none, and count as 0."""
    ranks = stats.rankdata(drawn, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    places = np.arange(drawn.shape[1]) - (drawn.shape[1] - 1) / 2.0
    spread = np.sqrt(np.square(ranks).sum(axis=1) * np.square(places).sum())
    found: Float64Array = np.divide(ranks @ places, spread, out=np.zeros(len(drawn)), where=spread > 0.0)
    return found


def _point(level: float, score: Score, none: Score, clips: _Clips, least: float) -> Point:
    sign = -1.0 if score.higher_is_better else 1.0
    worsening = sign * (score.value - none.value)
    if abs(worsening) <= least:
        worsening = 0.0
    above = None
    if None not in (score.floor, score.floor_spread, score.floor_score):
        above = bool(score.floor_score - score.floor > DETECTED_AT * score.floor_spread)  # type: ignore[operator]
    stderr = clips.stderr(level)
    detected = None if stderr is None else bool(worsening > DETECTED_AT * stderr)
    fooled = None if stderr is None else bool(-worsening > DETECTED_AT * stderr)
    return Point(level, score.value, worsening, stderr, detected, fooled, above)


def _verdict(points: Sequence[Point], interval: tuple[float, float] | None) -> Verdict:
    """Judge the score; what distorts and scores better counts more than what is not seen."""
    if not points or points[0].stderr is None:
        return "unknown"
    if points[-1].fooled:
        return "rewards"
    if not any(point.detected for point in points):
        return "blind"
    return "orders" if interval is not None and interval[0] > 0.0 and points[-1].detected else "sees"
