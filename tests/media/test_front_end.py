"""Front ends of other toolkits: the waveforms their own code gave, and what each step does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from t2av_bench.errors import MediaError, PrerequisiteError, UsageError
from t2av_bench.media import FRONT_ENDS, AudioFrontEnd, read_clip_audio
from t2av_bench.media.front_end import find_front_end
from t2av_bench.media.resampling import resample

# One 16-bit step where the samples are 16-bit: a difference of 1e-7 before the truncation may cross its edge.
TOLERANCES = {"audioldm_eval": 1e-6, "frechet_audio_distance": 1e-6, "fadtk": 2.0**-15, "av_benchmark_8s": 1e-6,
              "av_benchmark_10s": 1e-6}  # fmt: skip


def read_golden_clip(shared: Path, clip: str, path: str) -> np.ndarray:
    front_end = FRONT_ENDS[path if path in FRONT_ENDS else "av-benchmark"]
    if path == "av_benchmark_10s":
        front_end = replace(front_end, most_s=10.0)
    source = shared / "golden" / "flac" / f"{clip}.flac"
    return front_end.read(source, sr_hz=16_000, start_s=0.0, duration_s=10.0)


@pytest.mark.parametrize("path", TOLERANCES)
def test_waveforms_are_the_recorded_ones(shared: Path, path: str):
    golden = np.load(shared / "golden" / "frontends.npz")
    clips = json.loads((shared / "golden" / "frontends.json").read_text())["clips"]
    full = "7tMPoaU2oL4_0_10000"
    for clip in (name for name in clips if path in clips[name]):
        samples, recorded = read_golden_clip(shared, clip, path), clips[clip][path]["waveform"]
        assert [len(samples)] == recorded["shape"]
        tolerance = TOLERANCES[path] * 1.01
        assert np.abs(samples[:8] - recorded["first8"]).max() < tolerance
        assert np.abs(samples[-8:] - recorded["last8"]).max() < tolerance
        assert samples.min() == pytest.approx(recorded["min"], abs=tolerance)
        assert samples.max() == pytest.approx(recorded["max"], abs=tolerance)
        parts = [np.sqrt(np.mean(part.astype(np.float64) ** 2)) for part in np.split(samples, 8)]
        np.testing.assert_allclose(parts, recorded["rms_of_8_equal_parts"], atol=1e-6)
        if clip == full and f"{clip}/{path}/waveform" in golden:
            assert np.abs(samples - golden[f"{clip}/{path}/waveform"]).max() < tolerance


def test_the_truncation_of_fadtk_is_seldom_off_by_its_step_and_rounding_would_be_half_the_time(shared: Path):
    clip = "7tMPoaU2oL4_0_10000"
    golden = np.load(shared / "golden" / "frontends.npz")[f"{clip}/fadtk/waveform"]
    source = shared / "golden" / "flac" / f"{clip}.flac"
    share = {}
    for how in ("truncate", "round"):
        front_end = replace(FRONT_ENDS["fadtk"], bits16=how)
        share[how] = np.mean(front_end.read(source, sr_hz=16_000, start_s=0.0, duration_s=10.0) != golden)
    assert share["truncate"] < 0.002
    assert share["round"] > 0.4


def write(path: Path, samples: np.ndarray, sr_hz: int = 16_000) -> Path:
    soundfile.write(path, samples, sr_hz, subtype="FLOAT")
    return path


def read(front_end: AudioFrontEnd | str, path: Path, duration_s: float, sr_hz: int = 16_000) -> np.ndarray:
    return find_front_end(front_end).read(path, sr_hz=sr_hz, start_s=0.0, duration_s=duration_s)


def test_ours_is_the_protocol(tmp_path: Path):
    path = write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, (44_100, 2)), 44_100)
    ours = read("t2av-bench", path, 1.0)
    np.testing.assert_array_equal(ours, read_clip_audio(path, sr_hz=16_000, start_s=0.0, duration_s=1.0))


def test_channels_and_dc(tmp_path: Path):
    stereo = np.stack([np.full(16_000, 0.5), np.tile([0.25, -0.25], 8_000)], axis=1)
    path = write(tmp_path / "a.wav", stereo)
    np.testing.assert_allclose(read(AudioFrontEnd("x", channels="first"), path, 1.0), 0.5)
    np.testing.assert_allclose(read(AudioFrontEnd("x", channels="mean"), path, 1.0), stereo.mean(axis=1))
    no_dc = read(AudioFrontEnd("x", remove_mean=True), path, 1.0)
    np.testing.assert_allclose(no_dc, stereo.mean(axis=1) - 0.25, atol=1e-7)


def test_short_clips_are_padded_and_long_ones_cut(tmp_path: Path):
    path = write(tmp_path / "a.wav", np.full(160_000, 0.5))
    padded = read("audioldm_eval", write(tmp_path / "b.wav", np.tile([0.5, -0.5], 8_000)), 1.0)
    assert padded.shape == (32_000,)
    assert np.all(padded[:16_000] != 0)
    assert not padded[16_000:].any()
    assert read("fadtk", path, 0.5).shape == (16_000,)
    assert read("av-benchmark", path, 10.0).shape == (128_000,)
    assert read("av-benchmark", path, 4.0).shape == (64_000,)


def test_16_bits_clip_and_either_truncate_or_round(tmp_path: Path):
    step = 2.0**-15
    path = write(tmp_path / "a.wav", np.array([0.6 * step, -0.6 * step, 0.4 * step, 2.0, -2.0]))
    truncated = read(AudioFrontEnd("x", bits16="truncate"), path, 5 / 16_000)
    np.testing.assert_array_equal(truncated, np.float32([0, -step, 0, 1 - step, -1]))
    rounded = read(AudioFrontEnd("x", bits16="round"), path, 5 / 16_000)
    np.testing.assert_array_equal(rounded, np.float32([step, -step, 0, 1 - step, -1]))


def test_google_divides_by_the_largest_sample_with_its_sign(tmp_path: Path):
    path = write(tmp_path / "a.wav", np.tile([0.25, -0.5], 8_000))
    np.testing.assert_allclose(read("google-fad", path, 1.0), np.tile([1.0, -2.0], 8_000))
    assert not read("google-fad", write(tmp_path / "b.wav", np.zeros(16_000)), 1.0).any()


@pytest.mark.parametrize("resampler", ["torchaudio", "torchaudio-transform", "torchaudio-kaiser", "resampy", "soxr-hq"])
@pytest.mark.parametrize("rates", [(44_100, 16_000), (16_000, 22_050), (8_000, 16_000), (32_000, 16_000)])
def test_every_resampler_keeps_a_low_tone_in_place(resampler: str, rates: tuple[int, int]):
    tone = np.sin(2 * np.pi * 440 * np.arange(rates[0]) / rates[0]).astype(np.float32)
    resampled = resample(tone, *rates, resampler)
    expected = np.sin(2 * np.pi * 440 * np.arange(len(resampled)) / rates[1])
    assert abs(len(resampled) - rates[1]) <= 1
    assert np.abs(resampled - expected)[300:-300].max() < 3e-3  # the short filters ripple in the passband


def test_moviepy_takes_the_sample_before_and_filters_only_what_is_not_at_44100_hz():
    counted = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(resample(counted, 44_100, 22_050, "moviepy"), range(0, 10, 2))
    np.testing.assert_array_equal(resample(counted, 44_100, 16_000, "moviepy"), [0, 2, 5])
    tone = np.sin(np.arange(16_000) / 10).astype(np.float32)
    np.testing.assert_array_equal(
        resample(tone, 16_000, 22_050, "moviepy"), resample(tone, 16_000, 44_100, "soxr-hq")[::2]
    )


def test_a_clip_lies_at_its_range_in_a_long_file(tmp_path: Path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * 44_100, 2))
    long, short = write(tmp_path / "l.wav", samples, 44_100), write(tmp_path / "s.wav", samples[44_100:88_200], 44_100)
    for front_end in FRONT_ENDS.values():
        inside = front_end.read(long, sr_hz=16_000, start_s=1.0, duration_s=1.0)
        np.testing.assert_array_equal(inside, front_end.read(short, sr_hz=16_000, start_s=0.0, duration_s=1.0))


def test_what_no_front_end_can_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.wav", np.zeros(8_000))
    with pytest.raises(MediaError, match=r"has 0\.500 s of sound"):
        read("audioldm_eval", path, 1.0)
    with pytest.raises(UsageError, match=r"no audio front end 'fadkt'.*Did you mean 'fadtk'"):
        find_front_end("fadkt")
    with pytest.raises(UsageError, match="no resampler 'linear'"):
        resample(np.zeros(3, np.float32), 2, 1, "linear")  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match=r"pip install 't2av-bench\[presets\]'"):
        FRONT_ENDS["frechet_audio_distance"].check()


@pytest.mark.parametrize("channels_n", [1, 2, 3, 5, 6, 7, 8, 11])
def test_the_mean_of_channels_is_numpys_to_the_last_bit(channels_n: int):
    rng = np.random.default_rng(channels_n)
    stored = (rng.standard_normal((5000, channels_n)) * 10.0 ** rng.integers(-6, 2, (5000, 1))).astype(np.float32)
    before = stored.copy()
    mono = AudioFrontEnd("plain").signal(stored, 16_000, sr_hz=16_000, duration_s=5000 / 16_000)
    assert mono.tobytes() == stored.mean(axis=1, dtype=np.float32).tobytes()
    np.testing.assert_array_equal(stored, before)
