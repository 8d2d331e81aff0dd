"""Frame encoders: one vector per picture.

Both take pictures (batch, frames, 3, height, width) of any size, RGB in [0, 1], and give (batch, frames, dim).
``ClipFrameEncoder`` sees each picture by itself, so all motion is left to the temporal transformer;
``SmallFrameEncoder`` also sees the differences to the pictures before and after.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

_GREY = (0.299, 0.587, 0.114)
# CLIP's preprocessing (Radford et al., 2021): channel means and deviations of its training pictures.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class SmallFrameEncoder(ModelMixin, ConfigMixin):
    """Small convolutional network on colour and motion.

    Each picture has five channels: RGB, and the grey-level differences to the picture before and to the one after (zero
    at the ends of a clip). Convolutions shrink the picture to a grid, which keeps apart what moves side by side; a
    linear layer over the grid and a convolution over time follow.

    Parameters
    ----------
    image_size_px
        Pictures are resized to this square.
    widths
        Channels of the convolutions. The first shrinks by four, since its resolution sets the cost on a CPU; each other
        one by two as long as the picture is larger than the grid.
    grid_n
        Places along each side of the grid.
    dim
        Length of a picture's vector.
    """

    @register_to_config
    def __init__(
        self, image_size_px: int = 64, widths: tuple[int, ...] = (24, 48, 64), grid_n: int = 8, dim: int = 128
    ) -> None:
        super().__init__()
        first, *others = widths
        size_px = image_size_px // 4
        layers: list[nn.Module] = [nn.Conv2d(5, first, 6, stride=4, padding=1), nn.SiLU()]
        for width_in, width in zip(widths, others, strict=False):
            stride = 2 if size_px > grid_n else 1
            layers += [nn.Conv2d(width_in, width, 3, stride=stride, padding=1), nn.SiLU()]
            size_px //= stride
        self.convolutions = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(grid_n))
        self.project = nn.Linear(widths[-1] * grid_n**2, dim)
        self.over_time = nn.Conv1d(dim, dim, 5, padding=2)

    def forward(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Encode pictures.

        Parameters
        ----------
        frames
            Shape (batch, frames, 3, height, width), RGB in [0, 1].
        mask
            Shape (batch, frames), True for pictures that exist; padding stands at the end.

        Returns
        -------
        torch.Tensor, shape (batch, frames, dim)
            Zero for padding.
        """
        channels = _with_motion(resized(frames.to(self.dtype), self.config.image_size_px), mask)
        x = self.project(self.convolutions(channels.flatten(0, 1)).flatten(1)).unflatten(0, frames.shape[:2])
        if mask is not None:
            x = x * mask[..., None]
        x = x + functional.silu(self.over_time(x.transpose(1, 2))).transpose(1, 2)
        return x if mask is None else x * mask[..., None]


class ClipFrameEncoder(ModelMixin, ConfigMixin):
    """CLIP's vision transformer, one picture at a time; the projected, normalised embedding.

    Parameters
    ----------
    vision_config
        Keyword arguments of transformers' ``CLIPVisionConfig``; its defaults are ViT-B/32.
    frames_per_pass
        How many pictures go through the network at once.
    """

    @register_to_config
    def __init__(self, vision_config: dict[str, Any] | None = None, frames_per_pass: int = 64) -> None:
        super().__init__()
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        self.vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**(vision_config or {})))

    @classmethod
    def from_clip(cls, source: str, **options: Any) -> ClipFrameEncoder:
        """Read a CLIP checkpoint: a Hub id or a folder in transformers' layout.

        Parameters
        ----------
        source
            For example ``openai/clip-vit-base-patch32``.
        options
            For transformers' ``from_pretrained``: ``revision``, ``local_files_only``, ``torch_dtype``, …
        """
        from transformers import CLIPVisionModelWithProjection

        vision = CLIPVisionModelWithProjection.from_pretrained(source, **options)
        encoder = cls(vision_config=vision.config.to_diff_dict())
        encoder.vision = vision.eval()
        return encoder

    def forward(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Encode pictures as :meth:`SmallFrameEncoder.forward` does; rows are of unit length."""
        size_px = self.vision.config.image_size
        mean, std = (torch.tensor(v, device=frames.device).view(3, 1, 1) for v in (_CLIP_MEAN, _CLIP_STD))
        pictures = ((resized(frames.float(), size_px) - mean) / std).to(self.dtype).flatten(0, 1)
        rows = [self.vision(part).image_embeds for part in pictures.split(self.config.frames_per_pass)]
        x = functional.normalize(torch.cat(rows), dim=-1).unflatten(0, frames.shape[:2])
        return x if mask is None else x * mask[..., None]


def resized(frames: torch.Tensor, size_px: int) -> torch.Tensor:
    """Resize pictures (batch, frames, 3, height, width) to a square, with averaging where they shrink."""
    if tuple(frames.shape[-2:]) == (size_px, size_px):
        return frames
    flat = functional.interpolate(frames.flatten(0, 1), (size_px, size_px), mode="bilinear", antialias=True)
    return flat.unflatten(0, frames.shape[:2])


def _with_motion(pictures: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Colours around zero and grey-level differences to the pictures before and after, (batch, frames, 5, …).

    With the channels last in memory, and in 16 bits under autocast: these are the largest arrays of a training step,
    and the convolutions behind them take two thirds of the time that they take with the channels first.
    """
    rows = pictures.movedim(2, -1)
    grey = rows @ torch.tensor(_GREY, device=rows.device, dtype=rows.dtype)
    change = grey[:, 1:] - grey[:, :-1]
    if mask is not None:
        change = change * mask[:, 1:, None, None]
    kind = rows.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
    channels = torch.zeros(*rows.shape[:-1], 5, device=rows.device, dtype=dtype)
    channels[..., :3] = rows - 0.5
    channels[:, 1:, ..., 3] = change
    channels[:, :-1, ..., 4] = change
    return channels.movedim(-1, 2)
