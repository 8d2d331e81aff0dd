"""Synchformer's video encoder: a Motionformer with divided space-time attention, and a summary of each step's places.

References
----------
.. [1] Iashin et al., Synchformer: efficient synchronization from sparse cues, 2024, arXiv:2401.16423.
.. [2] Bertasius et al., Is space-time attention all you need for video understanding?, 2021, arXiv:2102.05095.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from t2av_bench.models.extractors.networks.synchformer_layers import (
    VIDEO_STEPS_N,
    SummaryLayer,
    SynchformerLayout,
    join_heads,
    split_heads,
)


class VideoEncoder(nn.Module):
    """Segments of 16 frames, (rows, 3, 16, side, side), to one token per pair of frames, (rows, 8, dim)."""

    def __init__(self, layout: SynchformerLayout) -> None:
        super().__init__()
        dim, patch = layout.dim, layout.patch_px
        self.places_n = layout.places_n
        self.patch_embed = _Patches(nn.Conv2d(3, dim, patch, stride=patch))  # in the file, without any use
        self.patch_embed_3d = _Patches(nn.Conv3d(3, dim, (2, patch, patch), stride=(2, patch, patch)))
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + layout.places_n, dim))
        self.temp_embed = nn.Parameter(torch.empty(1, VIDEO_STEPS_N, dim))
        self.blocks = nn.ModuleList(_Block(dim, layout.heads) for _ in range(layout.depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.spatial_attn_agg = SummaryLayer(dim, layout.heads)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Encode each segment by itself."""
        patches = self.patch_embed_3d.proj(segments).flatten(2).transpose(1, 2)  # step slowest, then row, then column
        places = self.pos_embed[:, 1:].repeat(1, VIDEO_STEPS_N, 1)
        patches = patches + places + self.temp_embed.repeat_interleave(self.places_n, 1)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(segments), -1, -1)
        tokens = torch.cat([first, patches], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        steps = self.norm(tokens[:, 1:]).reshape(len(segments) * VIDEO_STEPS_N, self.places_n, -1)
        summaries: torch.Tensor = self.spatial_attn_agg(steps)
        return summaries.reshape(len(segments), VIDEO_STEPS_N, -1)


class _Patches(nn.Module):
    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj


class _Block(nn.Module):
    """Attention over time, then over space, then two linear layers; each normalised first and added."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim, eps=1e-6) for _ in range(3))
        self.attn, self.timeattn = DividedAttention(dim, heads), DividedAttention(dim, heads)
        self.mlp = _TwoLayers(dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.timeattn(self.norm3(tokens), over_time=True)
        tokens = tokens + self.attn(self.norm1(tokens), over_time=False)
        rows: torch.Tensor = tokens + self.mlp(self.norm2(tokens))
        return rows


class DividedAttention(nn.Module):
    """Attention of each patch to its own place at all steps, or to all places of its own step, and to the first token.

    The first token itself attends to everything.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: torch.Tensor, *, over_time: bool) -> torch.Tensor:
        """Map (rows, 1 + steps × places, dim) to the same shape."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        first = scaled_dot_product_attention(query[:, :, :1], key, value)
        query_groups, key_groups, value_groups = (self._groups(part, over_time) for part in (query, key, value))
        groups_n = query_groups.shape[2]
        key_first, value_first = (part[:, :, None, :1].expand(-1, -1, groups_n, -1, -1) for part in (key, value))
        keys, values = torch.cat([key_first, key_groups], dim=3), torch.cat([value_first, value_groups], dim=3)
        found = scaled_dot_product_attention(query_groups, keys, values)
        found = (found.transpose(2, 3) if over_time else found).flatten(2, 3)
        joined: torch.Tensor = self.proj(join_heads(torch.cat([first, found], dim=2)))
        return joined

    @staticmethod
    def _groups(part: torch.Tensor, over_time: bool) -> torch.Tensor:
        """Group patches that see each other: (rows, heads, groups, members, width)."""
        rows_n, heads, tokens_n, width = part.shape
        steps = part[:, :, 1:].reshape(rows_n, heads, VIDEO_STEPS_N, (tokens_n - 1) // VIDEO_STEPS_N, width)
        return steps.transpose(2, 3) if over_time else steps


class _TwoLayers(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.fc2(gelu(self.fc1(tokens)))
        return outputs
