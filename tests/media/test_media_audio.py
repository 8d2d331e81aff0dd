"""Sound: every kind of file, exact ranges, the protocol's clip, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from t2av_bench.errors import MediaError
from t2av_bench.media import check_audio, probe, read_audio, read_clip_audio


def noise(sr_hz, duration_s, channels=1):
    shape = (round(sr_hz * duration_s), channels)
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize("sr_hz", [8_000, 22_050, 44_100, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_wav_of_any_rate_and_channel_count(tmp_path, sr_hz, channels):
    sound = noise(sr_hz, 0.5, channels)
    soundfile.write(tmp_path / "a.wav", sound, sr_hz, subtype="FLOAT")
    read, read_sr_hz = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(read, sound)
    assert (read_sr_hz, read.dtype) == (sr_hz, np.float32)
    clip = read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0.1, duration_s=0.3)
    assert (clip.shape, clip.dtype) == ((4800,), np.float32)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "flac"), ("a.mp4", "aac")])
def test_surround_sound_of_eight_channels_in_a_container(tmp_path, name, codec):
    import av

    sound = noise(48_000, 0.5, 8)
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=48_000)
        stream.layout = "7.1"
        sample_format = "s16" if codec == "flac" else "fltp"
        resampler = av.AudioResampler(format=sample_format, layout="7.1", rate=48_000)
        for start in range(0, len(sound), 1000):
            frame = av.AudioFrame.from_ndarray(sound[start : start + 1000].reshape(1, -1), format="flt", layout="7.1")
            frame.sample_rate, frame.pts = 48_000, start
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode())
    read, sr_hz = read_audio(tmp_path / name)
    assert sr_hz == 48_000
    if codec == "flac":
        np.testing.assert_allclose(read, sound, atol=2**-15)
    alike = np.corrcoef(read[:20_000].T, sound[:20_000].T)[:8, 8:]
    assert alike.argmax(axis=1).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "PCM_32", 2**-23),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.flac", "PCM_24", 2**-23),
    ],
)
def test_sample_formats_have_full_scale_one(tmp_path, name, subtype, tolerance):
    sound = noise(16_000, 0.2, 2)
    soundfile.write(tmp_path / name, sound, 16_000, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / name)[0], sound, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "codec", "range_tolerance"),
    [
        ("a.m4a", "aac", 1e-3),
        ("a.mp4", "aac", 1e-3),
        ("a.mkv", "aac", None),
        ("a.mka", "flac", 0),
        ("a.webm", "libopus", None),
        ("a.avi", "pcm_s16le", 0),
        ("a.mov", "alac", 0),
        ("a.aac", "aac", 1e-3),
        ("a.ogg", "flac", 0),
        ("a.opus", "libopus", 1e-3),
        ("a.mp3", "libmp3lame", 1e-2),
    ],
)
def test_containers_keep_the_moment_of_a_sound(media, tmp_path, name, codec, range_tolerance):
    sound = media("burst")(48_000, 6.0, 4.0, channels=2)
    path = media("encode")(tmp_path / name, sound=sound, sound_codec=codec)
    samples, sr_hz = read_audio(path)
    assert samples.shape[1] == 2
    assert len(samples) / sr_hz == pytest.approx(6.0, abs=0.06)
    # ADTS has no field for the encoder's delay of 1024 samples.
    assert media("onset_s")(samples, sr_hz) == pytest.approx(4.0213 if name == "a.aac" else 4.0, abs=0.003)
    part, _ = read_audio(path, start_s=3.5, duration_s=1.0)
    assert len(part) == sr_hz
    assert media("onset_s")(part, sr_hz) == pytest.approx(0.5213 if name == "a.aac" else 0.5, abs=0.003)
    if range_tolerance is not None:
        whole = samples[round(3.5 * sr_hz) :][: len(part)]
        np.testing.assert_allclose(part, whole, atol=range_tolerance)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_of_aac(media, tmp_path, channels):
    path = media("encode")(tmp_path / "a.m4a", sound=media("burst")(44_100, 1.0, 0.5, channels), sr_hz=44_100)
    assert read_audio(path)[0].shape[1] == channels
    assert probe(path).audio_channels == channels


def test_sound_that_starts_after_the_pictures_keeps_its_offset(media, tmp_path):
    sound = media("burst")(48_000, 2.0, 1.0)
    path = media("encode")(tmp_path / "late.mp4", times_s=np.arange(75) / 25, sound=sound, sound_at_s=0.5)
    samples, sr_hz = read_audio(path)
    assert media("onset_s")(samples, sr_hz) == pytest.approx(1.5, abs=0.003)
    assert not samples[: round(0.45 * sr_hz)].any()


def test_a_gap_in_the_stream_is_silence(media, tmp_path):
    import av

    whole = media("encode")(tmp_path / "whole.mka", sound=noise(48_000, 2.0), sound_codec="pcm_s16le")
    with av.open(str(whole)) as source, av.open(str(tmp_path / "gap.mka"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None and not 0.5 <= packet.pts * packet.time_base < 1.0:
                packet.stream = stream
                target.mux(packet)
    samples, sr_hz = read_audio(tmp_path / "gap.mka")
    assert len(samples) == pytest.approx(2 * sr_hz, abs=sr_hz * 0.03)
    assert not samples[round(0.53 * sr_hz) : round(0.97 * sr_hz)].any()
    np.testing.assert_allclose(samples[-1000:], read_audio(whole)[0][-1000:], atol=1e-6)


def test_the_contents_count_not_the_name(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(16_000, 0.5), 16_000)
    for name in ("a.mp3", "a.mp4", "a.raw", "a"):
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
        assert len(read_audio(tmp_path / name)[0]) == 8000


def test_a_wav_of_unstated_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(16_000, 0.5), 16_000, subtype="PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4  # what `ffmpeg … -f wav -` writes
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav")[0]) == 8000


def test_a_flac_of_unstated_length(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(16_000, 0.5), 16_000, subtype="PCM_16")
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    assert len(read_audio(tmp_path / "a.flac")[0]) == 8000


def test_a_clip_is_the_mean_of_channels_at_the_wanted_rate(tmp_path):
    time_s = np.arange(44_100) / 44_100
    tone = np.sin(2 * np.pi * 440 * time_s)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, 0.5 * tone], 1), 44_100, subtype="FLOAT")
    clip = read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=1.0)
    expected = 0.75 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(clip[200:-200], expected[200:-200], atol=2e-4)
    again = read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=1.0)
    np.testing.assert_array_equal(clip, again)


def test_a_range_equals_the_same_range_cut_out_beforehand(tmp_path):
    sound = noise(44_100, 3.0)
    soundfile.write(tmp_path / "long.wav", sound, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "cut.wav", sound[44_100:88_200], 44_100, subtype="FLOAT")
    np.testing.assert_array_equal(
        read_clip_audio(tmp_path / "long.wav", sr_hz=16_000, start_s=1.0, duration_s=1.0),
        read_clip_audio(tmp_path / "cut.wav", sr_hz=16_000, start_s=0.0, duration_s=1.0),
    )


def test_a_tenth_of_a_second_is_padded_and_no_more(tmp_path):
    sound = noise(16_000, 0.9)
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    clip = read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=1.0)
    np.testing.assert_array_equal(clip, np.r_[sound[:, 0], np.zeros(1600, np.float32)])
    with pytest.raises(MediaError, match=r"a.wav: has 0.900 s of sound from 0.000 s on, needed: 1.010 s"):
        read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=1.01)
    found = check_audio(tmp_path / "a.wav", 0, 1.01)
    assert found.too_short
    assert (found.available_s, found.padded_s) == pytest.approx((0.9, 0.11))


def test_non_finite_samples_are_counted(tmp_path):
    sound = noise(16_000, 1.0)
    sound[[3, 5, 7]] = [[np.nan], [np.inf], [-np.inf]]
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    with pytest.raises(MediaError, match=r"a.wav: holds 3 samples that are NaN or infinite"):
        read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=1.0)
    found = check_audio(tmp_path / "a.wav", 0, 1.0)
    assert found.non_finite == 3
    assert 0.4 < found.peak <= 0.5


@pytest.mark.parametrize(("sound", "peak"), [([0.25, -0.75], 0.75), ([0.5, -0.25], 0.5), ([-0.5, -0.25], 0.5)])
@pytest.mark.parametrize("bad", [[], [np.nan], [-np.inf, np.nan]])
def test_the_peak_is_the_largest_magnitude_of_what_is_finite(
    tmp_path: Path, sound: list[float], peak: float, bad: list[float]
):
    soundfile.write(tmp_path / "a.wav", np.array([*sound, *bad, 0.0]), 16_000, subtype="FLOAT")
    found = check_audio(tmp_path / "a.wav", 0, (len(sound) + len(bad) + 1) / 16_000)
    assert (found.peak, found.non_finite) == (peak, len(bad))


def test_silence_is_reported_and_readable(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((16_000, 2)), 16_000)
    found = check_audio(tmp_path / "a.wav", 0, 1.0)
    assert (found.silent, found.peak, found.sr_hz, found.channels) == (True, 0.0, 16_000, 2)
    assert not read_clip_audio(tmp_path / "a.wav", sr_hz=8_000, start_s=0, duration_s=1.0).any()


def test_one_sample(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.5], 44_100)
    assert read_audio(tmp_path / "a.wav")[0].shape == (1, 1)
    assert read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=0.05).shape == (800,)
    with pytest.raises(MediaError, match=r"a.wav: has 0.000 s of sound"):
        read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=1.0)


@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
def test_a_range_past_the_end(media, tmp_path, name):
    codec = {"a.wav": "pcm_s16le", "a.m4a": "aac"}[name]
    path = media("encode")(tmp_path / name, sound=noise(48_000, 1.0), sound_codec=codec)
    with pytest.raises(MediaError, match=rf"{name}: ends at 1\.0.. s, the range starts at 5.000 s"):
        read_audio(path, start_s=5.0, duration_s=1.0)


@pytest.mark.parametrize(("start_s", "duration_s"), [(-1.0, 1.0), (np.nan, 1.0), (0.0, 0.0)])
def test_impossible_ranges(tmp_path, start_s, duration_s):
    with pytest.raises(ValueError, match="A range starts at 0 s or later"):
        read_audio(tmp_path / "a.wav", start_s=start_s, duration_s=duration_s)


def test_truncated_behind_the_index(media, clip_mp4, tmp_path):
    data = clip_mp4.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) * 6 // 10])
    samples, sr_hz = read_audio(path, start_s=0.5, duration_s=1.2)
    assert media("onset_s")(samples, sr_hz) == pytest.approx(1.0, abs=0.003)
    for duration_s in (4.0, None):
        with pytest.raises(MediaError, match=r"cut.mp4: is truncated or damaged: its sound .* headers promise 4.000 s"):
            read_audio(path, duration_s=duration_s)


@pytest.mark.parametrize("name", ["a.flac", "a.mkv"])
def test_other_truncated_files(media, tmp_path, name):
    path = media("encode")(tmp_path / name, sound=noise(48_000, 2.0), sound_codec="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=rf"{name}: is (truncated|damaged)"):
        read_clip_audio(path, sr_hz=16_000, start_s=0, duration_s=2.0)


def test_the_moment_in_a_real_clip_does_not_depend_on_the_range(shared: Path):
    paths = sorted((shared / "media").glob("*/*.mp4"))
    assert len(paths) == 22
    for path in paths:
        whole, sr_hz = read_audio(path)
        part, _ = read_audio(path, start_s=2.5, duration_s=1.0)
        # AAC fills some bands with noise of its own: equal in time and level, not in every bit.
        cut = whole[round(2.5 * sr_hz) :][: len(part)]
        assert len(part) == sr_hz
        assert np.corrcoef(part.ravel(), cut.ravel())[0, 1] > 0.99
        assert read_clip_audio(path, sr_hz=16_000, start_s=0, duration_s=5.99).shape == (95_840,)
