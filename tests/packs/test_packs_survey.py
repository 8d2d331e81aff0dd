"""What may be stored in half precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.extraction.embedding import halved
from t2av_bench.metrics import frechet_distance
from t2av_bench.packs.survey import MAX_ROUNDING, Survey, choose_dtype, survey


def rows(scale: float = 1.0, mean: float = 0.0, n: int = 200, d: int = 32) -> np.ndarray:
    return (mean + scale * np.random.default_rng(0).standard_normal((n, d))).astype(np.float32)


def test_the_survey_is_what_numpy_says_of_all_rows_at_once():
    x = rows()
    found = survey([x[:7], x[7:8], x[8:]])
    error = np.square(x.astype(np.float16).astype(np.float64) - x).sum()
    assert found.largest == np.abs(x).max()
    assert found.rounding == pytest.approx(np.sqrt(error / np.square(x - x.mean(axis=0)).sum()), rel=1e-6)
    assert 1e-4 < found.rounding < MAX_ROUNDING


def test_what_half_precision_holds_exactly_loses_nothing():
    assert survey([np.arange(64, dtype=np.float32).reshape(2, 32)]) == Survey(63.0, 0.0)
    assert survey([np.full((3, 32), 0.5, np.float32)]).rounding == 0.0  # without spread, and without loss


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (rows(scale=3e4), "beyond float16's 65504"),
        (rows(scale=1e-3, mean=100.0), "of their spread"),  # a large mean leaves no digits for what varies
        (np.full((3, 32), 0.1, np.float32), "of their spread"),  # no spread that the loss could be a share of
        (rows(scale=1e-9), "of their spread"),  # below what float16 can tell from 0
        (rows(d=15), "envelopes"),
    ],
)
def test_what_half_precision_would_damage_stays_in_single(x: np.ndarray, reason: str):
    dtype, because = choose_dtype("float16", x.shape[1], survey([x]))
    assert dtype == "float32"
    assert reason in because


def test_single_precision_is_kept_where_it_is_asked_for():
    assert choose_dtype("float32", 128, survey([rows()])) == ("float32", "")
    assert choose_dtype("float16", 128, survey([rows()])) == ("float16", "")


@settings(deadline=None)
@given(st.floats(-300.0, 300.0), st.floats(1e-30, 1e30), st.integers(16, 40))
def test_nothing_that_is_stored_in_half_precision_becomes_infinite_or_loses_its_spread(mean, scale, d):
    x = np.clip(rows(scale, mean, n=20, d=d), -3e38, 3e38)
    if choose_dtype("float16", d, survey([x]))[0] == "float16":
        stored = x.astype(np.float16).astype(np.float64)
        assert np.isfinite(stored).all()
        spread = np.square(x - x.mean(axis=0, dtype=np.float64)).sum()
        assert np.square(stored - x).sum() <= 1.01 * MAX_ROUNDING**2 * spread


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(-10.0, 10.0), st.integers(5, 60))
def test_the_root_of_a_distance_moves_by_no_more_than_rounding_moves_the_rows(seed, scale, mean, n):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((16, 16)) * rng.uniform(0.0, scale, 16)  # some directions hardly vary
    sides = [(mean + rng.standard_normal((n, 16)) @ mix * factor).astype(np.float32) for factor in (1.0, 1.3)]
    rounded = [halved(side) for side in sides]
    exact, moved = (np.sqrt(max(frechet_distance(*pair), 0.0)) for pair in (sides, rounded))
    pairs = zip(sides, rounded, strict=True)
    errors = [np.sqrt(np.square(a.astype(np.float64) - b).sum(axis=1).sum() / (n - 1)) for a, b in pairs]
    assert abs(moved - exact) <= sum(errors) * (1.0 + 1e-6) + 1e-6 * scale
