"""Corrected scores and their errors against a known distance: normal and mixed features, one or four windows a clip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.bias import quarter_split_corrected
from t2av_bench.metrics.grouped_bias import grouped_correction
from t2av_bench.metrics.groups import GroupedSides, assign_groups
from t2av_bench.metrics.halves import frechet_errors
from t2av_bench.metrics.intervals import corrected_interval

Array = npt.NDArray[np.float64]
TRUTH = 0.5**2 + 0.4**2  # of unit covariances: a shift of one axis and a stretch of another


def unit_rows(rng: np.random.Generator, n: int, d: int, mixed: bool) -> Array:
    """Rows with mean 0 and unit covariance: normal, or of three classes apart and of unlike spread."""
    if not mixed:
        return rng.normal(size=(n, d))
    shares, spreads, centres = np.array([0.5, 0.3, 0.2]), np.array([0.8, 1.0, 1.2]), np.zeros((3, d))
    centres[:, :3] = 2.5 * np.random.default_rng(7).normal(size=(3, 3))
    mean = shares @ centres
    covariance = (centres - mean).T @ ((centres - mean) * shares[:, None]) + np.eye(d) * (shares @ spreads**2)
    labels = rng.choice(3, size=n, p=shares)
    rows = centres[labels] + spreads[labels, None] * rng.normal(size=(n, d)) - mean
    return np.linalg.solve(np.linalg.cholesky(covariance), rows.T).T


def sides(seed: int, clips_n: int, windows_n: int, d: int, mixed: bool) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(clips_n), windows_n)

    def draw() -> Array:
        own = unit_rows(rng, clips_n, d, mixed)
        return own if windows_n == 1 else (own[clips] + unit_rows(rng, len(clips), d, mixed)) / np.sqrt(2)

    x = draw()
    y = 0.6 * x + 0.8 * draw()
    y[:, 0] += 0.5
    y[:, 1] *= 1.4
    return x, y, clips


def stats(rows: Array) -> JointStats:
    side = JointStats({"audio": rows.shape[1]})
    side.update(audio=rows)
    return side


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mixed", "clips_n", "windows_n", "d"),
    [
        (False, 128, 1, 16),
        (True, 128, 1, 16),
        (False, 64, 4, 16),
        (True, 64, 4, 16),
        (False, 64, 1, 16),
        (True, 64, 1, 16),
        (False, 256, 1, 64),
    ],
)
def test_intervals_cover_the_truth_and_errors_are_the_spread(mixed: bool, clips_n: int, windows_n: int, d: int) -> None:
    scores, errors, covered = [], [], []
    for seed in range(400):
        x, y, clips = sides(seed, clips_n, windows_n, d, mixed)
        groups = assign_groups(clips_n, 8, seed)[clips]
        both = GroupedSides(*([stats(rows[groups == group]) for group in range(8)] for rows in (x, y)))
        plain, found = frechet_distance(x, y), frechet_errors(x, y, clips, clips, seed=seed)
        scores.append(grouped_correction(both, plain).value)
        errors.append(found.corrected)
        low, high = corrected_interval(plain, scores[-1], found)
        covered.append(low < TRUTH < high)
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(errors) == pytest.approx(np.std(scores, ddof=1), rel=0.15)
    assert np.mean(scores) == pytest.approx(TRUTH, abs=4 * np.std(scores) / np.sqrt(400))


def test_quarters_are_refused_where_they_cannot_carry_the_dimensions() -> None:
    x, y, clips = sides(0, 40, 1, 12, False)
    with pytest.raises(
        MetricError, match=r"quarter-split correction needs at least 4 d windows.*12 dimensions; got 40"
    ):
        quarter_split_corrected(x, y, clips, clips)
    with pytest.raises(MetricError, match="quartering needs at least 8 clips; got 7"):
        quarter_split_corrected(x[:, :2], y[:, :2], clips % 7, clips % 7)
