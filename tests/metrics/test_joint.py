"""Joint distances and the alignment index do what their module says they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from t2av_bench.errors import MetricError
from t2av_bench.metrics import METRICS, Balance, JointStats, alignment_index, frechet_distance, joint_score

RAW = ("FAD", "FAVD", "FATD", "FA(VT)D")


def stats_of(**blocks: np.ndarray) -> JointStats:
    stats = JointStats({name: x.shape[1] for name, x in blocks.items()})
    stats.update(**blocks)
    return stats


def world(n: int, seed: int, noise: float = 0.1) -> dict[str, np.ndarray]:
    """Audio that follows from the video's first axes and the text's class."""
    rng = np.random.default_rng(seed)
    video, labels = rng.standard_normal((n, 40)), rng.integers(0, 4, n)
    text = np.eye(6)[labels]
    mix = np.random.default_rng(99).standard_normal((12, 8))
    audio = np.concatenate([video[:, :8], text[:, :4]], axis=1) @ mix + noise * rng.standard_normal((n, 8))
    return {"audio": audio, "video": video, "text": text}


def scores(reference: dict[str, np.ndarray], audio: np.ndarray) -> dict[str, float]:
    ref, gen = stats_of(**reference), stats_of(**{**reference, "audio": audio})
    balance = Balance.fit(ref)
    return {s.name: joint_score(s, ref, gen, balance) for s in METRICS.values() if s.is_frechet and s.name != "FD"}


@settings(deadline=None, max_examples=40)
@given(n=st.integers(3, 90), seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_more_conditions_never_bring_the_sets_closer(n: int, seed: int, scale: float):
    rng = np.random.default_rng(seed)
    video, text = scale * rng.standard_normal((n, 30)), rng.standard_normal((n, 5))
    ref = stats_of(audio=rng.standard_normal((n, 6)), video=video, text=text)
    gen = stats_of(audio=1.5 * rng.standard_normal((n, 6)) + 0.3, video=video, text=text)
    fad, favd, fatd, favtd = (joint_score(METRICS[name], ref, gen, None) for name in RAW)
    slack = 1e-9 * (1 + ref.total_variance)
    assert fad <= min(favd, fatd) + slack
    assert max(favd, fatd) <= favtd + slack


def test_the_reference_itself_scores_zero_and_an_index_of_one():
    reference = world(300, 0)
    for name, value in scores(reference, reference["audio"]).items():
        assert value == pytest.approx(1.0 if "index" in name else 0.0, abs=1e-9), name


def test_random_pairing_keeps_fad_and_loses_the_index():
    reference = world(2000, 0)
    shuffled = scores(reference, reference["audio"][np.random.default_rng(1).permutation(2000)])
    assert shuffled["FAD"] == pytest.approx(0, abs=1e-9)
    assert shuffled["FAVD"] > 1
    assert abs(shuffled["AV-index"]) < 0.1
    assert abs(shuffled["AT-index"]) < 0.1


def test_a_perfect_generator_has_an_index_near_one_and_half_swapped_near_one_half():
    reference, generated = world(2000, 0), world(2000, 0)
    rng = np.random.default_rng(5)
    fresh = generated["audio"] + 0.1 * rng.standard_normal(generated["audio"].shape)
    assert scores(reference, fresh)["AV-index"] > 0.98
    half = fresh.copy()
    half[:1000] = half[:1000][rng.permutation(1000)]
    assert 0.4 < scores(reference, half)["AV-index"] < 0.8


def test_the_balanced_distance_ranks_a_sampler_above_a_collapse_to_the_mean():
    """With few windows and a wide video, raw FAVD is paired squared error and rewards averaging; FAVD-b does not."""
    rng = np.random.default_rng(0)
    n, d_video = 400, 2000
    cause = rng.standard_normal((n, 16))
    video = np.concatenate([3 * cause, rng.standard_normal((n, d_video))], axis=1)
    ref = {"audio": cause + rng.standard_normal((n, 16)), "video": video, "text": rng.standard_normal((n, 4))}
    sampler, collapsed = cause + rng.standard_normal((n, 16)), cause
    assert scores(ref, collapsed)["FAVD"] < scores(ref, sampler)["FAVD"]
    assert scores(ref, sampler)["FAVD-b"] < scores(ref, collapsed)["FAVD-b"]


def conditional_frechet_distance(reference: np.ndarray, generated: np.ndarray, condition: np.ndarray) -> float:
    """Mean over conditions of the distance between the Gaussians of sound given the condition, from its definition."""
    n, centred = len(condition), condition - condition.mean(axis=0)
    slopes, residues, means = [], [], []
    for audio in (reference, generated):
        slope, *_ = np.linalg.lstsq(centred, audio - audio.mean(axis=0), rcond=None)
        slopes.append(slope)
        residues.append(audio - audio.mean(axis=0) - centred @ slope)
        means.append(audio.mean(axis=0))
    shifts = (means[0] - means[1]) + centred @ (slopes[0] - slopes[1])
    spread = np.square(means[0] - means[1]).sum() + np.square(shifts - (means[0] - means[1])).sum() / (n - 1)
    first, second = (residue.T @ residue / (n - 1) for residue in residues)
    return float(spread + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real))


def test_the_scale_of_the_condition_leads_from_fad_to_the_conditional_distance():
    reference = world(400, 0)
    sound = 0.7 * reference["audio"][:, ::-1] + np.random.default_rng(1).standard_normal((400, 8)) + 0.2

    def favd(scale: float) -> float:
        video = scale * reference["video"]
        sides = (stats_of(audio=audio, video=video) for audio in (reference["audio"], sound))
        return joint_score(METRICS["FAVD"], *sides, None)

    fad = frechet_distance(reference["audio"], sound)
    conditional = conditional_frechet_distance(reference["audio"], sound, reference["video"])
    assert favd(1e-5) == pytest.approx(fad, rel=1e-3)
    assert favd(1e4) == pytest.approx(conditional, rel=1e-4)
    between = [favd(scale) for scale in (0.01, 0.1, 1.0, 10.0, 100.0)]
    assert fad < between[0]
    assert between == sorted(between)
    assert between[-1] < conditional * (1 + 1e-6)
    assert conditional > 1.5 * fad


def test_the_balance_is_fitted_on_the_reference_alone():
    """The convention: swapping reference and generated changes a balanced distance, and not a raw one."""
    a, b = world(300, 0), world(300, 0)
    b["audio"] = 5 * b["audio"]
    forward, backward = scores(a, b["audio"]), scores({**a, "audio": b["audio"]}, a["audio"])
    assert forward["FAVD"] == pytest.approx(backward["FAVD"])
    assert forward["FAVD-b"] == pytest.approx(25 * backward["FAVD-b"], rel=1e-6)


def test_balanced_scores_do_not_depend_on_the_scale_of_any_block():
    reference = world(300, 0)
    audio = world(300, 1)["audio"]
    plain = scores(reference, audio)
    scaled = scores(
        {"audio": 7 * reference["audio"], "video": 1e-3 * reference["video"], "text": 40 * reference["text"]}, 7 * audio
    )
    for name in ("FAD-b", "FAVD-b", "FATD-b", "FA(VT)D-b", "AV-index", "AT-index"):
        assert scaled[name] == pytest.approx(plain[name], rel=1e-6), name


@pytest.mark.parametrize(("n", "axes"), [(55, 5), (300, 30), (2000, 40)])
def test_keeps_a_tenth_of_the_windows_as_axes_at_most_64(n: int, axes: int):
    """Few rows and many rows take different routes to the same axes."""
    balance = Balance.fit(stats_of(**world(n, 0)))
    assert balance.axes == {"audio": 8, "video": axes, "text": 3}
    wide = np.random.default_rng(0).standard_normal((1000, 100))
    assert Balance.fit(stats_of(audio=wide, video=wide)).axes["video"] == 64


def test_the_kept_axes_are_the_leading_ones_by_either_route():
    rng = np.random.default_rng(0)
    spread = np.linspace(5, 0.1, 60)
    rows = rng.standard_normal((50, 60)) * spread
    few, many = stats_of(audio=rows, video=rows), stats_of(audio=rows, video=rows)
    many._flush()
    a, b = Balance.fit(few).maps["video"], Balance.fit(many).maps["video"]
    np.testing.assert_allclose(np.abs(a.T @ b) / np.linalg.norm(a, axis=0) ** 2, np.eye(5), atol=1e-8)


def test_a_condition_that_never_changes_makes_its_scores_undefined_with_a_reason():
    data = {**world(100, 0), "text": np.ones((100, 6))}
    ref = stats_of(**data)
    balance = Balance.fit(ref)
    assert joint_score(METRICS["FATD"], ref, ref, balance) == pytest.approx(0, abs=1e-12)
    with pytest.raises(MetricError, match="FATD-b is undefined: the text features are the same in every window"):
        joint_score(METRICS["FATD-b"], ref, ref, balance)
    with pytest.raises(MetricError, match="audio features must vary"):
        Balance.fit(stats_of(audio=np.ones((5, 2))))


def test_an_index_without_anything_to_lose_is_undefined():
    rng = np.random.default_rng(0)
    audio, video = rng.standard_normal((400, 3)), rng.standard_normal((400, 3))
    independent = stats_of(audio=audio, video=video).without_cross("audio")
    with pytest.raises(MetricError, match="does not covary with the condition"):
        alignment_index(independent, independent)


def test_the_declared_directions_are_the_real_ones():
    """Convention test of `higher_is_better`: an unrelated sound is worse than the reference on every score."""
    reference = world(600, 0)
    best = scores(reference, reference["audio"])
    worst = scores(reference, np.random.default_rng(3).standard_normal(reference["audio"].shape))
    for name in best:
        better = best[name] > worst[name] if METRICS[name].higher_is_better else best[name] < worst[name]
        assert better, name


def test_scores_use_the_blocks_in_their_names():
    reference = world(200, 0)
    ref, gen = stats_of(**reference), stats_of(**{**reference, "audio": world(200, 1)["audio"]})
    assert joint_score(METRICS["FAVD"], ref, gen, None) == frechet_distance(
        ref.select("audio", "video"), gen.select("audio", "video")
    )
    with pytest.raises(MetricError, match="FAVD-b needs a Balance"):
        joint_score(METRICS["FAVD-b"], ref, gen, None)
