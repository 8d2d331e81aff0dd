"""Synchformer: names and sizes of the published file, arithmetic against other people's layers, the comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from t2av_bench.errors import MetricError, PrerequisiteError
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.drawn import draw_state_dict
from t2av_bench.models.extractors.mel import synchformer_log_mel
from t2av_bench.models.extractors.networks.synchformer import Synchformer, SynchformerLayout
from t2av_bench.models.extractors.networks.synchformer_audio import SpectrogramTransformer
from t2av_bench.models.extractors.networks.synchformer_layers import SummaryLayer
from t2av_bench.models.extractors.networks.synchformer_video import DividedAttention
from t2av_bench.models.extractors.synchformer import (
    COMPARED_S,
    OFFSETS_S,
    SynchformerAudioExtractor,
    SynchformerVideoExtractor,
)

SMALL = SynchformerLayout(dim=48, heads=4, depth=2, side_px=32, joint_depth=2)


class SmallAudio(SynchformerAudioExtractor):
    """The audio side at a width of 48."""

    width, dim = 48, 6 * 48

    def build_network(self) -> nn.Module:
        return Synchformer(SMALL)


class SmallVideo(SynchformerVideoExtractor):
    """The video side at a width of 48 and frames of 32 × 32."""

    width, dim = 48, 8 * 48
    frame_size = (32, 32)
    row_shape = (16, 32, 32, 3)

    def build_network(self) -> nn.Module:
        return Synchformer(SMALL)


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network random weights, biases and scales, none of them trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for entry in network.parameters():
            entry.copy_(0.2 * torch.randn(entry.shape, generator=generator))
    return network.eval()


def small_network(seed: int = 0) -> Synchformer:
    network = drawn(Synchformer(SMALL), seed)
    assert isinstance(network, Synchformer)
    return network


@pytest.fixture(scope="module")
def published() -> Synchformer:
    """Give the full network, without memory for its weights."""
    with torch.device("meta"):
        return Synchformer()


def test_the_numbers_fill_the_published_file(published: Synchformer) -> None:
    """What is left over is what a file of 513 tensors has in names and headers: about 400 bytes each."""
    state = published.state_dict()
    left_over = WEIGHTS["synchformer"].bytes_n - 4 * sum(entry.numel() for entry in state.values())
    assert len(state) == 513
    assert 0 < left_over < 600 * len(state)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vfeat_extractor.pos_embed", (1, 197, 768)),
        ("vfeat_extractor.temp_embed", (1, 8, 768)),
        ("vfeat_extractor.patch_embed_3d.proj.weight", (768, 3, 2, 16, 16)),
        ("vfeat_extractor.blocks.11.timeattn.qkv.weight", (2304, 768)),
        ("vfeat_extractor.spatial_attn_agg.self_attn.in_proj_weight", (2304, 768)),
        ("afeat_extractor.ast.embeddings.position_embeddings", (1, 74, 768)),
        ("afeat_extractor.ast.encoder.layer.11.attention.attention.query.weight", (768, 768)),
        ("afeat_extractor.ast.encoder.layer.0.attention.output.dense.bias", (768,)),
        ("afeat_extractor.freq_attn_agg.cls_token", (1, 1, 768)),
        ("transformer.pos_emb_cfg.pos_emb", (1, 198, 768)),
        ("transformer.blocks.2.mlp.2.weight", (768, 3072)),
        ("transformer.off_head.weight", (21, 768)),
    ],
)
def test_names_and_shapes_are_the_published_ones(published: Synchformer, name: str, shape: tuple[int, ...]) -> None:
    assert tuple(published.state_dict()[name].shape) == shape


def test_full_shapes_pass_through_the_full_network(published: Synchformer) -> None:
    with torch.device("meta"):
        assert published.encode_video(torch.empty(2, 3, 16, 224, 224)).shape == (2, 8, 768)
        assert published.encode_audio(torch.empty(3, 128, 66)).shape == (3, 6, 768)
        assert published.compare(torch.empty(2, 14, 8, 768), torch.empty(2, 14, 6, 768)).shape == (2, 21)


def test_the_spectrogram_transformer_agrees_with_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ASTConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192, max_length=66
    )
    ours, theirs = drawn(SpectrogramTransformer(SMALL)), transformers.ASTModel(config).eval()
    # Entries of both have one order; transformers has renamed some of them since the file was made.
    ordered = dict(_in_order_of_ast(ours.state_dict()))
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ordered.values(), strict=True)))
    spectra = torch.randn(3, 128, 66, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = theirs(spectra.transpose(1, 2)).last_hidden_state
        torch.testing.assert_close(ours(spectra), expected, rtol=0, atol=2e-5)


def _in_order_of_ast(state: dict[str, torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    """Order entries as transformers' model has them."""
    inside = ("query", "key", "value", "attention.output", "before", "after", "intermediate", "output")
    embedded = ("cls_token", "distillation_token", "position_embeddings", "projection.weight", "projection.bias")

    def rank(name: str) -> tuple[int, int, int, bool]:
        if name.startswith("embeddings"):
            return 0, 0, next(i for i, part in enumerate(embedded) if name.endswith(part)), False
        if name.startswith("encoder"):
            layer = int(name.split(".")[2])
            return 1, layer, next(i for i, part in enumerate(inside) if part in name), name.endswith("bias")
        return 2, 0, 0, name.endswith("bias")

    return sorted(state.items(), key=lambda entry: rank(entry[0]))


def test_the_summary_layer_agrees_with_torchs_encoder_layer() -> None:
    ours = drawn(SummaryLayer(48, 4))
    theirs = nn.TransformerEncoderLayer(
        48, 4, 192, dropout=0.0, activation=nn.GELU(), layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).train()  # without torch's fused path
    state = ours.state_dict()
    token = state.pop("cls_token")
    theirs.load_state_dict(state)
    rows = torch.randn(5, 9, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(torch.cat([token.expand(5, -1, -1), rows], dim=1))[:, 0]
        torch.testing.assert_close(ours(rows), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("over_time", [True, False])
def test_divided_attention_sees_its_own_place_or_its_own_step(over_time: bool) -> None:
    """A change of one patch changes those of its group and the first token, and no other."""
    layer = drawn(DividedAttention(48, 4))
    tokens = torch.randn(1, 1 + 8 * 9, 48, generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    step, place = 3, 5
    changed[0, 1 + step * 9 + place] += 1.0
    with torch.no_grad():
        moved = (layer(changed, over_time=over_time) - layer(tokens, over_time=over_time))[0].abs().amax(dim=1) > 1e-7
    expected = torch.zeros(8, 9, dtype=torch.bool)
    expected[(slice(None), place) if over_time else (step, slice(None))] = True
    assert moved[0]
    assert torch.equal(moved[1:].reshape(8, 9), expected)


def test_divided_attention_is_plain_attention_over_each_group() -> None:
    layer = drawn(DividedAttention(48, 4))
    tokens = torch.randn(2, 1 + 8 * 4, 48, generator=torch.Generator().manual_seed(1))
    plain = nn.MultiheadAttention(48, 4, batch_first=True).train()
    plain.load_state_dict(
        {
            "in_proj_weight": layer.qkv.weight,
            "in_proj_bias": layer.qkv.bias,
            "out_proj.weight": layer.proj.weight,
            "out_proj.bias": layer.proj.bias,
        }
    )
    with torch.no_grad():
        found = layer(tokens, over_time=True)
        for place in range(4):
            group = torch.cat([tokens[:, :1], tokens[:, 1:].reshape(2, 8, 4, 48)[:, :, place]], dim=1)
            expected = plain(group, group, group, need_weights=False)[0][:, 1:]
            torch.testing.assert_close(found[:, 1:].reshape(2, 8, 4, 48)[:, :, place], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            found[:, :1], plain(tokens[:, :1], tokens, tokens, need_weights=False)[0], rtol=0, atol=1e-5
        )


def test_the_comparison_tells_video_from_audio_and_knows_the_order_of_segments() -> None:
    network = small_network()
    generator = torch.Generator().manual_seed(2)
    video, audio = torch.randn(1, 14, 8, 48, generator=generator), torch.randn(1, 14, 6, 48, generator=generator)
    with torch.no_grad():
        logits = network.compare(video, audio)
        assert logits.shape == (1, 21)
        assert (network.compare(video.flip(1), audio) - logits).abs().max() > 1e-5
        assert (network.compare(video, audio.flip(1)) - logits).abs().max() > 1e-5


def test_the_front_end_agrees_with_librosas_mel_spectrogram() -> None:
    librosa = pytest.importorskip("librosa")
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 10_240)).astype(np.float32)
    sound[1] *= 1e-3
    power = librosa.feature.melspectrogram(
        y=sound.astype(np.float64), sr=16_000, n_fft=1024, win_length=400, hop_length=160, n_mels=128, htk=True,
        norm=None, pad_mode="reflect", power=2.0,
    )  # fmt: skip
    expected = np.zeros((2, 128, 66))
    expected[:, :, :65] = np.log(power + 1e-6)
    expected = (expected + 4.2677393) / (2 * 4.5689974)
    np.testing.assert_allclose(synchformer_log_mel(torch.from_numpy(sound)).numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("duration_s", "segments_n"), [(0.5, 0), (0.64, 1), (4.0, 11), (COMPARED_S, 14), (8.0, 24)])
def test_both_sides_have_the_same_segments(duration_s: float, segments_n: int) -> None:
    options = {"weights": "random", "device": "cpu"}
    audio, video = SmallAudio(**options), SmallVideo(**options)
    assert audio.rows_n(duration_s) == video.rows_n(duration_s) == segments_n
    samples = np.arange(round(duration_s * 16_000), dtype=np.float32)
    assert audio.windows(samples, duration_s).shape == (segments_n, 10_240)
    assert video.frame_times_s(duration_s).shape == (segments_n, 16)


def test_segments_of_sound_and_pictures_start_at_the_same_times() -> None:
    samples = np.arange(64_000, dtype=np.float32)
    starts_s = SmallAudio(weights="random").windows(samples, 4.0)[:, 0] / 16_000
    np.testing.assert_allclose(SmallVideo(weights="random").frame_times_s(4.0)[:, 0] - 0.02, starts_s, atol=1e-9)


@pytest.mark.parametrize("side", [SmallAudio, SmallVideo])
def test_an_encoded_segment_does_not_depend_on_its_batch(side: type[SmallAudio] | type[SmallVideo]) -> None:
    extractor = side(weights="random", device="cpu")
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 255, (5, *extractor.row_shape)).astype(extractor.row_dtype)
    rows = rows / 255 if side is SmallAudio else rows
    rows = rows.astype(extractor.row_dtype)
    encoded = extractor.embed_batch(rows)
    assert encoded.shape == (5, extractor.dim)
    np.testing.assert_array_equal(extractor.embed_batch(rows[3:4])[0], encoded[3])


def test_comparing_takes_fourteen_segments_of_each() -> None:
    extractor = SmallAudio(weights="random", device="cpu")
    rng = np.random.default_rng(0)
    video = rng.standard_normal((3, 14, 8 * 48)).astype(np.float32)
    audio = rng.standard_normal((3, 14, 6 * 48)).astype(np.float32)
    logits = extractor.compare(video, audio)
    assert logits.shape == (3, len(OFFSETS_S))
    np.testing.assert_array_equal(extractor.compare(video[1:2], audio[1:2])[0], logits[1])
    with pytest.raises(MetricError, match=r"compares arrays of the shapes \(3, 14, 384\) and \(3, 14, 288\)"):
        extractor.compare(audio, video)
    with pytest.raises(MetricError, match="compares arrays of the shapes"):
        extractor.compare(video[:, :11], audio[:, :11])


def test_frames_keep_the_pictures_aspect(shared: Path) -> None:
    path = next((shared / "media" / "vggsound").glob("*.mp4"))
    rows = SmallVideo(weights="random", device="cpu").load(ClipSource(path, 1.0, 1.0))
    assert rows.shape == (2, 16, 32, 32, 3)
    assert rows.std() > 5


def test_a_file_of_the_layout_is_loaded_and_another_one_is_refused(tmp_path: Path) -> None:
    network = small_network(seed=4)
    state = network.state_dict()
    torch.save(state, tmp_path / "own.pth")
    extractor = SmallAudio(weights=tmp_path / "own.pth", device="cpu")
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 10_240)).astype(np.float32)
    with torch.inference_mode():
        expected = network.encode_audio(synchformer_log_mel(torch.from_numpy(sound))).flatten(1)
    np.testing.assert_allclose(extractor.embed_batch(sound), expected.numpy(), rtol=0, atol=1e-5)

    without = {name: entry for name, entry in state.items() if name != "vproj.bias"}
    torch.save(without, tmp_path / "less.pth")
    with pytest.raises(PrerequisiteError, match=r"less.pth does not have the layout .* missing vproj.bias"):
        SmallAudio(weights=tmp_path / "less.pth", device="cpu").embed_batch(sound)
    wide = {**state, "transformer.off_head.bias": torch.zeros(22)}
    torch.save(wide, tmp_path / "wide.pth")
    with pytest.raises(PrerequisiteError, match=r"transformer.off_head.bias is \(22,\), not \(21,\)"):
        SmallAudio(weights=tmp_path / "wide.pth", device="cpu").embed_batch(sound)


def test_missing_weights_say_what_to_fetch() -> None:
    with pytest.raises(PrerequisiteError, match="download weights --only synchformer"):
        get_extractor("synchformer-audio").check()


def test_drawn_weights_leave_no_bias_at_one() -> None:
    state = draw_state_dict(Synchformer(SMALL), 0)
    assert not state["vfeat_extractor.spatial_attn_agg.self_attn.in_proj_bias"].any()


@pytest.mark.slow
def test_the_full_network_tells_segments_apart() -> None:
    """237 million random weights: a second of sound, and one segment of pictures."""
    extractor = get_extractor("synchformer-audio", weights="random", device="cpu")
    sound = np.random.default_rng(0).normal(0, 0.1, (3, 10_240)).astype(np.float32)
    encoded = extractor.embed_batch(sound)
    assert encoded.shape == (3, 6 * 768)
    assert np.abs(np.diff(encoded, axis=0)).max() > 1e-3
    extractor.release()
    pictures = get_extractor("synchformer-video", weights="random", device="cpu")
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 224, 224, 3), dtype=np.uint8)
    assert pictures.embed_batch(frames).shape == (1, 8 * 768)
