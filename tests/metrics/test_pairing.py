"""The zero point of the alignment index: closed form and re-pairing, on a simulated audio-video world."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import Balance, JointStats, alignment_index
from t2av_bench.metrics.index_influence import RePairedIndexMap, alignment_index_influence
from t2av_bench.metrics.pairing import RePairing, derangements, re_paired
from t2av_bench.metrics.uncertainty import clustered_stderr, contributions_stderr

Array = npt.NDArray[np.float64]


def stats_of(audio: Array, video: Array) -> JointStats:
    stats = JointStats({"audio": audio.shape[1], "video": video.shape[1]})
    stats.update(audio=audio, video=video)
    return stats


def world(seed: int, clips_n: int, share: float, axes: int | None = None) -> tuple[Array, Array, Array]:
    """Balanced real sound, generated sound and pictures; each clip's sound is another's with probability `share`.

    ``axes`` of the pictures are kept, by default as many as are allowed.
    """
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    cause = rng.normal(size=(clips_n, 8))
    to_video, to_audio = fixed.normal(size=(8, 256)) / 8**0.5, fixed.normal(size=(8, 32)) / 8**0.5
    video = np.tanh(1.5 * cause @ to_video) + 0.3 * rng.normal(size=(clips_n, 256))
    reference, sound = (np.tanh(1.5 * cause @ to_audio) + 0.6 * rng.normal(size=(clips_n, 32)) for _ in range(2))
    swapped = np.flatnonzero(rng.random(clips_n) < share)
    if len(swapped) > 1:
        sound[swapped] = sound[swapped][derangements(len(swapped), draws=1, seed=seed)[0]]
    balance = Balance.fit(stats_of(reference, video))
    pictures = (video @ balance.maps["video"])[:, :axes]
    pictures /= np.sqrt(pictures.var(axis=0, ddof=1).sum())
    return reference @ balance.maps["audio"], sound @ balance.maps["audio"], pictures


def measured(seed: int, clips_n: int, share: float, axes: int | None = None) -> tuple[float, float, float, float]:
    """Index by closed form and by re-pairing, and the standard error of either."""
    x, y, v = world(seed, clips_n, share, axes)
    clips = np.arange(clips_n)
    joint = np.hstack([x, v]), np.hstack([y, v])
    pairing = RePairing(list(v[:, None]), 32, seed=seed)
    pairing.add(0, list(y[:, None]))
    fitted = RePairedIndexMap.fit(stats_of(x, v), stats_of(y, v), pairing)
    contributions = (fitted.reference(joint[0]) + fitted.generated(joint[1])) / clips_n
    contributions += fitted.re_paired(0, list(y[:, None]))
    error = clustered_stderr(alignment_index_influence(*joint, 32), clips, clips)
    return (
        alignment_index(stats_of(x, v), stats_of(y, v)),
        fitted.value,
        error,
        contributions_stderr(contributions),
    )


@pytest.mark.parametrize(
    ("clips_n", "axes", "runs"),
    [
        (64, 6, 10),
        pytest.param(128, 12, 20, marks=pytest.mark.slow),
        pytest.param(640, 6, 4, marks=pytest.mark.slow),
        pytest.param(640, 64, 4, marks=pytest.mark.slow),
        pytest.param(2000, 16, 3, marks=pytest.mark.slow),
        pytest.param(2000, 64, 3, marks=pytest.mark.slow),
    ],
)
def test_the_index_falls_from_one_to_zero_with_the_swapped_share(clips_n: int, axes: int, runs: int) -> None:
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    every = [[measured(seed, clips_n, share, axes)[:2] for share in shares] for seed in range(runs)]
    found = np.array(every).mean(axis=0)
    for which, zero in ((0, -10 / clips_n - 0.05), (1, -2 / clips_n - 0.05)):
        assert (np.diff(found[:, which]) < -0.05).all()
        assert found[0, which] > 0.9
        assert zero < found[-1, which] < 0.06
    assert abs(found[-1, 1]) <= abs(found[-1, 0]) + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_error_of_the_index_is_its_spread_under_either_zero_point(share: float) -> None:
    found = np.array([measured(seed, 128, share) for seed in range(100)])
    for value, error in zip(found.T[:2], found.T[2:], strict=True):
        assert error.mean() == pytest.approx(value.std(ddof=1), rel=0.25)


def test_contributions_of_clips_with_unequal_windows_add_up_to_zero() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 6, size=40)
    clips = np.repeat(np.arange(40), counts)
    v = rng.normal(size=(40, 2))[clips] + 0.5 * rng.normal(size=(len(clips), 2))
    x, y = (v @ [[1.0, 0, 0.5], [0, 1.0, 0]] + 0.3 * rng.normal(size=(len(clips), 3)) for _ in range(2))
    y[clips < 20] = rng.normal(size=(int((clips < 20).sum()), 3))
    conditions, sounds = (np.split(rows, np.cumsum(counts)[:-1]) for rows in (v, y))
    pairing = RePairing(conditions, 3)
    pairing.add(0, sounds[:15])
    pairing.add(15, sounds[15:])
    fitted = RePairedIndexMap.fit(stats_of(x, v), stats_of(y, v), pairing)
    found = fitted.re_paired(0, sounds)
    assert abs(found).max() > 1e-4
    assert found.sum() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(fitted.re_paired(0, sounds[:15]) + fitted.re_paired(15, sounds[15:]), found, atol=1e-14)
    stats = re_paired(y, v, [f"clip {clip:02d}" for clip in clips])
    value = alignment_index(stats_of(x, v), stats_of(y, v), null="re-pairing", re_paired=stats)
    assert fitted.value == pytest.approx(value, rel=1e-12)
    assert [drawn.n for drawn in stats] == [len(clips)] * 8


def test_a_swap_by_the_same_seed_is_not_undone() -> None:
    """Of swapped sounds that a draw puts back with their own pictures, the index would be -0.14."""
    swap = derangements(200, draws=8, seed=5)
    for partners in RePairing(list(np.zeros((200, 1, 1))), 1, seed=5).partners:
        assert all(
            (partners != other).mean() > 0.9 and (partners[other] != np.arange(200)).mean() > 0.9 for other in swap
        )


def test_no_clip_stays_with_its_own_sound_and_windows_keep_their_order() -> None:
    clips = np.array(["b", "a", "a", "c", "b", "c", "c"])
    audio = np.arange(7.0)[:, None]
    for order in derangements(50, draws=20, seed=1):
        assert (order != np.arange(50)).all()
        assert sorted(order) == list(range(50))
    for stats in re_paired(audio, audio, clips, draws=10):
        rows = stats.rows if stats.rows is not None else None
        if rows is not None:
            assert (clips[rows[:, 0].astype(int)] != clips[rows[:, 1].astype(int)]).all()
        assert stats.n == 7


def test_bad_input_is_refused() -> None:
    rows = np.ones((4, 2))
    with pytest.raises(MetricError, match="re-pairing needs at least 2 clips and 1 draw; got 1 and 8"):
        re_paired(rows, rows, [0, 0, 0, 0])
    with pytest.raises(MetricError, match=r"both blocks must have the shape \(n, d\) with one n"):
        re_paired(rows, rows[:3], [0, 1, 2, 3])
    x = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(MetricError, match="needs at least one re-pairing; got none"):
        alignment_index(stats_of(x, x), stats_of(x, x), null="re-pairing")
