"""What a media file holds, from its headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MediaInfo:
    """Streams of a media file, as its headers tell.

    Attributes
    ----------
    audio_sr_hz, audio_channels, audio_duration_s
        None where the file has no sound.
    video_width, video_height, video_fps, video_duration_s, rotation_deg
        None where the file has no pictures; width and height as displayed, after rotation.
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

    Raises
    ------
    MediaError
        If the file is missing, empty, unreadable or no media file.
    """
    raise NotImplementedError
