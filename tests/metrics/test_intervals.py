"""Intervals of corrected distances: worked by hand, their limits, and a law whose every interval is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from t2av_bench.errors import MetricError
from t2av_bench.metrics.intervals import corrected_interval
from t2av_bench.metrics.uncertainty import Errors


def errors(corrected: float, first: float, clips_n: int) -> Errors:
    return Errors(corrected, corrected, first, clips_n - 1.0)


def test_it_is_symmetric_in_the_root_of_the_variance() -> None:
    """Score 2 with a first-order error of 0.4: the variance grows by 0.08 per unit of distance."""
    growth, quantile = 0.4**2 / 2.0, special.stdtrit(49, 0.975)
    low, high = corrected_interval(2.0, 1.5, errors(0.3, 0.4, 50))
    assert (low + high) / 2 - 1.5 == pytest.approx(quantile**2 * growth / 4)
    assert high - low == pytest.approx(2 * quantile * 0.3)
    ends = [np.sqrt(0.3**2 + growth * (end - 1.5)) for end in (low, 1.5, high)]
    assert ends[1] - ends[0] == pytest.approx(ends[2] - ends[1])


def test_a_distance_that_is_large_for_its_error_has_the_interval_of_students_t() -> None:
    low, high = corrected_interval(1e6, 1e6, errors(1.0, 1.0, 20))
    assert (low - 1e6, high - 1e6) == pytest.approx((-2.093, 2.093), abs=1e-3)


def test_more_confidence_and_fewer_clips_make_it_wider() -> None:
    few, many = (corrected_interval(1.0, 0.8, errors(0.2, 0.25, clips_n)) for clips_n in (8, 800))
    sure = corrected_interval(1.0, 0.8, errors(0.2, 0.25, 8), confidence=0.99)
    assert sure.low < few.low < many.low < 0.8 < many.high < few.high < sure.high


def test_it_ends_where_there_would_be_no_variance() -> None:
    low, high = corrected_interval(0.05, 0.01, errors(0.1, 0.4, 400))
    assert low == pytest.approx(0.01 - 0.1**2 / (0.4**2 / 0.05))
    assert high > 0.4


def test_without_an_error_there_is_nothing_to_doubt() -> None:
    assert corrected_interval(0.0, 0.0, errors(0.0, 0.0, 9)) == (0.0, 0.0)
    assert corrected_interval(3.0, 2.0, errors(0.0, 0.0, 9)) == (2.0, 2.0)


@pytest.mark.parametrize("confidence", [1.0, 0.0, 95.0, float("nan")])
def test_what_is_no_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(MetricError, match="the confidence must be between 0 and 1; got"):
        corrected_interval(1.0, 1.0, errors(0.1, 0.1, 9), confidence)


def test_a_shift_of_the_mean_is_covered_from_both_sides_alike() -> None:
    """The law it is made for: a distance δ² from a mean of 40 clips. ± 1.96 errors miss nearly always above."""
    rng = np.random.default_rng(0)
    truth, clips_n = 0.6**2, 40
    missed, missed_by_t = [], []
    for _ in range(4000):
        rows = 0.6 + rng.normal(size=clips_n)
        mean, spread = rows.mean(), rows.std(ddof=1) / np.sqrt(clips_n)
        score, error = mean**2, 2 * abs(mean) * spread
        low, high = corrected_interval(score, score - spread**2, errors(error, error, clips_n))
        missed.append((low > truth, high < truth))
        reach = special.stdtrit(clips_n - 1, 0.975) * error
        missed_by_t.append((score - spread**2 - reach > truth, score - spread**2 + reach < truth))
    below, above = np.mean(missed, axis=0)
    assert below + above == pytest.approx(0.05, abs=0.012)
    assert 0.5 < below / above < 2.0
    assert np.mean(missed_by_t, axis=0)[1] > 4 * np.mean(missed_by_t, axis=0)[0]
