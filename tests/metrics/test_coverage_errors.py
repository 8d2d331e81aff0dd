"""Errors of precision, recall, density and coverage: parts by definition, and spread over simulations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import coverage, coverage_errors, support_scores
from t2av_bench.metrics.coverage_errors import support_errors

Array = npt.NDArray[np.float64]


def draw(clips_n: int, rows_n: int, d: int, seed: int) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """Draw sides whose clips have some rows each, which share half their variance."""
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(clips_n), rows_n)
    x, y = rng.normal(size=(2, len(clips), d)) + rng.normal(size=(2, clips_n, d))[:, clips] * (rows_n > 1)
    return x, y + 1.5 / np.sqrt(d), clips


def by_definition(x: Array, y: Array, clips: npt.NDArray[np.intp], k: int, seed: int) -> Array:
    """Standard errors from scores of each part's rows, one part after the other."""
    count = clips.max() + 1
    quarters = np.random.default_rng(seed).permuted(np.tile(np.arange(count) % 4, (20, 1)), axis=1)
    halves = np.concatenate([np.isin(quarters, pair) for pair in ([1, 3], [2, 3], [1, 2])]).astype(int)
    variances = []
    for draws in (halves, quarters):
        found = [
            [support_scores(*(side[part[clips] == i] for side in (x, y)), k=k)[:4] for i in range(part.max() + 1)]
            for part in draws
        ]
        variances.append(np.var(found, axis=1, ddof=1).mean(axis=0))
    return np.sqrt(variances[0] / 2 * np.clip(2 * variances[0] / variances[1], 0.5, 2))


@pytest.mark.parametrize(("clips_n", "rows_n", "d", "k"), [(100, 1, 3, 5), (40, 3, 8, 2)])
def test_errors_are_those_of_scores_of_halves_and_quarters(clips_n: int, rows_n: int, d: int, k: int):
    x, y, clips = draw(clips_n, rows_n, d, seed=0)
    scores, errors = support_errors(x, y, clips, clips, k=k, seed=4)
    assert scores == support_scores(x, y, k=k)
    # Clips are numbered in the order of their names.
    ranks = np.argsort(np.argsort(np.arange(clips_n).astype(str)))
    assert errors == pytest.approx(by_definition(x, y, ranks[clips], k, seed=4), rel=1e-12)


def test_blocks_and_the_order_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch):
    x, y, clips = draw(50, 2, 8, seed=1)
    expected = support_errors(x, y, clips, clips)
    orders = [np.random.default_rng(side).permutation(len(clips)) for side in (0, 1)]
    monkeypatch.setattr(coverage, "_BLOCK_VALUES", 1001)
    found = support_errors(x[orders[0]], y[orders[1]], clips[orders[0]], clips[orders[1]])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_neighbours_beyond_those_that_are_known_hardly_matter(monkeypatch: pytest.MonkeyPatch):
    x, y, clips = draw(200, 1, 4, seed=2)
    expected = support_errors(x, y, clips, clips)[1]
    monkeypatch.setattr(coverage_errors, "_KNOWN", 200)
    assert support_errors(x, y, clips, clips)[1] == pytest.approx(expected, rel=1e-3)


def test_what_too_few_clips_are_inside_or_outside_of_has_no_error():
    x, _, clips = draw(100, 1, 3, seed=0)
    scores, errors = support_errors(x, x, clips, clips)
    assert scores[:4] == (1.0, 1.0, scores.density, 1.0)
    assert (errors.precision, errors.recall, errors.coverage) == (None, None, None)
    assert errors.density == pytest.approx(0, abs=1e-12)  # each ball holds k + 1 rows of any part
    y = x + 1e3
    y[:5] = x[:5]
    errors = support_errors(x, y, clips, clips)[1]
    assert None not in (errors.precision, errors.density)
    y[2:5] = 1e3
    assert support_errors(x, y, clips, clips)[1][::2] == (None, None)


def test_refuses_too_few_clips_and_rows_and_other_clips():
    x, y, clips = draw(96, 1, 2, seed=0)
    with pytest.raises(MetricError, match="at least 24 clips and 96 rows on either side; got 95 clips of 95 rows"):
        support_errors(x, y[:95], clips % 95, clips[:95])
    with pytest.raises(MetricError, match="at least 24 clips and 96 rows on either side; got 20 clips of 96 rows"):
        support_errors(x, y, clips % 20, clips % 20)
    with pytest.raises(MetricError, match="both sides must hold the same clips"):
        support_errors(x, y, clips, clips + 1)
    with pytest.raises(MetricError, match="`generated_clips` must give the clip of each of the 96 windows"):
        support_errors(x, y, clips, clips[1:])
    with pytest.raises(MetricError, match="`k` must be at least 1; got 0"):
        support_errors(x, y, clips, clips, k=0)


@pytest.mark.slow
@pytest.mark.parametrize(("clips_n", "rows_n", "d"), [(100, 1, 4), (200, 1, 32), (50, 4, 8)])
def test_errors_are_the_spread_of_the_scores_and_intervals_hold_their_mean(clips_n: int, rows_n: int, d: int):
    runs = [draw(clips_n, rows_n, d, seed) for seed in range(200)]
    found = [support_errors(x, y, clips, clips) for x, y, clips in runs]
    scores, errors = np.array([each[0][:4] for each in found]), np.array([each[1] for each in found], dtype=float)
    assert np.isnan(errors).mean(axis=0).max() < 0.2
    ratio = np.nanmean(errors, axis=0) / scores.std(axis=0, ddof=1)
    np.testing.assert_allclose(ratio, 1.0, atol=0.2)
    known = ~np.isnan(errors)
    held = np.abs(scores - scores.mean(axis=0)) <= 1.96 * np.nan_to_num(errors)
    shares = held.sum(axis=0, where=known) / known.sum(axis=0)
    assert ((shares > 0.86) & (shares <= 0.99)).all(), shares
