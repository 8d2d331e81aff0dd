"""Peaks: what is one, where it is, and what must not matter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from t2av_bench.errors import MetricError
from t2av_bench.manifests.mini import make_clip
from t2av_bench.metrics import count_matches, motion_peaks, onset_times, pick_peaks
from t2av_bench.models.extractors import get_extractor

ENVELOPES = arrays(np.float64, st.integers(1, 80), elements=st.integers(0, 9).map(float))


def test_a_peak_is_the_first_of_equal_values_and_above_the_threshold() -> None:
    envelope = [0, 4, 4, 0, 0, 2, 0, 0, 3, 0]
    assert pick_peaks(envelope, 10, threshold=2, reach=0.1).tolist() == [0.1, 0.8]


def test_of_two_peaks_within_reach_the_larger_stays() -> None:
    envelope = [0, 5, 0, 6, 0, 0, 0]
    assert pick_peaks(envelope, 10, threshold=1, reach=0.2).tolist() == [0.3]
    assert pick_peaks(envelope, 10, threshold=1, reach=0.1).tolist() == [0.1, 0.3]


@pytest.mark.parametrize("envelope", [[], [7.0], [7.0, 8.0], [3.0] * 9, [9.0, 1.0, 1.0, 9.0]])
def test_ends_plateaus_and_short_envelopes_hold_no_peaks(envelope: list[float]) -> None:
    assert pick_peaks(envelope, 10, threshold=0, reach=0.1).tolist() == []


def test_a_reach_longer_than_the_envelope_leaves_the_largest_peak() -> None:
    assert pick_peaks([0, 5, 0, 6, 0], 10, threshold=0, reach=100).tolist() == [0.3]


@given(ENVELOPES, st.integers(1, 30), st.sampled_from([0.1, 0.2, 0.5]))
def test_delaying_an_envelope_delays_its_peaks(envelope: np.ndarray, delay: int, reach: float) -> None:
    """Convention: a later envelope has later peaks."""
    held = np.concatenate([[0.0], envelope, [0.0]])  # so that the ends are no peaks of either
    peaks = pick_peaks(held, 10, threshold=0, reach=reach)
    late = pick_peaks(np.concatenate([np.zeros(delay), held]), 10, threshold=0, reach=reach)
    np.testing.assert_allclose(late, peaks + delay / 10)


@given(ENVELOPES, st.sampled_from([0.1, 0.3]))
def test_peaks_are_apart_by_more_than_the_reach(envelope: np.ndarray, reach: float) -> None:
    peaks = pick_peaks(envelope, 10, threshold=1, reach=reach)
    assert (np.diff(peaks) > reach + 1e-9).all()


@pytest.mark.parametrize(("rate", "reach", "name"), [(0, 0.1, "rate"), (10, 0, "reach"), (float("nan"), 1, "rate")])
def test_rate_and_reach_must_be_above_zero(rate: float, reach: float, name: str) -> None:
    with pytest.raises(MetricError, match=f"`{name}` must be above zero"):
        pick_peaks([0, 1, 0], rate, threshold=0, reach=reach)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(MetricError, match="`energy` must be finite"):
        motion_peaks([0, np.nan, 0], 25)
    with pytest.raises(MetricError, match="`envelope` must be finite"):
        onset_times([0, np.inf, 0], 100)


def test_a_still_picture_and_silence_have_no_peaks() -> None:
    assert motion_peaks(np.zeros(100), 25).tolist() == []
    assert motion_peaks([], 25).tolist() == []
    assert onset_times(np.zeros(400), 100).tolist() == []


def test_the_noise_of_a_camera_is_no_motion() -> None:
    noise = np.random.default_rng(0).uniform(0.0, 0.0019, 100)
    assert motion_peaks(noise, 25).tolist() == []
    noise[40] = 0.02
    assert motion_peaks(noise, 25).tolist() == [1.6]


def test_onsets_of_true_sound_are_the_true_events() -> None:
    """F1 at ±50 ms on validation clips, which no threshold was chosen on."""
    extractor = get_extractor("onset-strength")
    hits = events_n = onsets_n = 0
    for index in range(24):
        clip = make_clip("val", seed=11, index=index)
        strength = extractor.windows((clip.pcm / 32768).astype(np.float32), 4.0)[:, 0]
        onsets, events = onset_times(strength, extractor.rate_hz), [event.time_s for event in clip.events]
        hits += count_matches(events, onsets, 0.05)
        events_n, onsets_n = events_n + len(events), onsets_n + len(onsets)
    assert events_n > 50
    assert 2 * hits / (events_n + onsets_n) > 0.98


def test_real_onsets_agree_with_those_of_another_detector(shared: Path) -> None:
    """At least 0.85 of librosa's onsets; not the other way round, as its threshold hides weaker ones."""
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    extractor = get_extractor("onset-strength")
    golden = json.loads((shared / "golden" / "onsets.json").read_text())["onsets"]
    found = wanted_n = 0
    for name, values in golden.items():
        sound, rate = soundfile.read(shared / "golden" / "flac" / f"{name}.flac", dtype="float32", always_2d=True)
        samples = soxr.resample(sound.mean(axis=1), rate, 16_000)
        onsets = onset_times(extractor.windows(samples, len(samples) / 16_000)[:, 0], 100)
        wanted = values["librosa_soxr_hq_10s"]["onset_seconds"]
        found, wanted_n = found + count_matches(wanted, onsets, 0.05), wanted_n + len(wanted)
    assert wanted_n == 37
    assert found >= 0.85 * wanted_n
