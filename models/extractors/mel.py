"""Log-mel front ends of VGGish, PANNs and Synchformer, batched in torch.

All are computed in float64 and rounded to float32 at the end: a float32 Fourier transform is good to about 1e-7 of a
frame's loudest bin, which the logarithm turns into errors of 1e-3 in quiet bands. The whole front end takes a few
percent of its network's time.

Differences from other implementations: against torchvggish (NumPy, float64) at most 1e-6, the rounding to float32;
against torchlibrosa (float32 convolutions in place of the Fourier transform) 4e-5 dB on real sound; Synchformer's
against librosa's mel spectrogram with torchaudio's settings 1e-5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Float64Array = npt.NDArray[np.float64]

SR_HZ = 16_000
HOP_N = 160
BANDS_N = 64
VGGISH_FRAMES_N = 96
_FFT_N = 512
_VGGISH_FRAME_N = 400
_VGGISH_LOG_OFFSET = 0.01
_PANNS_POWER_FLOOR = 1e-10
_SYNC_FFT_N, _SYNC_FRAME_N, _SYNC_BANDS_N = 1024, 400, 128
_SYNC_FRAMES_N = 66
_SYNC_LOG_OFFSET = 1e-6
_SYNC_MEAN, _SYNC_DEVIATION = -4.2677393, 4.5689974
_MEL_BREAK_HZ = 1000.0
_HZ_PER_LINEAR_MEL = 200 / 3


def htk_mel_matrix(bands_n: int, fft_n: int, sr_hz: float, low_hz: float, high_hz: float) -> Float64Array:
    """Mel filter bank as VGGish has it: HTK's scale, triangles straight in mel, peak 1, nothing from the DC bin.

    Returns
    -------
    numpy.ndarray, shape (fft_n // 2 + 1, bands_n), float64
        Right-multiplies magnitude spectra.
    """

    def mel(hz: npt.ArrayLike) -> Float64Array:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0))

    edges = np.linspace(mel(low_hz), mel(high_hz), bands_n + 2)
    bins = mel(np.linspace(0.0, sr_hz / 2, fft_n // 2 + 1))
    matrix = _triangles(bins, edges)
    matrix[0] = 0.0
    return matrix


def slaney_mel_matrix(bands_n: int, fft_n: int, sr_hz: float, low_hz: float, high_hz: float) -> npt.NDArray[np.float32]:
    """Mel filter bank as librosa has it by default: Slaney's scale, triangles straight in Hz, unit area.

    Returns
    -------
    numpy.ndarray, shape (fft_n // 2 + 1, bands_n), float32
        Right-multiplies power spectra. Rounded twice, before and after the division by the area, as librosa does:
        equal to its matrix bit for bit for PANNs' settings.
    """
    break_mel = _MEL_BREAK_HZ / _HZ_PER_LINEAR_MEL
    log_step = np.log(6.4) / 27

    def mel(hz: float) -> float:
        if hz < _MEL_BREAK_HZ:
            return hz / _HZ_PER_LINEAR_MEL
        return float(break_mel + np.log(hz / _MEL_BREAK_HZ) / log_step)

    edges_mel = np.linspace(mel(low_hz), mel(high_hz), bands_n + 2)
    edges_hz = np.where(
        edges_mel < break_mel,
        edges_mel * _HZ_PER_LINEAR_MEL,
        _MEL_BREAK_HZ * np.exp(log_step * (edges_mel - break_mel)),
    )
    matrix = _triangles(np.linspace(0.0, sr_hz / 2, fft_n // 2 + 1), edges_hz)
    areas = (edges_hz[2:] - edges_hz[:-2]) / 2.0
    return (matrix.astype(np.float32) * (1.0 / areas)).astype(np.float32)


def vggish_log_mel(samples: torch.Tensor) -> torch.Tensor:
    """VGGish's log-mel examples.

    Frames of 400 samples 160 apart, periodic Hann window, 512-point magnitude spectrum, 64 HTK mel bands from 125 to
    7500 Hz, natural logarithm of the band plus 0.01.

    Parameters
    ----------
    samples
        Shape (rows, 15600), 16 kHz, full scale ±1.

    Returns
    -------
    torch.Tensor, shape (rows, 96, 64), float32
        -4.605 for silence, at most about 5.
    """
    import torch

    frames = samples.double().unfold(-1, _VGGISH_FRAME_N, HOP_N)
    spectrum = torch.fft.rfft(frames * _periodic_hann(_VGGISH_FRAME_N, samples.device), n=_FFT_N).abs()
    bands = spectrum @ torch.from_numpy(_vggish_matrix()).to(samples.device)
    return torch.log(bands + _VGGISH_LOG_OFFSET).float()


def panns_log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Log-mel spectrogram of PANNs' 16 kHz networks.

    Frames of 512 samples 160 apart, centred by reflection at both ends, periodic Hann window, power spectrum, 64
    Slaney mel bands from 50 to 8000 Hz, ``10 * log10(max(band, 1e-10))``.

    Parameters
    ----------
    samples
        Shape (rows, samples), 16 kHz, full scale ±1, more than 256 samples.

    Returns
    -------
    torch.Tensor, shape (rows, 1 + samples // 160, 64), float32
        Decibels, not below -100.
    """
    import torch

    padded = torch.nn.functional.pad(samples.double(), (_FFT_N // 2, _FFT_N // 2), mode="reflect")
    spectrum = torch.fft.rfft(padded.unfold(-1, _FFT_N, HOP_N) * _periodic_hann(_FFT_N, samples.device))
    power = spectrum.real.square() + spectrum.imag.square()
    bands = power @ torch.from_numpy(panns_matrix()).to(samples.device)
    return (10.0 * torch.log10(bands.clamp(min=_PANNS_POWER_FLOOR))).float()


def synchformer_log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Normalised log-mel spectrogram of Synchformer's segments.

    Frames of 400 samples 160 apart, in the middle of 1024 and centred by reflection at both ends, periodic Hann window,
    power spectrum, 128 HTK mel bands from 0 to 8000 Hz, natural logarithm of the band plus 1e-6; as many zeros as are
    missing to 66 frames; then (x + 4.2677) / (2 · 4.5690), with AST's mean and deviation over AudioSet.

    Parameters
    ----------
    samples
        Shape (rows, 10240), 16 kHz, full scale ±1.

    Returns
    -------
    torch.Tensor, shape (rows, 128, 66), float32
    """
    import torch

    device, side_n = samples.device, (_SYNC_FFT_N - _SYNC_FRAME_N) // 2
    padded = torch.nn.functional.pad(samples.double(), (_SYNC_FFT_N // 2, _SYNC_FFT_N // 2), mode="reflect")
    window = torch.nn.functional.pad(_periodic_hann(_SYNC_FRAME_N, device), (side_n, side_n))
    spectrum = torch.fft.rfft(padded.unfold(-1, _SYNC_FFT_N, HOP_N) * window)
    power = spectrum.real.square() + spectrum.imag.square()
    levels = torch.log(power @ torch.from_numpy(_synchformer_matrix()).to(device) + _SYNC_LOG_OFFSET)
    levels = torch.nn.functional.pad(levels, (0, 0, 0, _SYNC_FRAMES_N - levels.shape[1]))
    return ((levels - _SYNC_MEAN) / (2 * _SYNC_DEVIATION)).transpose(1, 2).float()


@lru_cache(maxsize=1)
def _synchformer_matrix() -> Float64Array:
    """HTK's scale as torchaudio has it: triangles straight in Hz, peak 1, shape (513, 128)."""
    top_mel = 2595.0 * np.log10(1.0 + SR_HZ / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, top_mel, _SYNC_BANDS_N + 2) / 2595.0) - 1.0)
    return _triangles(np.linspace(0.0, SR_HZ / 2, _SYNC_FFT_N // 2 + 1), edges_hz)


@lru_cache(maxsize=1)
def panns_matrix() -> Float64Array:
    """PANNs' filter bank, shape (257, 64): the float32 values that its checkpoints store."""
    return slaney_mel_matrix(BANDS_N, _FFT_N, SR_HZ, 50.0, 8000.0).astype(np.float64)


@lru_cache(maxsize=1)
def _vggish_matrix() -> Float64Array:
    return htk_mel_matrix(BANDS_N, _FFT_N, SR_HZ, 125.0, 7500.0)


def _periodic_hann(n: int, device: torch.device) -> torch.Tensor:
    import torch

    return torch.hann_window(n, periodic=True, dtype=torch.float64, device=device)


def _triangles(bins: Float64Array, edges: Float64Array) -> Float64Array:
    """Overlapping triangles over ``edges[i], edges[i + 1], edges[i + 2]``, evaluated at ``bins``."""
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))
