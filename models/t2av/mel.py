"""AudioLDM's log-mel spectrogram, batched in torch.

Frames of 1024 samples 160 apart, periodic Hann window, magnitude, 64 Slaney mel bands from 0 to 8000 Hz, natural
logarithm of at least 1e-5: silence is -11.51. The sound is padded by reflection so that frame ``i`` is centred on the
``i``-th stretch of 10 ms, and n samples give n // 160 frames ([1]_).

Differences from other implementations: AudioLDM's *inference* code pads by 512 and so lies half a hop (5 ms) off its
own training code; this is the training version. Computed in float64 and rounded to float32: at most 1e-4 from
AudioLDM's float32 arithmetic, 1e-3 near the floor.

References
----------
.. [1] Liu et al., AudioLDM, 2023, arXiv:2301.12503; ``utilities/data/dataset.py`` of its training code.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from t2av_bench.models.extractors.mel import slaney_mel_matrix

SR_HZ = 16_000
HOP_N = 160
WINDOW_N = 1024
BANDS_N = 64
FLOOR = 1e-5
PAD_N = (WINDOW_N - HOP_N) // 2
AUDIOLDM_PEAK = 0.5


def log_mel(waveforms: torch.Tensor) -> torch.Tensor:
    """Log-mel spectrograms of sounds.

    Parameters
    ----------
    waveforms
        Shape (batch, samples), 16 kHz, full scale ±1, at least 1024 samples.

    Returns
    -------
    torch.Tensor, shape (batch, samples // 160, 64), float32

    Raises
    ------
    ValueError
        If the sounds are shorter than a window.
    """
    if waveforms.ndim != 2 or waveforms.shape[1] < WINDOW_N:
        raise ValueError(
            f"Sounds must have shape (batch, {WINDOW_N} samples or more), given: {tuple(waveforms.shape)}."
        )
    padded = functional.pad(waveforms.double(), (PAD_N, PAD_N), mode="reflect")
    window = torch.hann_window(WINDOW_N, dtype=torch.float64, device=waveforms.device)
    magnitudes = torch.fft.rfft(padded.unfold(-1, WINDOW_N, HOP_N) * window).abs()
    bands = magnitudes @ mel_matrix(waveforms.device, torch.float64)
    return torch.log(bands.clamp(min=FLOOR)).float()


def audioldm_waveform(waveforms: torch.Tensor) -> torch.Tensor:
    """Level a sound as AudioLDM's training does: mean removed, largest magnitude 0.5.

    AudioLDM takes the *first channel* of a file, not the mean, and levels before it pads with zeros; both are left to
    the caller.

    Parameters
    ----------
    waveforms
        Shape (batch, samples).
    """
    centred = waveforms - waveforms.mean(dim=-1, keepdim=True)
    return centred / (centred.abs().amax(dim=-1, keepdim=True) + 1e-8) * AUDIOLDM_PEAK


def mel_matrix(device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
    """Return the filter bank, shape (513, 64)."""
    return torch.from_numpy(_mel_matrix()).to(device=device, dtype=dtype)


@lru_cache(maxsize=1)
def _mel_matrix() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return slaney_mel_matrix(BANDS_N, WINDOW_N, SR_HZ, 0.0, SR_HZ / 2).astype(np.float64)
