"""Quadratic forms against the influence from full arrays, and against numerical derivatives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import METRICS, Balance, JointStats, alignment_index, frechet_distance
from t2av_bench.metrics.derivative import frechet_derivative, index_derivative, score_derivative
from t2av_bench.metrics.joint import score_stats
from t2av_bench.metrics.uncertainty import frechet_influence

Array = npt.NDArray[np.float64]


def moments(rows: Array, weights: Array | None = None, **dims: int) -> JointStats:
    """Statistics of weighted rows that hold moments only, whatever the number of rows."""
    stats = JointStats(dims or {"features": rows.shape[1]})
    weights = np.full(len(rows), 1 / len(rows)) if weights is None else weights
    mean = weights @ rows
    centred = (rows - mean) * np.sqrt(weights * len(rows))[:, None]
    stats.n, stats._moments = len(rows), (len(rows), mean, centred.T @ centred)
    return stats


def two_sets(n: int, m: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    mix = rng.normal(np.eye(d), 0.2)
    return rng.normal(size=(n, d)) * np.linspace(0.5, 2, d), 0.3 + rng.normal(size=(m, d)) @ mix


def assert_equal_to_influence(x: Array, y: Array, rtol: float = 1e-6) -> None:
    derivative, influence = frechet_derivative(moments(x), moments(y)), frechet_influence(x, y)
    largest = max(np.abs(side).max() for side in influence)
    for form, rows, expected in zip(derivative, (x, y), influence, strict=True):
        np.testing.assert_allclose(form(rows), expected, rtol=rtol, atol=rtol * largest)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 60, 5), (60, 31, 5), (30, 7, 1), (400, 300, 40)])
def test_equals_the_influence_from_full_arrays(n: int, m: int, d: int):
    assert_equal_to_influence(*two_sets(n, m, d), rtol=1e-9)


@pytest.mark.parametrize(("n", "m"), [(80, 80), (80, 50), (9, 80), (80, 9), (9, 8)])
def test_equals_it_for_singular_covariances(n: int, m: int):
    """Fewer rows than dimensions on either side or on both."""
    assert_equal_to_influence(*two_sets(n, m, 12))


@pytest.mark.parametrize("sides", ["both", "reference", "generated"])
def test_equals_it_where_a_direction_is_empty(sides: str):
    """A direction across the axes without variance, as normalised features have, and a constant feature."""
    x, y = two_sets(200, 150, 8)
    for rows, name in ((x, "reference"), (y, "generated")):
        if sides in (name, "both"):
            rows -= rows.mean(axis=1, keepdims=True)
            rows[:, 3] = rows[:, 3].mean()
    assert_equal_to_influence(x, y)


@pytest.mark.parametrize("spread", [1e-3, 1e-5, 1e-6])
def test_equals_it_for_widely_spread_variances(spread: float):
    x, y = two_sets(300, 200, 10)
    scales = np.geomspace(1, spread, 10)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(10, 10)))[0]
    assert_equal_to_influence(x * scales @ turn, y * scales @ turn)
    assert_equal_to_influence(x * scales @ turn, y * scales[::-1] @ turn)


@pytest.mark.parametrize("constant", [0, 1])
def test_a_side_that_does_not_vary(constant: int):
    sides = list(two_sets(40, 40, 3))
    sides[constant] = np.ones((40, 3))
    assert_equal_to_influence(*sides)
    assert np.isfinite(frechet_distance(*sides))


def test_equal_sets_have_no_derivative():
    x, _ = two_sets(300, 300, 20)
    for rows in (x, x - x.mean(axis=1, keepdims=True)):
        for form in frechet_derivative(moments(rows), moments(rows)):
            np.testing.assert_allclose(form(rows), 0, atol=1e-9)


def test_works_from_statistics_that_hold_rows():
    x, y = two_sets(6, 90, 8)
    few, many = JointStats({"audio": 8}), JointStats({"audio": 8})
    few.update(audio=x)
    many.update(audio=y)
    np.testing.assert_allclose(frechet_derivative(few, many).reference(x), frechet_influence(x, y).reference, rtol=1e-6)


def joint_rows(n: int, seed: int = 0, *, empty: bool = False) -> tuple[Array, Array]:
    """Rows of 4 audio and 5 condition features on each side, audio tied to the condition; the condition is shared."""
    rng = np.random.default_rng(seed)
    video = rng.normal(size=(n, 5))
    if empty:
        video -= video.mean(axis=1, keepdims=True)
    audio = video[:, :4] + 0.4 * rng.normal(size=(n, 4))
    generated = 0.6 * audio + 0.5 * rng.normal(size=(n, 4)) + 0.2
    return np.concatenate([audio, video], axis=1), np.concatenate([generated, video], axis=1)


@pytest.mark.parametrize(("n", "empty"), [(60, False), (60, True), (7, False)])
def test_the_index_against_a_numerical_derivative(n: int, empty: bool):
    rows = joint_rows(n, empty=empty)

    def index(side: int, row: int, step: float) -> float:
        weights = [np.full(n, 1 / n), np.full(n, 1 / n)]
        weights[side] *= 1 - step
        weights[side][row] += step
        return alignment_index(*(moments(r, w, audio=4, video=5) for r, w in zip(rows, weights, strict=True)))

    derivative = index_derivative(*(moments(r, audio=4, video=5) for r in rows))
    for side, form in enumerate(derivative):
        expected = [(index(side, row, 1e-4) - index(side, row, -1e-4)) / 2e-4 for row in range(7)]
        np.testing.assert_allclose(form(rows[side])[:7], expected, rtol=1e-4, atol=1e-5)


def test_every_form_has_mean_zero_over_its_samples():
    reference, generated = (moments(r, audio=4, video=5) for r in joint_rows(80))
    for derive in (frechet_derivative, index_derivative):
        for form, rows in zip(derive(reference, generated), joint_rows(80), strict=True):
            assert form(rows).mean() == pytest.approx(0, abs=1e-12 * np.abs(form(rows)).max())


@pytest.mark.parametrize("name", ["FAVD", "FAVD-b", "AV-index"])
def test_contributions_are_what_leaving_a_clip_out_changes(name: str):
    """The jackknife over clips with the balance held fixed; 150 clips of 4 windows."""
    spec, rows = METRICS[name], joint_rows(600)
    full = [moments(r, audio=4, video=5) for r in rows]
    balance = Balance.fit(full[0])

    def score(kept: npt.NDArray[np.bool_]) -> float:
        sides = [score_stats(spec, moments(r[kept], audio=4, video=5), balance) for r in rows]
        return alignment_index(*sides) if spec.kind == "index" else frechet_distance(*sides)

    clips = np.repeat(np.arange(150), 4)
    derivative = score_derivative(spec, *(score_stats(spec, stats, balance) for stats in full))
    maps = balance.maps if spec.kind != "raw" else {"audio": np.eye(4), "video": np.eye(5)}
    mapped = [np.concatenate([r[:, :4] @ maps["audio"], r[:, 4:] @ maps["video"]], axis=1) for r in rows]
    values = sum(np.bincount(clips, form(m)) / 600 for form, m in zip(derivative, mapped, strict=True))
    whole = score(np.ones(600, dtype=bool))
    left_out = np.array([whole - score(clips != clip) for clip in range(150)])
    assert np.corrcoef(values, left_out)[0, 1] > 0.999
    assert values.std() == pytest.approx(left_out.std(), rel=0.03)


def test_bad_input_is_refused():
    x, y = two_sets(10, 10, 3)
    with pytest.raises(MetricError, match="same feature dimension"):
        frechet_derivative(moments(x), moments(y[:, :2]))
    independent = moments(joint_rows(50)[0], audio=4, video=5).without_cross("audio")
    with pytest.raises(MetricError, match="does not covary with the condition"):
        index_derivative(independent, independent)
