"""All parts of T2AV from one configuration, with random weights."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from t2av_bench.errors import no_such_name
from t2av_bench.models.t2av.clap import SmallClap
from t2av_bench.models.t2av.config import FrameEncoderConfig, T2AVConfig
from t2av_bench.models.t2av.control import AudioVisualControlNet
from t2av_bench.models.t2av.frames import ClipFrameEncoder, SmallFrameEncoder
from t2av_bench.models.t2av.fusion import VisualAlignedClap
from t2av_bench.models.t2av.mel import BANDS_N
from t2av_bench.models.t2av.pipeline import T2AVPipeline
from t2av_bench.models.t2av.temporal import TemporalTransformer
from t2av_bench.models.t2av.vocoder import GriffinLim

FrameEncoder = ClipFrameEncoder | SmallFrameEncoder


def build_mini(config: T2AVConfig | None = None) -> T2AVPipeline:
    """Make a whole pipeline with random weights, from torch's global generator.

    Parameters
    ----------
    config
        Sizes; the mini recipe's by default.
    """
    config = config or T2AVConfig()
    clap = SmallClap(
        dim=config.clap.dim,
        text_width=config.clap.text_width,
        text_layers_n=config.clap.text_layers_n,
        vocabulary_n=config.clap.vocabulary_n,
        audio_widths=config.clap.audio_widths,
    )
    unet = make_unet(config)
    return T2AVPipeline(
        vae=make_vae(config),
        unet=unet,
        scheduler=make_scheduler(config),
        vocoder=GriffinLim(),
        clap=clap,
        **video_parts(config, unet, latent_rows(config)),
        frame_rate_hz=config.frame_rate_hz,
        image_size_px=config.frame_encoder.image_size_px,
        duration_s=config.duration_s,
        steps_n=config.diffusion.steps_n,
        guidance_scale=config.diffusion.guidance_scale,
        mel_mean=config.mel_mean,
        mel_std=config.mel_std,
    )


def video_parts(
    config: T2AVConfig, unet: UNet2DConditionModel, mel_rows_n: int, frame_encoder: FrameEncoder | None = None
) -> dict[str, Any]:
    """Make the parts that T2AV adds to a text-to-audio diffusion model.

    Parameters
    ----------
    config
        Sizes.
    unet
        The network that the ControlNet steers; its encoder is copied.
    mel_rows_n
        Height of its latents along the mel bands.
    frame_encoder
        In place of the one that the configuration names.

    Returns
    -------
    dict
        ``frame_encoder``, ``temporal``, ``fusion`` and ``control``.
    """
    encoder = frame_encoder or make_frame_encoder(config.frame_encoder)
    temporal, sizes = config.temporal, config.control
    return {
        "frame_encoder": encoder,
        "temporal": TemporalTransformer(
            input_dim=frame_dim(encoder),
            dim=temporal.dim,
            layers_n=temporal.layers_n,
            heads_n=temporal.heads_n,
            feedforward=temporal.feedforward,
        ),
        "fusion": VisualAlignedClap(
            text_dim=config.clap.dim,
            video_dim=temporal.dim,
            hidden=config.fusion.hidden,
            gate_scale=config.fusion.gate_scale,
        ),
        "control": AudioVisualControlNet.from_unet(
            unet,
            video_dim=temporal.dim,
            text_dim=config.clap.dim,
            operator=sizes.operator,
            dim=sizes.dim,
            heads_n=sizes.heads_n,
            hint_channels=sizes.hint_channels,
            mel_rows_n=mel_rows_n,
        ),
    }


def make_frame_encoder(config: FrameEncoderConfig) -> FrameEncoder:
    """Make a frame encoder: the small one random, CLIP's from its checkpoint."""
    if config.kind == "small":
        return SmallFrameEncoder(
            image_size_px=config.image_size_px, widths=config.widths, grid_n=config.grid_n, dim=config.dim
        )
    if config.kind == "clip":
        return ClipFrameEncoder.from_clip(config.checkpoint)
    raise no_such_name(f"There is no frame encoder named {config.kind!r}", config.kind, ("small", "clip"))


def frame_dim(encoder: FrameEncoder) -> int:
    """Return the length of a frame's vector."""
    small = isinstance(encoder, SmallFrameEncoder)
    return int(encoder.config.dim if small else encoder.vision.config.projection_dim)


def make_unet(config: T2AVConfig) -> UNet2DConditionModel:
    """Make the U-Net: condition vector beside the time embedding, attention in the middle only."""
    sizes = config.unet
    levels_n = len(sizes.channels)
    return UNet2DConditionModel(
        in_channels=config.vae.latent_channels,
        out_channels=config.vae.latent_channels,
        block_out_channels=sizes.channels,
        down_block_types=("DownBlock2D",) * levels_n,
        up_block_types=("UpBlock2D",) * levels_n,
        mid_block_type="UNetMidBlock2DCrossAttn",
        # Nothing is attended to but the latent itself, as in AudioLDM: keys are as wide as queries.
        cross_attention_dim=sizes.channels,
        attention_head_dim=sizes.heads_n,
        layers_per_block=sizes.layers_n,
        norm_num_groups=sizes.norm_groups_n,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=config.clap.dim,
        class_embeddings_concat=True,
    )


def make_vae(config: T2AVConfig) -> AutoencoderKL:
    """Make the autoencoder of log-mel spectrograms."""
    sizes = config.vae
    levels_n = len(sizes.channels)
    return AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * levels_n,
        up_block_types=("UpDecoderBlock2D",) * levels_n,
        block_out_channels=sizes.channels,
        layers_per_block=sizes.layers_n,
        latent_channels=sizes.latent_channels,
        norm_num_groups=sizes.norm_groups_n,
        mid_block_add_attention=False,
        scaling_factor=config.latent_scale,
    )


def latent_rows(config: T2AVConfig) -> int:
    """Return the height of the latents along the mel bands."""
    return int(BANDS_N // 2 ** (len(config.vae.channels) - 1))


def make_scheduler(config: T2AVConfig) -> DDIMScheduler:
    """Make the noise schedule."""
    diffusion = config.diffusion
    return DDIMScheduler(
        num_train_timesteps=diffusion.train_steps_n,
        beta_schedule=diffusion.beta_schedule,
        prediction_type=diffusion.prediction_type,
        timestep_spacing=diffusion.timestep_spacing,
        clip_sample=False,
        set_alpha_to_one=True,
    )
