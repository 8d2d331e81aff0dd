"""Standard errors and paired tests against simulated truth, contributions against leaving clips out."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from t2av_bench.errors import MetricError
from t2av_bench.metrics import Balance, JointStats, alignment_index, frechet_distance
from t2av_bench.metrics.bias import half_split_corrected
from t2av_bench.metrics.halves import frechet_contributions, frechet_errors
from t2av_bench.metrics.index_influence import alignment_index_influence
from t2av_bench.metrics.influence import frechet_influence
from t2av_bench.metrics.uncertainty import (
    Contributions,
    clip_contributions,
    clustered_stderr,
    contributions_stderr,
    holm,
    paired_difference,
    second_order,
)

Array = npt.NDArray[np.float64]


def two_sets(n: int, m: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    scales = np.linspace(0.5, 2, d)
    return rng.normal(size=(n, d)) * scales, 0.3 + rng.normal(size=(m, d)) @ rng.normal(np.eye(d), 0.2)


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


@pytest.mark.parametrize(
    ("clips_n", "windows_n", "d", "far"),
    [
        (32, 1, 8, 0.0),
        pytest.param(64, 1, 16, 0.0, marks=pytest.mark.slow),
        pytest.param(64, 1, 16, 1.0, marks=pytest.mark.slow),
        pytest.param(64, 4, 16, 0.0, marks=pytest.mark.slow),
        pytest.param(64, 4, 16, 1.0, marks=pytest.mark.slow),
        pytest.param(512, 1, 8, 1.0, marks=pytest.mark.slow),
        pytest.param(256, 1, 64, 1.0, marks=pytest.mark.slow),
    ],
)
def test_errors_of_second_order_are_the_spread(clips_n: int, windows_n: int, d: int, far: float) -> None:
    """400 runs: within 15 % of the plain score's spread, where those of first order are up to 1.5 times it."""
    scores, errors, first = [], [], []
    clips = np.repeat(np.arange(clips_n), windows_n)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        own, other = (rng.normal(size=(clips_n, d))[clips] for _ in range(2))
        x, y = ((rows + (windows_n > 1) * rng.normal(size=rows.shape)) for rows in (own, other))
        x, y = (rows / np.sqrt(1 + (windows_n > 1)) for rows in (x, y))
        y = 0.6 * x + 0.8 * y
        y[:, 0] += 0.5 * far
        y[:, 1] *= 1 + 0.4 * far
        scores.append(frechet_distance(x, y))
        found = frechet_contributions(x, y, clips, clips, seed=seed)
        assert found.own_half is not None
        errors.append(second_order(found.values, found.own_half).stderr)
        first.append(contributions_stderr(found.values))
    assert np.mean(errors) == pytest.approx(np.std(scores, ddof=1), rel=0.15)
    if not far:
        assert np.mean(first) > 1.25 * np.std(scores)


def test_errors_of_second_order_stay_between_their_bounds() -> None:
    values = np.random.default_rng(0).normal(size=40)
    values -= values.mean()
    first = contributions_stderr(values)
    for scale, plain, corrected in ((0.5, 1.0, 1.0), (1.0, 1.0, 1.0), (1.2, None, None), (5.0, 0.25, 0.385)):
        found = second_order(values, scale * values)
        assert first * np.sqrt(0.25) - 1e-12 <= found.stderr <= found.corrected <= found.first == first
        if scale != 1.0 and plain is not None:
            assert found[:2] == pytest.approx((first * plain**0.5, first * corrected**0.5))
    assert second_order(np.zeros(8), values[:8]) == (0.0, 0.0, 0.0, 7.0)
    with pytest.raises(MetricError, match=r"at least 4 clips, each in a half; got 3 and 3"):
        second_order(np.zeros(3), np.zeros(3))
    with pytest.raises(MetricError, match=r"got 40 and 39"):
        second_order(values, values[:39])


def test_few_clips_that_make_most_of_the_variance_leave_few_degrees_of_freedom() -> None:
    """Of m clips that count alike and others that count for nothing, about as many as m tell the variance."""
    alike, few = np.tile([1.0, -1.0], 50), np.zeros(100)
    few[:4] = alike[:4]
    assert second_order(alike, alike).dof == 99.0
    assert second_order(few, few).dof == pytest.approx(2 * 4 / (1 - 4 / 100), rel=0.1)
    normal = np.random.default_rng(0).normal(size=4000)
    assert second_order(normal - normal.mean(), normal - normal.mean()).dof == pytest.approx(4000, rel=0.1)
    assert 1.0 <= second_order(few, 9 * few[::-1]).dof <= 99.0


def test_errors_of_second_order_do_not_depend_on_the_order_of_rows_and_need_enough_of_them() -> None:
    x, y = two_sets(80, 80, 4)
    clips = np.repeat([f"clip {number}" for number in range(20)], 4)
    order = np.random.default_rng(0).permutation(80)
    straight = frechet_errors(x, y, clips, clips)
    assert frechet_errors(x[order], y, clips[order], clips) == pytest.approx(straight, rel=1e-9)
    assert frechet_errors(x, y, clips, clips, seed=1) != straight
    with pytest.raises(MetricError, match=r"at least 4 d windows and 8 clips; got 80 windows with d = 21, and 20"):
        frechet_errors(np.pad(x, ((0, 0), (0, 17))), np.pad(y, ((0, 0), (0, 17))), clips, clips)
    with pytest.raises(MetricError, match=r"and 7 clips"):
        frechet_errors(x, y, np.arange(80) % 7, np.arange(80) % 7)


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
    assert paired_difference(scored, scored) == (0.0, 0.0, 1.0, 29)
    assert paired_difference(scored, scored).interval() == (0.0, 0.0)


def test_holm_on_a_case_worked_by_hand() -> None:
    """Four tests: 0.005 · 4, 0.01 · 3, 0.03 · 2, 0.04 · 1, and the last is raised to the one before it."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


def test_holm_rejects_step_by_step_as_defined() -> None:
    """Holm's definition: go up the sorted p-values and stop at the first above level / (tests left)."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.uniform(size=6) ** 4
        rejected = np.zeros(6, dtype=bool)
        for k, i in enumerate(np.argsort(p)):
            if p[i] > 0.05 / (6 - k):
                break
            rejected[i] = True
        np.testing.assert_array_equal(holm(p) <= 0.05, rejected)


def test_holm_makes_one_false_alarm_in_twenty_families() -> None:
    """Dependent scores of equal systems: without an adjustment about one family in five raises an alarm."""
    rng = np.random.default_rng(1)
    shared, own = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 6))
    p = 2 * stats.norm.sf(np.abs(np.sqrt(0.5) * (shared + own)))
    assert np.mean([(holm(row) < 0.05).any() for row in p]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)
    assert (p < 0.05).any(axis=1).mean() > 0.15


@pytest.mark.parametrize("p_values", [[-0.1], [1.1], [float("nan")], [[0.5]]])
def test_what_is_no_p_value_is_refused(p_values: list[float]) -> None:
    with pytest.raises(MetricError, match="numbers from 0 to 1"):
        holm(p_values)


def test_for_a_mean_the_paired_test_is_students() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 20))
    clips = np.array([str(i) for i in range(20)])
    scored = [(float(v.mean()), Contributions(clips, (v - v.mean()) / 20)) for v in (x, y)]
    found, expected = paired_difference(scored[0], scored[1]), stats.ttest_rel(x, y)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)), rel=1e-10)


def test_bad_input_is_refused() -> None:
    x, _ = two_sets(10, 10, 3)
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


def test_the_error_of_the_alignment_index_is_its_spread() -> None:
    """Audio follows the condition in the reference and half as much in the generated sound."""
    indices, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        condition = rng.normal(size=(400, 3))
        sounds = [condition + rng.normal(size=(400, 3)), 0.5 * condition + 1.2 * rng.normal(size=(400, 3))]
        sides = []
        for sound in sounds:
            sides.append(JointStats({"audio": 3, "video": 3}))
            sides[-1].update(audio=sound, video=condition)
        balance = Balance.fit(sides[0])
        indices.append(alignment_index(balance.apply(sides[0]), balance.apply(sides[1])))
        rows = [np.hstack([sound @ balance.maps["audio"], condition @ balance.maps["video"]]) for sound in sounds]
        errors.append(clustered_stderr(alignment_index_influence(*rows, audio_dim=3), np.arange(400), np.arange(400)))
    assert np.mean(errors) == pytest.approx(np.std(indices), rel=0.25)
