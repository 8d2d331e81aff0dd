"""A tiny CLAP model with drawn weights, written as the published folder is laid out."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = ("dog", "barks", "rain", "bell", "rings", "loud")


def write_clap_folder(folder: Path, seed: int = 0, **audio_options: object) -> Path:
    """Write config, weights as a pickle of tensors, preprocessing and a byte-level tokenizer."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import ClapConfig, ClapModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    small = {"patch_embeds_hidden_size": 16, "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}
    config = ClapConfig(
        text_config={"vocab_size": len(vocabulary), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                     "intermediate_size": 32, "projection_dim": 512},
        audio_config={**small, "hidden_size": 128, "projection_dim": 512, **audio_options},
        projection_dim=512,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ClapModel(config)
    config.architectures = ["ClapModel"]
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    settings = {
        "feature_extractor_type": "ClapFeatureExtractor", "feature_size": 64, "sampling_rate": 48_000,
        "hop_length": 480, "max_length_s": 10, "fft_window_size": 1024, "padding": "repeatpad",
        "truncation": "rand_trunc", "frequency_min": 50, "frequency_max": 14_000, "padding_value": 0.0,
        "return_attention_mask": False, "top_db": None, "processor_class": "ClapProcessor",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "cls_token": "<s>",
               "pad_token": "<pad>", "mask_token": "<mask>"}  # fmt: skip
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**special, "tokenizer_class": "RobertaTokenizer", "model_max_length": 512, "trim_offsets": True})
    )
    return folder
