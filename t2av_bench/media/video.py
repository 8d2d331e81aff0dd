"""Frames of any video at wanted times.

The frame on screen at a time is the last one whose time stamp is not later; before the first frame it is the first.
Time stamps decide, never frame numbers, so variable frame rates need no special care. Time zero is the container's,
see :mod:`t2av_bench.media._container`. decord reads what it reads right, PyAV everything else; the frames and
their pixels are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    path, times_s = Path(path), _checked(times_s)
    check_file(path)
    ascending_s, place = np.unique(times_s, return_inverse=True)
    return _in_place(_collect(_read(path, ascending_s, size), len(ascending_s)), place)


def read_frames_in_sizes(
    path: str | Path, wanted: Mapping[tuple[int, int], npt.NDArray[np.float64]]
) -> dict[tuple[int, int], npt.NDArray[np.uint8]]:
    """Read the frames that several networks need of a file, each in a size of its own, and decode it once.

    Parameters
    ----------
    path
        Video file.
    wanted
        (height, width) to times in seconds, shape (times,), as :func:`read_frames` takes them.

    Returns
    -------
    dict
        The frames of each size: the same bytes as :func:`read_frames` gives.

    Raises
    ------
    MediaError
        If :func:`read_frames` would for any of them.
    """
    if len(wanted) == 1:
        return {size: read_frames(path, times_s, size=size) for size, times_s in wanted.items()}
    path = Path(path)
    check_file(path)
    ascending = {size: np.unique(_checked(times_s), return_inverse=True) for size, times_s in wanted.items()}
    union_s = np.unique(np.concatenate([times_s for times_s, _ in ascending.values()]))
    # decord makes pictures of one size; PyAV's are the same.
    from t2av_bench.media._video_av import read_sizes_with_av

    frames = {size: np.empty((len(times_s), *size, 3), np.uint8) for size, (times_s, _) in ascending.items()}
    done_n = dict.fromkeys(frames, 0)
    for pictures in read_sizes_with_av(path, union_s, {size: times_s for size, (times_s, _) in ascending.items()}):
        for size, picture in pictures.items():
            assert size is not None
            frames[size][done_n[size]] = picture
            done_n[size] += 1
    return {size: _in_place(frames[size], place) for size, (_, place) in ascending.items()}


def _checked(times_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or len(times) == 0 or not np.isfinite(times).all():
        raise ValueError(f"Times must be a non-empty list of finite seconds, given: shape {times.shape}.")
    return times


def _in_place(frames: npt.NDArray[np.uint8], place: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """Return the frames of the ascending times in the order in which the times were given."""
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
