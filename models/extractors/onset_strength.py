"""How strongly something starts in a sound, 100 times per second: an envelope for the scores of synchrony.

=======  ====================================================================================  =====
number   what                                                                                  unit
=======  ====================================================================================  =====
0        onset strength: mean over 64 mel bands of how far each level rose within 30 ms        dB
1        largest absolute sample within ±5 ms, from which the confidence of an onset is taken  1
=======  ====================================================================================  =====

Row *i* belongs to the time *i* / 100 s: its analysis frame of 32 ms is centred there. Levels are cut off 50 dB below
the clip's loudest band, so that neither the volume of a clip nor noise that nobody hears matters. Strength is in
decibels and is never scaled by the envelope's own maximum, as librosa's is: there, the step from digital silence to
room noise at the start of a clip is the maximum and can swallow every later onset. Here it is one onset of 50 dB at
most, and the rest of the envelope is as it would be without.

The peaks are picked from the envelope by :func:`~t2av_bench.metrics.peaks.onset_times`, which has the measured quality
of both together.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from t2av_bench.models.extractors.base import AudioExtractor, Float32Array
from t2av_bench.models.extractors.mel import Float64Array, panns_matrix
from t2av_bench.models.extractors.windows import GRID_SR_HZ

_FFT_N = 512
_RATE_HZ = 100
_HOP_N = GRID_SR_HZ // _RATE_HZ
# The first row whose frame lies inside the sound, and where that frame starts.
_FIRST_ROW = -(-_FFT_N // 2 // _HOP_N)
_OFFSET_N = _FIRST_ROW * _HOP_N - _FFT_N // 2
_RANGE_DB = 50.0
_FLOOR_POWER = 1e-14  # only digital silence is below
# A level is compared with the one 30 ms earlier, about one analysis frame, so that an onset counts in full once.
_RISE_LAG_N = 3
_SMOOTHING_N = 3


class OnsetStrengthExtractor(AudioExtractor):
    """Onset strength and peak amplitude of a sound, one row per 10 ms.

    Notes
    -----
    Own definition, after the spectral flux of log-mel levels; deterministic NumPy in float64, returned as float32;
    about 5 ms for a 4 s clip on one core. No onset is seen in the first and the last 20 ms of a clip, as nothing is
    known of the sound before and after.

    Examples
    --------
    >>> OnsetStrengthExtractor().windows(np.zeros(64_000, np.float32), 4.0).shape
    (400, 2)
    """

    name = "onset-strength"
    version = 1
    unit = "frame"
    dim = 2
    part = "onset_strength"
    rate_hz = _RATE_HZ

    def options(self) -> dict[str, Any]:
        """Return nothing: everything is fixed by the version."""
        return {}

    def windows(self, samples: Float32Array, duration_s: float) -> Float32Array:
        """Analyse the clip's samples.

        Parameters
        ----------
        samples : shape (samples,)
            Mono at 16 kHz, full scale ±1.
        duration_s
            Nominal duration in seconds.

        Returns
        -------
        numpy.ndarray, shape (rows, 2), float32
            See the module's table; all zero for silence.
        """
        rows_n = self.rows_n(duration_s)
        sound = np.asarray(samples, dtype=np.float64)
        strength_db = _rise_db(_band_levels_db(sound, rows_n))
        return np.stack([strength_db, _peaks(sound, rows_n)], axis=1).astype(np.float32)

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Return the rows as they are, as float32 of shape (rows, 2)."""
        return np.asarray(inputs, dtype=np.float32)


def _rise_db(level_db: Float64Array) -> Float64Array:
    """Mean over bands of the rise within 30 ms, averaged over three frames, shape (frames,)."""
    earlier = level_db[np.maximum(np.arange(len(level_db)) - _RISE_LAG_N, 0)]
    rise_db = np.maximum(level_db - earlier, 0.0).mean(axis=1)
    padded = np.pad(rise_db, _SMOOTHING_N // 2, mode="edge")
    return np.asarray(np.convolve(padded, np.full(_SMOOTHING_N, 1 / _SMOOTHING_N), mode="valid"))


def _band_levels_db(samples: Float64Array, rows_n: int) -> Float64Array:
    """Levels of the mel bands every 10 ms, shape (rows, 64): relative dB, cut off below the clip's range.

    Rows whose analysis frame does not lie inside the sound repeat the nearest that does: whatever a frame were filled
    up with, a tone that ends would sound like an onset.
    """
    whole = np.pad(samples, (0, max(0, _FFT_N + _OFFSET_N - len(samples))))
    frames = sliding_window_view(whole[_OFFSET_N:], _FFT_N)[::_HOP_N]
    spectrum = np.fft.rfft(frames * _hann())
    power = (spectrum.real**2 + spectrum.imag**2) @ _band_weights()
    floor = max(_FLOOR_POWER, power.max() * 10 ** (-_RANGE_DB / 10))
    levels_db = 10 * np.log10(np.maximum(power, floor))
    return np.asarray(levels_db[np.clip(np.arange(rows_n) - _FIRST_ROW, 0, len(levels_db) - 1)])


def _peaks(samples: Float64Array, rows_n: int) -> Float64Array:
    """Largest absolute sample around each row's time, shape (rows,); nothing between two rows is left out."""
    before_n = _HOP_N // 2
    after_n = max(0, rows_n * _HOP_N - before_n - len(samples))
    level = np.pad(np.abs(samples), (before_n, after_n))[: rows_n * _HOP_N]
    return np.asarray(level.reshape(rows_n, _HOP_N).max(axis=1))


@cache
def _hann() -> Float64Array:
    """Periodic Hann window, scaled so that a full-scale sine has power 1 at its frequency."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_N) / _FFT_N)
    return np.asarray(window * (2 / window.sum()))


@cache
def _band_weights() -> Float64Array:
    """PANNs' Slaney bands, 50 to 8000 Hz, as weights that add up to 1 per band, shape (257, 64)."""
    weights = panns_matrix()
    return np.asarray(weights / weights.sum(axis=0))
