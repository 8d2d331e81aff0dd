"""Stages ``unet``, ``control`` and ``tune``: latent diffusion, its ControlNet, and both together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from t2av_bench.models.t2av.denoising import predict
from t2av_bench.models.training.config import StageConfig
from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages.base import Stage
from t2av_bench.models.training.stages.fusion import read_video, video_features


class _DiffusionStage(Stage):
    """Mean squared error of the predicted noise or velocity at uniformly drawn times.

    Parameters
    ----------
    parts
        By name.
    scheduler
        The noise schedule.
    latents
        Has ``latent``, not yet scaled.
    scale
        The diffusion sees latents times this.
    embeddings
        Has ``text`` and ``audio``.
    null
        Condition of a clip without a caption, (dim,).
    settings
        For the dropouts.
    """

    def __init__(
        self,
        parts: dict[str, nn.Module],
        scheduler: Any,
        latents: Arrays,
        scale: float,
        embeddings: Arrays,
        null: Tensor,
        settings: StageConfig,
    ) -> None:
        super().__init__(parts)
        self.null: Tensor
        self.register_buffer("null", null.detach().clone().float(), persistent=False)
        self._scheduler, self._latents, self._scale = scheduler, latents, scale
        self._embeddings, self._settings = embeddings, settings

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read latents and embeddings."""
        del rng
        return {
            "latent": self._latents.take("latent", indices).float() * self._scale,
            "text": self._embeddings.take("text", indices).float(),
            "audio": self._embeddings.take("audio", indices).float(),
        }

    def diffusion_loss(
        self, latent: Tensor, condition: Tensor, hint: Tensor | None, strength: Tensor | float = 1.0
    ) -> Tensor:
        """Draw noise and times, and compare the prediction with what it should be."""
        steps_n = self._scheduler.config.num_train_timesteps
        times = torch.randint(steps_n, (len(latent),), device=latent.device)
        noise = torch.randn_like(latent)
        noisy = self._scheduler.add_noise(latent, noise, times)
        control = self.part("control") if hint is not None else None
        predicted = predict(self.part("unet"), control, noisy, times, condition, hint, strength)
        velocity = self._scheduler.config.prediction_type == "v_prediction"
        target = self._scheduler.get_velocity(latent, noise, times) if velocity else noise
        return functional.mse_loss(predicted.float(), target)

    def with_dropout(self, condition: Tensor, share: Tensor | float | None = None) -> Tensor:
        """Replace the condition of some clips by that of no caption."""
        share = self._settings.condition_dropout if share is None else share
        dropped = torch.rand(len(condition), device=condition.device) < share
        return torch.where(dropped[:, None], self.null.to(condition.dtype), condition)


class UNetStage(_DiffusionStage):
    """The base model: half the clips are conditioned on their caption, half on their sound, as AudioLDM was."""

    name = "unet"
    trained: tuple[str, ...] = ("unet",)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        heard = torch.rand(len(batch["text"]), device=batch["text"].device) < 0.5
        condition = torch.where(heard[:, None], batch["audio"], batch["text"])
        return self.diffusion_loss(batch["latent"], self.with_dropout(condition), None)


class ControlStage(_DiffusionStage):
    """The Audio-Visual ControlNet on the frozen U-Net.

    Parameters
    ----------
    video
        Has ``video`` or ``vectors``, see :class:`~.fusion.FusionStage`.
    """

    name = "control"
    trained: tuple[str, ...] = ("control",)

    def __init__(self, *arguments: Any, video: Arrays) -> None:
        super().__init__(*arguments)
        self._video = video

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read latents, embeddings and video features."""
        return {**super().batch(indices, rng), **read_video(self._video, indices)}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        video = video_features(batch, self.part("temporal"))
        condition = self.with_dropout(self.part("fusion")(batch["text"], video))
        hint = self.part("control").make_hint(video, condition, batch["latent"].shape[2])
        return self.diffusion_loss(batch["latent"], condition, hint)


class TuneStage(ControlStage):
    """ControlNet and U-Net together; some clips lose their video, so that the U-Net remains a base model.

    Of those, half lose their caption too: they are what guidance leads away from.
    """

    name = "tune"
    trained: tuple[str, ...] = ("unet", "control")

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        video = video_features(batch, self.part("temporal"))
        has_video = torch.rand(len(video), device=video.device) >= self._settings.hint_dropout
        text = torch.where(has_video[:, None], self.part("fusion")(batch["text"], video), batch["text"])
        condition = self.with_dropout(text, torch.where(has_video, self._settings.condition_dropout, 0.5))
        hint = self.part("control").make_hint(video, condition, batch["latent"].shape[2])
        return self.diffusion_loss(batch["latent"], condition, hint, has_video.float())
