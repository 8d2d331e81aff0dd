"""Stage ``vae``: the autoencoder of log-mel spectrograms, for recipes that start from nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages.base import Stage

_CROP_N = 128
_KL_WEIGHT = 2e-3


class VAEStage(Stage):
    """Mean absolute error of the normalised log-mel, plus a little KL divergence per latent number.

    Parameters
    ----------
    vae
        An ``AutoencoderKL`` on (batch, 1, frames, bands).
    mels
        Has ``log_mel``, (frames, bands).
    mean, std
        The autoencoder sees ``(log_mel - mean) / std``.
    """

    name = "vae"
    trained: tuple[str, ...] = ("vae",)

    def __init__(self, vae: nn.Module, mels: Arrays, mean: float, std: float) -> None:
        super().__init__({"vae": vae})
        self._mels, self._mean, self._std = mels, mean, std

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read a random stretch of 1.28 s of each clip."""
        mels = self._mels.take("log_mel", indices)
        starts = rng.integers(0, max(1, mels.shape[1] - _CROP_N + 1), size=len(indices))
        crops = [mel[start : start + _CROP_N] for mel, start in zip(mels, starts, strict=True)]
        return {"log_mel": torch.stack(crops).float()}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        x = ((batch["log_mel"] - self._mean) / self._std)[:, None]
        vae = self.part("vae")
        posterior = vae.encode(x).latent_dist
        decoded = vae.decode(posterior.sample()).sample
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss: Tensor = functional.l1_loss(decoded.float(), x) + _KL_WEIGHT * kl
        return loss
