"""A clip's pictures at the rate the frame encoder wants. Imports no torch: loader workers use it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.media import MediaInfo, probe, read_frames


class PictureJob(NamedTuple):
    """Which pictures to read.

    Attributes
    ----------
    path
        Video of any size and rate.
    frames_n, frame_rate_hz
        How many pictures, and how many per second.
    size_px
        Height and width to resize to.
    start_s
        Start of the clip on the file's clock.
    """

    path: str
    frames_n: int
    frame_rate_hz: float
    size_px: int
    start_s: float = 0.0


def read_pictures(job: PictureJob) -> npt.NDArray[np.uint8]:
    """Read a clip's pictures.

    Picture ``i`` is the one on screen in the middle of its time, so that rounding never picks the neighbour. Where the
    video ends before the clip, its last picture stays; a video of one picture is a still.

    Returns
    -------
    numpy.ndarray, shape (frames_n, size_px, size_px, 3), uint8, RGB

    Raises
    ------
    MediaError
        If the file cannot be read, holds no pictures, or ends before the clip starts.
    """
    ends_s = probe_video(job.path).video_duration_s
    times_s = np.float64(job.start_s) + (np.arange(job.frames_n, dtype=np.float64) + 0.5) / job.frame_rate_hz
    if ends_s is not None:
        if ends_s <= job.start_s:
            raise MediaError(job.path, f"its pictures end at {ends_s:.3f} s, the clip starts at {job.start_s:.3f} s")
        times_s = np.minimum(times_s, ends_s)
    return read_frames(job.path, times_s, size=(job.size_px, job.size_px))


def probe_video(path: str | Path) -> MediaInfo:
    """Read the headers of a video.

    Raises
    ------
    MediaError
        If the file cannot be read, or holds no pictures.
    """
    info = probe(path)
    if info.video_width is None:
        raise MediaError(path, "holds no pictures (no video stream)")
    return info
