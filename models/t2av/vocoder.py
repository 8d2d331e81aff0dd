"""From log-mel spectrograms to sound, without a trained network.

``GriffinLim`` is called as transformers' ``SpeechT5HifiGan`` is, so a pipeline may hold either.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch.nn import functional

from t2av_bench.models.t2av.mel import BANDS_N, FLOOR, HOP_N, PAD_N, WINDOW_N, mel_matrix

_BINS_N = WINDOW_N // 2 + 1
_HOPS_N = -(-WINDOW_N // HOP_N)
_TINY = 1e-8


class GriffinLim(ModelMixin, ConfigMixin):
    """Fast Griffin-Lim for AudioLDM's log-mel spectrogram ([1]_), batched; no weights.

    Magnitudes come from the mel bands by a few multiplicative non-negative updates, phases from alternating
    projections with momentum that start at phases drawn once per length from a fixed seed. A clip's sound therefore
    depends on nothing but its spectrogram.

    Parameters
    ----------
    iterations_n
        Projections; 32 are near the limit of what phases can bring.
    momentum
        0 is the classic algorithm, 0.99 the fast one.
    magnitude_steps_n
        Updates of the magnitudes.
    seed
        Of the first phases.

    References
    ----------
    .. [1] Perraudin, Balazs, Søndergaard, A fast Griffin-Lim algorithm, WASPAA 2013.
    """

    @register_to_config
    def __init__(
        self, iterations_n: int = 32, momentum: float = 0.99, magnitude_steps_n: int = 10, seed: int = 0
    ) -> None:
        super().__init__()
        # diffusers writes no file for a network without tensors, and misses it on reading.
        self.register_buffer("geometry", torch.tensor([WINDOW_N, HOP_N, BANDS_N]))

    @torch.no_grad()
    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Find a sound whose log-mel spectrogram is near the given one.

        Parameters
        ----------
        log_mel
            Shape (batch, frames, 64), natural logarithm.

        Returns
        -------
        torch.Tensor, shape (batch, 160 * frames), float32
        """
        magnitudes = mel_to_magnitudes(log_mel.float(), self.config.magnitude_steps_n)
        window = torch.hann_window(WINDOW_N, device=log_mel.device)
        phases = self._first_phases(log_mel.shape[1]).to(log_mel.device)
        spectrum = torch.polar(magnitudes, phases.expand_as(magnitudes))
        previous = torch.zeros_like(spectrum)
        for _ in range(self.config.iterations_n):
            projected = _analyse(_synthesise(spectrum, window), window)
            pushed = projected + self.config.momentum / (1 + self.config.momentum) * (projected - previous)
            power = pushed.real.square() + pushed.imag.square()
            spectrum = pushed * (magnitudes * (power + _TINY**2).rsqrt())
            previous = projected
        return _synthesise(spectrum, window)[:, PAD_N:-PAD_N]

    def _first_phases(self, frames_n: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.config.seed)
        return 2 * torch.pi * torch.rand(frames_n, _BINS_N, generator=generator)


def mel_to_magnitudes(log_mel: torch.Tensor, steps_n: int) -> torch.Tensor:
    """Non-negative magnitudes (batch, frames, 513) whose mel bands are near the given ones.

    Multiplicative updates (Lee and Seung, 2000) from the transposed filter bank; bands at the floor stay silent.
    """
    matrix = mel_matrix(log_mel.device, torch.float32)
    bands = torch.where(log_mel > torch.log(torch.tensor(FLOOR)) + 1e-3, log_mel.exp(), 0.0)
    numerator = bands @ matrix.T
    magnitudes = numerator / matrix.square().sum(1).mean().clamp(min=_TINY)
    for _ in range(steps_n):
        magnitudes = magnitudes * numerator / ((magnitudes @ matrix) @ matrix.T + _TINY)
    return magnitudes


def _analyse(sound: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    return torch.fft.rfft(sound.unfold(-1, WINDOW_N, HOP_N) * window)


def _synthesise(spectrum: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Overlap-add of windowed frames, divided by the windows' overlapping squares; padding included."""
    frames = torch.fft.irfft(spectrum, n=WINDOW_N) * window
    weights = _overlap_add(window.square().expand(1, frames.shape[1], -1))
    return _overlap_add(frames) / weights.clamp(min=_TINY)


def _overlap_add(frames: torch.Tensor) -> torch.Tensor:
    """Sum frames (batch, frames, 1024) that lie 160 samples apart, (batch, samples).

    Whole stretches of 160 samples at a time: several times faster than ``torch.nn.functional.fold`` on a CPU.
    """
    batch_n, frames_n, _ = frames.shape
    padded = functional.pad(frames, (0, _HOPS_N * HOP_N - WINDOW_N)).unflatten(-1, (_HOPS_N, HOP_N))
    sound = frames.new_zeros(batch_n, frames_n + _HOPS_N - 1, HOP_N)
    for hop in range(_HOPS_N):
        sound[:, hop : hop + frames_n] += padded[:, :, hop]
    return sound.flatten(1)[:, : WINDOW_N + HOP_N * (frames_n - 1)]
