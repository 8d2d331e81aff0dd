"""Bias corrections against simulated truth, and where they are refused."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import frechet_distance
from t2av_bench.metrics.bias import frechet_infinity, half_split_corrected, real_floor

Array = npt.NDArray[np.float64]
CORRECTIONS = [half_split_corrected, frechet_infinity]
TRUTH = 0.5**2 + 0.4**2


def sides(seed: int, n: int, d: int) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """One window per clip; unit Gaussians of which the second is shifted along one axis and stretched along another."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = 0.6 * x + 0.8 * rng.normal(size=(n, d))
    y[:, 0] += 0.5
    y[:, 1] *= 1.4
    return x, y, np.arange(n)


@pytest.mark.parametrize("correct", CORRECTIONS)
@pytest.mark.parametrize(
    ("runs", "n", "d"),
    [
        (40, 128, 24),
        pytest.param(100, 256, 32, marks=pytest.mark.slow),
        pytest.param(100, 512, 64, marks=pytest.mark.slow),
    ],
)
def test_corrected_scores_are_unbiased(correct: Callable[..., float], runs: int, n: int, d: int) -> None:
    plain, corrected = [], []
    for seed in range(runs):
        x, y, clips = sides(seed, n, d)
        plain.append(frechet_distance(x, y))
        corrected.append(correct(x, y, clips, clips, seed=seed))
    # What is left of the bias, of order (d / n)², is a few hundredths of what was there.
    allowed = 4 * np.std(corrected) / np.sqrt(runs) + 0.03 * (np.mean(plain) - TRUTH)
    assert np.mean(corrected) == pytest.approx(TRUTH, abs=allowed)
    assert np.mean(plain) > TRUTH + 10 * np.std(plain) / np.sqrt(runs)


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_corrections_depend_on_the_seed_only(correct: Callable[..., float]) -> None:
    x, y, clips = sides(0, 80, 4)
    order = np.random.default_rng(5).permutation(80)
    once = correct(x, y, clips, clips, seed=3)
    assert correct(x, y, clips, clips, seed=3) == once
    assert correct(x[order], y, clips[order], clips, seed=3) == pytest.approx(once, rel=1e-12)
    assert correct(x, y, clips, clips, seed=4) != once


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_equal_sets_stay_at_zero(correct: Callable[..., float]) -> None:
    x, _, clips = sides(0, 60, 4)
    assert correct(x, x, clips, clips) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_clips_stay_whole(correct: Callable[..., float]) -> None:
    """Copies of a window within its clip hardly change the correction, as they would if windows were drawn."""
    x, y, clips = sides(0, 200, 8)
    copies = [np.repeat(each, 4, axis=0) for each in (x, y, clips)]
    once = correct(x, y, clips, clips)
    repeated = correct(copies[0], copies[1], copies[2], copies[2])
    assert repeated == pytest.approx(once, abs=0.05 * frechet_distance(x, y))


def test_half_split_is_refused_where_a_half_cannot_carry_the_dimensions() -> None:
    x, y, clips = sides(0, 39, 20)
    with pytest.raises(MetricError, match=r"needs at least 2 d windows, .* 20 dimensions; got 39"):
        half_split_corrected(x, y, clips, clips)


def test_extrapolation_is_refused_with_too_few_windows() -> None:
    x, y, clips = sides(0, 30, 40)
    with pytest.raises(MetricError, match=r"got 30 windows of 40 dimensions.* not linear in 1 / n"):
        frechet_infinity(x, y, clips, clips)


@pytest.mark.parametrize("correct", [*CORRECTIONS, real_floor])
def test_different_clips_are_refused(correct: Callable[..., object]) -> None:
    x, y, clips = sides(0, 30, 2)
    with pytest.raises(MetricError, match=r"both sides must hold the same clips"):
        correct(x, y, clips, clips + 1)


@pytest.mark.parametrize("correct", [*CORRECTIONS, real_floor])
def test_too_few_clips_are_refused(correct: Callable[..., object]) -> None:
    x, y, _ = sides(0, 30, 2)
    clips = np.arange(30) % 3
    with pytest.raises(MetricError, match=r"halving needs at least 4 clips; got 3"):
        correct(x, y, clips, clips)


def test_senseless_counts_are_refused() -> None:
    x, y, clips = sides(0, 30, 2)
    with pytest.raises(MetricError, match=r"`splits` must be at least 1; got 0"):
        half_split_corrected(x, y, clips, clips, splits=0)
    with pytest.raises(MetricError, match=r"`splits` must be at least 1; got 0"):
        real_floor(x, y, clips, clips, splits=0)
    with pytest.raises(MetricError, match=r"`sizes` must be at least 2 and `repeats` at least 1; got 1 and 2"):
        frechet_infinity(x, y, clips, clips, sizes=1)


def test_few_clips_of_many_windows_can_be_extrapolated() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 1
    clips = np.repeat(np.arange(4), 20)
    assert np.isfinite(frechet_infinity(x, y, clips, clips))


@pytest.mark.parametrize("d", [4, 200])
def test_a_perfect_system_reaches_the_floor(d: int) -> None:
    """The generated sound is the reference sound itself: real-vs-real and real-vs-system are the same numbers."""
    x, y, clips = sides(0, 60, d)
    real = real_floor(x, x, clips, clips)
    assert real.score == pytest.approx(real.floor, rel=1e-9)
    assert real.windows_n == 30


def test_a_system_apart_from_reality_lies_above_the_floor() -> None:
    x, y, clips = sides(0, 60, 4)
    real = real_floor(x, y, clips, clips)
    assert real.score > real.floor + 0.2


def test_the_floor_of_an_odd_number_of_clips_leaves_one_out() -> None:
    x, y, clips = sides(0, 31, 3)
    assert real_floor(x, y, clips, clips).windows_n == 15
