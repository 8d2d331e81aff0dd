"""T2AV on AudioLDM's published weights.

AudioLDM's U-Net, autoencoder, text encoder and vocoder are read as they are; frame encoder, temporal transformer,
fusion and ControlNet are added, the last two so that nothing changes before they are trained. The weights are under
CC BY-NC-SA 4.0, which a model fine-tuned from them inherits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from t2av_bench.errors import PrerequisiteError, no_such_name
from t2av_bench.models.t2av.building import FrameEncoder, make_frame_encoder, video_parts
from t2av_bench.models.t2av.checkpoints import (
    CLASSES,
    check_part,
    local_folder,
    own_memory,
    part_class,
    quietly,
    read_index,
)
from t2av_bench.models.t2av.config import T2AVConfig, full_video_config
from t2av_bench.models.t2av.pipeline import T2AVPipeline

REVISIONS = {
    "cvssp/audioldm-s-full-v2": "feeb3d14203495a4b6ac0893cbdedb2159b4819c",
    "cvssp/audioldm-m-full": "9d4998f93dfdafd050695fc82a4c8773ade7bd88",
    "cvssp/audioldm-l-full": "9707fa44eb3fb539e293ebc682209d0895042aa0",
    "laion/clap-htsat-unfused": "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
}
"""The revision that is fetched where none is asked for."""

UNET_CHANNELS = {"s": (128, 256, 384, 640), "m": (192, 384, 576, 960), "l": (256, 512, 768, 1280)}
_STEPS_N, _GUIDANCE_SCALE = 200, 2.5  # of AudioLDM's own command line
_TENSOR_PARTS = ("vae", "unet", "text_encoder", "vocoder")


def from_audioldm(
    source: str | Path,
    *,
    clap: str | Path | None = None,
    config: T2AVConfig | None = None,
    frame_encoder: FrameEncoder | None = None,
    seed: int = 0,
    revision: str | None = None,
    torch_dtype: torch.dtype | None = None,
) -> T2AVPipeline:
    """Make T2AV from a published AudioLDM.

    Parameters
    ----------
    source
        ``cvssp/audioldm-s-full-v2``, ``cvssp/audioldm-m-full``, ``cvssp/audioldm-l-full``, or a folder in their layout:
        ``unet/``, ``vae/``, ``text_encoder/``, ``tokenizer/``, ``vocoder/``, ``scheduler/``.
    clap
        Hub id or folder of a whole ``ClapModel`` (``laion/clap-htsat-unfused``): needed to train the alignment and to
        rank candidates, since AudioLDM's checkpoints hold only the text half.
    config
        Sizes of the parts for video; 512-d features of CLIP ViT-B/32 by default.
    frame_encoder
        In place of the one that ``config`` names, which is fetched.
    seed
        Of the new parts' random weights.
    revision
        Of a Hub id; a pinned one by default.
    torch_dtype
        Of all networks; float32 by default.

    Raises
    ------
    PrerequisiteError
        If files are missing, or a tensor is missing, unknown or of another shape; names them.
    """
    folder = local_folder(source, revision or REVISIONS.get(str(source)))
    parts = _read_parts(folder)
    if clap is not None:
        parts |= _read_clap(local_folder(clap, REVISIONS.get(str(clap))))
    config = config or full_video_config()
    encoder = frame_encoder or make_frame_encoder(config.frame_encoder)
    rows_n = 64 // 2 ** (len(parts["vae"].config.block_out_channels) - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts |= video_parts(config, parts["unet"], rows_n, frame_encoder=encoder)
    pipeline = T2AVPipeline(
        **parts,
        frame_rate_hz=config.frame_rate_hz,
        image_size_px=config.frame_encoder.image_size_px,
        duration_s=config.duration_s,
        steps_n=_STEPS_N,
        guidance_scale=_GUIDANCE_SCALE,
    )
    return pipeline if torch_dtype is None else pipeline.to(torch_dtype)


def unet_config(size: str) -> dict[str, Any]:
    """Return the arguments of AudioLDM's U-Net: ``s``, ``m`` or ``l``.

    Nothing but the latent itself is attended to: keys are as wide as the block, and the caption's 512 numbers are
    concatenated to the time embedding.

    Raises
    ------
    UsageError
        If there is no such size.
    """
    if size not in UNET_CHANNELS:
        raise no_such_name(f"There is no AudioLDM of size {size!r}", size, UNET_CHANNELS)
    cross = ("CrossAttnDownBlock2D",) * 3, ("CrossAttnUpBlock2D",) * 3
    return {
        "sample_size": 128,
        "in_channels": 8,
        "out_channels": 8,
        "down_block_types": ("DownBlock2D", *cross[0]),
        "up_block_types": (*cross[1], "UpBlock2D"),
        "block_out_channels": UNET_CHANNELS[size],
        "cross_attention_dim": UNET_CHANNELS[size],
        "layers_per_block": 2,
        "attention_head_dim": 8,
        "class_embed_type": "simple_projection",
        "projection_class_embeddings_input_dim": 512,
        "class_embeddings_concat": True,
    }


def vae_config() -> dict[str, Any]:
    """Return the arguments of AudioLDM's autoencoder (scaling factor of s-full-v2)."""
    return {
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (128, 256, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "latent_channels": 8,
        "layers_per_block": 2,
        "sample_size": 512,
        "scaling_factor": 0.9392935633659363,
    }


def vocoder_config() -> dict[str, Any]:
    """Return the arguments of the configuration of AudioLDM's HiFi-GAN."""
    return {
        "model_in_dim": 64,
        "sampling_rate": 16_000,
        "upsample_initial_channel": 1024,
        "upsample_rates": [5, 4, 2, 2, 2],
        "upsample_kernel_sizes": [16, 16, 8, 4, 4],
        "normalize_before": False,
    }


def scheduler_config() -> dict[str, Any]:
    """Return the arguments of AudioLDM's noise schedule."""
    return {
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }


def _read_parts(folder: Path) -> dict[str, Any]:
    """Check and read the six parts of a published checkpoint."""
    kind = read_index(folder).get("_class_name")
    if kind != "AudioLDMPipeline":
        hint = "; read it with T2AVPipeline.from_pretrained" if kind == "T2AVPipeline" else ""
        raise PrerequisiteError(f"{folder} holds a {kind!r}, not an AudioLDMPipeline{hint}")
    parts: dict[str, Any] = {}
    for name in (*_TENSOR_PARTS, "tokenizer", "scheduler"):
        if not (folder / name).is_dir():
            raise PrerequisiteError(f"{folder} holds no {name}/, which AudioLDM's published layout has")
        part = part_class(*CLASSES[name][-1 if name == "tokenizer" else 0])
        if name in _TENSOR_PARTS:
            check_part(folder / name, part, pickles=True)
        parts[name] = _read(part, folder / name)
    return parts


def _read_clap(folder: Path) -> dict[str, Any]:
    from transformers import ClapFeatureExtractor, ClapModel

    check_part(folder, ClapModel, pickles=True)
    return {"clap": _read(ClapModel, folder), "feature_extractor": _read(ClapFeatureExtractor, folder)}


def _read(kind: Any, folder: Path) -> Any:
    """Read a part; what its files hold besides tensors, a library judges by raising whatever comes."""
    try:
        part = quietly(kind.from_pretrained, str(folder), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PrerequisiteError(
            f"{folder} cannot be read as a {kind.__name__}: {str(error).splitlines()[0]}"
        ) from error
    if isinstance(part, torch.nn.Module):
        own_memory(part.eval())
    return part
