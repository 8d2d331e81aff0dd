"""Synchformer's audio encoder: an Audio Spectrogram Transformer, and a summary of each step's frequencies.

References
----------
.. [1] Iashin et al., Synchformer: efficient synchronization from sparse cues, 2024, arXiv:2401.16423.
.. [2] Gong et al., AST: Audio Spectrogram Transformer, 2021, arXiv:2104.01778.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import gelu

from t2av_bench.models.extractors.networks.synchformer_layers import SummaryLayer, SynchformerLayout, attend

_EPS = 1e-12


class AudioEncoder(nn.Module):
    """Spectrograms of segments, (rows, bands, frames), to one token per 100 ms, (rows, 6, dim)."""

    def __init__(self, layout: SynchformerLayout) -> None:
        super().__init__()
        self.grid = layout.spectrum_grid
        self.ast = SpectrogramTransformer(layout)
        self.freq_attn_agg = SummaryLayer(layout.dim, layout.heads)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Encode each segment by itself."""
        bands_n, steps_n = self.grid
        patches = self.ast(spectra)[:, 2:].reshape(len(spectra), bands_n, steps_n, -1)
        summaries: torch.Tensor = self.freq_attn_agg(patches.transpose(1, 2).flatten(0, 1))
        return summaries.reshape(len(spectra), steps_n, -1)


class SpectrogramTransformer(nn.Module):
    """(rows, bands, frames) to (rows, 2 + patches, dim), frequency slowest, after two tokens of the whole."""

    def __init__(self, layout: SynchformerLayout) -> None:
        super().__init__()
        self.embeddings = _Embeddings(layout)
        self.encoder = _Encoder(layout)
        self.layernorm = nn.LayerNorm(layout.dim, eps=_EPS)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Encode spectrograms."""
        normed: torch.Tensor = self.layernorm(self.encoder(self.embeddings(spectra)))
        return normed


class _Encoder(nn.Module):
    def __init__(self, layout: SynchformerLayout) -> None:
        super().__init__()
        self.layer = nn.Sequential(*(_Layer(layout.dim, layout.heads) for _ in range(layout.depth)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(tokens)
        return outputs


class _Embeddings(nn.Module):
    def __init__(self, layout: SynchformerLayout) -> None:
        super().__init__()
        dim, patches_n = layout.dim, layout.spectrum_grid[0] * layout.spectrum_grid[1]
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.distillation_token = nn.Parameter(torch.empty(1, 1, dim))
        self.position_embeddings = nn.Parameter(torch.empty(1, 2 + patches_n, dim))
        self.patch_embeddings = nn.Sequential(OrderedDict(projection=nn.Conv2d(1, dim, 16, stride=10)))

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embeddings(spectra[:, None]).flatten(2).transpose(1, 2)
        first = (token.expand(len(spectra), -1, -1) for token in (self.cls_token, self.distillation_token))
        return torch.cat([*first, patches], dim=1) + self.position_embeddings


class _Layer(nn.Module):
    """Attention and two linear layers, each normalised first and added; nested as in the file."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(dim, eps=_EPS), nn.LayerNorm(dim, eps=_EPS)
        self.attention = nn.Sequential(OrderedDict(attention=_SelfAttention(dim, heads), output=_dense(dim, dim)))
        self.intermediate, self.output = _dense(dim, 4 * dim), _dense(4 * dim, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attention(self.layernorm_before(tokens))
        outputs: torch.Tensor = tokens + self.output(gelu(self.intermediate(self.layernorm_after(tokens))))
        return outputs


class _SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return attend(self.query(tokens), self.key(tokens), self.value(tokens), self.heads)


def _dense(inputs_n: int, outputs_n: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(dense=nn.Linear(inputs_n, outputs_n)))
