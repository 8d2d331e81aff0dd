"""Clips as files that browsers play: what is copied is the same, what is coded again is close, ranges are kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from t2av_bench.errors import MediaError
from t2av_bench.media import probe, read_audio, read_frames
from t2av_bench.media.cutting import plays_in_browsers, read_still, sounds_in_browsers, write_pictures, write_sound

HEIGHT, WIDTH, RATE_HZ = 48, 64, 25
TIMES_S = np.array([0.02, 0.42, 0.98])


def film(path: Path, codec: str, pixels: str = "yuv420p", frames_n: int = 75, height: int = HEIGHT) -> Path:
    """Write a bright column that moves on by one pixel a frame, with a key frame each second."""
    options = {"g": "25", "sc_threshold": "0", "deadline": "realtime"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE_HZ, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, height, pixels
        stream.time_base = Fraction(1, RATE_HZ)
        for i in range(frames_n):
            picture = np.full((height, WIDTH, 3), 40, np.uint8)
            picture[:, i % WIDTH : i % WIDTH + 8] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264")])
@pytest.mark.parametrize("start_s", [0.0, 1.4])
def test_h264_is_copied_bit_for_bit_from_the_key_frame_on(tmp_path: Path, name: str, codec: str, start_s: float):
    source = film(tmp_path / name, codec)
    offset_s = write_pictures(source, tmp_path / "out.mp4", start_s=start_s, duration_s=1.2)
    assert 0.0 <= offset_s <= start_s
    assert offset_s == pytest.approx(start_s % 1.0, abs=0.05), "not far behind the key frame of this second"
    expected = read_frames(source, start_s + TIMES_S)
    np.testing.assert_array_equal(read_frames(tmp_path / "out.mp4", offset_s + TIMES_S), expected)
    end_s = probe(tmp_path / "out.mp4").video_duration_s
    assert end_s is not None
    assert end_s == pytest.approx(offset_s + 1.2, abs=0.2)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mp4", "libx264rgb", "rgb24"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_anything_else_is_coded_again_and_starts_with_the_clip(tmp_path: Path, name: str, codec: str, pixels: str):
    source = film(tmp_path / name, codec, pixels)
    assert write_pictures(source, tmp_path / "out.mp4", start_s=1.4, duration_s=1.2) == 0.0
    with av.open(str(tmp_path / "out.mp4")) as written:
        stream = written.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert not written.streams.audio
    expected = read_frames(source, 1.4 + TIMES_S).astype(int)
    found = read_frames(tmp_path / "out.mp4", TIMES_S)
    assert np.abs(found - expected).mean() < 8.0


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_a_still_is_of_the_clip_and_near_its_middle(tmp_path: Path, name: str, codec: str):
    source = film(tmp_path / name, codec)
    pictures = read_frames(source, np.arange(75) / RATE_HZ + 0.001).astype(int)

    def shown_at_s(start_s: float, duration_s: float) -> float:
        still = read_still(source, start_s=start_s, duration_s=duration_s)
        return float(np.abs(pictures - still).mean(axis=(1, 2, 3)).argmin() / RATE_HZ)

    assert 0.9 <= shown_at_s(0.2, 2.4) <= 1.4
    assert 2.2 <= shown_at_s(2.2, 0.4) <= 2.6, "not the key frame before the clip"
    with pytest.raises(MediaError, match="holds no pictures from 9.000 s on"):
        read_still(source, start_s=9.0, duration_s=1.0)


def test_large_pictures_become_smaller_and_keep_their_shape(tmp_path: Path):
    source = film(tmp_path / "a.avi", "mpeg4", frames_n=5, height=960)
    write_pictures(source, tmp_path / "out.mp4", start_s=0.0, duration_s=0.2)
    info = probe(tmp_path / "out.mp4")
    assert (info.video_width, info.video_height) == (WIDTH // 2, 480)


def test_a_range_past_the_end_is_refused_and_leaves_no_file(tmp_path: Path):
    source = film(tmp_path / "a.avi", "mpeg4")
    with pytest.raises(MediaError, match="has pictures up to 3.000 s"):
        write_pictures(source, tmp_path / "out.mp4", start_s=7.0, duration_s=1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.avi"]


def test_only_what_browsers_play_counts_as_such(tmp_path: Path):
    assert plays_in_browsers(film(tmp_path / "a.mp4", "libx264"))
    assert plays_in_browsers(film(tmp_path / "a.webm", "libvpx-vp9"))
    assert not plays_in_browsers(film(tmp_path / "b.mp4", "libx264", "yuv444p"))
    assert not plays_in_browsers(film(tmp_path / "c.mp4", "mpeg4"))
    assert not plays_in_browsers(film(tmp_path / "a.mkv", "libx264"))
    sound = np.zeros(1600, np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    soundfile.write(tmp_path / "a.flac", sound, 16_000)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.flac").read_bytes())
    assert sounds_in_browsers(tmp_path / "a.wav")
    assert not sounds_in_browsers(tmp_path / "a.flac"), "Chromium cannot always seek in one"
    assert not sounds_in_browsers(tmp_path / "b.wav"), "its ending tells a server the wrong type"
    assert not sounds_in_browsers(tmp_path / "a.mp4")


@pytest.mark.parametrize(("channels_n", "sr_hz"), [(1, 16_000), (2, 44_100)])
def test_sound_is_written_without_loss_and_clipped_at_full_scale(tmp_path: Path, channels_n: int, sr_hz: int):
    steps = np.random.default_rng(0).integers(-(2**15), 2**15, (2 * sr_hz + 7, channels_n))
    samples = (steps / 2**15).astype(np.float32)
    samples[0] = 1.5
    write_sound(samples, sr_hz, tmp_path / "a.mp4")
    read, found_sr_hz = read_audio(tmp_path / "a.mp4")
    assert found_sr_hz == sr_hz
    np.testing.assert_array_equal(read[1:], samples[1:])
    np.testing.assert_array_equal(read[0], 1.0 - 2.0**-15)
    with pytest.raises(MediaError, match="cannot be written"):
        write_sound(samples, sr_hz, tmp_path / "none" / "a.mp4")
