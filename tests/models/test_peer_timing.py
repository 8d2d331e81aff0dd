"""Onsets, sound peaks and optical flow against what CondFoleyGen's and TempoTokens' own code gave for real clips."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from t2av_bench.errors import MediaError, PrerequisiteError
from t2av_bench.media import AudioFrontEnd
from t2av_bench.metrics.onset_conventions import tempotokens_av_align, tempotokens_video_peaks
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.models.extractors.peer_timing import CondFoleyGenOnsets, TempoTokensPeaks, _flow_lengths

HOP_N, SR_HZ = 512, 22_050


def flac(shared: Path, clip: str) -> Path:
    return shared / "golden" / "flac" / f"{clip}.flac"


@pytest.mark.parametrize("duration_s", [2, 10])
@pytest.mark.parametrize("variant", ["moviepy_decimation", "librosa_soxr_hq"])
def test_onsets_of_real_clips_are_condfoleygens(shared: Path, variant: str, duration_s: int):
    golden = json.loads((shared / "golden" / "onsets.json").read_text())["onsets"]
    extractor = CondFoleyGenOnsets()
    if variant == "librosa_soxr_hq":
        extractor.front_end = AudioFrontEnd("soxr")
    for clip, entry in golden.items():
        recorded = entry[f"{variant}_{duration_s}s"]["onset_samples"]
        rows = extractor.load(ClipSource(flac(shared, clip), 0.0, float(duration_s)))
        assert (np.flatnonzero(rows[:, 0]) * HOP_N).tolist() == recorded


def test_sound_peaks_of_real_clips_are_tempotokens(shared: Path):
    golden = json.loads((shared / "golden" / "avalign.json").read_text())["clips"]
    for clip, entry in golden.items():
        rows = TempoTokensPeaks().load(ClipSource(flac(shared, clip), 0.0, 10.0))
        np.testing.assert_allclose(np.flatnonzero(rows[:, 0]) * HOP_N / SR_HZ, entry["audio_peaks_seconds"])


def test_flow_of_the_same_frames_is_tempotokens(shared: Path):
    clip = "0nib7bMm8BA_15000_25000"
    recorded = np.load(shared / "golden" / "avalign.npz")[f"{clip}/flow_trajectory"]
    capture = cv2.VideoCapture(str(shared / "media" / "vggsound" / f"{clip}.mp4"))
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY) for _ in range(40)]
    np.testing.assert_allclose(list(_flow_lengths(iter(frames))), recorded[1:40], rtol=1e-3)


@pytest.mark.slow  # the flow of 300 frames takes ten seconds
def test_av_align_of_a_real_file_is_tempotokens(shared: Path):
    clip = "0nib7bMm8BA_15000_25000"
    golden = json.loads((shared / "golden" / "avalign.json").read_text())["clips"][clip]
    rows = get_extractor("tempotokens-flow").load(ClipSource(shared / "media" / "vggsound" / f"{clip}.mp4", 0.0, 10.0))
    fps, flow = float(rows[0, 0]), rows[1:, 0]
    assert fps == golden["fps"]
    peaks = tempotokens_video_peaks(flow[flow >= 0], fps)
    # our decoder's pixels are not OpenCV's, so single peaks may differ
    assert tempotokens_av_align(peaks, golden["audio_peaks_seconds"], fps) == pytest.approx(
        golden["iou_own_audio"], abs=0.02
    )


def test_flow_is_the_motion_in_pixels_and_ends_with_the_clip(tmp_path: Path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (96, 64))
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 400, 3), np.uint8), (0, 0), 2)
    for i in range(25):
        writer.write(np.ascontiguousarray(texture[:, 2 * i : 2 * i + 96]))
    writer.release()
    rows = get_extractor("tempotokens-flow").load(ClipSource(path, 0.2, 0.4))
    assert rows.shape == (25, 1)
    assert rows[0] == 25.0
    assert np.median(rows[1:11]) == pytest.approx(2.0, abs=0.3)
    assert rows[1] == rows[2]
    np.testing.assert_array_equal(rows[11:], -1)
    with pytest.raises(MediaError, match="the optical flow needs 2 frames"):
        get_extractor("tempotokens-flow").load(ClipSource(path, 0.0, 0.04))


def click_file(path: Path, times_s: list[float], sr_hz: int = 44_100) -> Path:
    samples = 1e-4 * np.random.default_rng(0).standard_normal(3 * sr_hz)
    for time_s in times_s:
        start = round(time_s * sr_hz)
        samples[start : start + 2000] += 0.8 * 0.998 ** np.arange(2000) * np.sin(np.arange(2000) / 5)
    soundfile.write(path, samples, sr_hz, subtype="FLOAT")
    return path


def test_rows_hold_onsets_where_clicks_are_with_their_heights(tmp_path: Path):
    path = click_file(tmp_path / "a.wav", [0.5, 1.5, 2.5])
    extractor = get_extractor("condfoleygen-onsets")
    rows = extractor.embed_file(path)
    assert rows.shape == (1 + 3 * SR_HZ // HOP_N, 3)
    np.testing.assert_allclose(np.flatnonzero(rows[:, 0]) * HOP_N / SR_HZ, [0.5, 1.5, 2.5], atol=0.05)
    assert np.all(rows[rows[:, 0] == 1, 2] > 0.8)
    assert not rows[rows[:, 0] == 0].any()
    # only whole seconds are looked at
    assert len(extractor.load(ClipSource(path, 0.0, 2.9))) == 1 + 2 * SR_HZ // HOP_N
    assert extractor.rows_n(0.9) == 0
    assert np.flatnonzero(get_extractor("tempotokens-peaks").embed_file(path)[:, 0]).size >= 3


def test_silence_has_no_onsets(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros(44_100), 22_050)
    for name in ("condfoleygen-onsets", "tempotokens-peaks"):
        assert not get_extractor(name).embed_file(tmp_path / "a.wav").any()


@pytest.mark.parametrize("name", ["condfoleygen-onsets", "tempotokens-peaks", "tempotokens-flow"])
def test_missing_packages_say_how_to_get_them(name: str, monkeypatch: pytest.MonkeyPatch):
    extractor = get_extractor(name)
    extractor.check()
    monkeypatch.setattr("t2av_bench.models.extractors.peer_timing.find_spec", lambda module: None)
    with pytest.raises(PrerequisiteError, match=r"pip install 't2av-bench\[presets\]'"):
        extractor.check()
