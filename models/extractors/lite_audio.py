"""Sound described by 64 numbers per 0.96 s window, with no network and no download.

=========  =======  ==============================================================  ==========
numbers    count    what                                                            unit
=========  =======  ==============================================================  ==========
0 to 19    20       mean level of the mel bands, 60 to 7600 Hz: the spectrum        14 dB
20 to 39   20       standard deviation of each band's level in the window           10 dB
40 to 63   24       onset strength in steps of 40 ms: when something starts         9 dB
=========  =======  ==============================================================  ==========

From the mean levels, 70 % of their own mean is taken away. What is left keeps loudness, but not as the one axis that
outweighs all others, as it would be if twenty levels rose and fell together.

The onset envelope stands on the same 40 ms steps as the motion envelope of ``lite-video``: it lets a joint distance
feel a shift that is shorter than a window. The units keep it well below the other two groups: an event half a second
late is worse than random in the envelopes alone (a sound where nothing moves, none where something does), but its sound
still fits the picture, and the joint distance should know both.

A louder copy of a clip differs in the first group alone, by 0.3 times the gain, because levels are cut off 50 dB below
the clip's loudest band and not at a fixed level (unless that lies below -90 dB re full scale, as in digital silence).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from t2av_bench.models.extractors.base import AudioExtractor, Float32Array
from t2av_bench.models.extractors.lite_common import STEPS_N, Float64Array, LiteWindows
from t2av_bench.models.extractors.windows import GRID_SR_HZ, WINDOW_S, window_starts_s

BANDS_N = 20
BAND_RANGE_HZ = (60.0, 7600.0)

_FFT_N = 512
_FRAME_RATE_HZ = 100
_HOP_N = GRID_SR_HZ // _FRAME_RATE_HZ
_WINDOW_FRAMES_N = round(WINDOW_S * _FRAME_RATE_HZ)
_RANGE_DB = 50.0
_FLOOR_DB = -90.0
# A level is compared with the one 30 ms earlier: one analysis frame (32 ms), so that an onset counts in full once.
_RISE_LAG_FRAMES_N = 3
# Pictures show a contact within a frame or two; finer onsets would only add noise to their common variance.
_SMOOTHING_FRAMES_N = 8
_LOUDNESS_SHARE = 0.3

_MEAN_UNIT_DB = 14.0
_DEVIATION_UNIT_DB = 10.0
_ONSET_UNIT_DB = 11.0


class LiteAudioExtractor(LiteWindows, AudioExtractor):
    """Log-mel means and deviations and the onset envelope of each 0.96 s window.

    Parameters
    ----------
    hop_s
        Distance between window starts in seconds, a multiple of 0.01 s.

    Raises
    ------
    UsageError
        If the hop is not such a multiple.

    Notes
    -----
    Own definition, of no published tool: compare its distances with each other only. Computed in float64, returned as
    float32; about 4 ms for a 4 s clip on one core.

    Examples
    --------
    >>> LiteAudioExtractor().windows(np.zeros(64_000, np.float32), 4.0).shape
    (4, 64)
    """

    name = "lite-audio"
    version = 1

    def windows(self, samples: Float32Array, duration_s: float) -> Float32Array:
        """Describe the clip's samples.

        Parameters
        ----------
        samples : shape (samples,)
            Mono at 16 kHz, full scale ±1, ``round(duration_s * 16000)`` of them.
        duration_s
            Nominal duration in seconds.

        Returns
        -------
        numpy.ndarray, shape (windows, 64), float32
        """
        starts_s = window_starts_s(duration_s, self.hop_s)
        if len(starts_s) == 0:
            return np.zeros((0, self.dim), np.float32)
        level_db = _band_levels_db(np.asarray(samples, dtype=np.float64))
        onset_db = onset_strength_db(level_db)
        starts = np.rint(starts_s * _FRAME_RATE_HZ).astype(int)
        inside = starts[:, None] + np.arange(_WINDOW_FRAMES_N)
        spectrum_db = level_db[inside].mean(axis=1)
        spectrum_db -= (1 - _LOUDNESS_SHARE) * spectrum_db.mean(axis=1, keepdims=True)
        parts = [
            spectrum_db / _MEAN_UNIT_DB,
            level_db[inside].std(axis=1) / _DEVIATION_UNIT_DB,
            onset_db[inside].reshape(len(starts), STEPS_N, _WINDOW_FRAMES_N // STEPS_N).mean(axis=2) / _ONSET_UNIT_DB,
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)


def onset_strength_db(level_db: Float64Array) -> Float64Array:
    """Mean over bands of how far each level rose within 30 ms, smoothed over ±80 ms.

    Parameters
    ----------
    level_db : shape (frames, bands)
        Band levels in dB every 10 ms.

    Returns
    -------
    numpy.ndarray, shape (frames,)
        In dB, 0 where nothing starts. The first frames are compared with frame 0: a clip does not begin with an onset.
    """
    earlier = level_db[np.maximum(np.arange(len(level_db)) - _RISE_LAG_FRAMES_N, 0)]
    rise_db = np.maximum(level_db - earlier, 0.0).mean(axis=1)
    kernel = np.hanning(2 * _SMOOTHING_FRAMES_N + 1)[1:-1]
    padded = np.pad(rise_db, _SMOOTHING_FRAMES_N - 1, mode="edge")
    smoothed: Float64Array = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return smoothed


def _band_levels_db(samples: Float64Array) -> Float64Array:
    """Levels of the mel bands every 10 ms, shape (frames, bands): dB re a full-scale sine, cut off from below."""
    # Frame i is centred in its own 10 ms, so that four of them make one 40 ms step of the envelope.
    before_n = (_FFT_N - _HOP_N) // 2
    padded = np.pad(samples, (before_n, _FFT_N - _HOP_N - before_n), mode="reflect")
    frames = sliding_window_view(padded, _FFT_N)[::_HOP_N][: len(samples) // _HOP_N]
    spectrum = np.fft.rfft(frames * _hann())
    power = (spectrum.real**2 + spectrum.imag**2) @ _mel_weights()
    floor = max(10 ** (_FLOOR_DB / 10), power.max() * 10 ** (-_RANGE_DB / 10))
    levels_db: Float64Array = 10 * np.log10(np.maximum(power, floor))
    return levels_db


@cache
def _hann() -> Float64Array:
    """Periodic Hann window, scaled so that a full-scale sine has power 1 at its frequency."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_N) / _FFT_N)
    return np.asarray(window * (2 / window.sum()))


@cache
def _mel_weights() -> Float64Array:
    """Triangular weights, shape (frequencies, bands), corners evenly spaced on HTK's mel scale, peaks at 1."""
    low_mel, high_mel = (2595 * np.log10(1 + hz / 700) for hz in BAND_RANGE_HZ)
    corners_hz = 700 * (10 ** (np.linspace(low_mel, high_mel, BANDS_N + 2) / 2595) - 1)
    hz = np.arange(_FFT_N // 2 + 1)[:, None] * (GRID_SR_HZ / _FFT_N)
    low, centre, high = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))
