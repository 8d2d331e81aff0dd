"""Sound and pictures that are arrays already, treated as those of files are.

The same samples give the same signal, bit for bit, whether they come from a file or from memory. Pictures that have to
be resized differ by rounding: a file's go from YUV to RGB and to the wanted size in one step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.media._container import TOLERANCE_S

Float32Array = npt.NDArray[np.float32]


def clip_signal(samples: npt.NDArray[Any], sr_hz: int, *, wanted_sr_hz: int, duration_s: float) -> Float32Array:
    """Return a clip's sound as the protocol reads it: mean of channels, soxr HQ, the clip's length.

    Parameters
    ----------
    samples
        Shape (samples,) or (channels, samples), full scale ±1; only the clip's duration of them is used.
    sr_hz
        Their rate.
    wanted_sr_hz
        Rate to resample to.
    duration_s
        Duration of the clip in seconds. Up to 0.1 s that are missing at its end are filled with zeros.

    Returns
    -------
    numpy.ndarray, shape (round(duration_s * wanted_sr_hz),), float32

    Raises
    ------
    MetricError
        If the shape does not fit, a sample is not finite, or more than 0.1 s is missing.
    """
    import soxr

    channels = np.atleast_2d(np.asarray(samples))
    if channels.ndim != 2 or not 0 < len(channels) <= 64 or channels.dtype.kind != "f":
        raise MetricError(
            "sound must be floats of the shape (samples,) or (channels, samples), full scale ±1; got"
            f" {np.shape(samples)} of {channels.dtype}"
        )
    stored = channels[:, : round(duration_s * sr_hz)].T.astype(np.float32, order="C")
    missing_s = duration_s - len(stored) / sr_hz
    if missing_s > TOLERANCE_S:
        raise MetricError(f"the sound lasts {len(stored) / sr_hz:.3f} s, needed: {duration_s:.3f} s")
    if not np.isfinite(stored).all():
        raise MetricError("the sound must be finite; got samples that are NaN or infinite")
    mono = stored.mean(axis=1, dtype=np.float32)
    if sr_hz != wanted_sr_hz:
        mono = soxr.resample(mono, sr_hz, wanted_sr_hz, quality="HQ")
    clip = np.zeros(round(duration_s * wanted_sr_hz), np.float32)
    kept_n = min(len(clip), len(mono))
    clip[:kept_n] = mono[:kept_n]
    return clip


def frames_at(
    frames: npt.NDArray[np.uint8], fps: float, times_s: npt.NDArray[np.float64], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Return the frame that is on screen at each of the given times, resized.

    Parameters
    ----------
    frames
        Shape (frames, height, width, 3), RGB; frame k is on screen from k / fps on.
    fps
        Frames per second.
    times_s
        Shape (times,), seconds from the first frame.
    size
        (height, width) to resize to.

    Returns
    -------
    numpy.ndarray, shape (times, height, width, 3), uint8

    Raises
    ------
    MetricError
        If the shape does not fit, or a time lies past the last frame by more than 0.1 s.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or frames.size == 0:
        raise MetricError(
            f"pictures must be uint8 of the shape (frames, height, width, 3); got {frames.shape} of {frames.dtype}"
        )
    last_s = float(times_s.max(initial=0.0))
    if last_s > len(frames) / fps + TOLERANCE_S:
        raise MetricError(f"the pictures last {len(frames) / fps:.3f} s, needed: one at {last_s:.3f} s")
    stamps_s = np.arange(len(frames)) / fps
    index = np.clip(np.searchsorted(stamps_s, times_s, side="right") - 1, 0, None)
    wanted, place = np.unique(index, return_inverse=True)
    return _resized(frames[wanted], size)[place]


def _resized(frames: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if frames.shape[1:3] == size:
        return frames
    import av

    from t2av_bench.media._picture import PictureMaker

    make = PictureMaker(size)
    return np.stack([make(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")) for frame in frames])
