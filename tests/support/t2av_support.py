"""Small sizes and small checkpoints for the tests of the reference system."""

from __future__ import annotations

import torch

from t2av_bench.models.t2av.config import (
    ClapConfig,
    ControlConfig,
    DiffusionConfig,
    FrameEncoderConfig,
    FusionConfig,
    T2AVConfig,
    TemporalConfig,
    UNetConfig,
    VAEConfig,
)


def tiny_config(operator: str = "temporal_self_attention") -> T2AVConfig:
    """Sizes of a pipeline that runs in milliseconds."""
    return T2AVConfig(
        frame_encoder=FrameEncoderConfig(image_size_px=16, widths=(4, 8), dim=16),
        temporal=TemporalConfig(dim=16, layers_n=1, heads_n=2, feedforward=16),
        clap=ClapConfig(dim=12, text_width=16, vocabulary_n=64, audio_widths=(4, 8)),
        fusion=FusionConfig(hidden=8),
        control=ControlConfig(operator=operator, dim=8, heads_n=2, hint_channels=8),
        unet=UNetConfig(channels=(8, 16), heads_n=2, norm_groups_n=4),
        vae=VAEConfig(channels=(4, 4, 8), norm_groups_n=4),
        diffusion=DiffusionConfig(steps_n=3),
    )


@torch.no_grad()
def open_gates(pipeline: object, seed: int = 1) -> None:
    """Make the gate and the zero convolutions non-zero, as training would."""
    generator = torch.Generator().manual_seed(seed)
    control = pipeline.control  # type: ignore[attr-defined]
    for convolution in (*control.skip_outputs, control.middle_output):
        convolution.weight.normal_(0, 0.5, generator=generator)
    pipeline.fusion.gate.fill_(0.05)  # type: ignore[attr-defined]
