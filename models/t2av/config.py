"""Sizes of every part of T2AV, in one place.

The defaults are those of the ``mini`` recipe: 4 s of 16 kHz sound, 64 x 64 pictures at 25 frames/s, and weights of less
than 10 MB in half precision. Its latent time step is 40 ms (hop of 10 ms, VAE of factor 4), the same grid as the
pictures. AudioLDM's parts take their sizes from their own checkpoints; for them only the fields about video are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OPERATORS = ("addition", "cross_attention", "lstm", "temporal_self_attention")
"""How video features and caption embedding may be merged, see :mod:`t2av_bench.models.t2av.operators`."""


@dataclass(frozen=True)
class FrameEncoderConfig:
    """What turns pictures into one vector each.

    Attributes
    ----------
    kind
        ``small`` or ``clip``.
    checkpoint
        Hub id or folder of the CLIP vision model; for ``clip`` only.
    image_size_px
        Pictures are resized to this square.
    widths, grid_n, dim
        Channels of the convolutions, side of the grid that they end in, and length of a picture's vector; for ``small``
        only.
    """

    kind: str = "small"
    checkpoint: str = "openai/clip-vit-base-patch32"
    image_size_px: int = 64
    widths: tuple[int, ...] = (24, 48, 64)
    grid_n: int = 8
    dim: int = 128


@dataclass(frozen=True)
class TemporalConfig:
    """The multi-head self-attention transformer over frames."""

    dim: int = 128
    layers_n: int = 2
    heads_n: int = 4
    feedforward: int = 256


@dataclass(frozen=True)
class ClapConfig:
    """The small text and audio encoders; CLAP's own are read from a checkpoint."""

    dim: int = 128
    text_width: int = 64
    text_layers_n: int = 1
    vocabulary_n: int = 512
    audio_widths: tuple[int, ...] = (16, 32, 64, 96)


@dataclass(frozen=True)
class FusionConfig:
    """The zero-gated residual on the caption embedding."""

    hidden: int = 96
    gate_scale: float = 10.0


@dataclass(frozen=True)
class ControlConfig:
    """The Audio-Visual ControlNet: how video and caption merge, and how wide the hint is."""

    operator: str = "temporal_self_attention"
    dim: int = 96
    heads_n: int = 4
    hint_channels: int = 64


@dataclass(frozen=True)
class UNetConfig:
    """The latent diffusion network of the mini recipe; attention in the middle only."""

    channels: tuple[int, ...] = (32, 64, 88)
    layers_n: int = 1
    heads_n: int = 4
    norm_groups_n: int = 8


@dataclass(frozen=True)
class VAEConfig:
    """The autoencoder of log-mel spectrograms: factor 4 in time and in mel bands."""

    channels: tuple[int, ...] = (16, 32, 64)
    layers_n: int = 1
    latent_channels: int = 4
    norm_groups_n: int = 8


@dataclass(frozen=True)
class DiffusionConfig:
    """The noise schedule, and how to sample where a call does not say otherwise."""

    prediction_type: str = "v_prediction"
    beta_schedule: str = "squaredcos_cap_v2"
    timestep_spacing: str = "trailing"
    train_steps_n: int = 1000
    steps_n: int = 25
    guidance_scale: float = 1.5


@dataclass(frozen=True)
class T2AVConfig:
    """Sizes of all parts.

    Attributes
    ----------
    frame_rate_hz
        Pictures per second that the frame encoder sees.
    duration_s
        Length of a generated clip where none is asked for and there is no video.
    mel_mean, mel_std
        The autoencoder sees ``(log_mel - mel_mean) / mel_std``.
    latent_scale
        The diffusion sees latents times this.
    """

    frame_rate_hz: float = 25.0
    duration_s: float = 4.0
    mel_mean: float = -5.9
    mel_std: float = 1.6
    latent_scale: float = 1 / 1.15
    frame_encoder: FrameEncoderConfig = field(default_factory=FrameEncoderConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    clap: ClapConfig = field(default_factory=ClapConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    unet: UNetConfig = field(default_factory=UNetConfig)
    vae: VAEConfig = field(default_factory=VAEConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def full_video_config() -> T2AVConfig:
    """Return the sizes of the parts that join AudioLDM's: CLIP ViT-B/32 frames, 512 numbers, 10.24 s."""
    return T2AVConfig(
        duration_s=10.24,
        mel_mean=0.0,
        mel_std=1.0,
        frame_encoder=FrameEncoderConfig(kind="clip", image_size_px=224, dim=512),
        temporal=TemporalConfig(dim=512, layers_n=4, heads_n=8, feedforward=2048),
        clap=ClapConfig(dim=512),
        fusion=FusionConfig(hidden=512),
        control=ControlConfig(dim=512, heads_n=8, hint_channels=256),
    )
