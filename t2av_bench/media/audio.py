"""Sound of any file as mono float32 at a wanted rate.

libsndfile reads what it knows (WAV, FLAC, OGG, MP3, …) whatever the file is called; PyAV reads the rest, the sound of
video files included. Time zero is the container's, see :mod:`t2av_bench.media._container`.

A clip is cut at the file's own rate and then resampled. Its first and last milliseconds therefore do not know what
lies around the clip in a long file: the range of a long file and a file that holds only that range give the same
samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.media._container import TOLERANCE_S, check_file

# Below -100 dB of full scale nothing is audible and 16-bit files hold nothing but dither.
SILENCE_PEAK = 1e-5

_LOWEST_SR_HZ = 1_000
_HIGHEST_SR_HZ = 768_000


@dataclass(frozen=True)
class AudioCheck:
    """What a clip's sound is like, from one decode of its range.

    Attributes
    ----------
    peak
        Largest magnitude of the finite samples of all channels; full scale is 1.
    silent
        Whether the peak is below 1e-5 (-100 dB).
    non_finite
        How many samples are NaN or infinite, over all channels.
    available_s
        How much of the range there is sound for.
    padded_s
        How much is missing at the end: padded with zeros if at most 0.1 s, else the clip cannot be read.
    sr_hz, channels
        As stored.
    """

    peak: float
    silent: bool
    non_finite: int
    available_s: float
    padded_s: float
    sr_hz: int
    channels: int

    @property
    def too_short(self) -> bool:
        """Whether more is missing than may be padded."""
        return self.padded_s > TOLERANCE_S


def read_audio(
    path: str | Path, *, start_s: float = 0.0, duration_s: float | None = None
) -> tuple[npt.NDArray[np.float32], int]:
    """Read sound as stored: all channels at the file's own rate.

    Parameters
    ----------
    path
        Audio file, or video file with sound.
    start_s, duration_s
        The range in seconds on the file's clock; to the end without a duration. Both are rounded to samples.

    Returns
    -------
    samples : numpy.ndarray, shape (samples, channels), float32
        Full scale is ±1; float files may exceed it. May be shorter than asked at the end of the file.
    sr_hz : int

    Raises
    ------
    MediaError
        If the file is missing, empty, unreadable, truncated, holds no sound, or the range lies past its end.
    """
    if not (np.isfinite(start_s) and start_s >= 0) or (duration_s is not None and not duration_s > 0):
        raise ValueError(f"A range starts at 0 s or later and is longer than 0 s, given: {start_s}, {duration_s}.")
    path = Path(path)
    check_file(path)
    found = _read_with_soundfile(path, start_s, duration_s)
    if found is None:
        from t2av_bench.media._audio_av import read_with_av

        found = read_with_av(path, start_s, duration_s)
    samples, sr_hz = found
    if not _LOWEST_SR_HZ <= sr_hz <= _HIGHEST_SR_HZ:
        raise MediaError(path, f"claims a sample rate of {sr_hz} Hz")
    return samples, sr_hz


def read_clip_channels(path: str | Path, *, start_s: float, duration_s: float) -> tuple[npt.NDArray[np.float32], int]:
    """Read a clip's sound as stored, and hold it to what any front end needs: complete and finite.

    Parameters
    ----------
    path
        Audio file, or video file with sound.
    start_s, duration_s
        The clip's range in seconds on the file's clock.

    Returns
    -------
    samples : numpy.ndarray, shape (samples, channels), float32
        May be up to 0.1 s short.
    sr_hz : int

    Raises
    ------
    MediaError
        As :func:`read_audio`; also if more than 0.1 s is missing, or a sample is NaN or infinite.
    """
    path = Path(path)
    stored, sr_hz = read_audio(path, start_s=start_s, duration_s=duration_s)
    _check_clip(path, stored, sr_hz, start_s, duration_s)
    return stored, sr_hz


def check_audio(path: str | Path, start_s: float, duration_s: float) -> AudioCheck:
    """Look at a clip's sound without judging it, so that a checking pass can list all problems at once.

    Parameters
    ----------
    path
        Audio file, or video file with sound.
    start_s, duration_s
        The clip's range in seconds on the file's clock.

    Raises
    ------
    MediaError
        As :func:`read_audio`. Silence, missing length and non-finite samples raise nothing.
    """
    samples, sr_hz = read_audio(path, start_s=start_s, duration_s=duration_s)
    bad_n = _non_finite_n(samples)
    peak = _peak(samples[np.isfinite(samples)] if bad_n else samples)
    available_s = len(samples) / sr_hz
    return AudioCheck(
        peak=peak,
        silent=peak < SILENCE_PEAK,
        non_finite=bad_n,
        available_s=available_s,
        padded_s=_shortfall_s(len(samples), sr_hz, duration_s),
        sr_hz=sr_hz,
        channels=samples.shape[1],
    )


def _shortfall_s(samples_n: int, sr_hz: int, duration_s: float) -> float:
    return max(0, round(duration_s * sr_hz) - samples_n) / sr_hz


def _peak(samples: npt.NDArray[np.float32]) -> float:
    """Return the largest magnitude, without an array of all magnitudes: new memory takes longer than the comparison."""
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))


def _non_finite_n(samples: npt.NDArray[np.float32]) -> int:
    if np.isfinite(_peak(samples)):  # a NaN anywhere makes both ends NaN
        return 0
    return samples.size - int(np.count_nonzero(np.isfinite(samples)))


def _check_clip(path: Path, samples: npt.NDArray[np.float32], sr_hz: int, start_s: float, duration_s: float) -> None:
    if _shortfall_s(len(samples), sr_hz, duration_s) > TOLERANCE_S:
        available_s = len(samples) / sr_hz
        raise MediaError(path, f"has {available_s:.3f} s of sound from {start_s:.3f} s on, needed: {duration_s:.3f} s")
    bad_n = _non_finite_n(samples)
    if bad_n:
        raise MediaError(path, f"holds {bad_n} samples that are NaN or infinite")


def _read_with_soundfile(
    path: Path, start_s: float, duration_s: float | None
) -> tuple[npt.NDArray[np.float32], int] | None:
    """Read a range with libsndfile; None if the file is none of its kinds."""
    import soundfile

    try:
        sound = soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError):  # TypeError: a name in .raw is taken for headerless samples
        return None
    with sound:
        if not 0 <= sound.frames < 2**40 or not sound.seekable():  # a stream of unstated length: PyAV finds its end
            return None
        sr_hz: int = sound.samplerate
        start_n = round(start_s * sr_hz)
        wanted_n = sound.frames - start_n
        if sound.frames == 0:
            raise MediaError(path, "holds no sound (0 samples)")
        if wanted_n <= 0:
            length_s = sound.frames / sr_hz
            raise MediaError(path, f"ends at {length_s:.3f} s, the range starts at {start_s:.3f} s")
        if duration_s is not None:
            wanted_n = min(wanted_n, round(duration_s * sr_hz))
        try:
            sound.seek(start_n)
            samples = sound.read(wanted_n, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise MediaError(path, "is damaged or truncated: its sound cannot be decoded") from error
    if len(samples) < wanted_n:
        read_s, promised_s = (start_n + len(samples)) / sr_hz, (start_n + wanted_n) / sr_hz
        raise MediaError(path, f"is truncated: its sound can be read up to {read_s:.3f} s of {promised_s:.3f} s")
    return samples, sr_hz
