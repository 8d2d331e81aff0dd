"""What the three parts of Synchformer share: attention, and a layer that sums a sequence up in one token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention


@dataclass(frozen=True)
class SynchformerLayout:
    """Sizes of the network; the defaults are those of the published file.

    Attributes
    ----------
    dim, heads, depth
        Of both encoders: width of a token, attention heads, layers.
    side_px, patch_px
        Side of a frame and of a patch in pixels.
    bands_n, spectrum_frames_n
        Size of a segment's log-mel spectrogram.
    joint_heads, joint_depth
        Of the transformer that compares the two.
    segments_n
        Segments it compares at once.
    offsets_n
        Classes of offset.
    """

    dim: int = 768
    heads: int = 12
    depth: int = 12
    side_px: int = 224
    patch_px: int = 16
    bands_n: int = 128
    spectrum_frames_n: int = 66
    joint_heads: int = 8
    joint_depth: int = 3
    segments_n: int = 14
    offsets_n: int = 21

    @property
    def places_n(self) -> int:
        """Patches of a frame."""
        return (self.side_px // self.patch_px) ** 2

    @property
    def spectrum_grid(self) -> tuple[int, int]:
        """Patches of 16 × 16, 10 apart, of a spectrogram, along frequency and along time."""
        return (self.bands_n - 16) // 10 + 1, (self.spectrum_frames_n - 16) // 10 + 1


VIDEO_STEPS_N = 8
"""Pairs of frames in a segment: the video's tokens."""


def split_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Turn (rows, tokens, dim) into (rows, heads, tokens, dim / heads)."""
    return rows.reshape(*rows.shape[:2], heads, -1).transpose(1, 2)


def join_heads(rows: torch.Tensor) -> torch.Tensor:
    """Undo :func:`split_heads`."""
    return rows.transpose(1, 2).flatten(2)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Attend from each token to all, over (rows, tokens, dim)."""
    query, key, value = split_heads(query, heads), split_heads(key, heads), split_heads(value, heads)
    return join_heads(scaled_dot_product_attention(query, key, value))


class _Projections(nn.Module):
    """Weights of an attention under the names of :class:`torch.nn.MultiheadAttention`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dim))
        self.out_proj = nn.Linear(dim, dim)


class SummaryLayer(nn.Module):
    """One transformer layer, normalised first, whose own token takes up a sequence: (rows, tokens, dim) to (rows, dim).

    Names and arithmetic are those of :class:`torch.nn.TransformerEncoderLayer` with a token in front.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = _Projections(dim)
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Sum up each row."""
        tokens = torch.cat([self.cls_token.expand(len(rows), -1, -1), rows], dim=1)
        weights = self.self_attn
        query, key, value = linear(self.norm1(tokens), weights.in_proj_weight, weights.in_proj_bias).chunk(3, dim=-1)
        summary = tokens[:, :1] + weights.out_proj(attend(query[:, :1], key, value, self.heads))
        summary = summary + self.linear2(gelu(self.linear1(self.norm2(summary))))
        outputs: torch.Tensor = summary[:, 0]
        return outputs
