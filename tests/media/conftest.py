"""Generators of test media: every frame carries its number as bars, every sound a burst at a known time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

BITS_N = 10
BAR_PX = 16


def numbered_picture(number: int, height: int = 64, width: int = BITS_N * BAR_PX) -> npt.NDArray[np.uint8]:
    """Draw a number as white (1) and black (0) bars, the lowest bit at the left."""
    picture = np.full((height, width, 3), 16, np.uint8)
    for bit in range(BITS_N):
        if number >> bit & 1:
            picture[:, bit * BAR_PX : (bit + 1) * BAR_PX] = 235
    return picture


def picture_number(picture: npt.NDArray[np.uint8]) -> int:
    """Read the number back, at any size."""
    row = picture[picture.shape[0] // 2].mean(axis=-1)
    centres = ((np.arange(BITS_N) + 0.5) * len(row) / BITS_N).astype(int)
    return int(sum(1 << bit for bit, centre in enumerate(centres) if row[centre] > 127))


def burst(sr_hz: int, duration_s: float, at_s: float, channels: int = 1) -> npt.NDArray[np.float32]:
    """Silence with 50 ms of a tone at one moment, shape (samples, channels)."""
    time_s = np.arange(round(sr_hz * duration_s)) / sr_hz
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_s) * ((time_s >= at_s) & (time_s < at_s + 0.05))
    return np.repeat(tone[:, None], channels, axis=1).astype(np.float32)


def onset_s(samples: npt.NDArray[np.float32], sr_hz: int) -> float:
    """Find the first moment the sound is loud."""
    return float(np.argmax(np.abs(samples).reshape(len(samples), -1).max(axis=1) > 0.2) / sr_hz)


def encode(
    path: Path,
    *,
    times_s: Sequence[float] = (),
    codec: str = "libx264",
    size: tuple[int, int] = (64, BITS_N * BAR_PX),
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: npt.NDArray[np.float32] | None = None,
    sr_hz: int = 48_000,
    sound_codec: str = "aac",
    sound_at_s: float = 0.0,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Write a media file: numbered frames at the given times and/or a sound that starts at a given time."""
    import av

    with av.open(str(path), "w", options=muxer_options or {}) as container:
        streams = []
        if len(times_s):
            video = container.add_stream(codec, rate=25)
            video.height, video.width, video.pix_fmt = *size, pix_fmt
            video.options = options or {}
            # AVI counts frames; elsewhere a millisecond clock allows any times.
            time_base = Fraction(1, 25 if path.suffix == ".avi" else 1000)
            video.time_base = video.codec_context.time_base = time_base
            streams.append((video, _video_frames(times_s, size, pix_fmt, time_base)))
        if sound is not None:
            audio = container.add_stream(sound_codec, rate=sr_hz)
            audio.layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[sound.shape[1]]
            streams.append((audio, _audio_frames(sound, sr_hz, audio, sound_at_s)))
        # In step, as players expect it.
        waiting = [
            (float(frame.pts * frame.time_base), number, frame)
            for number, (_, all_) in enumerate(streams)
            for frame in all_
        ]
        for _, number, frame in sorted(waiting, key=lambda item: item[:2]):
            container.mux(streams[number][0].encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    return path


def _video_frames(times_s: Sequence[float], size: tuple[int, int], pix_fmt: str, time_base: Fraction) -> list:
    import av

    frames = []
    for number, time_s in enumerate(times_s):
        frame = av.VideoFrame.from_ndarray(numbered_picture(number, *size), "rgb24").reformat(format=pix_fmt)
        frame.pts, frame.time_base = round(Fraction(time_s) / time_base), time_base
        frames.append(frame)
    return frames


def _audio_frames(sound: npt.NDArray[np.float32], sr_hz: int, stream: object, at_s: float) -> list:
    import av

    sample_format = stream.codec_context.format.name
    resampler = av.AudioResampler(sample_format, stream.layout, sr_hz)
    step_n = 1024
    frames = []
    for start_n in range(0, len(sound), step_n):
        block = np.ascontiguousarray(sound[start_n : start_n + step_n].T)
        frame = av.AudioFrame.from_ndarray(block, "fltp", stream.layout.name)
        frame.sample_rate, frame.time_base = sr_hz, Fraction(1, sr_hz)
        frame.pts = round(at_s * sr_hz) + start_n
        frames += resampler.resample(frame)
    return frames


def turned(path: Path, target: Path, matrix: Sequence[int]) -> Path:
    """Copy an MP4 with another display matrix (a, b, c, d) in its first track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    target.write_bytes(data)
    return target


@pytest.fixture(scope="session")
def clip_mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s at 25 fps with B-frames and 48 kHz stereo AAC, a burst at 1.5 s, index at the front."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sound = burst(48_000, 4.0, 1.5, channels=2) + np.random.default_rng(0).normal(0, 1e-3, (192_000, 2)).astype(
        np.float32
    )
    times_s = np.arange(100) / 25
    return encode(
        path, times_s=times_s, sound=sound, options={"g": "25", "bf": "2"}, muxer_options={"movflags": "faststart"}
    )


@pytest.fixture(params=["decord", "av"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with decord first and with PyAV alone."""
    if request.param == "av":
        monkeypatch.setattr("t2av_bench.media._video_decord.read_with_decord", lambda *_: None)
    else:
        pytest.importorskip("decord")
    return str(request.param)


@pytest.fixture
def media() -> Callable[[str], object]:
    """Give access to the generators above by name: test modules cannot import a conftest."""
    return globals().__getitem__
