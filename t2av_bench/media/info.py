"""What a media file holds, from its headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2av_bench.errors import MediaError
from t2av_bench.media._container import (
    FrameReader,
    check_file,
    declared_end_s,
    open_container,
    pick_stream,
    time_zero_s,
)

if TYPE_CHECKING:
    from av.container import InputContainer


@dataclass(frozen=True)
class MediaInfo:
    """Streams of a media file, as its headers tell.

    Attributes
    ----------
    audio_sr_hz, audio_channels, audio_duration_s
        None where the file has no sound.
    video_width, video_height, video_fps, video_duration_s, rotation_deg
        None where the file has no pictures; width and height as displayed, after rotation. The rotation is the
        clockwise turn, 0, 90, 180 or 270, that puts the stored pictures upright.

    Notes
    -----
    A duration is the time at which the stream ends on the file's clock. It is None, with the other figures given, where
    neither the headers nor the packets tell.
    """

    audio_sr_hz: int | None = None
    audio_channels: int | None = None
    audio_duration_s: float | None = None
    video_width: int | None = None
    video_height: int | None = None
    video_fps: float | None = None
    video_duration_s: float | None = None
    rotation_deg: int | None = None


def probe(path: str | Path) -> MediaInfo:
    """Read the headers of a media file.

    Parameters
    ----------
    path
        Any audio or video file.

    Raises
    ------
    MediaError
        If the file is missing, empty, unreadable or no media file.
    """
    path = Path(path)
    check_file(path)
    sound = _probe_with_soundfile(path)
    if sound is not None:
        return sound
    with open_container(path) as container:
        facts = {**_audio_facts(container), **_video_facts(container)}
    if not facts:
        raise MediaError(path, "holds neither sound nor pictures")
    return MediaInfo(**facts)


def _probe_with_soundfile(path: Path) -> MediaInfo | None:
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as sound:
            if not 0 <= sound.frames < 2**40 or not sound.seekable():
                return None
            return MediaInfo(sound.samplerate, sound.channels, sound.frames / sound.samplerate)
    except (soundfile.SoundFileError, TypeError):
        return None


def _audio_facts(container: InputContainer) -> dict[str, Any]:
    stream = pick_stream(container, "audio")
    if stream is None:
        return {}
    return {
        "audio_sr_hz": stream.codec_context.sample_rate,
        "audio_channels": stream.codec_context.layout.nb_channels,
        "audio_duration_s": _end_s(container, stream),
    }


def _video_facts(container: InputContainer) -> dict[str, Any]:
    from t2av_bench.media._picture import orientation

    stream = pick_stream(container, "video")
    if stream is None:
        return {}
    end_s = _end_s(container, stream)
    container.seek(0)
    frame = next(iter(FrameReader(container, stream)), None)
    turns_n = 0 if frame is None else orientation(frame)[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if turns_n % 2:
        width, height = height, width
    rate = stream.average_rate or stream.guessed_rate
    return {
        "video_width": width,
        "video_height": height,
        "video_fps": float(rate) if rate else None,
        "video_duration_s": end_s,
        "rotation_deg": -turns_n % 4 * 90,
    }


def _end_s(container: InputContainer, stream: Any) -> float | None:
    """Return when a stream ends: from the headers, else from its packets."""
    end_s = declared_end_s(container, stream)
    if end_s is not None:
        return end_s
    container.seek(0)
    packets = (packet for packet in container.demux(stream) if packet.pts is not None)
    last_s = max(((packet.pts + (packet.duration or 0)) * packet.time_base for packet in packets), default=None)
    return None if last_s is None else float(last_s - time_zero_s(container))
