"""Stage ``frames``: the frame encoder and the temporal transformer learn to tell from the video what is heard when.

For each picture they predict, together with the caption, the onset strength in four steps and the level of sixteen
bands of the clip's sound. No labels are needed, so the same loss works on any video with sound. The caption is there
because not everything that is seen to move need be heard: the features have to keep apart what different captions ask
for. What comes out is cached for all later stages.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from t2av_bench.models.t2av.temporal import FeedForward, TemporalTransformer
from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages.base import Stage

_STEPS_N = 4
_BANDS_N = 16
_RISE_LAG_N = 3
_DEPTH_NATS = 5.0
# About the deviations of both targets on the mini world; in these units onsets count as much as all levels together.
_ONSET_UNIT = 0.2
_MEL_MEAN, _MEL_STD = -5.9, 1.6
TARGETS_N = _STEPS_N + _BANDS_N


class Hearing(nn.Module):
    """What is heard at each picture, from the video's features and the caption.

    The caption scales the features, and not only shifts them, so that it can leave out what it does not name.

    Parameters
    ----------
    video_dim, text_dim
        Lengths of a picture's vector and of the caption embedding.
    """

    def __init__(self, video_dim: int, text_dim: int) -> None:
        super().__init__()
        self.scale_and_shift = nn.Linear(text_dim, 2 * video_dim)
        self.feedforward = FeedForward(video_dim, 2 * video_dim)
        self.norm = nn.LayerNorm(video_dim)
        self.out = nn.Linear(video_dim, TARGETS_N)

    def forward(self, video: Tensor, text: Tensor) -> Tensor:
        """Map (batch, frames, video_dim) and (batch, text_dim) to (batch, frames, targets)."""
        scale, shift = self.scale_and_shift(text)[:, None].chunk(2, dim=-1)
        x = video * (1 + scale) + shift
        predicted: Tensor = self.out(self.norm(x + self.feedforward(x)))
        return predicted


class FramesStage(Stage):
    """Mean squared error of onset strengths and band levels per picture.

    Half the clips are seen in a mirror, which changes nothing about their sound.

    Parameters
    ----------
    frame_encoder
        Learns, unless it is None: then ``arrays`` has its output.
    temporal
        The temporal transformer.
    clips
        Has ``frames`` (frames, height, width, 3) uint8, or ``vectors`` (frames, dim) from a frozen encoder.
    mels
        Has ``log_mel``.
    embeddings
        Has ``text``, from the frozen CLAP.
    text_dim
        Length of a caption embedding.
    """

    name = "frames"

    def __init__(
        self,
        frame_encoder: nn.Module | None,
        temporal: TemporalTransformer,
        clips: Arrays,
        mels: Arrays,
        embeddings: Arrays,
        text_dim: int,
    ) -> None:
        # Hearing is not in the pipeline: it is needed for this loss only.
        parts: dict[str, nn.Module] = {"temporal": temporal, "hearing": Hearing(temporal.config.dim, text_dim)}
        if frame_encoder is not None:
            parts["frame_encoder"] = frame_encoder
        self.trained = tuple(parts)
        super().__init__(parts)
        self._clips, self._mels, self._embeddings = clips, mels, embeddings
        self._field = "vectors" if frame_encoder is None else "frames"

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read pictures or their vectors, sounds and captions."""
        seen = self._clips.take(self._field, indices)
        if self._field == "frames":
            mirrored = torch.from_numpy(rng.random(len(seen)) < 0.5)
            seen[mirrored] = seen[mirrored].flip(3)
        return {
            self._field: seen,
            "log_mel": self._mels.take("log_mel", indices).float(),
            "text": self._embeddings.take("text", indices).float(),
        }

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        if "vectors" in batch:
            vectors = batch["vectors"].float()
        else:
            vectors = self.part("frame_encoder")(as_pictures(batch["frames"]))
        predicted = self.part("hearing")(self.part("temporal")(vectors), batch["text"]).float()
        onsets, bands = hearing_targets(batch["log_mel"], predicted.shape[1])
        onset_error = functional.mse_loss(predicted[..., :_STEPS_N], onsets / _ONSET_UNIT)
        return onset_error + functional.mse_loss(predicted[..., _STEPS_N:], bands)


def as_pictures(frames: Tensor) -> Tensor:
    """Turn (batch, frames, height, width, 3) uint8 into (batch, frames, 3, height, width) floats in [0, 1]."""
    return frames.permute(0, 1, 4, 2, 3).float() / 255.0


def hearing_targets(log_mel: Tensor, frames_n: int) -> tuple[Tensor, Tensor]:
    """Return onset strengths (batch, frames, 4) and band levels (batch, frames, 16) of sounds.

    Parameters
    ----------
    log_mel
        Shape (batch, mel frames, 64), natural logarithm.
    frames_n
        Number of pictures that span the same time.
    """
    top = log_mel.amax(dim=(1, 2), keepdim=True).clamp(min=-4.0)
    lifted = torch.maximum(log_mel, top - _DEPTH_NATS)
    rise = (lifted[:, _RISE_LAG_N:] - lifted[:, :-_RISE_LAG_N]).clamp(min=0).mean(-1)
    rise = functional.pad(rise, (_RISE_LAG_N, 0))
    onsets = functional.adaptive_avg_pool1d(rise[:, None], frames_n * _STEPS_N).unflatten(-1, (frames_n, _STEPS_N))
    bands = functional.adaptive_avg_pool2d((log_mel - _MEL_MEAN)[:, None] / _MEL_STD, (frames_n, _BANDS_N))
    return onsets[:, 0], bands[:, 0]
