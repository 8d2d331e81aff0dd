"""Tiny random checkpoints in AudioLDM's, CLAP's and CLIP's published layouts."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    ClapTextModelWithProjection,
    RobertaTokenizerFast,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)

from t2av_bench.models.t2av.audioldm import scheduler_config, unet_config, vae_config, vocoder_config
from t2av_bench.models.t2av.config import ClapConfig as ClapSizes
from t2av_bench.models.t2av.config import ControlConfig, FrameEncoderConfig, FusionConfig, T2AVConfig, TemporalConfig

TEXT_DIM = 12
_TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "vocab_size": 300, "projection_dim": TEXT_DIM}  # fmt: skip
_AUDIO = {"hidden_size": 32, "patch_embeds_hidden_size": 4, "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1],
          "num_hidden_layers": 4, "projection_dim": TEXT_DIM}  # fmt: skip

VIDEO_CONFIG = T2AVConfig(
    duration_s=0.5,
    mel_mean=0.0,
    mel_std=1.0,
    frame_encoder=FrameEncoderConfig(image_size_px=16, widths=(4, 8), dim=16),
    temporal=TemporalConfig(dim=16, layers_n=1, heads_n=2, feedforward=16),
    clap=ClapSizes(dim=TEXT_DIM),
    fusion=FusionConfig(hidden=8),
    control=ControlConfig(dim=8, heads_n=2, hint_channels=8),
)
"""Sizes of the parts for video beside a tiny AudioLDM."""


def write_tokenizer(folder: Path) -> None:
    """Write RoBERTa's files with single bytes for words."""
    from tokenizers.pre_tokenizers import ByteLevel

    folder.mkdir(parents=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted(ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters, "<mask>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 512})
    )
    RobertaTokenizerFast.from_pretrained(folder).save_pretrained(folder)


def write_audioldm(folder: Path, seed: int = 0) -> Path:
    """Write a tiny AudioLDM: the published classes, files and key names, other widths."""
    torch.manual_seed(seed)
    widths = {"block_out_channels": (8, 16, 16, 16), "cross_attention_dim": (8, 16, 16, 16), "layers_per_block": 1}
    heads = {"norm_num_groups": 4, "attention_head_dim": 2, "projection_class_embeddings_input_dim": TEXT_DIM}
    UNet2DConditionModel(**(unet_config("s") | widths | heads)).save_pretrained(folder / "unet")
    narrow = {"block_out_channels": (4, 4, 8), "norm_num_groups": 4, "layers_per_block": 1}
    AutoencoderKL(**(vae_config() | narrow)).save_pretrained(folder / "vae")
    ClapTextModelWithProjection(ClapTextConfig(**_TEXT)).save_pretrained(folder / "text_encoder")
    vocoder = SpeechT5HifiGanConfig(**(vocoder_config() | {"upsample_initial_channel": 32}))
    network = SpeechT5HifiGan(vocoder)
    # As transformers draws them, the sound would be a billionth of full scale.
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.1) if parameter.ndim > 1 else parameter.data.zero_()
    network.save_pretrained(folder / "vocoder")
    DDIMScheduler(**scheduler_config()).save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    index = {
        "_class_name": "AudioLDMPipeline",
        "_diffusers_version": "0.16.0.dev0",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "ClapTextModelWithProjection"],
        "tokenizer": ["transformers", "RobertaTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "vocoder": ["transformers", "SpeechT5HifiGan"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def write_clap(folder: Path, seed: int = 1) -> Path:
    """Write a tiny whole CLAP with its front end."""
    torch.manual_seed(seed)
    config = ClapConfig(text_config=_TEXT, audio_config=_AUDIO, projection_dim=TEXT_DIM)
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    return folder
