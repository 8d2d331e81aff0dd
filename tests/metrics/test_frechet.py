"""The Fréchet arithmetic: closed forms, properties, both routes, and other people's code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from t2av_bench.errors import MetricError
from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.frechet import _nuclear_norm, _root_trace_full

SIZES = st.tuples(st.integers(2, 40), st.integers(2, 40), st.integers(1, 24), st.integers(0, 2**32 - 1))


def draw(n: int, m: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((d, d))
    return rng.standard_normal((n, d)) @ mix, rng.standard_normal((m, d)) @ mix.T + 0.5


def scale_of(x: np.ndarray, y: np.ndarray) -> float:
    return float(x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum()) + 1e-12


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(s1 @ s2).real
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * root))


def with_moments(mean: np.ndarray, covariance: np.ndarray, n: int = 1000) -> JointStats:
    """Make rows whose sample mean and covariance are exactly the given ones."""
    d = len(mean)
    rows = np.random.default_rng(0).standard_normal((n, d))
    rows -= rows.mean(0)
    whiten = linalg.solve_triangular(np.linalg.cholesky(np.cov(rows, rowvar=False)), rows.T, lower=True).T
    stats = JointStats({"features": d})
    stats.update(features=whiten @ np.linalg.cholesky(covariance).T + mean)
    return stats


def test_matches_the_closed_form_for_known_gaussians():
    # Commuting covariances: d² = |shift|² + Σ(√a - √b)².
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    x, y = with_moments(np.zeros(3), np.diag(a)), with_moments(np.array([3.0, 0.0, 4.0]), np.diag(b))
    assert frechet_distance(x, y) == pytest.approx(25 + 1 + 0 + 4, rel=1e-10)


def test_matches_the_closed_form_in_two_dimensions_for_any_covariances():
    # In 2-d, tr √(AB) = √(tr AB + 2 √det(AB)), whether or not A and B commute.
    a, b = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    x, y = with_moments(np.zeros(2), a), with_moments(np.ones(2), b)
    assert frechet_distance(x, y) == pytest.approx(2 + np.trace(a + b) - 2 * root, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(500, 400, 16), (3000, 2000, 128), (400, 4000, 64)])
def test_matches_scipy_sqrtm_on_well_conditioned_data(n: int, m: int, d: int):
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, d)), 1.3 * rng.standard_normal((m, d)) + 0.1
    assert frechet_distance(x, y) == pytest.approx(textbook(x, y), rel=1e-9)


def test_matches_torch_fidelity():
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2000, 96)), rng.standard_normal((1500, 96)) * np.linspace(0.5, 2, 96) + 0.2
    theirs = fid_statistics_to_metric(
        {"mu": x.mean(0), "sigma": np.cov(x, rowvar=False)}, {"mu": y.mean(0), "sigma": np.cov(y, rowvar=False)}, False
    )
    (value,) = theirs.values()
    assert frechet_distance(x, y) == pytest.approx(value, rel=1e-6)


def test_matches_torchmetrics():
    import torch
    from torchmetrics.image.fid import _compute_fid

    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2000, 96)), rng.standard_normal((1500, 96)) * np.linspace(0.5, 2, 96) + 0.2
    moments = [part for side in (x, y) for part in (side.mean(0), np.cov(side, rowvar=False))]
    theirs = _compute_fid(*map(torch.as_tensor, moments)).item()
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_a_set_against_itself_in_any_order_is_zero(sizes: tuple[int, int, int, int]):
    n, m, d, seed = sizes
    x, _ = draw(n, m, d, seed)
    order = np.random.default_rng(seed).permutation(n)
    assert frechet_distance(x, x) <= 1e-10 * scale_of(x, x)
    assert frechet_distance(x, x[order]) <= 1e-10 * scale_of(x, x)


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_is_symmetric_and_never_negative(sizes: tuple[int, int, int, int]):
    x, y = draw(*sizes)
    forward, backward = frechet_distance(x, y), frechet_distance(y, x)
    assert forward >= 0
    assert abs(forward - backward) <= 1e-9 * (scale_of(x, y) + forward)


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_does_not_change_under_rotation_and_grows_with_the_square_of_the_scale(sizes: tuple[int, int, int, int]):
    x, y = draw(*sizes)
    base = frechet_distance(x, y)
    rotation, _ = np.linalg.qr(np.random.default_rng(sizes[3]).standard_normal((sizes[2], sizes[2])))
    slack = 1e-8 * (scale_of(x, y) + base)
    assert abs(frechet_distance(x @ rotation, y @ rotation) - base) <= slack
    assert abs(frechet_distance(3 * x, 3 * y) - 9 * base) <= 9 * slack


@settings(deadline=None, max_examples=40)
@given(SIZES)
def test_all_routes_agree(sizes: tuple[int, int, int, int]):
    x, y = draw(*sizes)
    gram = _nuclear_norm(x, y)
    covariances = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    assert abs(gram - _root_trace_full(*covariances)) <= 1e-7 * scale_of(x, y)


@pytest.mark.parametrize(("n", "m"), [(10, 10), (10, 200), (200, 10), (200, 200), (50, 50), (51, 50)])
def test_every_choice_of_route_gives_the_same_value(n: int, m: int):
    """D = 50: below, at and above the switch, on either side."""
    x, y = draw(n, m, 50, seed=7)
    by_gram = np.sum((x.mean(0) - y.mean(0)) ** 2) + scale_of(x, y) - 2 * _nuclear_norm(x, y)
    assert frechet_distance(x, y) == pytest.approx(by_gram, rel=1e-9)


def test_two_rows_are_enough():
    x, y = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 1.0], [4.0, 1.0]])
    # Variances 2 and 8 along one axis, means (1, 0) and (2, 1).
    assert frechet_distance(x, y) == pytest.approx(2 + 2 + 8 - 2 * np.sqrt(2 * 8))


def test_scores_a_constant_set_by_its_mean_and_the_other_sets_variance():
    x, y = np.zeros((5, 3)), np.eye(3)
    assert frechet_distance(x, y) == pytest.approx(3 * (1 / 3) ** 2 + 1.0)
    many = np.tile(y, (4, 1))
    expected = 3 * (1 / 3) ** 2 + many.var(axis=0, ddof=1).sum()
    assert frechet_distance(x, many) == pytest.approx(expected)
    assert frechet_distance(many, x) == pytest.approx(expected)
    assert frechet_distance(x, x) == 0.0


def test_refuses_what_no_distance_exists_for():
    good = np.ones((4, 3))
    with pytest.raises(MetricError, match="same feature dimension; got 3 and 2"):
        frechet_distance(good, np.ones((4, 2)))
    with pytest.raises(MetricError, match="`generated` must hold at least 2 rows; got 1"):
        frechet_distance(good, good[:1])
    with pytest.raises(MetricError, match="must be finite; got 1 values"):
        frechet_distance(good, np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]]))
    with pytest.raises(MetricError, match=r"shape \(n, d\)"):
        frechet_distance(good[0], good)


def check_input(array: np.ndarray, recorded: dict) -> None:
    assert list(array.shape) == recorded["shape"]
    np.testing.assert_allclose(array.ravel()[:4], recorded["first4"], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "seed", "n", "video_d", "audio_d", "rel"),
    # n < d leaves the original with errors of its own (its README: about 1e-6 relative to the traces).
    [("favd_600x80", 1, 600, 64, 16, 1e-9), ("favd_300x1152", 0, 300, 1024, 128, 2e-6)],
)
def test_matches_the_favd_of_peavs(golden: dict, name: str, seed: int, n: int, video_d: int, audio_d: int, rel: float):
    draw = np.random.RandomState(golden["seed"] + seed)
    ref_video, ref_audio = draw.randn(n, video_d), draw.randn(n, audio_d)
    gen_video, gen_audio = 0.9 * draw.randn(n, video_d) + 0.1, 1.2 * draw.randn(n, audio_d) - 0.05
    check_input(np.hstack([ref_video, ref_audio]), golden[name]["inputs"][0])
    check_input(np.hstack([gen_video, gen_audio]), golden[name]["inputs"][1])
    reference, generated = (
        JointStats({"audio": audio_d, "video": video_d}),
        JointStats({"audio": audio_d, "video": video_d}),
    )
    reference.update(audio=ref_audio, video=ref_video)
    generated.update(audio=gen_audio, video=gen_video)

    assert frechet_distance(reference, generated) == pytest.approx(golden[name]["favd_ref_gen"], rel=rel)
    if "audio_block_only" in golden[name]:
        fad = frechet_distance(reference.select("audio"), generated.select("audio"))
        assert fad == pytest.approx(golden[name]["audio_block_only"], rel=rel)


def test_matches_the_favd_of_peavs_pooled_over_the_windows_of_clips(golden: dict):
    entry, draw = golden["favd_clips"], np.random.RandomState(golden["seed"] + 2)
    sides = []
    for kind, (scale, shift) in (("ref", (1.0, 0.0)), ("eval", (1.1, 0.2))):
        stats = JointStats({"video": 32, "audio": 16})
        for i in range(40):
            video = (scale * draw.randn(9 + i % 2, 32) + shift).astype("float32")
            audio = (scale * draw.randn(10 - i % 3, 16) - shift).astype("float32")
            if (kind, i) != ("eval", 7):
                n = min(len(video), len(audio))
                stats.update(video=video[:n], audio=audio[:n])
        sides.append(stats)
    assert [side.n for side in sides] == [entry["windows"]["ref"], entry["windows"]["eval"]]
    # Their means and covariances stay in float32 for part of the way.
    assert frechet_distance(*sides) == pytest.approx(entry["favd"], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "seed", "n", "m", "d", "rel"),
    [
        ("frechet_400_350x128", 3, 400, 350, 128, 1e-6),
        ("frechet_60_50x128", 4, 60, 50, 128, 1e-6),
        ("frechet_700_600x256", 5, 700, 600, 256, 1e-6),
    ],
)
def test_matches_the_frechet_distances_of_other_toolkits(
    golden: dict, name: str, seed: int, n: int, m: int, d: int, rel: float
):
    def mix(x: np.ndarray) -> np.ndarray:
        return x + 0.5 * np.roll(x, 1, 1) - 0.3 * np.roll(x, 7, 1)

    draw = np.random.RandomState(golden["seed"] + seed)
    ref = mix(draw.randn(n, d)).astype("float32")
    gen = (1.1 * mix(draw.randn(m, d)) + 0.05 * draw.randn(d)).astype("float32")
    check_input(ref, golden[name]["inputs"][0])
    check_input(gen, golden[name]["inputs"][1])
    others = {tool: value for tool, value in golden[name]["frechet"].items() if "kadtk" not in tool}
    assert len(others) >= 4
    for tool, value in others.items():
        assert frechet_distance(ref, gen) == pytest.approx(value, rel=rel), tool
