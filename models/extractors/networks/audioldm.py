"""The four networks of a published AudioLDM, without weights, as diffusers and transformers define them.

They differ between the checkpoints s, m and l in the U-Net's widths alone. The published files are read by these
classes; here they say which tensors such a file must hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

UNET_WIDTHS = {
    "audioldm-s": (128, 256, 384, 640),
    "audioldm-m": (192, 384, 576, 960),
    "audioldm-l": (256, 512, 768, 1280),
}
"""Channels of the U-Net's four levels; also the widths of its cross-attention, which takes no text."""


def unet(widths: Sequence[int]) -> torch.nn.Module:
    """Return the U-Net: latents (N, 8, T/4, 16), and the text as a class embedding of 512 numbers."""
    from diffusers import UNet2DConditionModel

    network: torch.nn.Module = UNet2DConditionModel(
        sample_size=128,
        in_channels=8,
        out_channels=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=tuple(widths),
        cross_attention_dim=tuple(widths),
        layers_per_block=2,
        attention_head_dim=8,
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=512,
        class_embeddings_concat=True,
    )
    return network


def vae(widths: Sequence[int] = (128, 256, 512)) -> torch.nn.Module:
    """Return the auto-encoder of log-mel spectrograms: (N, 1, T, 64) to and from (N, 8, T/4, 16)."""
    from diffusers import AutoencoderKL

    network: torch.nn.Module = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        block_out_channels=tuple(widths),
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        latent_channels=8,
        layers_per_block=2,
        sample_size=512,
    )
    return network


def text_encoder(**sizes: int) -> torch.nn.Module:
    """Return CLAP's text half with its projection to 512 numbers; ``sizes`` replace those of the published one."""
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    network: torch.nn.Module = ClapTextModelWithProjection(ClapTextConfig(**{"projection_dim": 512, **sizes}))
    return network


def vocoder(channels_n: int = 1024) -> torch.nn.Module:
    """Return HiFi-GAN from log-mel frames (N, T, 64) to 16 kHz sound, 160 samples a frame."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    network: torch.nn.Module = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=64,
            sampling_rate=16_000,
            upsample_initial_channel=channels_n,
            upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[16, 16, 8, 4, 4],
            normalize_before=False,
        )
    )
    return network
