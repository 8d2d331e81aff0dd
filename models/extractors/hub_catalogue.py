"""Entries of files on the Hugging Face Hub, each at a pinned revision, and of the Synchformer state dict.

They are fetched and verified like all others, or taken over from the user's own Hub cache; one file of a model is one
entry, and ``--only clap`` takes all of the group. Loading a ``.bin`` file reads tensors only and runs no code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from t2av_bench.download.remote import HubFile

Entry = TypeVar("Entry")

_CLAP = ("clap", "laion/clap-htsat-unfused", "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a")
_AUDIOLDM_S = ("audioldm-s", "cvssp/audioldm-s-full-v2", "feeb3d14203495a4b6ac0893cbdedb2159b4819c")
_AUDIOLDM_M = ("audioldm-m", "cvssp/audioldm-m-full", "9d4998f93dfdafd050695fc82a4c8773ade7bd88")
_AUDIOLDM_L = ("audioldm-l", "cvssp/audioldm-l-full", "9707fa44eb3fb539e293ebc682209d0895042aa0")

_UNET = "unet/diffusion_pytorch_model"
_VAE = "vae/diffusion_pytorch_model"
_TEXT = "text_encoder"
_VOCODER_SHA256 = "d9dc6513c30a5b86c2497712690c04fe74b4aa79fdab6d490b34fcb4e24c590c"
_NO_HASH = "no hash is published; exact size"
_ONE_SOURCE = "the hash rests on one source"
_ELSEWHERE = "the hash was seen at another revision of the repository"

# Group; part; file in the repository; bytes or words; SHA-256; what is unverified.
_FILES: tuple[tuple[tuple[str, str, str], str, str, int | str, str | None, str], ...] = (
    (_CLAP, "model", "pytorch_model.bin", 614_525_833,
     "1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb", ""),
    (_CLAP, "config", "config.json", 5_390,
     "9efb9557bc804f2ca6e394486af2e45dfed0b18554909735a99c6220b84e4288", _ONE_SOURCE),
    (_CLAP, "preprocessor", "preprocessor_config.json", 541,
     "9739f58296aa6f9ac18008fd0150fb2649bc554985fbde86d0a4041c882ac753", _ONE_SOURCE),
    (_CLAP, "merges", "merges.txt", 456_356,
     "fe36cab26d4f4421ed725e10a2e9ddb7f799449c603a96e7f29b5a3c82a95862", _ONE_SOURCE),
    (_CLAP, "vocab", "vocab.json", 798_293,
     "ed19656ea1707df69134c4af35c8ceda2cc9860bf2c3495026153a133670ab5e", _ONE_SOURCE),
    (_CLAP, "tokenizer", "tokenizer.json", 2_108_746,
     "77ef92283d67f0d97e1454909a964afcbfa2019f0fb9f18f8e88d5c25c3ba729", _ONE_SOURCE),
    (_CLAP, "tokenizer-config", "tokenizer_config.json", 384,
     "377f91458f7729a4574a84c77bdce67dbc3c58c1a345a29bbf8c4eb1307948a3", _ONE_SOURCE),
    (_CLAP, "special-tokens", "special_tokens_map.json", 280,
     "06e405a36dfe4b9604f484f6a1e619af1a7f7d09e34a8555eb0b77b66318067f", _ONE_SOURCE),
    (_AUDIOLDM_S, "unet", f"{_UNET}.safetensors", "about 740 MB",
     "fc30d5b5a3bb8d08672736efb1fff10755ba7024dace39b2dcb579a105aa2a5a", "exact size"),
    (_AUDIOLDM_S, "vae", f"{_VAE}.safetensors", "about 222 MB",
     "42f64f7565b23eabde68c9694e39f18b8bba5f7a14f477e7ed4b51e0ea7de8a5", f"exact size; {_ONE_SOURCE}"),
    (_AUDIOLDM_S, "text-encoder", f"{_TEXT}/model.safetensors", "about 501 MB",
     "c92b5a2bee69ff5dd05820d9e0a5cddbc9c9b9dd19a6cb3214f0cf4f29a4d1b0", f"exact size; {_ONE_SOURCE}"),
    (_AUDIOLDM_S, "vocoder", "vocoder/model.safetensors", 221_079_092, _VOCODER_SHA256, ""),
    (_AUDIOLDM_M, "unet", f"{_UNET}.bin", "about 1.66 GB",
     "c20e9e957f2b4eccd2c2f03963ae57515c69341d2ce06952d45d7d3d6b62d4d8", f"exact size; {_ELSEWHERE}"),
    (_AUDIOLDM_M, "vae", f"{_VAE}.safetensors", "about 222 MB", None, _NO_HASH),
    (_AUDIOLDM_M, "text-encoder", f"{_TEXT}/pytorch_model.bin", "about 501 MB",
     "3bc6b4b73d7683d09f746ca34546f6c20e4f26c1311ee701179b8703b2f0331b", f"exact size; {_ELSEWHERE}"),
    (_AUDIOLDM_M, "vocoder", "vocoder/model.safetensors", "about 221 MB", None, _NO_HASH),
    (_AUDIOLDM_L, "unet", f"{_UNET}.safetensors", "about 2.96 GB", None, _NO_HASH),
    (_AUDIOLDM_L, "vae", f"{_VAE}.bin", "about 222 MB",
     "e3fc8ccecb1849c8a23cd4f9dd959eb7aaa203cc010386288418dbc551cdaaf7", f"exact size; {_ELSEWHERE}"),
    (_AUDIOLDM_L, "text-encoder", f"{_TEXT}/model.safetensors", "about 501 MB", None, _NO_HASH),
    (_AUDIOLDM_L, "vocoder", "vocoder/model.safetensors", 221_079_092, _VOCODER_SHA256, ""),
)  # fmt: skip

# What else diffusers needs to read a folder of AudioLDM: some kB each, and no hash is published of any.
_AUDIOLDM_SETTINGS = (
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json", "tokenizer/vocab.json", "unet/config.json",
    "vae/config.json", "vocoder/config.json",
)  # fmt: skip

_FACTS = {
    "clap": (
        "Apache-2.0",
        "LAION, CLAP HTSAT unfused, in the layout of transformers",
        "48 kHz mono, 64 Slaney mel bands, 10 s; RoBERTa tokens; 512-d embeddings",
    ),
    "audioldm": (
        "CC BY-NC-SA 4.0",
        "Liu et al., AudioLDM, in the layout of diffusers and transformers",
        "16 kHz mono, 1024/160 STFT, 64 Slaney mel bands 0-8000 Hz, natural log; latents of 8 channels",
    ),
}


def hub_entries(make: Callable[..., Entry]) -> list[Entry]:
    """Return the entries, made by the register's class."""
    settings = [
        (group, name.rpartition(".")[0], name, "below 1 MB", None, f"{_NO_HASH}; that it is there, by custom only")
        for group in (_AUDIOLDM_S, _AUDIOLDM_M, _AUDIOLDM_L)
        for name in _AUDIOLDM_SETTINGS
    ]
    files = sorted([*_FILES, *settings], key=lambda file: [_CLAP, _AUDIOLDM_S, _AUDIOLDM_M, _AUDIOLDM_L].index(file[0]))
    return [_hub_entry(make, *file) for file in files] + [_synchformer(make)]


def _hub_entry(
    make: Callable[..., Entry],
    group: tuple[str, str, str],
    part: str,
    file_name: str,
    size: int | str,
    sha256: str | None,
    unverified: str,
) -> Entry:
    name, repository, revision = group
    licence, source, preprocessing = _FACTS[name.partition("-")[0]]
    known: dict[str, Any] = {"bytes_n": size} if isinstance(size, int) else {"about_bytes": size}
    return make(
        name=f"{name}/{part}",
        file_name=f"{repository.partition('/')[2]}/{file_name}",
        url=f"https://huggingface.co/{repository}/resolve/{revision}/{file_name}",
        licence=licence,
        sha256=sha256,
        unverified=unverified,
        hub=HubFile(repository, revision, file_name),
        **known,
        source=source,
        preprocessing=preprocessing,
    )


def _synchformer(make: Callable[..., Entry]) -> Entry:
    return make(
        name="synchformer",
        file_name="synchformer_state_dict.pth",
        url="https://github.com/hkchengrex/MMAudio/releases/download/v0.1/synchformer_state_dict.pth",
        licence="MIT",
        bytes_n=950_058_171,
        sha256="8aff082f2df5c3bc52759db0c865c7ee772ae6400b860d1b7e90413f2defb67c",
        md5="5b2f5594b0730f70e41e549b7c94390c",
        source="Iashin et al., Synchformer, as the plain state dict that MMAudio publishes",
        preprocessing="0.64 s segments: 16 frames of 224 x 224 at 25 fps; 16 kHz, 1024/400/160 STFT, 128 mel bands",
    )
