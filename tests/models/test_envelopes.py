"""The envelope extractors: where a row lies in time, and what neither volume, noise nor silence may change."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.metrics import onset_times
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.motion_energy import MotionEnergyExtractor
from t2av_bench.models.extractors.onset_strength import OnsetStrengthExtractor

SR_HZ = 16_000
Samples = npt.NDArray[np.float32]


def clicks(times_s: list[float], duration_s: float = 4.0, seed: int = 0, noise: float = 0.001) -> Samples:
    """Decaying noise bursts over faint noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * SR_HZ)) / SR_HZ
    sound = noise * rng.standard_normal(len(t))
    for time_s in times_s:
        since = t - time_s
        sound += np.where(since >= 0, 0.3 * np.exp(-np.maximum(since, 0) / 0.05), 0) * rng.standard_normal(len(t))
    return sound.astype(np.float32)


def strength(samples: Samples, duration_s: float = 4.0) -> npt.NDArray[np.float32]:
    return OnsetStrengthExtractor().windows(samples, duration_s)[:, 0]


def moving_square(frames_n: int, jumps: list[int], size: int = 64) -> npt.NDArray[np.uint8]:
    """Draw a white square that jumps by 12 pixels at the given frames, shape (frames, 1, 64, 64, 3)."""
    frames = np.zeros((frames_n, 1, size, size, 3), np.uint8)
    left = 4
    for k in range(frames_n):
        left = left + 12 if k in jumps else left
        frames[k, 0, 20:32, left : left + 12] = 255
    return frames


@pytest.mark.parametrize(("name", "rate_hz"), [("onset-strength", 100), ("motion-energy", 25)])
@pytest.mark.parametrize("duration_s", [0.004, 0.975, 4.0, 9.99, 10.0])
def test_the_number_of_rows_follows_from_the_nominal_duration(name: str, rate_hz: int, duration_s: float) -> None:
    assert get_extractor(name).rows_n(duration_s) == max(1, round(duration_s * rate_hz))


@pytest.mark.parametrize("samples_n", [1, 100, 64_000, 63_999, 70_000])
def test_sound_of_any_length_gives_the_rows_of_the_duration(samples_n: int) -> None:
    sound = np.random.default_rng(0).standard_normal(samples_n).astype(np.float32)
    rows = OnsetStrengthExtractor().windows(sound, samples_n / SR_HZ)
    assert rows.shape == (OnsetStrengthExtractor().rows_n(samples_n / SR_HZ), 2)
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("time_s", [0.3, 1.0, 1.234, 3.7])
def test_an_onset_peaks_in_the_row_of_its_time(time_s: float) -> None:
    assert onset_times(strength(clicks([time_s])), 100) == pytest.approx([time_s], abs=0.015)


def test_delaying_the_sound_delays_the_envelope() -> None:
    """Convention: 0.25 s later in the file is 25 rows later."""
    sound = clicks([0.5, 1.4, 2.2])
    late = np.concatenate([sound[4000:8000] * 0, sound[:-4000]])
    np.testing.assert_allclose(strength(late)[40:-2], strength(sound)[15:-27], atol=1e-3)


def test_volume_does_not_matter_down_to_forty_decibels_less() -> None:
    sound = clicks([0.5, 1.4, 2.2])
    np.testing.assert_allclose(strength(0.01 * sound), strength(sound), atol=1e-3)


def test_the_second_column_is_the_largest_sample_of_each_stretch() -> None:
    sound = clicks([0.5, 1.4])
    peaks = OnsetStrengthExtractor().windows(sound, 4.0)[:, 1]
    assert peaks.max() == np.abs(sound[:-80]).max()
    np.testing.assert_array_equal(peaks[50], np.abs(sound[7920:8080]).max())


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(64_000, np.float32),
        np.full(64_000, 0.5, np.float32),
        np.full(64_000, 1e4, np.float32),
        (0.3 * np.sin(2 * np.pi * 500 * np.arange(64_000) / SR_HZ)).astype(np.float32),
    ],
    ids=["silence", "direct current", "far above full scale", "steady tone"],
)
def test_steady_sound_and_silence_have_no_onsets(samples: Samples) -> None:
    found = strength(samples)
    assert np.isfinite(found).all()
    assert found.max() < 1.0


def test_steady_noise_has_no_onsets() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    assert onset_times(strength(noise), 100).tolist() == []


def test_a_start_from_digital_silence_is_one_onset_and_swallows_no_other() -> None:
    """librosa scales by the envelope's maximum, which would be the step from silence."""
    sound = clicks([0.5, 1.4, 2.2], noise=0.01)
    plain = onset_times(strength(sound), 100)
    sound[: round(0.2 * SR_HZ)] = 0.0
    found = onset_times(strength(sound), 100)
    assert found[0] == pytest.approx(0.2, abs=0.015)
    np.testing.assert_array_equal(found[1:], plain)


def test_noise_ten_decibels_below_hides_no_onset() -> None:
    sound = clicks([0.5, 1.4, 2.2]).astype(np.float64)
    noise = np.random.default_rng(1).standard_normal(len(sound)) * np.sqrt(0.1 * (sound**2).mean())
    found = onset_times(strength((sound + noise).astype(np.float32)), 100)
    np.testing.assert_allclose(found, [0.5, 1.4, 2.2], atol=0.02)


def test_motion_stands_in_the_row_of_the_frame_that_shows_it() -> None:
    """Convention: the row of frame k is the change from frame k - 1 to k, and not the one after."""
    energy = MotionEnergyExtractor().windows(moving_square(50, [10, 30]))[:, 0]
    assert np.flatnonzero(energy).tolist() == [10, 30]
    assert energy[10] == pytest.approx(2 * 12 * 12 / 64**2, rel=1e-6)


def test_the_first_row_repeats_the_second() -> None:
    energy = MotionEnergyExtractor().windows(moving_square(20, [1, 7]))[:, 0]
    assert energy[0] == energy[1] > 0


@pytest.mark.parametrize("frames_n", [1, 2])
def test_videos_of_one_and_two_equal_frames_do_not_move(frames_n: int) -> None:
    energy = MotionEnergyExtractor().windows(moving_square(frames_n, []))
    np.testing.assert_array_equal(energy, np.zeros((frames_n, 1), np.float32))


def test_from_black_to_white_is_an_energy_of_one() -> None:
    frames = np.zeros((3, 1, 64, 64, 3), np.uint8)
    frames[1:] = 255
    assert MotionEnergyExtractor().windows(frames)[1, 0] == pytest.approx(1.0)


def test_frames_are_asked_for_in_the_middle_of_their_step() -> None:
    times_s = MotionEnergyExtractor().frame_times_s(4.0)
    assert times_s.shape == (100, 1)
    assert times_s[[0, -1], 0] == pytest.approx([0.02, 3.98])


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("onset-strength", "98545743afca34d4127a0fa4af3a18feb179efcd9be012c49c2f0d3585ccb81b"),
        ("motion-energy", "c09bf6383756a72d3ee06aea3d6fc6ca4b6eb8bdfcfe94d6ab3c93f1669563b5"),
    ],
)
def test_the_fingerprint_is_that_of_version_1(name: str, fingerprint: str) -> None:
    """Change it only together with the version: it keys caches and stands in results."""
    extractor = get_extractor(name)
    assert extractor.fingerprint == fingerprint
    assert pickle.loads(pickle.dumps(extractor)).fingerprint == fingerprint


@pytest.mark.parametrize("name", ["onset-strength", "motion-energy"])
def test_a_real_clip_gives_the_same_rows_twice(name: str, shared: Path) -> None:
    path = next((shared / "media" / "vggsound").glob("*.mp4"))
    extractor = get_extractor(name)
    rows = extractor.embed_file(path, 1.0, 2.5)
    assert rows.shape == (extractor.rows_n(2.5), extractor.dim)
    np.testing.assert_array_equal(extractor.embed_file(path, 1.0, 2.5), rows)
