"""Influence against numerical derivatives, and standard errors against simulated truth."""

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import frechet_distance
from t2av_bench.metrics.bias import half_split_corrected
from t2av_bench.metrics.uncertainty import (
    Contributions,
    clip_contributions,
    clustered_stderr,
    contributions_stderr,
    frechet_influence,
    paired_difference,
)

Array = npt.NDArray[np.float64]


def weighted_distance(x: Array, y: Array, x_weights: Array, y_weights: Array) -> float:
    """Squared Fréchet distance of weighted rows, from the definition; singular values keep small steps accurate."""
    factors, traces = [], 0.0
    means = [x_weights @ x, y_weights @ y]
    for rows, weights, mean in ((x, x_weights, means[0]), (y, y_weights, means[1])):
        factors.append((rows - mean) * np.sqrt(weights * len(rows) / (len(rows) - 1))[:, None])
        traces += float(np.square(factors[-1]).sum())
    root_trace = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(np.square(means[0] - means[1]).sum() + traces - 2 * root_trace)


def numerical_influence(x: Array, y: Array, side: int, row: int, step: float = 1e-4) -> float:
    """Central difference of the distance when weight moves from all rows of a side to one of them."""
    uniform = [np.full(len(rows), 1 / len(rows)) for rows in (x, y)]
    values = []
    for sign in (1, -1):
        weights = [each.copy() for each in uniform]
        weights[side] *= 1 - sign * step
        weights[side][row] += sign * step
        values.append(weighted_distance(x, y, *weights))
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
        expected = [numerical_influence(x, y, side, row) for row in range(6)]
        np.testing.assert_allclose(values[:6], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "m", "d"), [(8, 8, 30), (8, 6, 30), (20, 8, 12)])
def test_influence_is_the_derivative_with_fewer_windows_than_dimensions(n: int, m: int, d: int) -> None:
    x, y = two_sets(n, m, d)
    for side, values in enumerate(frechet_influence(x, y)):
        expected = [numerical_influence(x, y, side, row) for row in range(5)]
        np.testing.assert_allclose(values[:5], expected, rtol=1e-5, atol=1e-5)


def test_influence_of_a_feature_that_is_constant_on_one_side() -> None:
    x, y = two_sets(30, 30, 4)
    y[:, 2] = 0.7
    for side, values in enumerate(frechet_influence(x, y)):
        expected = [numerical_influence(x, y, side, row) for row in range(5)]
        np.testing.assert_allclose(values[:5], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "d"), [(50, 4), (10, 40)])
def test_each_side_adds_up_to_zero(n: int, d: int) -> None:
    for side in frechet_influence(*two_sets(n, n, d)):
        assert side.sum() == pytest.approx(0, abs=1e-9 * np.abs(side).sum())


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


def test_contributions_approximate_leaving_a_clip_out() -> None:
    x, y = two_sets(600, 600, 3)
    clips = np.repeat(np.arange(150), 4)
    full = frechet_distance(x, y)
    contributions = clip_contributions(frechet_influence(x, y), clips, clips)
    for clip, value in zip(contributions.clips[:20], contributions.values[:20], strict=True):
        kept = clips != int(clip)
        assert value == pytest.approx(full - frechet_distance(x[kept], y[kept]), rel=0.1, abs=1e-3)
    assert contributions.values.sum() == pytest.approx(0, abs=1e-12)


def test_the_clip_whose_sound_is_wrong_contributes_most() -> None:
    x, _ = two_sets(600, 600, 3)
    clips = np.repeat(np.arange(150), 4)
    y = x + 0.1 * np.random.default_rng(3).normal(size=x.shape)
    y[clips == 20] += 3
    contributions = clip_contributions(frechet_influence(x, y), clips, clips)
    assert contributions.clips[np.argmax(contributions.values)] == "20"


def test_the_order_of_rows_changes_no_contribution() -> None:
    x, y = two_sets(40, 40, 3)
    clips = np.repeat([f"clip {number}" for number in range(10)], 4)
    order = np.random.default_rng(0).permutation(40)
    straight = clip_contributions(frechet_influence(x, y), clips, clips)
    shuffled = clip_contributions(frechet_influence(x[order], y), clips[order], clips)
    assert straight.clips.tolist() == shuffled.clips.tolist()
    np.testing.assert_allclose(straight.values, shuffled.values, atol=1e-12)


def test_windows_that_repeat_do_not_shrink_the_error() -> None:
    """Four copies of each window are one window: clustering by clip knows it, counting windows would not."""
    x, y = two_sets(100, 100, 3)
    once = clustered_stderr(frechet_influence(x, y), np.arange(100), np.arange(100))
    x4, y4 = np.repeat(x, 4, axis=0), np.repeat(y, 4, axis=0)
    clips = np.repeat(np.arange(100), 4)
    influence = frechet_influence(x4, y4)
    assert clustered_stderr(influence, clips, clips) == pytest.approx(once, rel=0.02)
    assert clustered_stderr(influence, np.arange(400), np.arange(400)) < 0.6 * once


def test_pairing_the_sides_matters() -> None:
    """A shift common to a clip's reference and generated sound cancels only if the clips are paired."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = x + 1 + 0.1 * rng.normal(size=(300, 2))
    influence = frechet_influence(x, y)
    paired = clustered_stderr(influence, np.arange(300), np.arange(300))
    unpaired = clustered_stderr(influence, np.arange(300), np.arange(300, 600))
    assert paired < 0.3 * unpaired


def simulated_sides(seed: int, clips_n: int, d: int) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """Clips of 4 windows that share half of their variance, and generated sound tied to the reference."""
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(clips_n), 4)
    x, noise = (
        np.sqrt(0.5) * (rng.normal(size=(clips_n, d))[clips] + rng.normal(size=(4 * clips_n, d))) for _ in range(2)
    )
    y = 0.6 * x + 0.8 * noise
    y[:, 0] += 0.5
    y[:, 1] *= 1.4
    return x, y, clips


SIMULATED_TRUTH = 0.5**2 + 0.4**2  # unit covariances but for one factor; clips are exchangeable


@pytest.mark.parametrize(
    ("runs", "clips_n", "d"),
    [
        (150, 64, 6),
        pytest.param(200, 128, 16, marks=pytest.mark.slow),
        pytest.param(200, 256, 32, marks=pytest.mark.slow),
    ],
)
def test_the_corrected_score_and_its_error_cover_the_truth(runs: int, clips_n: int, d: int) -> None:
    scores, errors = [], []
    for seed in range(runs):
        x, y, clips = simulated_sides(seed, clips_n, d)
        scores.append(half_split_corrected(x, y, clips, clips, splits=2, seed=seed))
        errors.append(clustered_stderr(frechet_influence(x, y), clips, clips))
    covered = np.abs(np.array(scores) - SIMULATED_TRUTH) < 1.96 * np.array(errors)
    assert 0.90 <= covered.mean() <= 0.985
    assert np.mean(scores) == pytest.approx(SIMULATED_TRUTH, abs=4 * np.std(scores) / np.sqrt(runs))
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.2)


def test_the_plain_score_misses_the_truth() -> None:
    """Why the correction exists: with 64 clips and 16 dimensions the plain interval hardly ever covers."""
    covered = []
    for seed in range(40):
        x, y, clips = simulated_sides(seed, 64, 16)
        error = clustered_stderr(frechet_influence(x, y), clips, clips)
        covered.append(abs(frechet_distance(x, y) - SIMULATED_TRUTH) < 1.96 * error)
    assert np.mean(covered) < 0.2


def test_the_paired_test_keeps_its_level_and_has_power() -> None:
    """Two equally good systems differ in about 5 % of simulations, a better and a worse one nearly always."""
    equal, unequal = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(100, 3))
        systems = [x + 0.6 * rng.normal(size=x.shape) + 0.4 for _ in range(2)]
        systems.append(systems[0] + 0.15)
        scored = [
            (frechet_distance(x, y), clip_contributions(frechet_influence(x, y), np.arange(100), np.arange(100)))
            for y in systems
        ]
        equal.append(paired_difference(scored[0], scored[1]).p_value < 0.05)
        unequal.append(paired_difference(scored[0], scored[2]).p_value < 0.05)
    assert 0.01 <= np.mean(equal) <= 0.11
    assert np.mean(unequal) > 0.9


def test_a_system_does_not_differ_from_itself() -> None:
    x, y = two_sets(30, 30, 3)
    scored = frechet_distance(x, y), clip_contributions(frechet_influence(x, y), np.arange(30), np.arange(30))
    assert paired_difference(scored, scored) == (0.0, 0.0, 1.0)


def test_bad_input_is_refused() -> None:
    x, y = two_sets(10, 10, 3)
    with pytest.raises(MetricError, match=r"same feature dimension; got 3 and 2"):
        frechet_influence(x, y[:, :2])
    with pytest.raises(
        MetricError, match=r"`generated` must have the shape \(n, d\) with n of at least 2; got \(1, 3\)"
    ):
        frechet_influence(x, y[:1])
    y[0, 0] = np.nan
    with pytest.raises(MetricError, match=r"`generated` must be finite; 1 values are not"):
        frechet_influence(x, y)
    influence = frechet_influence(x, x)
    with pytest.raises(MetricError, match=r"`generated_clips` must give the clip of each of the 10 windows"):
        clip_contributions(influence, np.arange(10), np.arange(9))
    with pytest.raises(MetricError, match=r"at least 2 clips; got 1"):
        clustered_stderr(influence, np.zeros(10), np.zeros(10))
    with pytest.raises(MetricError, match=r"the same clips in both systems"):
        paired_difference(
            (0.0, Contributions(np.array(["a", "b"]), np.zeros(2))), (0.0, Contributions(np.array(["a"]), np.zeros(1)))
        )


def test_stderr_of_contributions_is_that_of_a_sum() -> None:
    """For a mean, the influence is the deviation, and the result the textbook standard error."""
    values = np.random.default_rng(0).normal(size=50)
    expected = values.std(ddof=1) / np.sqrt(50)
    assert contributions_stderr((values - values.mean()) / 50) == pytest.approx(expected, rel=1e-12)
