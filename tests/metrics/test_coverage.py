"""Precision, recall, density and coverage: worked cases, conventions, and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from t2av_bench.errors import MetricError
from t2av_bench.metrics import coverage, support_scores

SIZES = st.tuples(st.integers(6, 40), st.integers(6, 40), st.integers(1, 10), st.integers(0, 2**32 - 1))


def draw(n: int, m: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 1.4 * rng.standard_normal((m, d)) + 0.3


def textbook(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float, float, float]:
    x_radii, y_radii = (np.sort(distance.cdist(rows, rows), axis=1)[:, k] for rows in (x, y))
    between = distance.cdist(x, y)
    in_x, in_y = between <= x_radii[:, None], between <= y_radii[None, :]
    return in_x.any(0).mean(), in_y.any(1).mean(), in_x.sum(0).mean() / k, in_x.any(1).mean()


@settings(deadline=None, max_examples=60)
@given(SIZES, st.integers(1, 5))
def test_matches_the_definition(sizes: tuple[int, int, int, int], k: int):
    x, y = draw(*sizes)
    assert support_scores(x, y, k=k) == pytest.approx((*textbook(x, y, k), k))


def test_blocks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch):
    x, y = draw(50, 70, 3, seed=0)
    whole = support_scores(x, y)
    monkeypatch.setattr(coverage, "_BLOCK_VALUES", 101)
    assert support_scores(x, y) == whole


def test_a_worked_case():
    # Balls of the reference have the radius 1; of the generated, those at 0.1 and 0.2 have 0.1, and that at 9 has 8.8.
    scores = support_scores([[0.0], [1.0], [2.0]], [[0.1], [0.2], [9.0]], k=1)
    assert scores == pytest.approx((2 / 3, 3 / 3, 4 / 3, 2 / 3, 1))


def test_matches_torch_fidelity():
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    x, y = draw(300, 250, 6, seed=3)
    # It calls its first argument the generated set.
    theirs = prc_features_to_metric(
        torch.as_tensor(y),
        torch.as_tensor(x),
        prc_neighborhood=3,
        prc_batch_size=100,
        save_cpu_ram=False,
        verbose=False,
    )
    ours = support_scores(x, y, k=3)
    assert (ours.precision, ours.recall) == pytest.approx((theirs["precision"], theirs["recall"]))


def test_mode_collapse_is_precise_but_covers_nothing():
    """Fails if the arguments are exchanged."""
    rng = np.random.default_rng(0)
    modes = 20 * np.eye(8)
    reality = modes[rng.integers(8, size=400)] + rng.normal(size=(400, 8))
    collapsed = modes[np.zeros(400, dtype=int)] + rng.normal(size=(400, 8))
    scores = support_scores(reality, collapsed)
    assert scores.precision > 0.9
    assert scores.recall < 0.2
    assert scores.coverage < 0.2
    assert scores.density > 0.8


def test_noise_beside_reality_costs_precision_and_no_recall():
    rng = np.random.default_rng(0)
    reality = rng.normal(size=(400, 4))
    noisy = np.concatenate([rng.normal(size=(200, 4)), 40 + 3 * rng.normal(size=(200, 4))])
    scores = support_scores(reality, noisy)
    assert scores.precision == pytest.approx(0.5, abs=0.05)
    assert scores.recall > 0.9


def test_equal_distributions_have_the_known_coverage_and_density():
    rng = np.random.default_rng(0)
    runs = [support_scores(rng.normal(size=(300, 5)), rng.normal(size=(300, 5)), k=3) for _ in range(20)]
    assert np.mean([run.coverage for run in runs]) == pytest.approx(1 - 2**-3, abs=0.01)
    assert np.mean([run.density for run in runs]) == pytest.approx(1, abs=0.03)


@settings(deadline=None, max_examples=50)
@given(SIZES)
def test_a_set_against_itself_is_perfect_and_exchanging_sides_exchanges_precision_and_recall(
    sizes: tuple[int, int, int, int],
):
    x, y = draw(*sizes)
    assert support_scores(x, x, k=3)[:2] == (1.0, 1.0)
    assert support_scores(x, x, k=3).coverage == 1.0
    forward, backward = support_scores(x, y), support_scores(y, x)
    assert (forward.precision, forward.recall) == (backward.recall, backward.precision)


@settings(deadline=None, max_examples=50)
@given(SIZES)
def test_order_rotation_shift_and_scale_change_nothing(sizes: tuple[int, int, int, int]):
    x, y = draw(*sizes)
    rng = np.random.default_rng(sizes[3])
    base = support_scores(x, y)
    assert support_scores(rng.permutation(x), rng.permutation(y)) == pytest.approx(base)
    rotation, _ = np.linalg.qr(rng.standard_normal((sizes[2], sizes[2])))
    assert support_scores(5 * x @ rotation + 100, 5 * y @ rotation + 100) == pytest.approx(base)


def test_rows_that_repeat_have_balls_of_no_size_that_still_hold_them():
    same = np.tile(np.random.default_rng(0).normal(size=(1, 6)) + 1e3, (8, 1))
    assert support_scores(same, same) == (1.0, 1.0, 8 / 5, 1.0, 5)
    assert support_scores(same, same + 1)[:4] == (0.0, 0.0, 0.0, 0.0)


def test_refuses_what_no_score_exists_for():
    good = np.arange(12.0).reshape(6, 2)
    with pytest.raises(MetricError, match="`generated` must hold at least 6 rows; got 5"):
        support_scores(good, good[:5])
    with pytest.raises(MetricError, match="`k` must be at least 1; got 0"):
        support_scores(good, good, k=0)
    with pytest.raises(MetricError, match="same dimension; got 2 and 1"):
        support_scores(good, good[:, :1])
    with pytest.raises(MetricError, match="`reference` must be finite"):
        support_scores(np.where(good == 3, np.nan, good), good)
