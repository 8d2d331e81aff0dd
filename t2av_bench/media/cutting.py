"""Clips as files of their own that every browser plays: pictures as H.264 in MP4, sound as FLAC in MP4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.files import replacing
from t2av_bench.media._container import (
    FrameReader,
    can_seek,
    check_file,
    format_name,
    need_stream,
    open_container,
    time_zero_s,
)
from t2av_bench.media._mp4 import add_h264, audio_frame, pictures_of, with_dts
from t2av_bench.media._picture import PictureMaker, orientation
from t2av_bench.media._video_av import EARLY_S, read_with_av

if TYPE_CHECKING:
    from av.container import InputContainer

# What a browser plays without more ado, by the ending that tells a server its type.
_PLAYED_VIDEO = {".mp4": {"h264"}, ".m4v": {"h264"}, ".webm": {"vp8", "vp9"}}
# 4:2:0 in 8 bits; browsers leave the rest of H.264 aside, and so do most decoders in hardware.
_PLAYED_PIXELS = ("yuv420p", "yuvj420p")
# Pictures that must be coded again are made no larger: a gallery shows them smaller still.
_MOST_LINES = 480
_MOST_RATE_HZ = Fraction(25)
# A stream whose first key frame comes this much after the clip's start is not worth coding again.
_LATE_S = Fraction(1, 10)


def plays_in_browsers(path: str | Path) -> bool:
    """Whether the pictures of a video file can be shown by a browser as they are.

    Raises
    ------
    MediaError
        If the file cannot be read, or holds no pictures.
    """
    path = Path(path)
    check_file(path)
    codecs = _PLAYED_VIDEO.get(path.suffix.lower())
    if codecs is None:
        return False
    with open_container(path) as source:
        stream = need_stream(source, path, "video")
        container = {"h264": "mov", "vp8": "matroska", "vp9": "matroska"}.get(stream.codec_context.name)
        fits = stream.codec_context.name in codecs and format_name(source) == container
        return fits and stream.codec_context.pix_fmt in _PLAYED_PIXELS


def sounds_in_browsers(path: str | Path) -> bool:
    """Whether a sound file is WAV under its own ending, which browsers play sample for sample."""
    import soundfile

    try:
        return Path(path).suffix.lower() == ".wav" and soundfile.info(str(path)).format in ("WAV", "WAVEX")
    except soundfile.SoundFileError:
        return False


def read_still(video: str | Path, *, start_s: float, duration_s: float) -> npt.NDArray[np.uint8]:
    """Read a picture that stands for a clip: the key frame before its middle, or the first of the clip.

    Parameters
    ----------
    video
        File to take it from.
    start_s, duration_s
        The clip's range in seconds on the file's clock.

    Returns
    -------
    numpy.ndarray, shape (height, width, 3), uint8, RGB
        Upright.

    Raises
    ------
    MediaError
        If the video cannot be read, or holds no pictures there.
    """
    path = Path(video)
    check_file(path)
    with open_container(path) as source:
        stream = need_stream(source, path, "video")
        zero_s = time_zero_s(source)
        if can_seek(source):
            source.seek(round((zero_s + Fraction(start_s + duration_s / 2)) / stream.time_base), stream=stream)
        whole = False  # before the first key frame pictures refer to what was not read
        for frame in FrameReader(source, stream):
            whole = whole or frame.key_frame
            if whole and (frame.pts is None or frame.pts * frame.time_base - zero_s >= start_s - EARLY_S):
                return PictureMaker(None)(frame)
    raise MediaError(path, f"holds no pictures from {start_s:.3f} s on")


def write_pictures(video: str | Path, out: str | Path, *, start_s: float, duration_s: float) -> float:
    """Write the pictures of a clip as an MP4 without sound that every browser plays.

    H.264 that browsers know is copied bit for bit, from the key frame before the clip on; anything else is coded again,
    upright, with at most 480 lines.

    Parameters
    ----------
    video
        File whose pictures are taken.
    out
        File to write, ending in ``.mp4``; it appears when it is complete.
    start_s, duration_s
        The clip's range in seconds on the file's clock.

    Returns
    -------
    float
        Where in the written file the clip starts, in seconds.

    Raises
    ------
    MediaError
        If the video cannot be read, holds no pictures, or none of the range.
    """
    path = Path(video)
    check_file(path)
    with open_container(path) as source, replacing(Path(out)) as temporary, pictures_of(path):
        stream = need_stream(source, path, "video")
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        copied_s = None
        if _can_be_copied(source, stream):
            copied_s = _copy_range(source, stream, temporary, (start_s, start_s + duration_s))
        if copied_s is None:
            _code_range(path, Fraction(rate), temporary, (start_s, duration_s))
    return copied_s or 0.0


def write_sound(samples: npt.NDArray[np.float32], sr_hz: int, out: str | Path) -> None:
    """Write sound without loss, so that no coder stands between what was scored and what is heard.

    FLAC of 16 bits, in an MP4: in a FLAC file Chromium cannot always go to a later moment.

    Parameters
    ----------
    samples : shape (samples, channels)
        One or two channels; full scale is ±1, beyond it is clipped.
    sr_hz
        Their rate.
    out
        File to write, ending in ``.mp4``; it appears when it is complete.

    Raises
    ------
    MediaError
        If it cannot be written.
    """
    import av

    pcm = np.clip(np.rint(np.asarray(samples, np.float64) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    layout = "mono" if pcm.shape[1] == 1 else "stereo"
    try:
        with replacing(Path(out)) as temporary, av.open(str(temporary), "w") as target:
            stream: Any = target.add_stream("flac", rate=sr_hz)
            stream.layout, stream.format = layout, "s16"
            target.mux(stream.encode(audio_frame(pcm.reshape(1, -1), sr_hz, sample_format="s16", layout=layout)))
            target.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise MediaError(out, f"cannot be written ({error.strerror})") from error


def _can_be_copied(source: InputContainer, stream: Any) -> bool:
    context = stream.codec_context
    # Time stamps of the others are guesses, or start where it pleases the broadcaster.
    if (
        context.name != "h264"
        or context.pix_fmt not in _PLAYED_PIXELS
        or format_name(source) not in ("mov", "matroska")
    ):
        return False
    source.seek(0)
    frame = next(source.decode(stream), None)
    return frame is not None and orientation(frame) == (0, False)


def _copy_range(source: InputContainer, stream: Any, out: Path, range_s: tuple[float, float]) -> float | None:
    """Copy the packets from the key frame at or before a range to its end.

    Return where the range starts in what was written, or None if no key frame before it was found.
    """
    import av

    zero_s = time_zero_s(source)
    start, end = (round((zero_s + Fraction(time_s)) / stream.time_base) for time_s in range_s)
    source.seek(start, stream=stream)
    first: int | None = None
    with av.open(str(out), "w") as target:
        copy = target.add_stream_from_template(stream)
        for packet in with_dts(packet for packet in source.demux(stream) if packet.size):
            if first is None:
                if not packet.is_keyframe or packet.pts is None:
                    continue
                if packet.pts * stream.time_base > zero_s + Fraction(range_s[0]) + _LATE_S:
                    return None
                first = packet.pts
            pts, dts = packet.pts, packet.dts
            if dts is None or dts >= end:
                break
            if pts is None or pts < first:  # shows pictures before the key frame, and needs them
                continue
            packet.pts, packet.dts = pts - first, dts - first
            packet.stream = copy
            target.mux(packet)
    return None if first is None else float((start - first) * stream.time_base)


def _code_range(path: Path, rate: Fraction, out: Path, range_s: tuple[float, float]) -> None:
    """Code the pictures of a range again, at 25 a second or fewer."""
    import av

    start_s, duration_s = range_s
    rate = min(rate.limit_denominator(1001), _MOST_RATE_HZ)
    # Each picture is the one on screen in the middle of its time: no more than half a step from the truth.
    steps = np.arange(max(1, int(duration_s * rate + 1e-6)), dtype=np.float64)
    times_s = np.asarray(start_s + (steps + 0.5) / float(rate))
    height, width = next(read_with_av(path, times_s[:1], None)).shape[:2]
    scale = min(1.0, _MOST_LINES / height)
    with av.open(str(out), "w") as target:
        options = {"preset": "veryfast", "threads": "1", "g": "50"}
        coded = add_h264(target, rate, width * scale, height * scale, crf="18", **options)
        for picture in read_with_av(path, times_s, (coded.height, coded.width)):
            target.mux(coded.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        target.mux(coded.encode())
