"""The zero point of the alignment index: closed form and re-pairing, on a simulated audio-video world."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import Balance, JointStats, alignment_index
from t2av_bench.metrics.index_influence import alignment_index_influence
from t2av_bench.metrics.pairing import derangements, re_paired
from t2av_bench.metrics.uncertainty import clustered_stderr

Array = npt.NDArray[np.float64]


def stats_of(audio: Array, video: Array) -> JointStats:
    stats = JointStats({"audio": audio.shape[1], "video": video.shape[1]})
    stats.update(audio=audio, video=video)
    return stats


def measured(seed: int, clips_n: int, share: float) -> tuple[float, float, float]:
    """Index by either zero point and its standard error; each clip's sound is another's with probability `share`."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    cause = rng.normal(size=(clips_n, 8))
    to_video, to_audio = fixed.normal(size=(8, 256)) / 8**0.5, fixed.normal(size=(8, 32)) / 8**0.5
    video = np.tanh(1.5 * cause @ to_video) + 0.3 * rng.normal(size=(clips_n, 256))
    reference, sound = (np.tanh(1.5 * cause @ to_audio) + 0.6 * rng.normal(size=(clips_n, 32)) for _ in range(2))
    swapped = np.flatnonzero(rng.random(clips_n) < share)
    if len(swapped) > 1:
        sound[swapped] = sound[swapped][derangements(len(swapped), draws=1, seed=seed)[0]]
    balance = Balance.fit(stats_of(reference, video))
    x, y, v = reference @ balance.maps["audio"], sound @ balance.maps["audio"], video @ balance.maps["video"]
    clips = np.arange(clips_n)
    sides = stats_of(x, v), stats_of(y, v)
    error = clustered_stderr(alignment_index_influence(np.hstack([x, v]), np.hstack([y, v]), 32), clips, clips)
    pairings = re_paired(y, v, clips, seed=seed)
    return alignment_index(*sides), alignment_index(*sides, null="re-pairing", re_paired=pairings), error


@pytest.mark.parametrize(
    ("clips_n", "runs"),
    [(64, 10), pytest.param(128, 20, marks=pytest.mark.slow), pytest.param(2000, 3, marks=pytest.mark.slow)],
)
def test_the_index_falls_from_one_to_zero_with_the_swapped_share(clips_n: int, runs: int) -> None:
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    found = np.array([[measured(seed, clips_n, share)[:2] for share in shares] for seed in range(runs)]).mean(axis=0)
    for which, zero in ((0, -10 / clips_n - 0.05), (1, -2 / clips_n - 0.05)):
        assert (np.diff(found[:, which]) < -0.05).all()
        assert found[0, which] > 0.9
        assert zero < found[-1, which] < 0.06
    assert abs(found[-1, 1]) <= abs(found[-1, 0]) + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_error_of_the_index_is_its_spread_under_either_zero_point(share: float) -> None:
    found = np.array([measured(seed, 128, share) for seed in range(100)])
    for which in (0, 1):
        assert found[:, 2].mean() == pytest.approx(found[:, which].std(ddof=1), rel=0.3)


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
