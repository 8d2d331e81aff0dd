"""From a clip's sound as stored to the mono signal that a network is given: our way, and those of other toolkits.

======================  ========  =======  ====================  =======================================================
front end               channels  DC       resampler             then
======================  ========  =======  ====================  =======================================================
t2av-bench              mean      kept     soxr-hq
audioldm_eval           first     removed  torchaudio            zeros up to 2 s
fadtk                   mean      kept     torchaudio-kaiser     truncated to 16 bits; zeros up to 1 s
av-benchmark            mean      removed  torchaudio-transform  cut to 8 s
frechet_audio_distance  mean      kept     resampy
google-fad              mean      kept     soxr-hq               rounded to 16 bits; divided by its largest sample
======================  ========  =======  ====================  =======================================================

On the same file they lie far apart. Of stereo sound, the first channel's log-mel differs from the mean's by 0.4 to 1.6
(root mean square, natural logarithm); resampler and DC removal are 0.01 to 0.05. The waveforms of all but the last are
held to what those projects' own code gave (``tests/media/test_front_end.py``). Google's code reads 16-bit WAV files of
16 kHz only and leaves the resampling to its user; soxr stands in for it here.

In one thing all are alike here: a clip is its range in the manifest, exactly as long, and up to 0.1 s that are missing
at its end are zeros. The toolkits themselves take a file as long as it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import no_such_name
from t2av_bench.media.audio import read_clip_channels
from t2av_bench.media.resampling import Resampler, check_resampler, resample

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AudioFrontEnd:
    """The steps between a clip's stored sound and a network's mono signal, in their order.

    Attributes
    ----------
    name
        For people.
    channels
        ``mean`` of all, or the ``first`` alone.
    remove_mean
        Subtract the mean of the clip's stored samples.
    resampler
        A name from :mod:`t2av_bench.media.resampling`.
    most_s, least_s
        Cut to this length; pad with zeros up to this length. In seconds.
    bits16
        How samples become multiples of 2**-15, if at all: ``truncate``, as libsndfile writes float to 16 bits, or
        ``round``. Both clip to full scale.
    scale_peak
        Divide by the largest sample (its sign counts), if that exceeds 0.1 of a 16-bit step, as Google's FAD.
    """

    name: str
    channels: Literal["mean", "first"] = "mean"
    remove_mean: bool = False
    resampler: Resampler = "soxr-hq"
    most_s: float | None = None
    least_s: float = 0.0
    bits16: Literal["truncate", "round"] | None = None
    scale_peak: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the record that enters fingerprints and results."""
        return asdict(self)

    def length_s(self, duration_s: float) -> float:
        """Return how long the signal of a clip of this nominal duration is, in seconds."""
        cut_s = duration_s if self.most_s is None else min(duration_s, self.most_s)
        return max(cut_s, self.least_s)

    def check(self) -> None:
        """Raise a PrerequisiteError if a package is missing that the resampler needs."""
        check_resampler(self.resampler)

    def read(self, path: str | Path, *, sr_hz: int, start_s: float, duration_s: float) -> Float32Array:
        """Read a clip.

        Parameters
        ----------
        path
            Audio file, or video file with sound.
        sr_hz
            Rate to resample to.
        start_s, duration_s
            The clip's range in seconds on the file's clock.

        Returns
        -------
        numpy.ndarray, shape (round(length_s(duration_s) * sr_hz),), float32
            Full scale is ±1.

        Raises
        ------
        MediaError
            As :func:`~t2av_bench.media.audio.read_clip_channels`.
        PrerequisiteError
            If a package is missing that the resampler needs.
        """
        stored, stored_sr_hz = read_clip_channels(path, start_s=start_s, duration_s=duration_s)
        return self.signal(stored, stored_sr_hz, sr_hz=sr_hz, duration_s=duration_s)

    def signal(self, stored: Float32Array, stored_sr_hz: int, *, sr_hz: int, duration_s: float) -> Float32Array:
        """Turn a clip's samples as stored, shape (samples, channels), into what :meth:`read` returns."""
        mono = stored[:, 0] if self.channels == "first" else _mean_of_channels(stored)
        if self.remove_mean:
            mono = mono - mono.mean(dtype=np.float32)
        mono = resample(mono, stored_sr_hz, sr_hz, self.resampler)
        # Resampling rounds the length its own way, by a sample at most.
        clip = np.zeros(round(self.length_s(duration_s) * sr_hz), np.float32)
        kept_n = min(len(clip), len(mono))
        clip[:kept_n] = mono[:kept_n]
        if self.bits16 is not None:
            clip = _to_16_bits(clip, self.bits16)
        return _peak_scaled(clip) if self.scale_peak else clip


OURS = AudioFrontEnd("t2av-bench")
FRONT_ENDS: dict[str, AudioFrontEnd] = {
    front_end.name: front_end
    for front_end in (
        OURS,
        AudioFrontEnd("audioldm_eval", channels="first", remove_mean=True, resampler="torchaudio", least_s=2.0),
        AudioFrontEnd("fadtk", resampler="torchaudio-kaiser", least_s=1.0, bits16="truncate"),
        AudioFrontEnd("av-benchmark", remove_mean=True, resampler="torchaudio-transform", most_s=8.0),
        AudioFrontEnd("frechet_audio_distance", resampler="resampy"),
        AudioFrontEnd("google-fad", bits16="round", scale_peak=True),
    )
}


def find_front_end(front_end: str | AudioFrontEnd) -> AudioFrontEnd:
    """Return the front end of a name, or the one given.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if isinstance(front_end, AudioFrontEnd):
        return front_end
    if front_end not in FRONT_ENDS:
        raise no_such_name(f"There is no audio front end {front_end!r}", front_end, FRONT_ENDS)
    return FRONT_ENDS[front_end]


def read_clip_audio(path: str | Path, *, sr_hz: int, start_s: float, duration_s: float) -> Float32Array:
    """Read a clip's sound by our protocol: mean of channels, soxr HQ, exactly ``round(duration_s * sr_hz)`` samples.

    Parameters, result and errors are those of :meth:`AudioFrontEnd.read`.
    """
    return OURS.read(path, sr_hz=sr_hz, start_s=start_s, duration_s=duration_s)


def _mean_of_channels(stored: Float32Array) -> Float32Array:
    """Return ``stored.mean(axis=1)`` to the last bit, without NumPy's loop over the channels of every single sample."""
    channels_n = stored.shape[1]
    if channels_n > 7:  # from eight on, NumPy adds in another order
        return np.asarray(stored.mean(axis=1, dtype=np.float32))
    total = stored[:, 0].copy()
    for channel in range(1, channels_n):
        total += stored[:, channel]
    total /= np.float32(channels_n)
    return total


def _to_16_bits(samples: Float32Array, how: Literal["truncate", "round"]) -> Float32Array:
    wide = samples.astype(np.float64)
    levels = np.floor(np.rint(wide * 2.0**31) / 2.0**16) if how == "truncate" else np.rint(wide * 2.0**15)
    return (np.clip(levels, -(2.0**15), 2.0**15 - 1) / 2.0**15).astype(np.float32)


def _peak_scaled(samples: Float32Array) -> Float32Array:
    # Google's code works on the integers of 16-bit files, hence the unit of its floor.
    largest = np.maximum(np.float32(0.1 / 2**15), samples.max(initial=0.0))
    return np.asarray(samples / largest, np.float32)
