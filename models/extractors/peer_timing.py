"""Onsets, sound peaks and optical flow as CondFoleyGen and TempoTokens detect them, with librosa and OpenCV.

For the protocols ``condfoleygen`` and ``tempotokens`` only; they need ``pip install 't2av-bench[presets]'``. A cached
array has one shape per duration, while a clip has any number of events and any frame rate. Hence the rows:

``condfoleygen-onsets``
    One per analysis frame (512 samples at 22,050 Hz): whether an onset starts there, its height and its confidence
    (:func:`onset_heights`), with −1 for a confidence that has no value.
``tempotokens-peaks``
    One per analysis frame: whether a sound peak is there.
``tempotokens-flow``
    The frame rate, then the mean length of the optical flow in pixels for each frame, then −1 up to 60 frames a second.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError, PrerequisiteError
from t2av_bench.media.front_end import OURS, AudioFrontEnd
from t2av_bench.models.extractors.base import AudioExtractor, Extractor, Float32Array
from t2av_bench.models.extractors.clip_source import ClipSource

HOP_N = 512
_HIGHEST_FPS = 60
_CHUNK_FRAMES_N = 32  # frames of full size in memory at once
_ONSET_DELTA = 0.3  # CondFoleyGen's, against librosa's 0.07


def onset_heights(
    samples: npt.NDArray[np.floating], onsets: Sequence[int] | npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the magnitude at each onset, and its maximum within 50 ms: what CondFoleyGen ranks onsets by.

    Parameters
    ----------
    samples
        Waveform at 22,050 Hz, shape (samples,), at least one.
    onsets
        In samples.

    Returns
    -------
    heights, confidence : ndarray, shape (onsets,)
        From 0 to 1, relative to the waveform's own range; the confidence is NaN for onsets in the first 50 ms.
    """
    magnitude = np.abs(samples.astype(np.float64))
    lowest, highest = magnitude.min(), magnitude.max()
    if highest > lowest:
        magnitude = (magnitude - lowest) / (highest - lowest)
    reach = int(0.05 * 22_050)
    confidence = [magnitude[onset - reach : onset + reach].max() if onset >= reach else np.nan for onset in onsets]
    return magnitude[np.asarray(onsets, dtype=np.intp)], np.array(confidence, dtype=np.float64)


def check_package(module: str, package: str) -> None:
    """Raise a PrerequisiteError, which says how to get it, if a package is not installed."""
    if find_spec(module) is None:
        raise PrerequisiteError(
            f"this protocol needs {package}, which is not installed: pip install 't2av-bench[presets]'"
        )


class _FrameRows(AudioExtractor):
    """Rows per librosa frame of 512 samples at 22,050 Hz."""

    unit = "window"
    sr_hz = 22_050

    def options(self) -> dict[str, Any]:
        """Return the front end, and librosa's version, whose onset detection has changed before."""
        return {"front_end": self.front_end.to_json(), "librosa": metadata.version("librosa")}

    def check(self) -> None:
        """Raise if librosa is not installed."""
        check_package("librosa", "librosa")

    def samples_n(self, duration_s: float) -> int:
        """Return how many samples of a clip are looked at."""
        return round(duration_s * self.sr_hz)

    def rows_n(self, duration_s: float) -> int:
        """Return the number of analysis frames."""
        samples_n = self.samples_n(duration_s)
        return 1 + samples_n // HOP_N if samples_n else 0

    def windows(self, samples: Float32Array, duration_s: float) -> npt.NDArray[Any]:
        """Return the rows themselves, shape (frames, dim)."""
        rows = np.zeros((self.rows_n(duration_s), self.dim), np.float32)
        if len(rows):
            self.detect(samples[: self.samples_n(duration_s)], rows)
        return rows

    @abstractmethod
    def detect(self, samples: Float32Array, rows: Float32Array) -> None:
        """Fill in the rows of a waveform, which are zeros."""

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Return the rows; the work is done where the file is read."""
        return np.asarray(inputs, np.float32)


class CondFoleyGenOnsets(_FrameRows):
    """Onsets of sound by CondFoleyGen's settings; see the module for the rows.

    Only whole seconds are looked at, as their program takes a whole number; it takes 2 unless told otherwise.
    """

    name = "condfoleygen-onsets"
    version = 1
    part = "onsets"
    dim = 3
    front_end = AudioFrontEnd("condfoleygen", resampler="moviepy")

    def samples_n(self, duration_s: float) -> int:
        """Return the samples of the whole seconds."""
        return self.sr_hz * int(duration_s)

    def detect(self, samples: Float32Array, rows: Float32Array) -> None:
        """Mark onsets, with their heights and confidences."""
        import librosa

        wave = samples.astype(np.float64)
        onsets = librosa.onset.onset_detect(y=wave, sr=self.sr_hz, units="samples", delta=_ONSET_DELTA)
        heights, confidence = onset_heights(wave, onsets)
        rows[onsets // HOP_N] = np.stack([np.ones(len(onsets)), heights, np.nan_to_num(confidence, nan=-1.0)], axis=1)


class TempoTokensPeaks(_FrameRows):
    """Sound peaks by TempoTokens' settings: librosa's onsets, defaults throughout; see the module for the rows."""

    name = "tempotokens-peaks"
    version = 1
    part = "sound_peaks"
    dim = 1
    front_end = OURS  # librosa.load's: mean of channels, soxr HQ

    def detect(self, samples: Float32Array, rows: Float32Array) -> None:
        """Mark peaks."""
        import librosa

        strength = librosa.onset.onset_strength(y=samples, sr=self.sr_hz)
        rows[librosa.onset.onset_detect(onset_envelope=strength, sr=self.sr_hz), 0] = 1.0


class TempoTokensFlow(Extractor):
    """Mean length of the optical flow per frame, at the file's own size and frame rate; see the module for the rows.

    Farneback's method with TempoTokens' settings. The first frame, which has no flow, repeats the second's.
    """

    name = "tempotokens-flow"
    version = 1
    modality = "video"
    part = "flow"
    unit = "window"
    dim = 1

    def options(self) -> dict[str, Any]:
        """Return the version of OpenCV, whose optical flow is not the same in all."""
        import cv2

        return {"opencv": cv2.__version__}

    def check(self) -> None:
        """Raise if OpenCV is not installed."""
        check_package("cv2", "opencv-python-headless")

    def rows_n(self, duration_s: float) -> int:
        """Return one row for the frame rate, and one for each of 60 frames a second."""
        return 1 + ceil(duration_s * _HIGHEST_FPS)

    def load(self, source: ClipSource) -> npt.NDArray[Any]:
        """Read the clip's frames, a few at a time, and return the rows."""
        fps = _frame_rate(source)
        frames_n = round(source.duration_s * fps)
        rows = np.full((self.rows_n(source.duration_s), 1), -1.0, np.float32)
        if not 2 <= frames_n < len(rows):
            raise MediaError(
                source.path, f"has {fps:g} frames/s; the optical flow needs 2 frames, and 60 frames/s at most"
            )
        rows[0] = fps
        flow = list(_flow_lengths(_grey_frames(source, fps, frames_n)))
        rows[1 : 1 + frames_n, 0] = [flow[0], *flow]
        return rows

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Return the rows; the work is done where the file is read."""
        return np.asarray(inputs, np.float32)


def _frame_rate(source: ClipSource) -> float:
    from t2av_bench.media import probe

    fps = probe(source.path).video_fps
    if fps is None or not 0 < fps < 1000:
        raise MediaError(source.path, "has no frame rate")
    return fps


def _grey_frames(source: ClipSource, fps: float, frames_n: int) -> Iterator[npt.NDArray[np.uint8]]:
    import cv2

    from t2av_bench.media import read_frames

    times_s = (
        source.start_s + (np.arange(frames_n, dtype=np.float64) + 0.5) / fps
    )  # amid each frame, so that rounding cannot skip one
    for first in range(0, frames_n, _CHUNK_FRAMES_N):
        for frame in read_frames(source.path, times_s[first : first + _CHUNK_FRAMES_N]):
            yield cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _flow_lengths(frames: Iterator[npt.NDArray[np.uint8]]) -> Iterator[float]:
    """Yield the mean length of the flow between each frame and the one before."""
    import cv2

    before = next(frames)
    for frame in frames:
        out = np.empty((*frame.shape, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(before, frame, out, 0.5, 3, 15, 3, 5, 1.2, 0)
        yield cv2.mean(cv2.magnitude(flow[..., 0], flow[..., 1]))[0]
        before = frame
