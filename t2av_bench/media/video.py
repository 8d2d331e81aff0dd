"""Frames of any video at wanted times.

The frame on screen at a time is the last one whose time stamp is not later; before the first frame it is the first.
Time stamps decide, never frame numbers, so variable frame rates need no special care. Time zero is the container's,
see :mod:`t2av_bench.media._container`. decord reads what it reads right, PyAV everything else; the frames and
their pixels are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2av_bench.media._container import check_file


def read_frames(
    path: str | Path, times_s: npt.NDArray[np.float64], *, size: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """Read the frame that is on screen at each of the given times.

    Only the stretch from the key frame before the first time to the last time is decoded, with a further seek where
    more than 10 s lie between two times.

    Parameters
    ----------
    path
        Video file.
    times_s : array_like, shape (times,)
        Seconds on the file's clock, in any order; repeated times are decoded once.
    size
        (height, width) to resize to, whatever the picture's aspect; None for the picture's own. Resizing is swscale's
        bilinear filter, which averages when it shrinks.

    Returns
    -------
    numpy.ndarray, shape (times, height, width, 3), uint8, RGB
        Upright: rotation flags are applied.

    Raises
    ------
    MediaError
        If the file is missing, empty, unreadable or truncated, holds no pictures, or a time lies past its end by
        more than a frame and 0.1 s.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    if times_s.ndim != 1 or len(times_s) == 0 or not np.isfinite(times_s).all():
        raise ValueError(f"Times must be a non-empty list of finite seconds, given: shape {times_s.shape}.")
    path = Path(path)
    check_file(path)
    ascending_s, place = np.unique(times_s, return_inverse=True)
    frames = _collect(_read(path, ascending_s, size), len(ascending_s))
    return frames if np.array_equal(place, np.arange(len(place))) else frames[place]


def _read(
    path: Path, times_s: npt.NDArray[np.float64], size: tuple[int, int] | None
) -> Iterator[npt.NDArray[np.uint8]]:
    from t2av_bench.media._video_av import read_with_av
    from t2av_bench.media._video_decord import read_with_decord

    done_n = 0
    for picture in read_with_decord(path, times_s, size) or ():
        yield picture
        done_n += 1
    if done_n < len(times_s):
        yield from read_with_av(path, times_s[done_n:], size)


def _collect(pictures: Iterator[npt.NDArray[np.uint8]], count: int) -> npt.NDArray[np.uint8]:
    """Copy pictures into one array as they come: a list of full-size ones would double the memory."""
    first = next(pictures)
    frames = np.empty((count, *first.shape), np.uint8)
    frames[0] = first
    for number, picture in enumerate(pictures, start=1):
        frames[number] = picture
    return frames
