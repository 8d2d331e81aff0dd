"""Order, sensitivity and verdict of a response, on made results whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from t2av_bench.errors import MetricError
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order
from t2av_bench.results import Score
from t2av_bench.validation.record import Response
from t2av_bench.validation.responses import _orders, order, respond

N = 100


def result(
    value: float, contributions: Any = None, *, higher: bool = False, floor: tuple[float, float, float] | None = None
) -> Any:
    floors = dict(zip(("floor", "floor_spread", "floor_score"), floor or (None, None, None), strict=True))
    score = Score(value, None, "raw", higher, 1, N, N, **floors)  # type: ignore[arg-type]
    per_clip = {f"c{i}": {} if contributions is None else {"X": float(contributions[i])} for i in range(N)}
    return SimpleNamespace(scores={"X": score}, per_clip=per_clip, clip_halves={})


def noise(stderr: float, seed: int) -> Any:
    """Contributions that add up to zero and whose standard error is as given."""
    drawn = np.random.default_rng(seed).standard_normal(N)
    drawn -= drawn.mean()
    return drawn * stderr / np.sqrt(np.square(drawn).sum() * N / (N - 1))


def response(values: list[float], stderr: float | None = 0.1, *, none: float = 0.0, higher: bool = False) -> Response:
    made = [result(v, None if stderr is None else noise(stderr, i), higher=higher) for i, v in enumerate(values)]
    base = result(none, None if stderr is None else np.zeros(N), higher=higher)
    return respond("X", "late", base, dict(enumerate(made, start=1)), 1.0, 0)  # type: ignore[arg-type]


def test_a_score_that_grows_with_the_level_orders_it_and_notices_where_two_errors_are_passed():
    found = response([0.1, 0.19, 0.21, 1.0, 2.0])
    assert found.spearman == 1.0
    assert found.interval is not None
    assert found.interval[0] > 0.5
    assert found.interval[1] == pytest.approx(1.0)
    assert found.first_detected == 3
    assert found.verdict == "orders"


def test_for_a_score_where_more_is_better_falling_is_worsening():
    assert response([0.5, 0.2, -0.5], none=1.0, higher=True).verdict == "orders"
    assert response([1.5, 1.8, 2.5], none=1.0, higher=True).verdict == "rewards"
    assert response([1.5, 1.8, 2.5], none=1.0).verdict == "orders"


def test_a_score_that_stays_within_two_errors_is_blind():
    found = response([0.1, -0.1, 0.19])
    assert (found.first_detected, found.verdict) == (None, "blind")


def test_a_score_that_notices_only_the_middle_sees_without_order():
    found = response([0.1, 1.0, 0.1])
    assert (found.first_detected, found.verdict) == (2, "sees")


def test_a_score_that_never_changes_has_no_order_and_says_so():
    found = response([0.0, 0.0, 0.0], stderr=0.0)
    assert (found.spearman, found.interval, found.verdict) == (None, None, "blind")
    assert found.withheld["spearman"] == "the score does not change"


def test_rounding_is_no_change():
    found = response([1e-14, -1e-13, 1e-15], stderr=0.0)
    assert found.verdict == "blind"
    assert {point.worsening for point in found.points} == {0.0}


def test_without_contributions_of_clips_nothing_is_said_of_sensitivity():
    found = response([0.1, 0.5, 1.0], stderr=None)
    assert (found.spearman, found.interval, found.first_detected, found.verdict) == (1.0, None, None, "unknown")
    assert "no contributions of clips" in found.withheld["interval"]
    assert "no standard error" in found.withheld["first_detected"]


def test_what_clips_contribute_to_both_cancels():
    shared = noise(5.0, 1)
    base, level = result(1.0, shared), result(2.0, shared + noise(0.1, 2))
    found = respond("X", "late", base, {1.0: level}, 1.0, 0)
    assert found.points[0].stderr == pytest.approx(0.1)
    assert found.points[0].detected


def halved(found: Any, own_half: Any) -> Any:
    clips = {f"c{i}": {"X": float(value)} for i, value in enumerate(own_half)}
    return SimpleNamespace(**{**vars(found), "clip_halves": clips})


def test_errors_are_of_second_order_where_both_results_have_contributions_by_halves():
    """As in a comparison; the interval of the order narrows with them."""
    base, drawn = result(0.0, np.zeros(N)), [noise(0.2, seed) for seed in range(6)]
    values = [0.1, 0.3, 0.35, 0.5, 0.45, 0.7]
    plain = {float(level): result(value, drawn[level]) for level, value in enumerate(values)}
    of_halves = {level: halved(found, 1.3 * drawn[int(level)]) for level, found in plain.items()}
    first = respond("X", "late", base, plain, 1.0, 0)
    second = respond("X", "late", halved(base, np.zeros(N)), of_halves, 1.0, 0)
    expected = second_order(drawn[0], 1.3 * drawn[0]).stderr
    assert expected < 0.9 * 0.2
    assert [point.stderr for point in first.points] == pytest.approx([0.2] * 6)
    assert [point.stderr for point in second.points] == pytest.approx([expected] * 6)
    assert first.interval is not None
    assert second.interval is not None
    assert second.interval[0] > first.interval[0]


def test_clips_that_a_level_lacks_leave_errors_of_first_order():
    """The halves of fewer clips are others."""
    base, level = result(0.0, np.zeros(N)), halved(result(1.0, noise(0.2, 1)), 1.3 * noise(0.2, 1))
    del level.per_clip["c0"], level.clip_halves["c0"]
    found = respond("X", "late", halved(base, np.zeros(N)), {1.0: level}, 1.0, 0)
    assert found.points[0].stderr == pytest.approx(contributions_stderr(noise(0.2, 1)[1:]))


def test_a_level_is_above_the_floor_by_two_deviations_of_the_halvings():
    base = result(0.0, np.zeros(N))
    levels = {
        1.0: result(1.0, noise(0.1, 1), floor=(5.0, 0.5, 5.9)),
        2.0: result(2.0, noise(0.1, 2), floor=(5, 0.5, 6.1)),
    }
    found = respond("X", "late", base, levels, 1.0, 0)
    assert (found.first_detected, found.first_above_floor) == (1.0, 2.0)
    assert "first_above_floor" not in found.withheld


def test_a_level_where_the_score_is_absent_is_left_out():
    base, good = result(0.0, np.zeros(N)), result(1.0, noise(0.1, 1))
    lacking = SimpleNamespace(scores={}, per_clip=good.per_clip)
    found = respond("X", "late", base, {1.0: lacking, 2.0: good}, 1.0, 0)
    assert [point.level for point in found.points] == [2.0]
    assert "at least 2 levels" in found.withheld["spearman"]


def test_the_order_is_scipy_s_with_ties_too():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(0, 4, 6).astype(float)
        if np.ptp(values):
            expected = stats.spearmanr(np.arange(6), values).statistic
            assert order(values.tolist()) == pytest.approx(expected)
            assert _orders(values[None])[0] == pytest.approx(expected)


def test_an_order_needs_levels_that_differ():
    with pytest.raises(MetricError, match="does not change"):
        order([1.0, 1.0, 1.0])
    with pytest.raises(MetricError, match="at least 2 levels besides none; there are 1"):
        order([1.0, 2.0])


def test_the_interval_of_an_order_covers_what_other_clips_would_give():
    """Levels whose true worsening is flat: the interval must reach both sides of what a new sample gives."""
    rng = np.random.default_rng(3)
    covered, runs = 0, 60
    true = np.linspace(0.0, 0.6, 6)
    for _ in range(runs):
        drawn = true + rng.standard_normal((N, 6))
        base = result(float(drawn[:, 0].mean()), (drawn[:, 0] - drawn[:, 0].mean()) / N)
        levels = {
            float(k): result(float(drawn[:, k].mean()), (drawn[:, k] - drawn[:, k].mean()) / N) for k in range(1, 6)
        }
        found = respond("X", "late", base, levels, 1.0, 0)
        again = true + rng.standard_normal((N, 6)).mean(axis=0)
        assert found.interval is not None
        covered += found.interval[0] - 1e-9 <= order(again.tolist()) <= found.interval[1] + 1e-9
    assert covered >= 0.85 * runs
