"""Captions and sounds in one space: the mini recipe's small encoders, and the published CLAP behind the same calls.

Both give unit vectors: ``encode_text(captions)`` and ``encode_audio(waveforms)``, (batch, dim). A caption may hold
words that were never seen, or none at all; the empty caption is the null condition of guidance.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

from t2av_bench.errors import PrerequisiteError
from t2av_bench.models.extractors.lite_text import words
from t2av_bench.models.t2av.mel import SR_HZ, log_mel
from t2av_bench.models.t2av.temporal import SelfAttentionBlock, positions

_WORDS_N = 40
_PIECES_N = 8
_FIRST_HASH = 2  # 0 is padding, 1 the start of the caption
_MEL_MEAN, _MEL_STD = -5.9, 1.6
_FRAMES_AVERAGED_N = 4
_TEMPERATURE = 0.07
_CLAP_SR_HZ = 48_000
_CLAP_SAMPLES_N = 480_000


def tokens(captions: Sequence[str], vocabulary_n: int) -> torch.Tensor:
    """Turn captions into numbers that need no vocabulary.

    A word is the hash of itself and of its runs of three letters, so that "drumming" is near "drums" without either
    having been seen. At most 40 words count, and 8 numbers per word.

    Parameters
    ----------
    captions
        Texts in any language; may be empty.
    vocabulary_n
        Numbers are below this.

    Returns
    -------
    torch.Tensor, shape (captions, 1 + most words, 8), int64
        0 is padding; the first row of each caption is its start.

    Examples
    --------
    >>> tokens(["", "a dog"], 512).shape
    torch.Size([2, 3, 8])
    """
    split = [words(caption)[:_WORDS_N] for caption in captions]
    ids = torch.zeros(len(split), 1 + max(map(len, split), default=0), _PIECES_N, dtype=torch.long)
    ids[:, 0, 0] = 1
    for row, caption in enumerate(split):
        for place, word in enumerate(caption, start=1):
            marked = f"<{word}>"
            pieces = [marked, *(marked[i : i + 3] for i in range(len(marked) - 2))][:_PIECES_N]
            ids[row, place, : len(pieces)] = torch.tensor([_hashed(piece, vocabulary_n) for piece in pieces])
    return ids


class SmallClap(ModelMixin, ConfigMixin):
    """Caption and log-mel encoders trained from scratch on the mini world.

    Parameters
    ----------
    dim
        Length of the joint embeddings.
    text_width, text_layers_n, vocabulary_n
        Width and depth of the text transformer, and rows of its hashed word table.
    audio_widths
        Channels of the strided convolutions on the log-mel spectrogram.
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 128,
        text_width: int = 64,
        text_layers_n: int = 1,
        vocabulary_n: int = 512,
        audio_widths: tuple[int, ...] = (16, 32, 64, 96),
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary_n, text_width, padding_idx=0)
        self.blocks = nn.ModuleList(SelfAttentionBlock(text_width, 4, 2 * text_width) for _ in range(text_layers_n))
        self.text_norm = nn.LayerNorm(text_width)
        self.text_project = nn.Linear(text_width, dim)
        layers: list[nn.Module] = []
        for width_in, width in zip((1, *audio_widths), audio_widths, strict=False):
            layers += [nn.Conv2d(width_in, width, 3, stride=2, padding=1), nn.GroupNorm(4, width), nn.SiLU()]
        self.convolutions = nn.Sequential(*layers)
        # Mean and largest value over time, for each row of bands that is left.
        self.audio_project = nn.Linear(2 * audio_widths[-1] * math.ceil(64 / 2 ** len(audio_widths)), dim)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(_TEMPERATURE)))

    def encode_text(self, captions: Sequence[str]) -> torch.Tensor:
        """Embed captions, (captions, dim), unit length."""
        return self.embed_tokens(tokens(captions, self.config.vocabulary_n).to(self.device))

    def embed_tokens(self, ids: torch.Tensor) -> torch.Tensor:
        """Embed what :func:`tokens` gives."""
        there = ids > 0
        pieces_n = there.sum(-1, keepdim=True)
        x = self.words(ids).sum(2) / pieces_n.clamp(min=1)
        x = x + positions(x.shape[1], x.shape[2], x.device, x.dtype)
        mask = pieces_n[..., 0] > 0
        for block in self.blocks:
            x = block(x, mask)
        return functional.normalize(self.text_project(self.text_norm(x[:, 0])), dim=-1)

    def encode_audio(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Embed sounds (batch, samples) of 16 kHz, (batch, dim), unit length."""
        return self.embed_mel(log_mel(waveforms.to(self.device)))

    def similarity(self, captions: Sequence[str], waveforms: torch.Tensor) -> torch.Tensor:
        """Cosine of each caption with its sound, (batch,)."""
        return (self.encode_text(captions) * self.encode_audio(waveforms)).sum(-1)

    def embed_mel(self, mel: torch.Tensor) -> torch.Tensor:
        """Embed log-mel spectrograms (batch, frames, 64), as :func:`~t2av_bench.models.t2av.mel.log_mel` gives them."""
        x = ((mel - _MEL_MEAN) / _MEL_STD).to(self.dtype)[:, None]
        x = self.convolutions(functional.avg_pool2d(x, (_FRAMES_AVERAGED_N, 1)))
        pooled = torch.cat([x.mean(2), x.amax(2)], dim=1).flatten(1)
        return functional.normalize(self.audio_project(pooled), dim=-1)


class PublishedClap:
    """The published CLAP behind the calls of :class:`SmallClap`.

    AudioLDM's checkpoints hold only the text half. Sounds need a whole ``ClapModel``; its own text half is then used
    to compare captions with sounds, as the two published text halves need not be the same network.

    Parameters
    ----------
    text_encoder, tokenizer
        AudioLDM's ``ClapTextModelWithProjection`` and its tokenizer: what the U-Net was trained on.
    clap, feature_extractor
        A ``ClapModel`` and its feature extractor, or None.
    """

    def __init__(self, text_encoder: Any, tokenizer: Any, clap: Any = None, feature_extractor: Any = None) -> None:
        self.text_encoder = text_encoder
        self.tokenizer = tokenizer
        self.clap = clap
        self.feature_extractor = feature_extractor

    def encode_text(self, captions: Sequence[str]) -> torch.Tensor:
        """Embed captions as the U-Net's condition, (captions, 512), unit length."""
        ids, mask = self._tokenized(captions, self.text_encoder)
        return functional.normalize(self.text_encoder(ids, attention_mask=mask).text_embeds, dim=-1)

    def encode_audio(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Embed sounds (batch, samples) of 16 kHz, (batch, 512), unit length; from 10 s on, the first 10 s.

        CLAP's own front end cuts 10 s out of longer sounds at random.
        """
        import soxr

        clap = self._whole()
        sounds = [
            soxr.resample(wave, SR_HZ, _CLAP_SR_HZ, quality="HQ")[:_CLAP_SAMPLES_N].astype(np.float32)
            for wave in waveforms.detach().cpu().float().numpy()
        ]
        features = self.feature_extractor(sounds, sampling_rate=_CLAP_SR_HZ, return_tensors="pt").input_features
        return _unit(clap.get_audio_features(features.to(clap.device, clap.dtype)))

    def similarity(self, captions: Sequence[str], waveforms: torch.Tensor) -> torch.Tensor:
        """Cosine of each caption with its sound, (batch,)."""
        clap = self._whole()
        ids, mask = self._tokenized(captions, clap)
        text = _unit(clap.get_text_features(ids, attention_mask=mask))
        return (text * self.encode_audio(waveforms)).sum(-1)

    def _tokenized(self, captions: Sequence[str], model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self.tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        return batch.input_ids.to(model.device), batch.attention_mask.to(model.device)

    def _whole(self) -> Any:
        if self.clap is None or self.feature_extractor is None:
            raise PrerequisiteError(
                "this pipeline holds only CLAP's text half; to compare sounds with captions, pass "
                "clap='laion/clap-htsat-unfused' (or a folder) to T2AVPipeline.from_audioldm"
            )
        return self.clap


def _unit(found: Any) -> torch.Tensor:
    """Take the embedding out of transformers' answer, a tensor up to version 4 and an object from 5 on."""
    return functional.normalize(getattr(found, "pooler_output", found), dim=-1)


def _hashed(piece: str, vocabulary_n: int) -> int:
    number = int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "little")
    return _FIRST_HASH + number % (vocabulary_n - _FIRST_HASH)
