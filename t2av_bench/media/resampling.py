r"""Resamplers by name: ours, and those that other toolkits' scores were made with.

====================  ===============================================================================================
name                  what it is
====================  ===============================================================================================
soxr-hq               libsoxr at quality HQ; ours, and librosa's default
torchaudio            its ``functional.resample``: sinc of 6 zero crossings under a squared cosine, cut-off 0.99 of
                      the lower Nyquist frequency
torchaudio-transform  its ``transforms.Resample``: the same, with weights computed to more digits (3e-6 of full scale)
torchaudio-kaiser     as fadtk and kadtk call it: 64 zero crossings under a Kaiser window, cut-off 0.948
resampy               resampy's default filter ``kaiser_best``; needs the package
moviepy               to 44.1 kHz (theirs: FFmpeg's resampler; here soxr), then the sample before, without a low-pass
====================  ===============================================================================================

They are not interchangeable: of white noise from 44.1 to 16 kHz, ``resampy`` loses 3 dB and ``torchaudio`` 2 dB in
VGGish's uppermost band, 7 to 7.5 kHz, where ``soxr-hq`` is flat.

torchaudio's filter is written out here, so that torchaudio need not be installed:

.. math:: y(t) = \sum_m x_m\, h(t - m / f), \qquad h(t) = \frac{f_c}{f} \operatorname{sinc}(f_c t)\, w(f_c t / z),
          \qquad f_c = r \min(f, f')

from rate f to f' with rolloff r and z zero crossings; y has ⌈n f'/f⌉ samples. The sums are in float64; torchaudio's are
in float32, at most 1e-6 away on the recorded clips (``tests/media/test_front_end.py``).
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import PrerequisiteError, no_such_name

Resampler = Literal["soxr-hq", "torchaudio", "torchaudio-transform", "torchaudio-kaiser", "resampy", "moviepy"]
Float32Array = npt.NDArray[np.float32]

_MOVIEPY_SR_HZ = 44_100


class _Sinc(NamedTuple):
    """Settings of torchaudio's filter; without a beta the window is a squared cosine."""

    zeros_n: int
    rolloff: float
    beta: float | None
    dtype: type[np.floating]


_SINC = {
    "torchaudio": _Sinc(6, 0.99, None, np.float32),
    "torchaudio-transform": _Sinc(6, 0.99, None, np.float64),
    "torchaudio-kaiser": _Sinc(64, 0.9475937167399596, 14.769656459379492, np.float64),
}


def resample(samples: Float32Array, from_hz: int, to_hz: int, resampler: Resampler = "soxr-hq") -> Float32Array:
    """Resample one channel; nothing is done where the rates are equal.

    Parameters
    ----------
    samples
        Shape (samples,).
    from_hz, to_hz
        Rates in Hz.
    resampler
        A name from the table of the module.

    Returns
    -------
    numpy.ndarray, shape (about samples * to_hz / from_hz,), float32
        The length is rounded as the original does it.

    Raises
    ------
    UsageError
        If there is no resampler of that name.
    PrerequisiteError
        If it needs a package that is not installed; says which.
    """
    check_resampler(resampler)
    if from_hz == to_hz:
        return samples
    if resampler == "soxr-hq":
        import soxr

        return np.asarray(soxr.resample(samples, from_hz, to_hz, quality="HQ"), np.float32)
    if resampler == "resampy":
        import resampy

        return np.asarray(resampy.resample(samples, from_hz, to_hz), np.float32)
    if resampler == "moviepy":
        decoded = resample(samples, from_hz, _MOVIEPY_SR_HZ)
        return decoded[np.arange(len(decoded) * to_hz // _MOVIEPY_SR_HZ) * _MOVIEPY_SR_HZ // to_hz]
    return _windowed_sinc(samples, from_hz, to_hz, resampler)


def check_resampler(resampler: str) -> None:
    """Raise if there is no such resampler, or if the package it needs is not installed."""
    if resampler not in get_args(Resampler):
        raise no_such_name(f"There is no resampler {resampler!r}", resampler, get_args(Resampler))
    if resampler == "resampy":
        from importlib.util import find_spec

        if find_spec("resampy") is None:
            raise PrerequisiteError(
                "This protocol resamples with resampy, which is not installed: pip install 't2av-bench[presets]'"
            )


def _windowed_sinc(samples: Float32Array, from_hz: int, to_hz: int, resampler: str) -> Float32Array:
    """Evaluate the sum of the module's formula at the new sample times, one phase of the output after the other."""
    common = gcd(from_hz, to_hz)
    old_n, new_n = from_hz // common, to_hz // common  # old samples that last as long as new samples
    first, taps = _phases(old_n, new_n, resampler)
    reach = taps.shape[1]
    wanted_n = ceil(len(samples) * new_n / old_n)
    frames_n = ceil(wanted_n / new_n)
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(reach + old_n)])
    resampled = np.empty((frames_n, new_n))
    for phase in range(new_n):
        neighbours = np.lib.stride_tricks.sliding_window_view(padded[reach + first[phase] :], reach)
        resampled[:, phase] = neighbours[: frames_n * old_n : old_n] @ taps[phase]
    return resampled.ravel()[:wanted_n].astype(np.float32)


@lru_cache(maxsize=8)
def _phases(old_n: int, new_n: int, resampler: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return, for each of ``new_n`` output samples, its first input sample and the weights from there on.

    Rounded where torchaudio rounds: output times are float32 in both forms, everything else in the functional one.
    """
    zeros_n, rolloff, beta, dtype = _SINC[resampler]
    cutoff = rolloff * min(old_n, new_n)
    width = ceil(zeros_n * old_n / cutoff)
    first = np.arange(new_n) * old_n // new_n - width
    inputs = (first[:, None] + np.arange(2 * width + 2)).astype(dtype) / dtype(old_n)
    outputs = np.arange(new_n, dtype=np.float32) / np.float32(new_n)
    crossings = np.clip((inputs - outputs[:, None]) * dtype(cutoff), -zeros_n, zeros_n)
    if beta is None:
        window = np.cos(crossings * dtype(np.pi) / zeros_n / 2) ** 2
    else:
        window = np.i0(beta * np.sqrt(1 - (crossings / zeros_n) ** 2)) / np.i0(beta)
    taps = np.sinc(crossings) * window * dtype(cutoff / old_n)
    return first, taps.astype(np.float32).astype(np.float64)
