"""Stage ``fusion``: the visual-aligned CLAP learns on cached features, so that large batches are cheap."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from t2av_bench.models.t2av.fusion import alignment_loss
from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages.base import Stage


class FusionStage(Stage):
    """InfoNCE between visual-aligned caption embeddings and sounds, plus a cosine term.

    Parameters
    ----------
    fusion
        The visual-aligned CLAP.
    temporal
        Frozen; used if ``video`` has vectors of single pictures.
    video
        Has ``video`` (frames, dim) from the temporal transformer, or ``vectors``.
    embeddings
        Has ``text`` and ``audio`` from the frozen CLAP, unit length.
    cosine_weight
        Of the cosine term.
    """

    name = "fusion"
    trained: tuple[str, ...] = ("fusion",)

    def __init__(
        self, fusion: nn.Module, temporal: nn.Module, video: Arrays, embeddings: Arrays, cosine_weight: float
    ) -> None:
        super().__init__({"fusion": fusion, "temporal": temporal})
        self._video, self._embeddings, self._cosine_weight = video, embeddings, cosine_weight

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read features."""
        del rng
        return {
            **read_video(self._video, indices),
            "text": self._embeddings.take("text", indices).float(),
            "audio": self._embeddings.take("audio", indices).float(),
        }

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        fusion = self.part("fusion")
        aligned = fusion(batch["text"], video_features(batch, self.part("temporal"))).float()
        return alignment_loss(aligned, batch["audio"], fusion.log_temperature, cosine_weight=self._cosine_weight)


def read_video(video: Arrays, indices: np.ndarray) -> dict[str, Tensor]:
    """Read cached features of the temporal transformer, or else of the frame encoder."""
    name = "video" if "video" in video.names else "vectors"
    return {name: video.take(name, indices).float()}


def video_features(batch: dict[str, Tensor], temporal: nn.Module) -> Tensor:
    """Return the features (batch, frames, dim) that :func:`read_video` read or prepared."""
    features: Tensor = batch["video"] if "video" in batch else temporal(batch["vectors"])
    return features
