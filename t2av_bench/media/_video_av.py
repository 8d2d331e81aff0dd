"""Pictures through PyAV: the reference for which frame is on screen when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.media._container import (
    TOLERANCE_S,
    FrameReader,
    can_seek,
    declared_end_s,
    format_name,
    need_stream,
    open_container,
    raise_truncated,
    time_zero_s,
)
from t2av_bench.media._picture import PictureMaker

Picture = npt.NDArray[np.uint8]
Size = tuple[int, int] | None
Made = TypeVar("Made")

# A frame counts as on screen this long before its time stamp: Matroska rounds stamps to 1 ms. Not 0.5 ms, where the
# edges of 29.97 fps (15 frames in 0.5005 s) meet round times.
EARLY_S = 0.0006
# Below this distance to the next wanted time, decoding on is cheaper than a seek back to a key frame.
_SEEK_AHEAD_S = 10.0
# How far before the wanted time to seek, one after the other, until a key frame at or before it is found.
_SEEK_BACK_S = (0.0, 2.0, 12.0)


def read_with_av(path: Path, times_s: npt.NDArray[np.float64], size: Size) -> Iterator[Picture]:
    """Yield the picture on screen at each of the ascending times, shape (height, width, 3) each."""
    held = _Held(size)
    return _read(path, times_s, lambda frame, time_s: held(frame))


def read_sizes_with_av(
    path: Path, times_s: npt.NDArray[np.float64], wanted: Mapping[Size, npt.NDArray[np.float64]]
) -> Iterator[dict[Size, Picture]]:
    """Yield, for each of the ascending times, the picture on screen then in every size that wants that time."""
    held = {size: (_Held(size), set(times.tolist())) for size, times in wanted.items()}

    def pictures(frame: Any, time_s: float) -> dict[Size, Picture]:
        return {size: make(frame) for size, (make, times) in held.items() if time_s in times}

    return _read(path, times_s, pictures)


class _Held:
    """Makes pictures of one size; a frame that stays on screen is scaled once."""

    def __init__(self, size: Size) -> None:
        self._make = PictureMaker(size)
        self._frame: Any = None
        self._picture: Picture | None = None

    def __call__(self, frame: Any) -> Picture:
        if self._picture is None or frame is not self._frame:
            self._frame, self._picture = frame, self._make(frame)
        return self._picture


def _read(path: Path, times_s: npt.NDArray[np.float64], make: Callable[[Any, float], Made]) -> Iterator[Made]:
    """Yield what ``make`` makes of the frame on screen at each of the ascending times, and of the time."""
    with open_container(path) as container:
        stream = need_stream(container, path, "video")
        breaks = np.flatnonzero(np.diff(times_s) > _SEEK_AHEAD_S) + 1
        for run_s in np.split(times_s, breaks):
            yield from _read_run(path, container, stream, run_s, make)


def _read_run(
    path: Path, container: Any, stream: Any, times_s: npt.NDArray[np.float64], make: Callable[[Any, float], Made]
) -> Iterator[Made]:
    """Seek to the first of some nearby times and decode up to the last."""
    frames = _StampedFrames(container, stream)
    frames.start_at(float(times_s[0]))
    shown = frames.advance()
    if shown is None:
        raise MediaError(path, "holds no picture that can be decoded")
    coming = frames.advance()
    for time_s in times_s.tolist():
        while coming is not None and coming[0] <= time_s + EARLY_S:
            shown = coming
            coming = frames.advance()
        if coming is None:
            _check_end(path, frames, time_s, shown[0] + _frame_duration_s(shown[1], stream))
        if frames.lost_s > TOLERANCE_S:
            raise MediaError(path, f"has damaged pictures: {frames.lost_s:.3f} s cannot be decoded")
        yield make(shown[1], time_s)


def _check_end(path: Path, frames: _StampedFrames, time_s: float, end_s: float) -> None:
    """Raise unless the last frame, which ends at ``end_s``, may be held until ``time_s``."""
    if time_s <= end_s + (EARLY_S if frames.failed else TOLERANCE_S):
        return
    declared_s = frames.declared_end_s
    if frames.failed or (declared_s is not None and declared_s > end_s + TOLERANCE_S):
        raise_truncated(path, "its video stream", end_s, declared_s)
    raise MediaError(path, f"has pictures up to {end_s:.3f} s, one at {time_s:.3f} s is needed")


def _frame_duration_s(frame: Any, stream: Any) -> float:
    if frame.duration:
        return float(frame.duration * frame.time_base)
    rate = stream.average_rate or stream.guessed_rate
    return float(1 / rate) if rate else 0.04


class _StampedFrames:
    """Frames of a video stream with their times on the file's clock, from a wanted time on."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self._zero_s = time_zero_s(container)
        self.declared_end_s = declared_end_s(container, stream)
        # AVI stores no presentation times; with reordered frames FFmpeg's guesses are not even ascending. Its frame
        # rate is constant, so frames are counted, from the start.
        self._counts = format_name(container) == "avi" and bool(stream.codec_context.has_b_frames)
        self._restart()

    def _restart(self) -> None:
        self._reader = FrameReader(self._container, self._stream)
        self._frames = iter(self._reader)
        self._waiting: tuple[float, Any] | None = None
        self._frames_n = 0

    @property
    def lost_s(self) -> float:
        return self._reader.lost_s

    @property
    def failed(self) -> bool:
        return self._reader.failed

    def start_at(self, time_s: float) -> None:
        """Seek so that the next frame is at or before a time, or the stream's first."""
        for back_s in () if self._counts or not can_seek(self._container) else _SEEK_BACK_S:
            target_s = self._zero_s + Fraction(time_s) - Fraction(back_s)
            if target_s <= 0:
                break
            self._container.seek(int(target_s / self._stream.time_base), stream=self._stream)
            self._restart()
            self._waiting = self._first_key_frame(time_s)
            if self._waiting is not None and self._waiting[0] <= time_s + EARLY_S:
                return
        # Also for files that cannot be rewound because they were never moved: seeking to 0 does no harm.
        self._container.seek(0)
        self._restart()

    def _first_key_frame(self, time_s: float) -> tuple[float, Any] | None:
        # Frames that come before the key frame refer to pictures before the seek and may be garbage.
        while (stamped := self.advance()) is not None:
            if stamped[1].key_frame:
                return stamped
            if stamped[0] > time_s:
                return None
        return None

    def advance(self) -> tuple[float, Any] | None:
        """Return the next frame with its time, None behind the last."""
        if self._waiting is not None:
            stamped, self._waiting = self._waiting, None
            return stamped
        frame = next(self._frames, None)
        if frame is None:
            return None
        stamp_s = self._stamp_s(frame)
        self._frames_n += 1
        return float(stamp_s - self._zero_s), frame

    def _stamp_s(self, frame: Any) -> Fraction:
        if frame.pts is not None and not self._counts:
            return Fraction(frame.pts * frame.time_base)
        return self._zero_s + self._frames_n / Fraction(self._stream.average_rate or 25)
