"""Multi-head self-attention over the frames of a clip, of any length."""

from __future__ import annotations

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional


def positions(length: int, dim: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Sinusoidal position codes (Vaswani et al., 2017, arXiv:1706.03762, section 3.5), shape (length, dim).

    The first half holds the sines, the second the cosines; the slowest wave has a period of 10 000 · 2π frames.
    """
    half = dim // 2
    rates = torch.exp(-math.log(10_000.0) * torch.arange(half, device=device, dtype=torch.float32) / half)
    angles = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(dtype)


class Attention(nn.Module):
    """Multi-head attention; padded keys get no weight.

    Parameters
    ----------
    dim, heads_n
        Width, and the number of heads it is split into.
    """

    def __init__(self, dim: int, heads_n: int) -> None:
        super().__init__()
        if dim % heads_n:
            raise ValueError(f"The width must be a multiple of the number of heads, given: {dim}, {heads_n}.")
        self.heads_n = heads_n
        self.queries = nn.Linear(dim, dim)
        self.keys_values = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Attend from ``x`` (batch, n, dim) to ``context`` (batch, m, dim) where ``mask`` (batch, m) is True."""
        keys, values = self.keys_values(context).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads_n, -1)).transpose(1, 2) for part in (self.queries(x), keys, values))
        allowed = None if mask is None else mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Normalisation and a two-layer network on each vector by itself."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class SelfAttentionBlock(nn.Module):
    """One pre-normalised transformer layer."""

    def __init__(self, dim: int, heads_n: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads_n)
        self.feedforward = FeedForward(dim, hidden)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (batch, n, dim) to (batch, n, dim); ``mask`` (batch, n) is True where there is something."""
        normed = self.norm(x)
        x = x + self.attention(normed, normed, mask)
        return x + self.feedforward(x)


class TemporalTransformer(ModelMixin, ConfigMixin):
    """Temporal multi-head self-attention transformer over frame features.

    Parameters
    ----------
    input_dim
        Length of a frame's vector.
    dim
        Length of the vectors that come out.
    layers_n, heads_n, feedforward
        Depth, heads per layer, and width between the two linear maps of a layer.
    """

    @register_to_config
    def __init__(
        self, input_dim: int = 128, dim: int = 128, layers_n: int = 2, heads_n: int = 4, feedforward: int = 256
    ) -> None:
        super().__init__()
        self.project = nn.Linear(input_dim, dim)
        self.blocks = nn.ModuleList(SelfAttentionBlock(dim, heads_n, feedforward) for _ in range(layers_n))
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Let each frame of a clip look at all others.

        Parameters
        ----------
        frames
            Shape (batch, frames, input_dim).
        mask
            Shape (batch, frames), True for frames that exist; the rest is padding and changes nothing.

        Returns
        -------
        torch.Tensor, shape (batch, frames, dim)
            Zero for padding.
        """
        x = self.project(frames)
        x = x + positions(x.shape[1], x.shape[2], x.device, x.dtype)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return x if mask is None else x * mask[..., None]
