"""The kernel distance: against its definition, properties, its standard error, and other people's code."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from t2av_bench.errors import MetricError
from t2av_bench.metrics import (
    Balance,
    JointStats,
    joint_kernel_distance,
    kernel_bandwidth,
    kernel_distance,
    kernel_means,
    median_distance,
)
from t2av_bench.metrics.groups import halves_of
from t2av_bench.metrics.uncertainty import clip_contributions, clustered_stderr, contributions_stderr, second_order

SIZES = st.tuples(st.integers(3, 30), st.integers(2, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))


def draw(n: int, m: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 1.4 * rng.standard_normal((m, d)) + 0.3


def textbook(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    def values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-distance.cdist(a, b, "sqeuclidean") / (2 * bandwidth**2))

    n, m = len(x), len(y)
    within = [(values(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)) for a in (x, y)]
    return float(sum(within) - 2 * values(x, y).sum() / (n * m))


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_matches_the_definition(sizes: tuple[int, int, int, int]):
    x, y = draw(*sizes)
    result = kernel_distance(x, y)
    distances = np.sort(distance.pdist(x))
    assert result.bandwidth == pytest.approx(distances[(len(distances) - 1) // 2], rel=1e-9)
    assert result.value == pytest.approx(textbook(x, y, result.bandwidth), abs=1e-9)


def test_blocks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch):
    x, y = draw(157, 93, 7, seed=0)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(kernel_means, "_BLOCK", 16)
    pieces = kernel_distance(x, y)
    assert pieces.value == pytest.approx(whole.value, abs=1e-12)
    for one, other in zip(whole.influence, pieces.influence, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_rows_any_number_of_bandwidths_apart_have_a_distance():
    rng = np.random.default_rng(0)
    silence, sound = 1e-9 * rng.standard_normal((50, 8)), 1e3 * rng.standard_normal((40, 8))
    assert kernel_distance(silence, sound).value == pytest.approx(
        textbook(silence, sound, median_distance(silence)), abs=1e-9
    )
    half = np.concatenate([1e-9 * rng.standard_normal((50, 8)), 1e3 + sound])
    apart = kernel_distance(silence, half)
    assert np.isfinite(apart.value)
    assert 0 < apart.value < 2
    assert kernel_distance(1e100 * sound, 1e100 * sound).value < 0


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
def test_rows_far_from_the_origin_or_from_each_other_lose_no_digits(shift: float):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 64)) + shift
    y = np.concatenate([rng.standard_normal((200, 64)), 100 + rng.standard_normal((200, 64))]) + shift
    result = kernel_distance(x, y)
    assert result.value == pytest.approx(textbook(x - shift, y - shift, result.bandwidth), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(SIZES)
def test_a_set_against_itself_is_below_zero_by_its_known_amount(sizes: tuple[int, int, int, int]):
    x, _ = draw(*sizes)
    result = kernel_distance(x, x)
    within = np.exp(-distance.pdist(x, "sqeuclidean") / (2 * result.bandwidth**2)).mean()
    assert result.value == pytest.approx(2 * (within - 1) / len(x), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(SIZES)
def test_order_shift_and_scale_change_nothing_and_the_sides_differ_in_the_bandwidth_only(
    sizes: tuple[int, int, int, int],
):
    x, y = draw(*sizes)
    rng = np.random.default_rng(sizes[3])
    base = kernel_distance(x, y)
    assert kernel_distance(rng.permutation(x), rng.permutation(y)).value == pytest.approx(base.value, abs=1e-9)
    assert kernel_distance(7 * x - 3, 7 * y - 3).value == pytest.approx(base.value, abs=1e-9)
    assert kernel_distance(y, x, bandwidth=base.bandwidth).value == pytest.approx(base.value, abs=1e-9)


def test_takes_its_bandwidth_from_the_reference():
    """Fails if the arguments are exchanged."""
    narrow, wide = np.array([[0.0], [1.0], [2.5]]), np.array([[0.0], [10.0], [30.0]])
    assert kernel_distance(narrow, wide).bandwidth == 1.5
    assert kernel_distance(wide, narrow).bandwidth == 20.0
    x, _ = draw(100, 2, 8, seed=0)
    y = 5 * x[::-1]
    assert kernel_distance(x, y).value > 2 * kernel_distance(y, x).value


def test_is_unbiased_for_equal_distributions_and_sees_a_difference():
    rng = np.random.default_rng(1)
    null = [kernel_distance(rng.normal(size=(40, 3)), rng.normal(size=(30, 3)), bandwidth=2).value for _ in range(300)]
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(300)
    far = [kernel_distance(rng.normal(size=(40, 3)), 1 + rng.normal(size=(30, 3)), bandwidth=2).value for _ in range(9)]
    assert min(far) > max(null)


def test_its_standard_error_is_the_spread_over_clips():
    """Windows of one clip resemble each other, and both sides hold the same clips."""
    rng = np.random.default_rng(2)
    clips = np.repeat(np.arange(60), 3)
    values, errors = [], []
    for _ in range(300):
        clip = rng.normal(size=(60, 4))[clips]
        x, y = clip + 0.5 * rng.normal(size=clip.shape), 1.5 * clip + 0.5 * rng.normal(size=clip.shape) + 0.7
        result = kernel_distance(x, y, bandwidth=2.5)
        values.append(result.value)
        errors.append(clustered_stderr(result.influence, clips, clips))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_contributions_approximate_leaving_a_clip_out():
    x, y = draw(200, 200, 3, seed=0)
    clips = np.repeat(np.arange(50), 4)
    full = kernel_distance(x, y)
    contributions = clip_contributions(full.influence, clips, clips)
    for clip, value in list(zip(contributions.clips, contributions.values, strict=True))[:10]:
        kept = clips != int(clip)
        left_out = kernel_distance(x[kept], y[kept], bandwidth=full.bandwidth).value
        assert value == pytest.approx(full.value - left_out, rel=0.1, abs=2e-4)


def test_influence_is_that_of_each_side():
    x, y = draw(60, 90, 3, seed=5)
    full = kernel_distance(x, y)
    assert [len(side) for side in full.influence] == [60, 90]
    for row in range(8):
        without_x = kernel_distance(np.delete(x, row, axis=0), y, bandwidth=full.bandwidth).value
        without_y = kernel_distance(x, np.delete(y, row, axis=0), bandwidth=full.bandwidth).value
        assert full.influence.reference[row] / 59 == pytest.approx(full.value - without_x, rel=0.05, abs=1e-4)
        assert full.influence.generated[row] / 89 == pytest.approx(full.value - without_y, rel=0.05, abs=1e-4)


def test_equal_rows_have_a_median_distance_of_exactly_zero():
    rng = np.random.default_rng(0)
    for _ in range(20):
        silent = np.vstack([np.tile(rng.normal(size=(1, 64)), (30, 1)), 10 + rng.normal(size=(3, 64))])
        assert median_distance(silent) == 0.0
    with pytest.raises(MetricError, match="above zero and finite; got 0"):
        kernel_distance(silent, rng.normal(size=(5, 64)))


def test_the_median_of_many_rows_is_that_of_a_seeded_draw(monkeypatch: pytest.MonkeyPatch):
    x, y = draw(1000, 20, 8, seed=0)
    exact = kernel_distance(x, y)
    monkeypatch.setattr(kernel_bandwidth, "MEDIAN_ROWS", 400)
    drawn, again, other = kernel_distance(x, y), kernel_distance(x, y), kernel_distance(x, y, seed=1)
    assert (exact.bandwidth_rows, exact.seed) == (1000, None)
    assert (drawn.bandwidth_rows, drawn.seed) == (400, 0)
    assert drawn.bandwidth == again.bandwidth != other.bandwidth
    assert drawn.bandwidth == pytest.approx(exact.bandwidth, rel=0.02)
    given_one = kernel_distance(x, y, bandwidth=3.0)
    assert (given_one.bandwidth, given_one.bandwidth_rows, given_one.seed) == (3.0, 0, None)


@pytest.mark.parametrize("silent", [0, 300])
def test_the_draw_depends_neither_on_the_order_of_rows_nor_on_rounding(silent: int, monkeypatch: pytest.MonkeyPatch):
    """Also where many rows are alike; then as many of these are drawn as of others."""
    monkeypatch.setattr(kernel_bandwidth, "MEDIAN_ROWS", 200)
    rng = np.random.default_rng(0)
    x = 5 + np.vstack([np.zeros((silent, 6)), rng.normal(size=(1000 - silent, 6))])
    expected = median_distance(x)
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(x) * (1 + 1e-12)
        assert median_distance(shuffled) == pytest.approx(expected, rel=1e-9)
    assert median_distance(x, seed=1) != expected
    centred = x - x.mean(axis=0)
    shares = [(kernel_bandwidth._drawn(centred, 200, seed) < silent).mean() for seed in range(20)]
    assert np.mean(shares) == pytest.approx(silent / 1000, abs=0.03)
    assert len(set(kernel_bandwidth._drawn(centred, 200, 0))) == 200


def test_copies_of_other_clips_score_below_zero_by_as_much_as_said():
    rng = np.random.default_rng(0)
    x, clips = rng.normal(size=(80, 3)), np.arange(80)
    y = np.roll(x, 7, axis=0)
    found = kernel_distance(x, y, clips=(clips, clips))
    pairs = np.exp(-np.square(x - y).sum(axis=1) / (2 * found.bandwidth**2))
    assert found.value == pytest.approx(-2 * (1 - pairs.mean()) / 79, rel=1e-9)


def test_memory_does_not_grow_with_the_square_of_the_rows():
    x, y = draw(6000, 6000, 4, seed=0)
    tracemalloc.start()
    kernel_distance(x, y, bandwidth=2.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # 6000 x 6000 values would be 288 MB


def paired_blocks(n: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    video = rng.normal(size=(n, 5))
    audio = video[:, :3] + 0.2 * rng.normal(size=(n, 3))
    return {"audio": audio, "video": 40 * video}, {"audio": audio[rng.permutation(n)], "video": 40 * video}


def test_joint_distance_sees_lost_pairs_that_the_plain_one_cannot():
    reference, shuffled = paired_blocks(300, seed=0)
    assert kernel_distance(reference["audio"], shuffled["audio"]).value < 0  # the same rows
    joint = joint_kernel_distance(reference, shuffled)
    assert joint.value > 4 * clustered_stderr(joint.influence, np.arange(300), np.arange(300)) > 0


def test_joint_distance_is_the_plain_one_of_balanced_rows_whatever_the_scale_of_a_block():
    reference, generated = paired_blocks(200, seed=1)
    stats = JointStats({"audio": 3, "video": 5})
    stats.update(**reference)
    balance = Balance.fit(stats)
    rows = [np.hstack([side[block] @ balance.maps[block] for block in side]) for side in (reference, generated)]
    expected = kernel_distance(*rows).value
    assert joint_kernel_distance(reference, generated).value == pytest.approx(expected, abs=1e-9)
    assert joint_kernel_distance(reference, generated, balance=balance).value == pytest.approx(expected, abs=1e-9)
    scaled = [{"audio": side["audio"], "video": 1e-3 * side["video"]} for side in (reference, generated)]
    assert joint_kernel_distance(*scaled).value == pytest.approx(expected, abs=1e-9)


def test_refuses_what_no_distance_exists_for():
    good = np.arange(12.0).reshape(4, 3)
    with pytest.raises(MetricError, match="same dimension; got 3 and 2"):
        kernel_distance(good, good[:, :2])
    with pytest.raises(MetricError, match="`generated` must hold at least 2 rows; got 1"):
        kernel_distance(good, good[:1])
    with pytest.raises(MetricError, match="`reference` must be finite"):
        kernel_distance(np.where(good == 5, np.nan, good), good)
    with pytest.raises(MetricError, match=r"below 1e\+150; got NaN, infinite or larger"):
        kernel_distance(good, 1e200 * good)
    with pytest.raises(MetricError, match="`generated` must be finite"):
        kernel_distance(good, np.where(good == 5, np.inf, good))
    with pytest.raises(MetricError, match="above zero and finite; got 0"):
        kernel_distance(np.ones((4, 3)), good)
    with pytest.raises(MetricError, match="above zero and finite; got -1"):
        kernel_distance(good, good, bandwidth=-1.0)
    with pytest.raises(MetricError, match=r"shape \(n, d\); got the shape \(4,\)"):
        median_distance(good[:, 0])


def test_refuses_joint_features_that_do_not_fit():
    reference, generated = paired_blocks(30, seed=0)
    with pytest.raises(MetricError, match="the same blocks"):
        joint_kernel_distance(reference, {"audio": generated["audio"]})
    with pytest.raises(MetricError, match="need the block 'audio'"):
        joint_kernel_distance({"video": reference["video"]}, {"video": generated["video"]})
    with pytest.raises(MetricError, match="the video features are the same in every window"):
        joint_kernel_distance({**reference, "video": np.ones((30, 5))}, generated)
    with pytest.raises(MetricError, match=r"block 'video' must have the shape \(30, 5\); got \(29, 5\)"):
        joint_kernel_distance(reference, {**generated, "video": generated["video"][:29]})
    with pytest.raises(MetricError, match=r"not fitted on the block 'video'; only on \['audio'\]"):
        joint_kernel_distance(reference, generated, balance=Balance({"audio": np.eye(3)}, {"audio": 3}))
    with pytest.raises(MetricError, match=r"block 'audio' must have the shape \(windows, dimension\); got \(30,\)"):
        joint_kernel_distance({**reference, "audio": np.ones(30)}, generated)


@pytest.mark.parametrize(
    ("name", "seed", "n", "m", "d", "scale"),
    [("kad_400_350x128", 9, 400, 350, 128, 1.6), ("kad_80_200x64", 10, 80, 200, 64, 0.5)],
)
def test_matches_kadtk_as_published_and_as_coded(
    golden: dict, name: str, seed: int, n: int, m: int, d: int, scale: float
):
    rng = np.random.RandomState(golden["seed"] + seed)
    ref = rng.randn(n, d).astype("float32")
    gen = (scale * rng.randn(m, d) + 0.1).astype("float32")
    entry = golden[name]
    for array, recorded in zip((ref, gen), entry["inputs"], strict=True):
        assert list(array.shape) == recorded["shape"]
        np.testing.assert_allclose(array.ravel()[:4], recorded["first4"], rtol=1e-6)
    theirs, medians = entry["kad_x100"], entry["median_pairwise_distance"]

    published = kernel_distance(ref, gen)
    assert published.bandwidth == pytest.approx(medians["reference"], rel=1e-6)  # theirs is float32
    assert 100 * published.value == pytest.approx(theirs["as_paper_float64"], abs=1e-6)
    assert 100 * published.value == pytest.approx(theirs["as_paper_bandwidth_from_reference"], abs=1e-4)
    coded = kernel_distance(ref, gen, bandwidth=medians["evaluated"])
    assert 100 * coded.value == pytest.approx(theirs["as_code_float64"], abs=1e-6)
    assert 100 * coded.value == pytest.approx(theirs["as_code_bandwidth_from_evaluated_set"], abs=1e-4)
    assert 100 * kernel_distance(ref, ref).value == pytest.approx(theirs["same_set_as_code"], abs=1e-6)
    assert median_distance(gen) == pytest.approx(medians["evaluated"], rel=1e-6)


def test_matches_torch_fidelity_with_all_pairs_and_without_those_of_one_clip():
    import torch
    from torch_fidelity.metric_kid import kernel_rbf, kid_features_to_metric, mmd2

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 5)), 0.3 + 1.2 * rng.normal(size=(120, 5))
    options = {"kid_kernel": "rbf", "kid_kernel_rbf_sigma": 1.7}
    theirs = kid_features_to_metric(
        torch.as_tensor(x), torch.as_tensor(y), kid_subsets=1, kid_subset_size=120, verbose=False, rng_seed=0, **options
    )
    assert kernel_distance(x, y, bandwidth=1.7).value == pytest.approx(
        theirs["kernel_inception_distance_mean"], rel=1e-9
    )
    paired = mmd2(*(kernel_rbf(a, b, **options) for a, b in ((x, x), (x, y), (y, y))), mmd_est="u-statistic")
    clips = np.arange(120), np.arange(120)
    assert kernel_distance(x, y, bandwidth=1.7, clips=clips).value == pytest.approx(paired, rel=1e-9)


# ---- pairs of one clip left out --------------------------------------------------------------------------------------

Clips = npt.NDArray[np.intp]


def clip_world(seed: int, clips_n: int = 40) -> tuple[np.ndarray, np.ndarray, Clips, Clips]:
    """Two sets of one distribution whose rows share half of their variance with those of their clip, on both sides."""
    rng = np.random.default_rng(seed)
    ids = [np.repeat(np.arange(clips_n), rng.integers(1, 5, clips_n)) for _ in range(2)]
    shared = rng.normal(size=(clips_n, 3))
    x, y = (shared[clips] + rng.normal(size=(len(clips), 3)) for clips in ids)
    return x, y, ids[0], ids[1]


def test_without_pairs_of_one_clip_it_is_the_mean_over_all_others():
    x, y, x_clips, y_clips = clip_world(0)
    order = np.random.default_rng(1).permutation(len(y))
    found = kernel_distance(x, y[order], bandwidth=1.5, clips=(x_clips, y_clips[order]))

    def mean(a: np.ndarray, b: np.ndarray, a_clips: Clips, b_clips: Clips) -> float:
        values = np.exp(-distance.cdist(a, b, "sqeuclidean") / (2 * 1.5**2))
        return float(values[a_clips[:, None] != b_clips[None, :]].mean())

    expected = mean(x, x, x_clips, x_clips) + mean(y, y, y_clips, y_clips) - 2 * mean(x, y, x_clips, y_clips)
    assert found.value == pytest.approx(expected, abs=1e-12)
    names = [f"clip {number}" for number in x_clips], [f"clip {number}" for number in y_clips[order]]
    assert kernel_distance(x, y[order], bandwidth=1.5, clips=names).value == pytest.approx(found.value, abs=1e-15)
    mixed = x_clips, [str(number) for number in y_clips[order]]
    assert kernel_distance(x, y[order], bandwidth=1.5, clips=mixed).value == pytest.approx(found.value, abs=1e-15)


def test_without_pairs_of_one_clip_dependent_sets_of_one_distribution_score_zero_on_average():
    """With all pairs, sides that share what their clips have in common look closer to each other than to themselves."""
    without = []
    for seed in range(200):
        x, y, x_clips, y_clips = clip_world(seed)
        without.append(kernel_distance(x, y, bandwidth=2.0, clips=(x_clips, y_clips)).value)
    error = np.std(without) / np.sqrt(200)
    assert abs(np.mean(without)) < 4 * error
    x, _, clips, _ = clip_world(0)
    assert kernel_distance(x, x, clips=(clips, clips)).value == pytest.approx(0, abs=1e-15)
    assert kernel_distance(x, x).value < -0.005


def test_influence_without_pairs_of_one_clip_is_what_leaving_a_clip_out_changes():
    x, y, x_clips, y_clips = clip_world(0, clips_n=80)
    full = kernel_distance(x, y, bandwidth=1.5, clips=(x_clips, y_clips))
    sums = [
        np.bincount(clips, weights=side / len(side), minlength=80)
        for clips, side in zip((x_clips, y_clips), full.influence, strict=True)
    ]
    changes = []
    for clip in range(80):
        kept = x_clips != clip, y_clips != clip
        rest = kernel_distance(x[kept[0]], y[kept[1]], bandwidth=1.5, clips=(x_clips[kept[0]], y_clips[kept[1]]))
        changes.append(full.value - rest.value)
    assert np.corrcoef(sums[0] + sums[1], changes)[0, 1] > 0.995
    assert sum(map(np.sum, sums)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (([0, 0, 0], [0, 1, 2]), "at least 2 clips on each side"),
        (([0, 1], [0, 1, 2]), r"`clips\[0\]` must give the clip of each of the 3 windows"),
    ],
)
def test_clips_that_do_not_fit_are_refused(clips: tuple[list[int], list[int]], message: str):
    rows = np.arange(6.0).reshape(3, 2)
    with pytest.raises(MetricError, match=message):
        kernel_distance(rows, rows, clips=clips)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_its_error_of_second_order_is_the_spread_also_for_equal_distributions(shift: float):
    """300 runs; to first order the error is 1.5 times the spread where there is no difference."""
    clips = np.repeat(np.arange(60), 4)
    values, errors, first = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x, other = (rng.normal(size=(60, 8))[clips] + rng.normal(size=(240, 8)) for _ in range(2))
        y = 0.6 * x + 0.8 * other
        y[:, 0] += shift
        halves = halves_of(np.arange(60), seed)
        assert halves is not None
        result = kernel_distance(x, y, clips=(clips, clips), halves=(halves[clips], halves[clips]))
        assert result.own_half is not None
        whole, own = (clip_contributions(i, clips, clips).values for i in (result.influence, result.own_half))
        assert own.sum() == pytest.approx(0, abs=1e-12)
        values.append(result.value)
        errors.append(second_order(whole, own).stderr)
        first.append(contributions_stderr(whole))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)
    assert shift or np.mean(first) > 1.3 * np.std(values)


def test_influences_by_halves_are_those_of_the_halves_alone():
    x, y = draw(60, 60, 3, seed=5)
    clips = np.arange(60) // 3
    halves = clips % 2
    found = kernel_distance(x, y, bandwidth=2.0, clips=(clips, clips), halves=(halves, halves))
    plain = kernel_distance(x, y, bandwidth=2.0, clips=(clips, clips))
    assert found.value == pytest.approx(plain.value, rel=1e-12)
    np.testing.assert_allclose(found.influence.reference, plain.influence.reference, atol=1e-12)
    assert found.own_half is not None
    for half in (0, 1):
        chosen = halves == half
        alone = kernel_distance(x[chosen], y[chosen], bandwidth=2.0, clips=(clips[chosen], clips[chosen]))
        for ours, theirs in zip(found.own_half, alone.influence, strict=True):
            np.testing.assert_allclose(ours[chosen], theirs, atol=1e-12)


def test_rows_that_are_all_the_same_have_a_median_of_zero_however_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernel_bandwidth, "MEDIAN_ROWS", 10)
    assert median_distance(np.ones((50, 3))) == 0.0
