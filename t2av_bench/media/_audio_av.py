"""Sound through PyAV: MP4 and its kin, Matroska, WebM, AVI, and whatever libsndfile does not know."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.media._container import (
    TOLERANCE_S,
    FrameReader,
    can_seek,
    declared_end_s,
    need_stream,
    open_container,
    raise_truncated,
    time_zero_s,
)

# Decoding starts this much before the range: the decoders of AAC, MP3 and Opus need up to 80 ms to settle.
_PREROLL_S = 0.5
# Time stamps may be off by this much (Matroska rounds to 1 ms) before they mean a gap or an overlap.
_JITTER_S = 0.02
# A longer hole between two packets is a broken time stamp; filling it with zeros would fill the memory.
_LONGEST_GAP_S = 3600.0
# PyAV counts the planes of a frame by looking for an end that only frames of fewer have, and crashes with more.
_PLANES_N = 8


def read_with_av(path: Path, start_s: float, duration_s: float | None) -> tuple[npt.NDArray[np.float32], int]:
    """Read a range of the sound as stored, shape (samples, channels); zeros where the stream has a gap."""
    with open_container(path) as container:
        stream = need_stream(container, path, "audio")
        wanted_s = time_zero_s(container) + Fraction(start_s) - Fraction(_PREROLL_S)
        if wanted_s > 0 and can_seek(container):
            container.seek(int(wanted_s / stream.time_base), stream=stream)
            line = _collect(container, stream, path, start_s, duration_s)
            if not line.starts_late:
                return line.finish(container, stream)
            # The seek landed behind the range: an index with holes.
            container.seek(0, stream=stream, backward=True, any_frame=True)
        line = _collect(container, stream, path, start_s, duration_s)
        return line.finish(container, stream)


def _collect(container: Any, stream: Any, path: Path, start_s: float, duration_s: float | None) -> _Timeline:
    line = _Timeline(path, time_zero_s(container), start_s, duration_s)
    reader = FrameReader(container, stream)
    for frame in reader:
        line.add(frame)
        if line.is_full:
            break
    line.failed, line.lost_s = reader.failed, reader.lost_s
    return line


class _Timeline:
    """Decoded frames laid out on the file's clock, cut to the wanted range."""

    def __init__(self, path: Path, zero_s: Fraction, start_s: float, duration_s: float | None) -> None:
        self._path = path
        self._zero_s = zero_s
        self._start_s = start_s
        self._duration_s = duration_s
        self._pieces: list[npt.NDArray[np.float32]] = []
        self._sr_hz = 0
        self._channels_n = 0
        # Sample numbers on the file's clock: where the range starts and ends, what is filled, what comes next.
        self._start_n = self._filled_n = 0
        self._end_n: int | None = None
        self._next_n: int | None = None
        self._first_n: int | None = None
        self.failed = False
        self.lost_s = 0.0

    @property
    def is_full(self) -> bool:
        return self._end_n is not None and self._filled_n >= self._end_n

    @property
    def starts_late(self) -> bool:
        """Whether the first frame lies behind the start of the range, or there is none."""
        return self._first_n is None or self._first_n > self._start_n

    def add(self, frame: Any) -> None:
        """Place one frame."""
        # Before the samples are touched: damaged frames may claim any number of channels.
        self._check_shape(frame.sample_rate, frame.layout.nb_channels)
        samples = _as_float(frame)
        at_n = self._position(frame)
        self._next_n = at_n + len(samples)
        if self._next_n <= self._filled_n or self.is_full:
            return
        if at_n > self._filled_n:
            self._fill(at_n if self._end_n is None else min(at_n, self._end_n))
        samples = samples[max(0, self._filled_n - at_n) :]
        if self._end_n is not None:
            samples = samples[: self._end_n - self._filled_n]
        self._pieces.append(samples)
        self._filled_n += len(samples)

    def _check_shape(self, sr_hz: int, channels_n: int) -> None:
        if not self._sr_hz:
            self._sr_hz, self._channels_n = sr_hz, channels_n
            self._start_n = self._filled_n = round(self._start_s * sr_hz)
            if self._duration_s is not None:
                self._end_n = self._start_n + round(self._duration_s * sr_hz)
        elif (sr_hz, channels_n) != (self._sr_hz, self._channels_n):
            raise MediaError(
                self._path,
                f"changes its sound format midway, from {self._channels_n} channels at {self._sr_hz} Hz to "
                f"{channels_n} at {sr_hz} Hz",
            )

    def _position(self, frame: Any) -> int:
        """Return the frame's first sample number: its time stamp, or right behind the frame before if they agree."""
        if frame.pts is None:
            at_n = self._next_n or 0
        else:
            at_n = round((frame.pts * frame.time_base - self._zero_s) * self._sr_hz)
            if self._next_n is not None and abs(at_n - self._next_n) <= _JITTER_S * self._sr_hz:
                at_n = self._next_n
        if self._first_n is None:
            self._first_n = at_n
        return at_n

    def _fill(self, until_n: int) -> None:
        gap_n = until_n - self._filled_n
        if gap_n > _LONGEST_GAP_S * self._sr_hz:
            raise MediaError(self._path, f"has a hole of {gap_n / self._sr_hz:.0f} s in its sound: broken time stamps")
        self._pieces.append(np.zeros((gap_n, self._channels_n), np.float32))
        self._filled_n = until_n

    def finish(self, container: Any, stream: Any) -> tuple[npt.NDArray[np.float32], int]:
        """Return the range, or say why it is not all there."""
        declared_s = declared_end_s(container, stream)
        if self.lost_s > TOLERANCE_S or not self._sr_hz:
            raise MediaError(self._path, f"has damaged sound: {self.lost_s:.3f} s cannot be decoded")
        end_s = (self._next_n or 0) / self._sr_hz
        wanted_s = np.inf if self._end_n is None else self._end_n / self._sr_hz
        if not self.is_full:
            promised_s = declared_s if declared_s is not None else wanted_s if self.failed else 0.0
            if min(wanted_s, promised_s) > end_s + TOLERANCE_S:
                raise_truncated(self._path, "its sound", end_s, declared_s)
        if end_s <= self._start_s:
            raise MediaError(self._path, f"ends at {end_s:.3f} s, the range starts at {self._start_s:.3f} s")
        return np.concatenate(self._pieces), self._sr_hz


def _packed(frame: Any) -> Any:
    """Return a frame with its channels interleaved, without any other change."""
    import av

    (packed,) = av.AudioResampler(format=frame.format.packed, layout=frame.layout, rate=frame.sample_rate).resample(
        frame
    )
    return packed


def _as_float(frame: Any) -> npt.NDArray[np.float32]:
    """Return a frame's samples, shape (samples, channels), full scale ±1."""
    if frame.format.is_planar and frame.layout.nb_channels >= _PLANES_N:
        frame = _packed(frame)
    array = frame.to_ndarray()
    channels_n = frame.layout.nb_channels
    array = array.T if frame.format.is_planar else array.reshape(-1, channels_n)
    if array.dtype == np.uint8:
        return np.asarray((array.astype(np.float32) - 128) / 128)
    if np.issubdtype(array.dtype, np.integer):
        return np.asarray(array * np.float32(-1.0 / np.iinfo(array.dtype).min), dtype=np.float32)
    return np.asarray(array, dtype=np.float32)
