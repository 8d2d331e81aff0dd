"""Bias and floor from groups of clips: against simulated truth, and against the same over rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.grouped_bias import converged, grouped_correction, grouped_floor, grouped_infinity
from t2av_bench.metrics.groups import GroupedSides, assign_groups, clip_number, grouped_by_number, united
from t2av_bench.metrics.halves import frechet_errors

Array = npt.NDArray[np.float64]
TRUTH = 0.5**2 + 0.4**2


def sides(seed: int, n: int, d: int) -> tuple[Array, Array]:
    """One window per clip; unit Gaussians of which the second is shifted along one axis and stretched along another."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = 0.6 * x + 0.8 * rng.normal(size=(n, d))
    y[:, 0] += 0.5
    y[:, 1] *= 1.4
    return x, y


def mixture(seed: int, n: int, d: int) -> tuple[Array, Array]:
    """Far from Gaussian: half of the sounds lie in one of two clusters, and the second set's clusters lie elsewhere."""
    rng = np.random.default_rng(seed)
    cluster = rng.choice([-1.0, 1.0], size=n)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    x[:, 0] += 2 * cluster
    y[:, 0] += 3 * cluster
    y[:, 1] += 0.5
    return x, y


MIXTURE_TRUTH = (np.sqrt(10) - np.sqrt(5)) ** 2 + 0.25


def stats(rows: Array) -> JointStats:
    side = JointStats({"audio": rows.shape[1]})
    side.update(audio=rows)
    return side


def grouped(x: Array, y: Array, groups_n: int = 8, seed: int = 0) -> GroupedSides:
    groups = assign_groups(len(x), groups_n, seed)
    return GroupedSides(*([stats(rows[groups == group]) for group in range(groups.max() + 1)] for rows in (x, y)))


@pytest.mark.parametrize(("clips_n", "expected"), [(2, 1), (3, 1), (4, 2), (15, 4), (16, 8), (1001, 8)])
def test_groups_are_of_equal_size_and_of_two_clips_at_least(clips_n: int, expected: int) -> None:
    groups = assign_groups(clips_n, 8, seed=0)
    sizes = np.bincount(groups)
    assert len(sizes) == expected
    assert sizes.max() - sizes.min() <= 1
    assert sizes.min() >= 2
    np.testing.assert_array_equal(groups, assign_groups(clips_n, 8, seed=0))
    assert clips_n < 4 or (groups != assign_groups(clips_n, 8, seed=1)).any()


@pytest.mark.parametrize("n", [20, 100])  # fewer and more rows than dimensions
def test_all_groups_together_are_the_whole(n: int) -> None:
    x, y = sides(0, n, 30)
    both = grouped(x, y)
    assert united(both.reference).n == n
    assert both.distance(range(8)) == pytest.approx(frechet_distance(x, y), rel=1e-10)
    np.testing.assert_allclose(united(both.reference).covariance, np.cov(x, rowvar=False), atol=1e-12)


def test_halvings_are_balanced() -> None:
    """Any two groups are in the same half in three of seven halvings."""
    halvings = list(grouped(*sides(0, 40, 2)).halvings())
    assert len(halvings) == 7
    assert all(sorted([*first, *second]) == list(range(8)) for first, second in halvings)
    halves = [set(half.tolist()) for pair in halvings for half in pair]
    assert {sum({one, other} <= half for half in halves) for one, other in combinations(range(8), 2)} == {3}


@pytest.mark.parametrize(
    "correct",
    [lambda both, whole: grouped_correction(both, whole).value, lambda both, whole: grouped_infinity(both, whole, 0)],
)
def test_corrected_scores_are_unbiased(correct) -> None:  # type: ignore[no-untyped-def]
    plain, corrected = [], []
    for seed in range(60):
        x, y = sides(seed, 128, 24)
        plain.append(frechet_distance(x, y))
        corrected.append(correct(grouped(x, y, seed=seed), plain[-1]))
    allowed = 4 * np.std(corrected) / np.sqrt(60) + 0.03 * (np.mean(plain) - TRUTH)
    assert np.mean(corrected) == pytest.approx(TRUTH, abs=allowed)
    assert np.mean(plain) > TRUTH + 10 * np.std(plain) / np.sqrt(60)


@pytest.mark.parametrize(("n", "d"), [(64, 4), pytest.param(64, 16, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("world", "truth"), [(sides, TRUTH), (mixture, MIXTURE_TRUTH)])
def test_intervals_of_the_corrected_score_cover_the_truth(world, truth: float, n: int, d: int) -> None:  # type: ignore[no-untyped-def]
    """800 runs on Gaussians and on clusters: 92 to 98 %; errors of second order within 15 % of the true spread."""
    scores, errors = [], []
    for seed in range(800):
        x, y = world(seed, n, d)
        scores.append(grouped_correction(grouped(x, y, seed=seed), frechet_distance(x, y)).value)
        errors.append(frechet_errors(x, y, np.arange(n), np.arange(n), seed=seed).corrected)
    covered = np.abs(np.array(scores) - truth) < 1.96 * np.array(errors)
    assert 0.92 <= covered.mean() <= 0.98
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.15)


@pytest.mark.parametrize(("clips_n", "windows_n", "expected"), [(32, 10, False), (256, 1, True)])
def test_a_correction_that_has_not_converged_is_known(clips_n: int, windows_n: int, expected: bool) -> None:
    """Windows that share half of their variance: 32 clips are too few for 64 dimensions however many windows each has.

    As many independent windows converge.
    """
    rng, d = np.random.default_rng(0), 64
    clips = np.repeat(np.arange(clips_n), windows_n)
    own, other = (rng.normal(size=(clips_n, d))[clips] for _ in range(2))
    noise, more = ((windows_n > 1) * rng.normal(size=(len(clips), d)) for _ in range(2))
    x, y = ((a + b) / np.sqrt(1 + (windows_n > 1)) for a, b in ((own, noise), (other, more)))
    y = 0.6 * x + 0.8 * y
    groups = assign_groups(clips_n, 8, 0)[clips]
    both = GroupedSides(*([stats(rows[groups == group]) for group in range(8)] for rows in (x, y)))
    whole, error = frechet_distance(x, y), frechet_errors(x, y, clips, clips).corrected
    found = grouped_correction(both, whole)
    assert converged(whole, found.value, found.half_split, error) == expected


def test_groups_do_not_depend_on_the_order_of_clips() -> None:
    numbers = [clip_number(f"clip {number}") for number in range(50)]
    order = np.random.default_rng(0).permutation(50)
    groups = grouped_by_number(numbers, 8, seed=3)
    np.testing.assert_array_equal(grouped_by_number([numbers[i] for i in order], 8, seed=3), groups[order])
    assert np.ptp(np.bincount(groups)) <= 1
    assert (groups != grouped_by_number(numbers, 8, seed=4)).any()


@pytest.mark.parametrize("groups_n", [4, 8])
def test_quarters_hold_a_quarter_of_the_groups_and_each_group_equally_often(groups_n: int) -> None:
    quarters = grouped(*sides(0, 64, 2)).coarser(groups_n).quarters
    assert {len(set(quarter)) for quarter in quarters} == {groups_n // 4}
    held = [group for quarter in quarters for group in quarter]
    assert {held.count(group) for group in range(groups_n)} == {held.count(0)}
    assert len(set(map(frozenset, quarters))) == len(quarters) == {4: 4, 8: 12}[groups_n]


def test_the_correction_is_by_quarters_where_they_carry_the_dimensions_and_says_so() -> None:
    for n, d, groups_n, method in ((64, 16, 8, "quarter-split"), (63, 16, 8, "half-split"), (64, 16, 2, "half-split")):
        x, y = sides(0, n, d)
        both = grouped(x, y).coarser(groups_n)
        assert grouped_correction(both, frechet_distance(x, y)).method == method


def test_equal_sets_stay_at_zero() -> None:
    x, _ = sides(0, 64, 4)
    both = grouped(x, x)
    assert grouped_correction(both, 0.0).value == pytest.approx(0, abs=1e-9)
    assert grouped_infinity(both, 0.0, 0) == pytest.approx(0, abs=1e-9)
    floor = grouped_floor(both)
    assert floor.score == pytest.approx(floor.value, rel=1e-9)


@pytest.mark.parametrize("d", [4, 200])
def test_the_floor_is_that_of_the_reference_and_the_score_is_the_systems(d: int) -> None:
    """Convention test: exchanged sides give another floor."""
    x, y = sides(0, 64, d)
    floor, other = grouped_floor(grouped(x, 3 * y)), grouped_floor(grouped(3 * y, x))
    assert floor.value < other.value / 5
    assert floor.score is not None
    assert floor.score > floor.value
    assert floor.value == grouped_floor(grouped(x, y)).value
    assert (floor.halvings_n, grouped_floor(grouped(x, y).coarser(2)).spread) == (7, None)
    assert 0 < (floor.spread or 0) < floor.value


def test_fewer_groups_are_unions_of_groups() -> None:
    both = grouped(*sides(0, 64, 3)).coarser(2)
    assert [stats.n for stats in both.reference] == [32, 32]
    assert both.distance([0, 1]) == pytest.approx(grouped(*sides(0, 64, 3)).distance(range(8)), rel=1e-12)


def test_what_needs_more_windows_is_refused_with_the_numbers() -> None:
    x, y = sides(0, 39, 20)
    with pytest.raises(MetricError, match=r"needs at least 2 d windows; got 39 with d = 20"):
        grouped_correction(grouped(x, y), 1.0)
    assert np.isfinite(grouped_infinity(grouped(x, y), 1.0, 0))
    with pytest.raises(MetricError, match=r"more windows than dimensions in every subset; got 39 with d = 38"):
        grouped_infinity(grouped(*sides(0, 39, 38)), 1.0, 0)
    with pytest.raises(MetricError, match=r"halving needs at least 4 clips"):
        grouped_floor(grouped(*sides(0, 3, 2)))
