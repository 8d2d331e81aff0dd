r"""Visual-aligned CLAP: a zero-gated residual on the caption embedding, and the objective that trains it.

.. math:: t' = \frac{t + g \, F(t, \operatorname{pool} V)}{\lVert t + g \, F(t, \operatorname{pool} V) \rVert}

With the gate g = 0, where it starts, t' is t bit for bit. The paper (arXiv:2403.07938) names the idea and gives no
equation; this is a reconstruction.
"""

from __future__ import annotations

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

_TEMPERATURE = 0.07


class VisualAlignedClap(ModelMixin, ConfigMixin):
    """Moves a caption embedding towards what the video shows.

    Parameters
    ----------
    text_dim, video_dim
        Lengths of the caption embedding and of a frame's vector.
    hidden
        Width between the two linear maps of the fusion.
    gate_scale
        The gate is its parameter times this: optimisers that move each parameter by about its learning rate then
        move the gate this much faster. At the common rate it hardly opens (reference trial: -0.03 after 600 steps).
    """

    @register_to_config
    def __init__(self, text_dim: int = 128, video_dim: int = 128, hidden: int = 128, gate_scale: float = 10.0) -> None:
        super().__init__()
        self.fuse = nn.Sequential(
            nn.Linear(text_dim + 3 * video_dim, hidden), nn.SiLU(), nn.Linear(hidden, text_dim), nn.LayerNorm(text_dim)
        )
        self.gate = nn.Parameter(torch.zeros(()))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(_TEMPERATURE)))

    def forward(self, text: torch.Tensor, video: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Align captions with their videos.

        Parameters
        ----------
        text
            Shape (batch, text_dim), unit length.
        video
            Shape (batch, frames, video_dim).
        mask
            Shape (batch, frames), True for frames that exist.

        Returns
        -------
        torch.Tensor, shape (batch, text_dim)
            Unit length, to within rounding.
        """
        residual = self.fuse(torch.cat([text, pooled(video, mask).to(text.dtype)], dim=-1))
        # The layer norm gives the residual a length of sqrt(dim); a gate of 1 then means "as long as the caption".
        moved = text + self.config.gate_scale * self.gate * residual / residual.shape[-1] ** 0.5
        # As a difference, so that a closed gate adds an exact zero; normalising t again would change its last bits.
        return text + (functional.normalize(moved, dim=-1) - functional.normalize(text, dim=-1))


def pooled(video: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean, largest value and standard deviation over time, (batch, 3 * video_dim)."""
    if mask is None:
        mask = torch.ones(video.shape[:2], dtype=torch.bool, device=video.device)
    there = mask[..., None]
    count = there.sum(1).clamp(min=1)
    mean = (video * there).sum(1) / count
    largest = video.masked_fill(~there, -torch.inf).amax(1)
    variance = ((video - mean[:, None]) * there).square().sum(1) / count
    return torch.cat([mean, largest, (variance + 1e-6).sqrt()], dim=-1)


def contrastive_loss(
    text: torch.Tensor, audio: torch.Tensor, log_temperature: torch.Tensor, same: torch.Tensor | None = None
) -> torch.Tensor:
    """Symmetric InfoNCE between captions and sounds of a batch (Radford et al., 2021; here for sounds).

    Parameters
    ----------
    text, audio
        Shape (batch, dim), unit length; row i of one belongs to row i of the other.
    log_temperature
        Natural logarithm of the temperature.
    same
        Shape (batch, batch), True where caption i also fits sound j, for example because the captions are equal; such
        pairs share the target. None for the diagonal.

    Returns
    -------
    torch.Tensor, scalar
        Nats; ln(batch) for embeddings that tell nothing.
    """
    logits = text @ audio.T / log_temperature.exp()
    if same is None:
        same = torch.eye(len(text), dtype=torch.bool, device=text.device)
    by_text = functional.cross_entropy(logits, same / same.sum(1, keepdim=True))
    by_audio = functional.cross_entropy(logits.T, same.T / same.T.sum(1, keepdim=True))
    return (by_text + by_audio) / 2


def alignment_loss(
    text: torch.Tensor,
    audio: torch.Tensor,
    log_temperature: torch.Tensor,
    same: torch.Tensor | None = None,
    cosine_weight: float = 4.0,
) -> torch.Tensor:
    """Contrastive loss plus ``cosine_weight`` times one minus the cosine of each pair.

    The contrastive loss alone only ranks: t' may leave the region on which the frozen U-Net was conditioned (in the
    reference trial its cosine to the sound fell from 0.64 to 0.32). The cosine term keeps it there.
    """
    apart = 1.0 - functional.cosine_similarity(text, audio, dim=-1).mean()
    return contrastive_loss(text, audio, log_temperature, same) + cosine_weight * apart
