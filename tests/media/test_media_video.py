"""The frame on screen at each time, whichever decoder reads the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2av_bench.errors import MediaError
from t2av_bench.media import _video_av, _video_decord, probe, read_frames

TIMES_25_S = np.arange(100) / 25


def on_screen(stamps_s, times_s):
    """Follow the definition literally: the last frame not later than the time, else the first."""
    return [max((i for i, stamp_s in enumerate(stamps_s) if stamp_s <= time_s + 6e-4), default=0) for time_s in times_s]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("b.mp4", "libx264", {"bf": "3", "g": "30"}),
        ("intra.mov", "libx264", {"g": "1"}),
        ("open_gop.mp4", "libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1"}),
        ("b.mkv", "libx264", {"bf": "2"}),
        ("v.webm", "libvpx-vp9", {"quality": "realtime"}),
        ("v.avi", "mpeg4", {"b": "2000000"}),
        ("b.avi", "libx264", {"bf": "2"}),
        ("v.ts", "libx264", {"bf": "2", "g": "30"}),
    ],
)
def test_each_time_gets_the_frame_on_screen(media, tmp_path, decoder, name, codec, options):
    path = media("encode")(tmp_path / name, times_s=TIMES_25_S, codec=codec, options=options)
    times_s = np.random.default_rng(1).uniform(0, 4.05, 60)
    frames = read_frames(path, times_s)
    assert [media("picture_number")(frame) for frame in frames] == on_screen(TIMES_25_S, times_s)


def test_variable_frame_rate(media, tmp_path, decoder):
    stamps_s = np.cumsum(np.random.default_rng(2).integers(5, 120, 60)) / 1000
    path = media("encode")(tmp_path / "vfr.mp4", times_s=stamps_s - stamps_s[0], options={"bf": "2", "g": "20"})
    times_s = np.linspace(0, stamps_s[-1] - stamps_s[0], 80)
    numbers = [media("picture_number")(frame) for frame in read_frames(path, times_s, size=(32, 80))]
    assert numbers == on_screen(stamps_s - stamps_s[0], times_s)


def test_pictures_that_start_after_the_sound_keep_their_offset(media, tmp_path, decoder):
    sound = media("burst")(48_000, 3.0, 1.0)
    path = media("encode")(tmp_path / "late.mkv", times_s=0.4 + np.arange(50) / 25, sound=sound, sound_codec="flac")
    numbers = [media("picture_number")(frame) for frame in read_frames(path, [0.0, 0.41, 1.01])]
    assert numbers == [0, 0, 15]


def test_both_decoders_give_the_same_pixels(media, clip_mp4):
    pytest.importorskip("decord")
    for size in (None, (28, 40), (112, 171)):
        times_s = np.arange(0, 3.9, 0.06)
        by_decord = np.stack(list(_video_decord.read_with_decord(clip_mp4, times_s, size)))
        np.testing.assert_array_equal(by_decord, np.stack(list(_video_av.read_with_av(clip_mp4, times_s, size))))


@pytest.mark.parametrize("size", [(8, 8), (4, 16), (9, 24), (12, 48)])
def test_small_sizes_that_decord_gets_wrong(clip_mp4, size, monkeypatch):
    frames = read_frames(clip_mp4, [0.5, 1.0], size=size)
    monkeypatch.setattr(_video_decord, "read_with_decord", lambda *_: None)
    np.testing.assert_array_equal(frames, read_frames(clip_mp4, [0.5, 1.0], size=size))
    assert frames.shape == (2, *size, 3)


@pytest.mark.parametrize(
    ("matrix", "upright", "rotation_deg"),
    [
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1), 90),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2), 180),
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1), 270),
        ((-1, 0, 0, 1), lambda picture: picture[:, ::-1], 0),
        ((1, 0, 0, -1), lambda picture: picture[::-1], 180),
    ],
)
def test_rotation_flags_are_applied(media, clip_mp4, tmp_path, decoder, matrix, upright, rotation_deg):
    path = media("turned")(clip_mp4, tmp_path / "turned.mp4", matrix)
    flat, seen = read_frames(clip_mp4, [1.0])[0], read_frames(path, [1.0])[0]
    np.testing.assert_array_equal(seen, upright(flat))
    info = probe(path)
    assert (info.video_height, info.video_width, info.rotation_deg) == (*seen.shape[:2], rotation_deg)
    assert read_frames(path, [1.0], size=(40, 20)).shape == (1, 40, 20, 3)


def test_odd_dimensions(media, tmp_path, decoder):
    path = media("encode")(tmp_path / "odd.mp4", times_s=TIMES_25_S[:20], size=(65, 161), pix_fmt="yuv444p")
    assert read_frames(path, [0.0]).shape == (1, 65, 161, 3)
    assert [media("picture_number")(frame) for frame in read_frames(path, [0.5], size=(31, 77))] == [12]


def test_times_in_any_order_and_repeated(media, clip_mp4, decoder):
    frames = read_frames(clip_mp4, [2.0, 0.0, 2.0, 1.0])
    assert [media("picture_number")(frame) for frame in frames] == [50, 0, 50, 25]


def test_the_last_frame_is_held_for_a_tenth_of_a_second(media, clip_mp4, decoder):
    assert media("picture_number")(read_frames(clip_mp4, [4.09])[0]) == 99
    with pytest.raises(MediaError, match=r"clip.mp4: has pictures up to 4.000 s, one at 4.200 s is needed"):
        read_frames(clip_mp4, [1.0, 4.2])


def test_a_time_before_the_first_frame_gets_the_first(media, clip_mp4, decoder):
    assert media("picture_number")(read_frames(clip_mp4, [-0.5])[0]) == 0


@pytest.mark.parametrize("times_s", [[], [np.nan], [[0.0]]])
def test_impossible_times(clip_mp4, times_s):
    with pytest.raises(ValueError, match="finite seconds"):
        read_frames(clip_mp4, times_s)


def test_a_range_of_a_long_file_is_reached_by_a_seek(media, tmp_path, monkeypatch):
    times_s = np.arange(1000) * 0.6  # ten minutes
    path = media("encode")(tmp_path / "long.mp4", times_s=times_s, options={"g": "20", "preset": "ultrafast"})
    decoded = []
    stamp_s = _video_av._StampedFrames._stamp_s
    monkeypatch.setattr(
        _video_av._StampedFrames, "_stamp_s", lambda self, frame: decoded.append(1) or stamp_s(self, frame)
    )
    numbers = [media("picture_number")(frame) for frame in read_frames(path, [300.1, 305.0, 590.0])]
    assert numbers == [500, 508, 983]
    assert len(decoded) < 80


def test_truncated_behind_the_index(media, clip_mp4, tmp_path, decoder):
    data = clip_mp4.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) * 6 // 10])
    assert media("picture_number")(read_frames(path, [1.0])[0]) == 25
    with pytest.raises(MediaError, match=r"cut.mp4: is truncated or damaged: its video stream can be read up to [12]"):
        read_frames(path, np.arange(0, 4, 0.1))


def test_files_without_pictures(media, tmp_path):
    path = media("encode")(tmp_path / "sound.m4a", sound=media("burst")(48_000, 1.0, 0.2))
    with pytest.raises(MediaError, match=r"sound.m4a: holds no pictures"):
        read_frames(path, [0.0])


def test_real_clips(shared: Path):
    paths = sorted((shared / "media").glob("*/*.mp4"))
    assert len(paths) == 22
    for path in paths:
        info = probe(path)
        times_s = np.array([0.0, 0.06, 0.12, 0.5])
        assert read_frames(path, times_s, size=(128, 171)).std() > 1
        if info.video_height < 400:
            read_frames(path, [info.video_duration_s - 0.01], size=(16, 80))
        by_decord = list(_video_decord.read_with_decord(path, times_s, (128, 171)))
        np.testing.assert_array_equal(by_decord, list(_video_av.read_with_av(path, times_s, (128, 171))))
