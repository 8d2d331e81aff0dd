"""Synchformer with the tensor names of the published state dict: how far a sound is off its pictures.

Known of the published file, and tested here: all names, and shapes that add up to its size to within the names and
headers a ``torch.save`` file has. Not verified here: the outputs with the trained weights, which nobody here has run.

References
----------
.. [1] Iashin et al., Synchformer: efficient synchronization from sparse cues, 2024, arXiv:2401.16423.
"""

from __future__ import annotations

import torch
from torch import nn

from t2av_bench.models.extractors.networks.synchformer_audio import AudioEncoder
from t2av_bench.models.extractors.networks.synchformer_layers import VIDEO_STEPS_N, SynchformerLayout, attend
from t2av_bench.models.extractors.networks.synchformer_video import VideoEncoder


class Synchformer(nn.Module):
    """Two encoders of 0.64 s segments and the transformer that compares 14 of each; 237 million parameters.

    Parameters
    ----------
    layout
        Sizes; by default those of the published file.
    """

    def __init__(self, layout: SynchformerLayout | None = None) -> None:
        super().__init__()
        layout = layout or SynchformerLayout()
        self.layout = layout
        self.vfeat_extractor = VideoEncoder(layout)
        self.afeat_extractor = AudioEncoder(layout)
        self.vproj, self.aproj = nn.Linear(layout.dim, layout.dim), nn.Linear(layout.dim, layout.dim)
        self.transformer = _OffsetTransformer(layout)

    def encode_video(self, segments: torch.Tensor) -> torch.Tensor:
        """Encode frames in [-1, 1], (rows, 3, 16, side, side), as (rows, 8, dim)."""
        return self.vfeat_extractor(segments)  # type: ignore[no-any-return]

    def encode_audio(self, spectra: torch.Tensor) -> torch.Tensor:
        """Encode normalised log-mel spectrograms, (rows, bands, frames), as (rows, 6, dim)."""
        return self.afeat_extractor(spectra)  # type: ignore[no-any-return]

    def compare(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Score each class of offset.

        Parameters
        ----------
        video, audio
            Encoded segments, (rows, segments, 8, dim) and (rows, segments, 6, dim).

        Returns
        -------
        torch.Tensor, shape (rows, offsets)
            Logits.
        """
        return self.transformer(self.vproj(video).flatten(1, 2), self.aproj(audio).flatten(1, 2))  # type: ignore[no-any-return]


class _OffsetTransformer(nn.Module):
    """A token for the offset, the video's tokens, a token between, the audio's tokens; the first one is read out."""

    def __init__(self, layout: SynchformerLayout) -> None:
        super().__init__()
        dim = layout.dim
        tokens_n = 2 + layout.segments_n * (VIDEO_STEPS_N + layout.spectrum_grid[1])
        self.OFF_tok, self.MOD_tok = (nn.Parameter(torch.empty(1, 1, dim)) for _ in range(2))
        self.vis_in_lnorm, self.aud_in_lnorm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.pos_emb_cfg = _Positions(tokens_n, dim)
        self.blocks = nn.Sequential(*(_Block(dim, layout.joint_heads) for _ in range(layout.joint_depth)))
        self.ln_f = nn.LayerNorm(dim)
        self.off_head = nn.Linear(dim, layout.offsets_n)

    def forward(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        off, between = (token.expand(len(video), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        tokens = torch.cat([off, self.vis_in_lnorm(video), between, self.aud_in_lnorm(audio)], dim=1)
        tokens = self.ln_f(self.blocks(tokens + self.pos_emb_cfg.pos_emb))
        logits: torch.Tensor = self.off_head(tokens[:, 0])
        return logits


class _Positions(nn.Module):
    def __init__(self, tokens_n: int, dim: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.empty(1, tokens_n, dim))


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = _SelfAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.ln1(tokens))
        outputs: torch.Tensor = tokens + self.mlp(self.ln2(tokens))
        return outputs


class _SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found = attend(self.query(tokens), self.key(tokens), self.value(tokens), self.heads)
        outputs: torch.Tensor = self.proj(found)
        return outputs


__all__ = ["Synchformer", "SynchformerLayout"]
