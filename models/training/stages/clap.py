"""Stage ``clap``: the small caption and sound encoders, for recipes that start from nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from t2av_bench.models.t2av.clap import SmallClap, tokens
from t2av_bench.models.t2av.fusion import contrastive_loss
from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages.base import Stage


class ClapStage(Stage):
    """Symmetric InfoNCE between captions and sounds; equal captions fit each other's sounds.

    Parameters
    ----------
    clap
        The encoders.
    mels
        Has ``log_mel``, (frames, bands).
    captions
        One per clip.
    """

    name = "clap"
    trained: tuple[str, ...] = ("clap",)

    def __init__(self, clap: SmallClap, mels: Arrays, captions: Sequence[str]) -> None:
        super().__init__({"clap": clap})
        self._mels, self._captions = mels, list(captions)
        self._number = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
        self._vocabulary_n = int(clap.config.vocabulary_n)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read sounds and captions."""
        del rng
        captions = [self._captions[index] for index in indices]
        return {
            "log_mel": self._mels.take("log_mel", indices).float(),
            "ids": tokens(captions, self._vocabulary_n),
            "caption": torch.tensor([self._number[caption] for caption in captions]),
        }

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        clap = self.part("clap")
        # In 32 bits: the logits of equal and nearly equal captions lie too close for 16.
        with torch.autocast(batch["log_mel"].device.type, enabled=False):
            text = clap.embed_tokens(batch["ids"])
            audio = clap.embed_mel(batch["log_mel"])
            same = batch["caption"][:, None] == batch["caption"][None, :]
            return contrastive_loss(text, audio, clap.log_temperature, same)
