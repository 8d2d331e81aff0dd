"""Correlation coefficients against SciPy, their intervals against leaving clips out and against simulated truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from t2av_bench.errors import MetricError
from t2av_bench.metrics.correlation import (
    KINDS,
    Kind,
    clustered_interval,
    coefficient,
    coefficient_influence,
    independent_interval,
)

Array = npt.NDArray[np.float64]
SCIPY = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}


def related(n: int, seed: int = 0, *, ties: bool = False) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    return x, (np.clip(np.round(y), -2, 2) if ties else y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_are_scipys(kind: Kind, ties: bool):
    x, y = related(50, ties=ties)
    assert coefficient(kind, x, y) == pytest.approx(SCIPY[kind](x, y).statistic, abs=1e-15)
    assert coefficient(kind, -x, y) == pytest.approx(-coefficient(kind, x, y), abs=1e-12)


def weighted(kind: Kind, x: Array, y: Array, counts: npt.NDArray[np.intp]) -> float:
    return float(SCIPY[kind](np.repeat(x, counts), np.repeat(y, counts)).statistic)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ties", [False, True])
def test_the_influence_is_the_derivative(kind: Kind, ties: bool):
    """Repeating every pair 2,000 times and one of them once more changes a coefficient by influence / (2,000 n)."""
    x, y = related(12, ties=ties)
    influence = coefficient_influence(kind, x, y)
    many = np.full(12, 2000)
    before = weighted(kind, x, y, many)
    for i in range(12):
        more = many + (np.arange(12) == i)
        change = (weighted(kind, x, y, more) - before) * more.sum()
        assert influence[i] == pytest.approx(change, abs=2e-3), i
    assert influence.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_is_that_of_leaving_one_clip_out(kind: Kind):
    x, y = related(200, 1, ties=True)
    value = coefficient(kind, x, y)
    low, high = clustered_interval(value, coefficient_influence(kind, x, y) / 200)
    left_out = np.array([SCIPY[kind](np.delete(x, i), np.delete(y, i)).statistic for i in range(200)])
    jackknife = np.sqrt(199 / 200 * np.square(left_out - left_out.mean()).sum())
    stderr = (np.arctanh(high) - np.arctanh(low)) / (2 * stats.t.ppf(0.975, 199)) * (1 - value**2)
    assert stderr == pytest.approx(jackknife, rel=0.03)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=4, max_size=30), st.sampled_from(KINDS))
def test_an_interval_holds_its_coefficient_and_stays_within_bounds(pairs: list[tuple[int, int]], kind: Kind):
    x, y = np.array(pairs, dtype=float).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        with pytest.raises(MetricError, match="must vary"):
            coefficient(kind, x, y)
        return
    value = coefficient(kind, x, y)
    if abs(value) < 1 - 1e-12:
        low, high = clustered_interval(value, coefficient_influence(kind, x, y) / len(x))
        assert -1 <= low <= value + 1e-12
        assert value - 1e-12 <= high <= 1


def true_value(kind: Kind, rho: float) -> float:
    return {"pearson": rho, "spearman": 6 / np.pi * np.arcsin(rho / 2), "kendall": 2 / np.pi * np.arcsin(rho)}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_both_intervals_cover_the_truth(kind: Kind):
    truth, runs = true_value(kind, 0.6), 400
    covered = np.zeros((runs, 2))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        value = coefficient(kind, x, y)
        intervals = (
            clustered_interval(value, coefficient_influence(kind, x, y) / 80),
            independent_interval(kind, value, 80),
        )
        covered[seed] = [low <= truth <= high for low, high in intervals]
    assert (covered.mean(axis=0) > 0.92).all()
    assert (covered.mean(axis=0) < 0.98).all()


def test_pairs_of_one_clip_count_once():
    """Four systems that repeat each other over 60 clips are 60 pairs; counting them as 240 covers far too seldom."""
    clustered, naive = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=60)
        y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=60)
        x4, y4 = np.tile(x, 4), np.tile(y, 4)
        value = coefficient("pearson", x4, y4)
        sums = coefficient_influence("pearson", x4, y4).reshape(4, 60).sum(axis=0) / 240
        low, high = clustered_interval(value, sums)
        clustered.append(low <= 0.5 <= high)
        low, high = independent_interval("pearson", value, 240)
        naive.append(low <= 0.5 <= high)
    assert 0.91 <= np.mean(clustered) <= 0.985
    assert np.mean(naive) < 0.75


def test_pearsons_interval_of_independent_pairs_is_scipys():
    x, y = related(20)
    found = independent_interval("pearson", coefficient("pearson", x, y), 20, 0.9)
    assert found == pytest.approx(tuple(stats.pearsonr(x, y).confidence_interval(0.9)))


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_or_certain_pairs_have_no_interval(kind: Kind):
    least = 5 if kind == "kendall" else 4
    assert independent_interval(kind, 0.5, least).low < 0.5
    with pytest.raises(MetricError, match=rf"needs at least {least} systems; there are {least - 1}"):
        independent_interval(kind, 0.5, least - 1)
    with pytest.raises(MetricError, match=r"the coefficient is \+1, where no interval"):
        independent_interval(kind, 1.0, 10)
    with pytest.raises(MetricError, match=r"at least 3 clips; there are 2"):
        clustered_interval(0.5, np.array([0.1, -0.1]))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2], "at least 3 pairs; there are 2"),
        ([1, 2, 3], [1, 2], "the same length"),
        ([1, 2, np.nan], [1, 2, 3], "must be finite"),
        ([1, 2, 3], [4, 4, 4], "`y` must vary"),
        ([0.1, 0.1, 0.1 + 1e-17], [1, 2, 3], "`x` must vary"),
    ],
)
def test_bad_input_is_refused(x: list[float], y: list[float], message: str):
    for function in (coefficient, coefficient_influence):
        with pytest.raises(MetricError, match=message):
            function("spearman", x, y)
