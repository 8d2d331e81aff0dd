"""Every published layout: its tensors, a file of it downloaded, loaded and run, and files of other layouts refused."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import web_server as web
from safetensors.torch import save, save_file
from serving_weights import call, saved, serve_weights

from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.layouts import LAYOUTS, Layout, find_model, layout_fault, shapes_of
from t2av_bench.models.extractors.networks import audioldm
from t2av_bench.models.extractors.weights import find_weights

# Tensors and float32 bytes of the published networks, from their publishers' pages and configurations.
KNOWN = {
    "vggish": (18, 288_564_736),
    "c3d": (20, 311_983_104),
    "i3d": (320, None),
    "audioldm-s/unet": (690, 740_146_208),
    "audioldm-m/unet": (690, 1_663_818_272),
    "audioldm-l/unet": (690, 2_956_556_320),
    "audioldm-s/vae": (204, 221_507_492),
    "audioldm-m/vae": (204, 221_507_492),
    "audioldm-l/vae": (204, 221_507_492),
    "audioldm-s/text-encoder": (205, 501_212_176),
    "audioldm-l/text-encoder": (205, 501_212_176),
    "clap/model": (447, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_layout_has_as_many_tensors_and_bytes_as_published(name: str):
    shapes = LAYOUTS[name]().shapes()
    tensors_n, bytes_n = KNOWN[name]
    assert len(shapes) == tensors_n
    # position_ids are 514 integers of 8 bytes, counted here as 4 each.
    assert bytes_n is None or sum(4 * math.prod(shape) for shape in shapes.values()) == bytes_n


def test_every_weights_file_but_the_word_vectors_has_a_layout():
    settings = {name for name, entry in WEIGHTS.items() if entry.file_name.endswith((".json", ".txt"))}
    assert set(WEIGHTS) - settings - {"word2vec"} == set(LAYOUTS)


def test_the_vocoders_layout_gives_the_published_size_to_the_byte():
    """The header of a safetensors file lists every name and shape, so equal size leaves little room for others."""
    assert _safetensors_bytes_n("audioldm-s/vocoder") == WEIGHTS["audioldm-s/vocoder"].bytes_n == 221_079_092


def test_the_auto_encoders_layout_gives_the_published_size_of_audioldm2s_to_the_byte():
    assert _safetensors_bytes_n("audioldm-s/vae") == 221_530_308  # the same network with other values


def _safetensors_bytes_n(name: str) -> int:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor, shape in sorted(LAYOUTS[name]().shapes().items()):
        start, end = end, end + 4 * math.prod(shape)
        header[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    header_n = len(json.dumps(header, separators=(",", ":")))
    return 8 + -(-header_n // 8) * 8 + end


@pytest.mark.parametrize("name", ["clap/model", "synchformer", "panns", "c3d"])
def test_layout_fits_into_the_published_file(name: str):
    shapes = LAYOUTS[name]().shapes()
    published_n = WEIGHTS[name].bytes_n
    assert published_n is not None
    assert sum(4 * math.prod(shape) for shape in shapes.values()) <= published_n


def test_text_is_projected_from_768_to_512_numbers():
    for name in ("audioldm-s/text-encoder", "clap/model"):
        shapes = LAYOUTS[name]().shapes()
        assert shapes["text_projection.linear1.weight"] == (512, 768)
        assert shapes["text_projection.linear2.weight"] == (512, 512)


TINY_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY_TEXT |= {"vocab_size": 50, "max_position_embeddings": 20, "projection_dim": 512}


def tiny_clap() -> torch.nn.Module:
    from transformers import ClapConfig, ClapModel

    audio = {"depths": [1, 1], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 16, "hidden_size": 32}
    sizes = {"spec_size": 64, "num_mel_bins": 16, "window_size": 4, "enable_fusion": False, "projection_hidden_size": 8}
    text = {**TINY_TEXT, "projection_dim": 8}
    return ClapModel(
        ClapConfig(text_config=text, audio_config={**audio, **sizes, "projection_dim": 8}, projection_dim=8)
    )


def tiny_audioldm() -> dict[str, torch.nn.Module]:
    return {
        "unet": audioldm.unet((32, 32, 64, 64)),
        "vae": audioldm.vae((32, 32, 32)),
        "text-encoder": audioldm.text_encoder(**TINY_TEXT),
        "vocoder": audioldm.vocoder(32),
    }


def serve_folder(
    server: web.Server, monkeypatch: pytest.MonkeyPatch, group: str, networks: dict[str, torch.nn.Module], folder: Path
) -> None:
    """Write a model as its library does, serve the files that the register names, and register tiny layouts."""
    for name in [name for name in WEIGHTS if name.startswith(f"{group}/")]:
        part, hub = name.partition("/")[2], WEIGHTS[name].hub
        assert hub is not None
        path = folder / hub.path
        if part in networks:
            network = networks[part]
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".safetensors":
                state = {key: value.contiguous() for key, value in network.state_dict().items()}
                save_file(state, path, {"format": "pt"})
            else:
                torch.save(network.state_dict(), path)
            tiny = Layout(lambda network=network: {k: tuple(v.shape) for k, v in network.state_dict().items()})  # type: ignore[misc]
            monkeypatch.setitem(LAYOUTS, name, lambda tiny=tiny: tiny)
            (network.save_config if part in ("unet", "vae") else network.config.save_pretrained)(path.parent)  # type: ignore[union-attr, operator]
    for name in [name for name in WEIGHTS if name.startswith(f"{group}/")]:
        hub = WEIGHTS[name].hub
        assert hub is not None
        path = folder / hub.path
        serve_weights(server, monkeypatch, name, path.read_bytes() if path.is_file() else b"{}")


def test_clap_is_downloaded_loaded_and_run(server: web.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from transformers import ClapModel

    written = tiny_clap().eval()
    serve_folder(server, monkeypatch, "clap", {"model": written}, tmp_path)
    assert call("download", "weights", "--only", "clap").exit_code == 0
    read, notes = ClapModel.from_pretrained(find_model("clap"), local_files_only=True, output_loading_info=True)
    assert not notes["missing_keys"]
    tokens = torch.tensor([[0, 5, 6, 2]])
    mel = torch.zeros(1, 1, 64, 16)
    with torch.inference_mode():
        for network in (written, read.eval()):
            out = network(input_ids=tokens, input_features=mel, is_longer=torch.tensor([[False]]))
            torch.testing.assert_close(out.text_embeds, written.get_text_features(tokens).pooler_output)
            assert out.audio_embeds.shape == (1, 8)
        torch.testing.assert_close(
            read.get_audio_features(mel).pooler_output, written.get_audio_features(mel).pooler_output
        )


@pytest.mark.parametrize("group", ["audioldm-s", "audioldm-m", "audioldm-l"])
def test_audioldm_is_downloaded_loaded_and_run(
    group: str, server: web.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import ClapTextModelWithProjection, SpeechT5HifiGan

    written = tiny_audioldm()
    serve_folder(server, monkeypatch, group, written, tmp_path)
    done = call("download", "weights", "--only", group)
    assert done.exit_code == 0, done.output
    folder = find_model(group)
    classes = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
    read = {part: kind.from_pretrained(folder / part, local_files_only=True) for part, kind in classes.items()}
    read["text-encoder"] = ClapTextModelWithProjection.from_pretrained(folder / "text_encoder", local_files_only=True)
    read["vocoder"] = SpeechT5HifiGan.from_pretrained(folder / "vocoder", local_files_only=True)
    for part, network in read.items():
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, written[part].state_dict()[name])
    with torch.inference_mode():
        text = read["text-encoder"](torch.tensor([[0, 5, 6, 2]])).text_embeds
        noise = read["unet"](torch.zeros(1, 8, 16, 16), 1, None, class_labels=text).sample
        mel = read["vae"].decode(noise).sample
        assert mel.shape == (1, 1, 64, 64)
        assert read["vocoder"](mel[:, 0]).shape == (1, 64 * 160 + 32)


def _shortened(state: dict[str, torch.Tensor]) -> None:
    state["conv_in.weight"] = state["conv_in.weight"][:, :4].contiguous()


def _incomplete(state: dict[str, torch.Tensor]) -> None:
    del state["conv_in.weight"]


def _with_more(state: dict[str, torch.Tensor]) -> None:
    state["head.weight"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_shortened, r"conv_in.weight is (32, 4, 3, 3), not (32, 8, 3, 3)"),
        (_incomplete, "missing conv_in.weight"),
        (_with_more, "unknown head.weight"),
    ],
)
def test_audioldm_with_other_tensors_is_refused_and_says_which(
    change: Callable[[dict[str, torch.Tensor]], None],
    words: str,
    server: web.Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """diffusers would load it with a warning at most, and with random numbers in the gap."""
    serve_folder(server, monkeypatch, "audioldm-s", tiny_audioldm(), tmp_path)
    state = tiny_audioldm()["unet"].state_dict()
    change(state)
    # Not pinned, as the U-Net of audioldm-l: there the tensors are all that can be compared.
    serve_weights(server, monkeypatch, "audioldm-s/unet", save(state), sha256=None)
    done = call("download", "weights", "--only", "audioldm-s")
    assert done.exit_code == 1
    assert words in done.output
    assert not WEIGHTS["audioldm-s/unet"].path.exists()
    WEIGHTS["audioldm-s/unet"].path.write_bytes(save(state))  # carried by hand
    with pytest.raises(PrerequisiteError, match="must hold the audioldm-s/unet tensors, but has another layout"):
        find_model("audioldm-s")
    verified = call("download", "weights", "--only", "audioldm-s", "--verify")
    assert verified.exit_code == 1
    assert words in verified.output
    serve_weights(server, monkeypatch, "audioldm-s/unet", save(tiny_audioldm()["unet"].state_dict()), sha256=None)
    assert call("download", "weights", "--only", "audioldm-s").exit_code == 0
    assert find_model("audioldm-s").name == "audioldm-s-full-v2"


def test_a_page_in_place_of_settings_is_refused(server: web.Server, monkeypatch: pytest.MonkeyPatch):
    serve_weights(server, monkeypatch, "audioldm-s/unet/config", b"<html>log in</html>", sha256=None)
    done = call("download", "weights", "--only", "audioldm-s/unet/config")
    assert done.exit_code == 1
    assert "must bring the published file (a JSON document)" in done.output


def test_a_model_that_lacks_a_file_says_which(server: web.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    serve_folder(server, monkeypatch, "clap", {"model": tiny_clap()}, tmp_path)
    call("download", "weights", "--only", "clap")
    WEIGHTS["clap/merges"].path.unlink()
    with pytest.raises(PrerequisiteError, match="'clap/merges' are missing. Run `t2av-bench download weights --only"):
        find_model("clap")
    with pytest.raises(UsageError, match="no model 'clop'. Did you mean 'clap'"):
        find_model("clop")


def test_old_names_of_attention_layers_are_known(tmp_path: Path):
    """AudioLDM's auto-encoder was published before diffusers renamed them, and diffusers still reads it."""
    from diffusers import AutoencoderKL

    network = audioldm.vae()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for name, tensor in network.state_dict().items():
        for new_name, old_name in old.items():
            name = name.replace(f"attentions.0.{new_name}.", f"attentions.0.{old_name}.")
        state[name] = torch.zeros(tensor.shape)
    assert "decoder.mid_block.attentions.0.proj_attn.bias" in state
    save_file(state, tmp_path / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    entry = WEIGHTS["audioldm-s/vae"]
    assert layout_fault(entry, tmp_path / "diffusion_pytorch_model.safetensors") is None
    network.save_config(tmp_path)  # type: ignore[operator]
    read = AutoencoderKL.from_pretrained(tmp_path, local_files_only=True)
    assert read.decoder.mid_block.attentions[0].to_q.weight.abs().max() == 0


def _synchformer_like() -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in LAYOUTS["synchformer"]().shapes().items()}


def test_synchformer_is_downloaded_and_its_tensors_compared(server: web.Server, monkeypatch: pytest.MonkeyPatch):
    entry = WEIGHTS["synchformer"]
    state = {**_synchformer_like(), "transformer.blocks.0.ln1.weight": torch.zeros(768)}
    serve_weights(server, monkeypatch, "synchformer", saved(state))
    assert call("download", "weights", "--only", "synchformer").exit_code == 0
    assert layout_fault(WEIGHTS["synchformer"], find_weights("synchformer")) is None
    state["vproj.weight"] = torch.zeros(768, 512)
    del state["vfeat_extractor.cls_token"]
    entry.path.write_bytes(saved(state))
    fault = layout_fault(entry, entry.path)
    assert fault is not None
    assert (
        fault.found == "another layout: missing vfeat_extractor.cls_token; vproj.weight is (768, 512), not (768, 768)"
    )


@pytest.mark.parametrize("means", [np.zeros(128, np.float32), np.zeros((128, 1))])
def test_pca_parameters_are_arrays_and_means_may_be_a_column(means: np.ndarray, tmp_path: Path):
    content = {"pca_eigen_vectors": np.eye(128), "pca_means": means}
    (tmp_path / "pca.pth").write_bytes(saved(content, legacy=True))
    assert layout_fault(WEIGHTS["vggish-pca"], tmp_path / "pca.pth") is None
    (tmp_path / "pca.pth").write_bytes(saved({**content, "pca_means": np.zeros(64)}))
    fault = layout_fault(WEIGHTS["vggish-pca"], tmp_path / "pca.pth")
    assert fault is not None
    assert fault.found == "another layout: pca_means is (64,), not (128,)"


class _Exploit:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("name", ["vggish", "vggish-pca", "c3d", "panns", "i3d", "clap/model", "synchformer"])
def test_code_in_any_checkpoint_is_refused_and_never_gets_the_final_name(
    name: str, legacy: bool, server: web.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """With its hash unknown, so that the refusal rests on the content alone."""
    content = saved({"w": _Exploit(tmp_path / "was here")}, legacy=legacy)
    serve_weights(server, monkeypatch, name, content, sha256=None, sha256_prefix=None)
    done = call("download", "weights", "--only", name)
    assert done.exit_code == 1
    assert "would run code, which is refused" in done.output
    assert not WEIGHTS[name].path.exists()
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 100])
def test_a_broken_safetensors_file_is_a_fault(content: bytes, tmp_path: Path):
    (tmp_path / "f.part").write_bytes(content)
    fault = layout_fault(WEIGHTS["audioldm-l/unet"], tmp_path / "f.part")
    assert fault is not None
    assert fault.expected == "the audioldm-l/unet tensors"


def test_shapes_take_no_memory():
    shapes = shapes_of(lambda: torch.nn.Linear(10**6, 10**6))
    assert shapes == {"weight": (10**6, 10**6), "bias": (10**6,)}
    assert replace(WEIGHTS["c3d"], name="unknown").name not in LAYOUTS
