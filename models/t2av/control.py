"""The Audio-Visual ControlNet: what places a sound in time.

AudioLDM's condition is one vector with no time axis. Here the video, merged with the caption by an operator, becomes a
hint at the latent's full resolution; a trainable copy of the U-Net's encoder and middle reads it and adds to the frozen
U-Net's skip connections through convolutions that start at zero ([1]_). At the start the output is therefore the base
model's, bit for bit.

References
----------
.. [1] Zhang et al., Adding Conditional Control to Text-to-Image Diffusion Models, 2023, arXiv:2302.05543.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

from t2av_bench.models.t2av.operators import make_operator


class Residuals(NamedTuple):
    """What is added to the U-Net's skip connections and to its middle."""

    skips: tuple[torch.Tensor, ...]
    middle: torch.Tensor


class AudioVisualControlNet(ModelMixin, ConfigMixin):
    """Trainable copy of a U-Net's encoder and middle, steered by video and caption.

    Parameters
    ----------
    unet_config
        Keyword arguments of the U-Net that is steered.
    video_dim, text_dim
        Lengths of a frame's vector and of the caption embedding.
    operator
        How the two merge: ``addition``, ``cross_attention``, ``lstm``, ``temporal_self_attention``.
    dim, heads_n, hint_channels
        Widths of the operator and of the hint.
    mel_rows_n
        Height of the latent along the mel bands; the hint has a gain for each.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        unet_config: dict[str, Any],
        video_dim: int = 128,
        text_dim: int = 128,
        operator: str = "temporal_self_attention",
        dim: int = 96,
        heads_n: int = 4,
        hint_channels: int = 64,
        mel_rows_n: int = 16,
    ) -> None:
        super().__init__()
        self.merge = make_operator(operator, video_dim, text_dim, dim, heads_n)
        self.hint = Hint(dim, hint_channels, unet_config["block_out_channels"][0], mel_rows_n)
        self.encoder = UNet2DConditionModel(**unet_config)
        # Only the first half of the U-Net is copied.
        for part in ("up_blocks", "conv_norm_out", "conv_act", "conv_out"):
            delattr(self.encoder, part)
        widths = skip_widths(unet_config)
        self.skip_outputs = nn.ModuleList(_zero_convolution(width) for width in widths)
        self.middle_output = _zero_convolution(widths[-1])

    @classmethod
    def from_unet(cls, unet: UNet2DConditionModel, **sizes: Any) -> AudioVisualControlNet:
        """Make the ControlNet of a U-Net: its encoder and middle copied, all outputs zero.

        Parameters
        ----------
        unet
            The network to steer.
        sizes
            Other arguments of the class.
        """
        config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
        control = cls(unet_config=config, **sizes)
        copied = control.encoder.state_dict()
        control.encoder.load_state_dict({key: unet.state_dict()[key] for key in copied})
        control.train(unet.training)
        return control

    def make_hint(
        self,
        video: torch.Tensor,
        text: torch.Tensor,
        steps_n: int,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Merge video and caption and bring them to the latent's grid; the same for all diffusion steps.

        Parameters
        ----------
        video
            Shape (batch, frames, video_dim); the frames span the latent's whole time.
        text
            Shape (batch, text_dim).
        steps_n
            Length of the latent's time axis.
        mask
            Shape (batch, frames), True for frames that exist.

        Returns
        -------
        torch.Tensor, shape (batch, channels, steps_n, mel_rows_n)
        """
        merged = self.merge(video, text, mask).transpose(1, 2)
        if merged.shape[-1] != steps_n:
            merged = functional.interpolate(merged, steps_n, mode="linear")
        hint: torch.Tensor = self.hint(merged)
        return hint

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor | int, class_labels: torch.Tensor, hint: torch.Tensor
    ) -> Residuals:
        """Compute what to add to the U-Net.

        Parameters
        ----------
        sample
            Noisy latent, shape (batch, channels, time, mel rows).
        timestep
            Scalar or shape (batch,).
        class_labels
            Condition vector of the U-Net, shape (batch, text_dim).
        hint
            From :meth:`make_hint`.
        """
        net = self.encoder
        embedding = net.time_embedding(net.get_time_embed(sample=sample, timestep=timestep))
        condition = net.get_class_embed(sample=sample, class_labels=class_labels)
        concat = net.config.class_embeddings_concat
        embedding = torch.cat([embedding, condition], dim=-1) if concat else embedding + condition
        x = net.conv_in(sample) + hint
        skips: tuple[torch.Tensor, ...] = (x,)
        for block in net.down_blocks:
            x, more = block(hidden_states=x, temb=embedding)
            skips += more
        x = net.mid_block(x, embedding)
        return Residuals(
            tuple(output(skip) for output, skip in zip(self.skip_outputs, skips, strict=True)), self.middle_output(x)
        )


class Hint(nn.Module):
    """From merged features (batch, dim, time) to the first layer's shape (batch, channels, time, mel rows).

    It starts non-zero: with zero convolutions at both ends nothing would learn at first.
    """

    def __init__(self, dim: int, hidden: int, channels: int, mel_rows_n: int) -> None:
        super().__init__()
        self.over_time = nn.Sequential(
            nn.Conv1d(dim, hidden, 3, padding=1), nn.SiLU(), nn.Conv1d(hidden, hidden, 3, padding=1), nn.SiLU()
        )
        self.row_gain = nn.Parameter(torch.ones(hidden, mel_rows_n))
        self.spread = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, merged: torch.Tensor) -> torch.Tensor:
        """Spread features over the mel rows."""
        rows = self.over_time(merged)[..., None] * self.row_gain[:, None, :]
        return self.spread(rows)


def skip_widths(unet_config: dict[str, Any]) -> list[int]:
    """Channels of a U-Net's skip connections, first to last.

    Examples
    --------
    >>> skip_widths({"block_out_channels": (32, 64), "layers_per_block": 1})
    [32, 32, 32, 64]
    """
    channels = tuple(unet_config["block_out_channels"])
    layers_n = unet_config["layers_per_block"]
    widths = [channels[0]]
    for level, width in enumerate(channels):
        is_last = level == len(channels) - 1
        widths += [width] * (layers_n + (not is_last))
    return widths


def _zero_convolution(width: int) -> nn.Conv2d:
    convolution = nn.Conv2d(width, width, 1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # Conv2d has one by default
    return convolution
