"""Inception score and class divergence: worked cases, properties, and other people's code."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from t2av_bench.errors import MetricError
from t2av_bench.metrics import class_divergence, inception_score
from t2av_bench.metrics.classes import inception_contributions
from t2av_bench.metrics.uncertainty import contributions_stderr
from t2av_bench.scratch import RowFile

SIZES = st.tuples(st.integers(2, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))


def draw(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((n, classes)), 3 * rng.standard_normal((n, classes)) - 1


def test_inception_score_of_sure_and_diverse_classes_is_their_number_and_of_alike_rows_is_one():
    sure = 100 * np.eye(5)
    assert inception_score(sure, splits=1).mean == pytest.approx(5)
    assert inception_score(np.ones((20, 5)), splits=4) == pytest.approx((1.0, 0.0, 4, 2020, 20))
    assert inception_score(np.tile(sure[:1], (20, 1)), splits=1).mean == pytest.approx(1)


@settings(deadline=None, max_examples=50)
@given(SIZES)
def test_inception_score_is_bounded_and_does_not_depend_on_order_or_level(sizes: tuple[int, int, int]):
    logits, _ = draw(*sizes)
    base = inception_score(logits, splits=1)
    assert 1 - 1e-12 <= base.mean <= sizes[1] * (1 + 1e-12)
    shuffled = np.random.default_rng(0).permutation(logits)
    assert inception_score(shuffled, splits=1).mean == pytest.approx(base.mean)
    assert inception_score(logits + 17, splits=1, seed=None).mean == pytest.approx(base.mean)


def test_stored_rows_have_the_same_inception_score_and_are_held_part_by_part():
    logits = np.random.default_rng(0).normal(size=(20_000, 50)).astype(np.float32)
    rows = RowFile()
    for clip in np.split(logits, 1000):
        rows.append(clip)
    assert inception_score(rows) == inception_score(logits)
    np.testing.assert_array_equal(inception_contributions(rows), inception_contributions(logits))
    tracemalloc.start()
    try:
        inception_score(rows)
        inception_contributions(rows)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 20_000 * 50 * 8, most  # the rows as float64


def test_inception_score_records_what_it_depends_on():
    logits, _ = draw(53, 8, 0)
    assert inception_score(logits)[2:] == (10, 2020, 53)
    assert inception_score(logits) == inception_score(logits)
    assert inception_score(logits).mean != inception_score(logits, seed=1).mean
    in_order = inception_score(logits, splits=2, seed=None)
    halves = [inception_score(part, splits=1).mean for part in (logits[:26], logits[26:])]
    assert in_order == pytest.approx((np.mean(halves), np.std(halves), 2, None, 53))


def test_divergence_of_a_worked_case_points_from_the_reference_to_the_generated():
    """Fails if the arguments are exchanged."""
    p, q = np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]])
    forward, backward = class_divergence(np.log(p), np.log(q)), class_divergence(np.log(q), np.log(p))
    assert forward.mean == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert backward.mean == pytest.approx(0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5))
    p_logits, q_logits = special.logit(p), special.logit(q)
    terms = p * np.log(p / q)
    assert class_divergence(p_logits, q_logits, form="sigmoid").mean == pytest.approx(terms.sum())
    rest = (1 - p) * np.log((1 - p) / (1 - q))
    assert class_divergence(p_logits, q_logits, form="bernoulli").mean == pytest.approx((terms + rest).sum())


@settings(deadline=None, max_examples=50)
@given(SIZES)
def test_divergence_is_the_definition_and_none_of_equal_logits(sizes: tuple[int, int, int]):
    p, q = draw(*sizes)
    result = class_divergence(p, q)
    expected = stats.entropy(special.softmax(p, axis=1), special.softmax(q, axis=1), axis=1)
    np.testing.assert_allclose(result.per_clip, expected, atol=1e-9)
    assert result.mean == pytest.approx(result.per_clip.mean())
    for form in ("softmax", "bernoulli"):
        assert class_divergence(p, q, form=form).per_clip.min() >= -1e-12
        np.testing.assert_allclose(class_divergence(p, p, form=form).per_clip, 0, atol=1e-12)
    order = np.random.default_rng(0).permutation(len(p))
    np.testing.assert_allclose(class_divergence(p[order], q[order]).per_clip, result.per_clip[order])


def test_extreme_logits_need_no_epsilon():
    p, q = np.array([[800.0, -800.0]]), np.array([[-800.0, 800.0]])
    assert class_divergence(p, q).mean == pytest.approx(1600)
    assert class_divergence(p, q, form="bernoulli").mean == pytest.approx(1600)
    assert class_divergence(p, q, epsilon=1e-6).mean == pytest.approx(-np.log(1e-6))
    assert inception_score(np.vstack([p, q]), splits=1).mean == pytest.approx(2)


def test_the_sigmoid_form_is_no_divergence():
    high, higher = np.array([[0.0]]), np.array([[2.0]])
    assert class_divergence(high, higher, form="sigmoid").mean < 0
    assert class_divergence(high, higher, form="bernoulli").mean > 0


def test_refuses_what_no_score_exists_for():
    good = np.zeros((4, 3))
    with pytest.raises(MetricError, match="from 1 to the number of rows, 4; got 10"):
        inception_score(good)
    with pytest.raises(MetricError, match="must be finite"):
        inception_score(np.full((20, 3), np.nan))
    with pytest.raises(MetricError, match="at least 1 rows; got 0"):
        inception_score(good[:0])
    with pytest.raises(MetricError, match="paired, row by row; got 4 and 3 rows"):
        class_divergence(good, good[:3])
    with pytest.raises(MetricError, match="same dimension; got 3 and 2"):
        class_divergence(good, good[:, :2])
    with pytest.raises(MetricError, match="`generated` must be finite"):
        class_divergence(good, good + np.inf)
    with pytest.raises(MetricError, match="softmax, sigmoid or bernoulli; got 'tanh'"):
        class_divergence(good, good, form="tanh")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="`epsilon` must be at least 0"):
        class_divergence(good, good, form="bernoulli", epsilon=1e-6)


@pytest.mark.parametrize(
    ("name", "seed", "n", "classes"),
    [("logits_500x527", 6, 500, 527), ("logits_503x527", 7, 503, 527), ("logits_37x309", 8, 37, 309)],
)
def test_matches_av_benchmark_and_audioldm_eval(golden: dict, name: str, seed: int, n: int, classes: int):
    rng = np.random.RandomState(golden["seed"] + seed)
    ref = (2.5 * rng.randn(n, classes) - 3).astype("float32")
    gen = (ref + 1.5 * rng.randn(n, classes)).astype("float32")
    for array, recorded in zip((ref, gen), golden[name]["inputs"], strict=True):
        assert list(array.shape) == recorded["shape"]
        np.testing.assert_allclose(array.ravel()[:4], recorded["first4"], rtol=1e-6)

    scores = golden[name]["inception_score"]
    for theirs, ours in (
        ("av_benchmark_compute_isc_pred", inception_score(gen)),
        ("audioldm_eval_calculate_isc_pred", inception_score(gen)),
        ("av_benchmark_compute_isc_gt", inception_score(ref)),
        ("av_benchmark_pred_unshuffled", inception_score(gen, seed=None)),
        ("av_benchmark_pred_one_split", inception_score(gen, splits=1)),
    ):
        assert ours.mean == pytest.approx(scores[theirs]["inception_score_mean"], rel=1e-9), theirs
        assert ours.std == pytest.approx(scores[theirs]["inception_score_std"], rel=1e-7, abs=1e-9), theirs

    divergences = golden[name]["kl"]
    for form, rel in (("softmax", 1e-6), ("sigmoid", 1e-5)):
        theirs = divergences["av_benchmark_compute_kl"][f"kl_{form}"]
        assert class_divergence(ref, gen, form=form).mean == pytest.approx(theirs, rel=rel)
        theirs = divergences["av_benchmark_compute_kl_reversed_arguments"][f"kl_{form}"]
        assert class_divergence(gen, ref, form=form).mean == pytest.approx(theirs, rel=rel)
        theirs = divergences["audioldm_eval_calculate_kl_pred_first"][f"kullback_leibler_divergence_{form}"]
        assert class_divergence(ref, gen, form=form, epsilon=1e-6).mean == pytest.approx(theirs, rel=rel)


@pytest.mark.parametrize(("splits", "shuffle"), [(10, True), (3, True), (7, False), (1, True)])
def test_inception_score_matches_torch_fidelity(splits: int, shuffle: bool):
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * np.random.default_rng(4).standard_normal((203, 17))
    theirs = isc_features_to_metric(torch.as_tensor(logits), splits=splits, shuffle=shuffle, rng_seed=2020)
    ours = inception_score(logits, splits=splits, seed=2020 if shuffle else None)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-12)
    assert ours.std == pytest.approx(theirs["inception_score_std"], rel=1e-9, abs=1e-12)


def test_the_softmax_divergence_matches_torchmetrics():
    import torch
    from torchmetrics.functional import kl_divergence

    rng = np.random.default_rng(5)
    p, q = 3 * rng.standard_normal((40, 17)), 3 * rng.standard_normal((40, 17))
    logs = [torch.log_softmax(torch.as_tensor(logits), dim=1) for logits in (p, q)]
    theirs = kl_divergence(*logs, log_prob=True, reduction="mean")
    assert class_divergence(p, q).mean == pytest.approx(theirs.item(), rel=1e-9)


@pytest.mark.parametrize(("rows_n", "classes_n", "splits"), [(100, 20, 1), (100, 20, 10), (400, 100, 10)])
def test_the_error_of_the_inception_score_is_its_spread(rows_n: int, classes_n: int, splits: int) -> None:
    """200 runs; contributions are what the score loses without a row."""
    values, errors = [], []
    for seed in range(200):
        logits = 3 * np.random.default_rng(seed).normal(size=(rows_n, classes_n)) * np.linspace(0.2, 1, classes_n)
        values.append(inception_score(logits, splits=splits).mean)
        found = inception_contributions(logits, splits=splits)
        errors.append(contributions_stderr(found))
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.15)
    assert found.sum() == pytest.approx(0, abs=1e-12)


def test_a_contribution_is_what_the_inception_score_loses_without_the_row() -> None:
    logits = 3 * np.random.default_rng(0).normal(size=(60, 8))
    found = inception_contributions(logits, splits=1, seed=None)
    whole = inception_score(logits, splits=1, seed=None).mean
    lost = [whole - inception_score(np.delete(logits, row, axis=0), splits=1, seed=None).mean for row in range(60)]
    np.testing.assert_allclose(found, (np.array(lost) - np.mean(lost)) * 59 / 60, atol=1e-12)
    with pytest.raises(MetricError, match="at least 2 rows in each of 10 parts; got 19"):
        inception_contributions(logits[:19])
