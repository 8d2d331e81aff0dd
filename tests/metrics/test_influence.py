"""Influence functions against numerical derivatives."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import JointStats, algebra, frechet_distance
from t2av_bench.metrics.index_influence import alignment_index_influence
from t2av_bench.metrics.influence import InfluenceMap, frechet_influence

Array = npt.NDArray[np.float64]
Weighted = Callable[[Array, Array, Array, Array], float]


def factor(rows: Array, weights: Array) -> tuple[Array, Array]:
    """Mean of weighted rows, and a matrix F with F.T @ F their covariance; equal weights give the usual n - 1."""
    mean = weights @ rows
    return mean, (rows - mean) * np.sqrt(weights * len(rows) / (len(rows) - 1))[:, None]


def weighted_distance(x: Array, y: Array, x_weights: Array, y_weights: Array) -> float:
    """Squared Fréchet distance of weighted rows, from the definition; singular values keep small steps accurate."""
    (x_mean, x_factor), (y_mean, y_factor) = factor(x, x_weights), factor(y, y_weights)
    root_trace = np.linalg.svd(x_factor @ y_factor.T, compute_uv=False).sum()
    traces = np.square(x_factor).sum() + np.square(y_factor).sum()
    return float(np.square(x_mean - y_mean).sum() + traces - 2 * root_trace)


def weighted_index(x: Array, y: Array, x_weights: Array, y_weights: Array) -> float:
    """Alignment index of weighted rows whose first two columns are audio."""
    audio = weighted_distance(x[:, :2], y[:, :2], x_weights, y_weights)
    joint = weighted_distance(x, y, x_weights, y_weights)
    (x_mean, x_factor), (y_mean, y_factor) = factor(x, x_weights), factor(y, y_weights)
    # Two blocks of rows, each empty in the other's columns: the cross-covariance is gone.
    apart = np.vstack(
        [np.hstack([y_factor[:, :2], 0 * y_factor[:, 2:]]), np.hstack([0 * y_factor[:, :2], y_factor[:, 2:]])]
    )
    root_trace = np.linalg.svd(x_factor @ apart.T, compute_uv=False).sum()
    traces = np.square(x_factor).sum() + np.square(apart).sum()
    unpaired = np.square(x_mean - y_mean).sum() + traces - 2 * root_trace
    return float(1 - (joint - audio) / (unpaired - audio))


def derivative(score: Weighted, x: Array, y: Array, side: int, row: int, step: float = 1e-4) -> float:
    """Central difference of a score when weight moves from all rows of a side to one of them."""
    uniform = [np.full(len(rows), 1 / len(rows)) for rows in (x, y)]
    values = []
    for sign in (1, -1):
        weights = [each.copy() for each in uniform]
        weights[side] *= 1 - sign * step
        weights[side][row] += sign * step
        values.append(score(x, y, *weights))
    return (values[0] - values[1]) / (2 * step)


def two_sets(n: int, m: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    scales = np.linspace(0.5, 2, d)
    return rng.normal(size=(n, d)) * scales, 0.3 + rng.normal(size=(m, d)) @ rng.normal(np.eye(d), 0.2)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 5), (40, 23, 5), (30, 7, 1), (12, 60, 11)])
def test_influence_is_the_derivative(n: int, m: int, d: int) -> None:
    x, y = two_sets(n, m, d)
    influence = frechet_influence(x, y)
    for side, values in enumerate(influence):
        expected = [derivative(weighted_distance, x, y, side, row) for row in range(6)]
        np.testing.assert_allclose(values[:6], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "m", "d"), [(8, 8, 30), (8, 6, 30), (20, 8, 12)])
def test_influence_is_the_derivative_with_fewer_windows_than_dimensions(n: int, m: int, d: int) -> None:
    x, y = two_sets(n, m, d)
    for side, values in enumerate(frechet_influence(x, y)):
        expected = [derivative(weighted_distance, x, y, side, row) for row in range(5)]
        np.testing.assert_allclose(values[:5], expected, rtol=1e-5, atol=1e-5)


def test_influence_of_a_feature_that_is_constant_on_one_side() -> None:
    x, y = two_sets(30, 30, 4)
    y[:, 2] = 0.7
    for side, values in enumerate(frechet_influence(x, y)):
        expected = [derivative(weighted_distance, x, y, side, row) for row in range(5)]
        np.testing.assert_allclose(values[:5], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "d"), [(50, 4), (10, 40)])
def test_each_side_adds_up_to_zero(n: int, d: int) -> None:
    for side in frechet_influence(*two_sets(n, n, d)):
        assert side.sum() == pytest.approx(0, abs=1e-9 * np.abs(side).sum())


def test_the_weighted_score_of_these_tests_is_the_distance() -> None:
    x, y = two_sets(30, 20, 4)
    expected = weighted_distance(x, y, np.full(30, 1 / 30), np.full(20, 1 / 20))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_adding_constant_zero_features_changes_nothing() -> None:
    """The two routes, more windows than dimensions and fewer, agree."""
    x, y = two_sets(20, 25, 6)
    wide = [np.pad(rows, ((0, 0), (0, 60))) for rows in (x, y)]
    for narrow_side, wide_side in zip(frechet_influence(x, y), frechet_influence(*wide), strict=True):
        np.testing.assert_allclose(narrow_side, wide_side, atol=1e-10)


def test_swapping_the_sides_swaps_the_influences() -> None:
    x, y = two_sets(30, 20, 3)
    one, other = frechet_influence(x, y), frechet_influence(y, x)
    np.testing.assert_allclose(one.reference, other.generated, atol=1e-10)
    np.testing.assert_allclose(one.generated, other.reference, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(40, 5), (10, 50)])
def test_equal_sets_have_no_influence(n: int, d: int) -> None:
    x, _ = two_sets(n, n, d)
    for side in frechet_influence(x, x):
        np.testing.assert_allclose(side, 0, atol=1e-9)


def test_influence_follows_scale_squared_and_ignores_rotation() -> None:
    x, y = two_sets(40, 30, 4)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
    expected = frechet_influence(x, y)
    actual = frechet_influence(3 * x @ turn, 3 * y @ turn)
    np.testing.assert_allclose(actual.reference, 9 * expected.reference, rtol=1e-9, atol=1e-9)


def test_an_outlier_has_the_largest_influence() -> None:
    x, y = two_sets(60, 60, 3)
    y[17] = 12.0
    assert np.argmax(frechet_influence(x, y).generated) == 17


@pytest.mark.parametrize("row", [0, 3, 11])
def test_influence_on_the_index_is_its_derivative(row: int) -> None:
    rng = np.random.default_rng(2)
    condition = rng.normal(size=(60, 3))
    x, y = (np.hstack([share * condition[:, :2] + rng.normal(size=(60, 2)), condition]) for share in (1.0, 0.4))
    influence = alignment_index_influence(x, y, audio_dim=2)
    for side, values in enumerate(influence):
        assert values[row] == pytest.approx(derivative(weighted_index, x, y, side, row), rel=1e-5, abs=1e-6)
        assert values.sum() == pytest.approx(0, abs=1e-9)


def test_a_map_fitted_on_merged_statistics_gives_the_same_influences() -> None:
    x, y = two_sets(60, 50, 4)
    sides = []
    for rows in (x, y):
        halves = [JointStats({"a": 1, "b": 3}) for _ in range(2)]
        for half, part in zip(halves, np.array_split(rows, 2), strict=True):
            half.update(a=part[:, :1], b=part[:, 1:])
        halves[0].merge(halves[1])
        sides.append(halves[0])
    fitted = InfluenceMap.fit(*sides)
    expected = frechet_influence(x, y)
    np.testing.assert_allclose(fitted.reference(x[7:9]), expected.reference[7:9], atol=1e-10)
    np.testing.assert_allclose(fitted.generated(y), expected.generated, atol=1e-10)


def test_a_side_without_any_variance_has_the_influence_of_its_mean() -> None:
    x, _ = two_sets(20, 20, 3)
    still = np.ones((10, 3))
    influence = frechet_influence(x, still)
    centred = x - x.mean(axis=0)
    own = np.square(centred).sum(axis=1) * 20 / 19 - np.square(centred).sum() / 19
    np.testing.assert_allclose(influence.reference, 2 * centred @ (x.mean(axis=0) - 1) + own, atol=1e-12)
    np.testing.assert_array_equal(influence.generated, 0)


def test_bad_input_is_refused() -> None:
    x, y = two_sets(10, 10, 3)
    with pytest.raises(MetricError, match=r"same feature dimension; got 3 and 2"):
        frechet_influence(x, y[:, :2])
    with pytest.raises(MetricError, match=r"`generated` must hold at least 2 rows; got 1"):
        frechet_influence(x, y[:1])
    with pytest.raises(MetricError, match=r"`audio_dim` must lie between 1 and the dimension - 1; got 3"):
        alignment_index_influence(x, y, audio_dim=3)
    with pytest.raises(MetricError, match=r"audio does not covary with the condition"):
        alignment_index_influence(*(np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]),) * 2, audio_dim=1)
    y[0, 0] = np.nan
    with pytest.raises(MetricError, match=r"must be finite"):
        frechet_influence(x, y)


@pytest.mark.parametrize("n", [900, 300])  # more and fewer rows than dimensions
def test_influences_of_many_dimensions_are_those_of_few_to_single_precision(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    scale = np.arange(1, 601) ** -0.5
    x = rng.normal(size=(n, 600)) * scale
    y = 0.8 * x + 0.6 * rng.normal(size=(n, 600)) * scale + 0.02
    single = frechet_influence(x, y)
    alike = frechet_influence(x, x)
    monkeypatch.setattr(algebra, "LARGE_DIM", 601)
    double = frechet_influence(x, y)
    for ours, theirs, same, rows in zip(single, double, alike, (x, y), strict=True):
        squares = np.square(rows - rows.mean(axis=0)).sum(axis=1)
        assert (np.abs(ours - theirs) < 3e-6 * squares).all()
        assert ours.mean() == pytest.approx(0, abs=1e-7 * squares.mean())
        assert (np.abs(same) < 1e-6 * squares.max()).all()
