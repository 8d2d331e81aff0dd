"""The parts of T2AV: any length, padding that changes nothing, any caption, and the losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.errors import UsageError
from t2av_bench.models.t2av.clap import SmallClap, tokens
from t2av_bench.models.t2av.config import OPERATORS
from t2av_bench.models.t2av.frames import ClipFrameEncoder, SmallFrameEncoder
from t2av_bench.models.t2av.fusion import VisualAlignedClap, alignment_loss, contrastive_loss, pooled
from t2av_bench.models.t2av.operators import make_operator
from t2av_bench.models.t2av.temporal import TemporalTransformer

CLIP = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 16, "patch_size": 8, "projection_dim": 10}  # fmt: skip


def seeded(make, *arguments, **options):
    torch.manual_seed(0)
    return make(*arguments, **options).eval()


def small_encoder():
    return seeded(SmallFrameEncoder, image_size_px=16, widths=(4, 8), dim=12)


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 9, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("make", [small_encoder, lambda: seeded(ClipFrameEncoder, CLIP)])
def test_frame_encoders_take_any_size_and_ignore_padding(make, frames):
    encoder = make()
    whole = encoder(frames)
    assert whole.shape[:2] == (2, 9)
    padded = torch.cat([frames, torch.full((2, 4, 3, 16, 16), 0.7)], dim=1)
    mask = torch.arange(13)[None].expand(2, 13) < 9
    assert torch.allclose(encoder(padded, mask)[:, :9], whole, atol=1e-6)
    assert encoder(padded, mask)[:, 9:].abs().max() == 0
    assert encoder(torch.rand(1, 1, 3, 37, 21)).shape == (1, 1, whole.shape[-1])


@torch.no_grad()
def test_the_small_encoder_sees_motion_and_its_direction(frames):
    encoder = small_encoder()
    still = frames[:1, :1].expand(1, 3, 3, 16, 16)
    moving = still.clone()
    moving[:, 2] = 1 - moving[:, 2]
    # The picture in the middle is the same, what comes after it is not.
    assert not torch.allclose(encoder(still)[0, 1], encoder(moving)[0, 1], atol=1e-4)
    assert not torch.allclose(encoder(moving)[0, 1], encoder(moving.flip(1))[0, 1], atol=1e-4)


@torch.no_grad()
def test_clip_sees_each_picture_by_itself_and_gives_unit_rows(frames):
    encoder = seeded(ClipFrameEncoder, CLIP, frames_per_pass=4)
    rows = encoder(frames)
    assert torch.allclose(rows.norm(dim=-1), torch.ones(2, 9), atol=1e-5)
    assert torch.allclose(rows[:, 3], encoder(frames[:, 3:4])[:, 0], atol=1e-5)


def test_clips_own_checkpoints_are_read_and_saved_again(tmp_path, frames):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).save_pretrained(tmp_path / "clip")
    encoder = ClipFrameEncoder.from_clip(str(tmp_path / "clip"))
    encoder.save_pretrained(tmp_path / "ours")
    again = ClipFrameEncoder.from_pretrained(tmp_path / "ours")
    with torch.no_grad():
        assert torch.allclose(encoder(frames), again(frames), atol=1e-6)


@torch.no_grad()
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 7))
def test_the_temporal_transformer_takes_any_length_and_ignores_padding(length, extra):
    network = seeded(TemporalTransformer, input_dim=6, dim=8, layers_n=2, heads_n=2, feedforward=8)
    features = torch.randn(2, length + extra, 6, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(length + extra)[None].expand(2, -1) < length
    out = network(features, mask)
    assert out.shape == (2, length + extra, 8)
    assert torch.allclose(out[:, :length], network(features[:, :length]), atol=1e-5)
    assert out[:, length:].abs().sum() == 0


@torch.no_grad()
def test_the_temporal_transformer_knows_the_order_of_frames():
    network = seeded(TemporalTransformer, input_dim=6, dim=8, layers_n=1, heads_n=2, feedforward=8)
    features = torch.randn(1, 10, 6, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(network(features.flip(1)).flip(1), network(features), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_use_both_sides_take_any_length_and_ignore_padding(name):
    operator = seeded(make_operator, name, 6, 5, 8, 2)
    generator = torch.Generator().manual_seed(1)
    video, text = torch.randn(2, 11, 6, generator=generator), torch.randn(2, 5, generator=generator)
    out = operator(video, text)
    assert out.shape == (2, 11, 8)
    assert not torch.allclose(out, operator(video, text.flip(0)), atol=1e-3)
    assert not torch.allclose(out, operator(video.flip(0), text), atol=1e-3)
    padded = torch.cat([video, torch.randn(2, 3, 6, generator=generator)], dim=1)
    mask = torch.arange(14)[None].expand(2, 14) < 11
    assert torch.allclose(operator(padded, text, mask)[:, :11], out, atol=1e-5)
    assert operator(padded, text, mask)[:, 11:].abs().sum() == 0
    assert operator(video[:, :1], text).shape == (2, 1, 8)


def test_unknown_operators_are_named():
    with pytest.raises(UsageError, match="no operator named 'additon'. Did you mean 'addition'"):
        make_operator("additon", 4, 4, 4, 2)


@torch.no_grad()
@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_caption_becomes_a_unit_vector_of_its_own(captions):
    clap = seeded(SmallClap, dim=6, text_width=8, vocabulary_n=32, audio_widths=(4, 8))
    rows = clap.encode_text(captions)
    assert torch.allclose(rows.norm(dim=-1), torch.ones(len(captions)), atol=1e-5)
    alone = torch.cat([clap.encode_text([caption]) for caption in captions])
    assert torch.allclose(rows, alone, atol=1e-5)


def test_captions_with_the_same_words_have_the_same_numbers_and_others_do_not():
    a, b, c, d = tokens(["A dog barks", "a DOG barks!", "dog a barks", "a dog"], 512)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not torch.equal(a, d)
    assert torch.equal(tokens([""], 512), torch.tensor([[[1, 0, 0, 0, 0, 0, 0, 0]]]))
    assert tokens(["word " * 500], 512).shape == (1, 41, 8)


def test_words_with_a_common_stem_share_numbers():
    drum, drums, bell = (set(tokens([word], 100_000)[0, 1].tolist()) - {0} for word in ("drum", "drums", "bell"))
    assert len(drum & drums) >= 3
    assert not drum & bell


@torch.no_grad()
def test_the_audio_side_embeds_sounds_as_their_spectrograms():
    from t2av_bench.models.t2av.mel import log_mel

    clap = seeded(SmallClap, dim=6, text_width=8, vocabulary_n=32, audio_widths=(4, 8))
    sounds = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.1], [0.5]])
    rows = clap.encode_audio(sounds)
    assert torch.equal(rows, clap.embed_mel(log_mel(sounds)))
    assert torch.allclose(rows.norm(dim=-1), torch.ones(2), atol=1e-5)
    near = clap.similarity(["a", "b"], sounds)
    assert torch.allclose(near, (clap.encode_text(["a", "b"]) * rows).sum(-1), atol=1e-6)


@torch.no_grad()
def test_fusion_is_the_caption_bit_for_bit_at_first_and_a_unit_vector_later():
    fusion = seeded(VisualAlignedClap, text_dim=6, video_dim=4, hidden=8)
    generator = torch.Generator().manual_seed(1)
    text = torch.nn.functional.normalize(torch.randn(50, 6, generator=generator), dim=-1)
    video = torch.randn(50, 7, 4, generator=generator)
    assert torch.equal(fusion(text, video), text)
    fusion.gate.fill_(0.3)
    aligned = fusion(text, video)
    assert torch.allclose(aligned.norm(dim=-1), torch.ones(50), atol=1e-5)
    assert (aligned - text).norm(dim=-1).min() > 0.1
    moved = text + 3.0 * fusion.fuse(torch.cat([text, pooled(video)], -1)) / 6**0.5
    assert torch.allclose(aligned, torch.nn.functional.normalize(moved, dim=-1), atol=1e-5)


def test_pooling_is_over_what_exists():
    video = torch.tensor([[[1.0], [3.0], [100.0]]])
    mask = torch.tensor([[True, True, False]])
    assert torch.allclose(pooled(video, mask), torch.tensor([[2.0, 3.0, 1.0]]), atol=1e-5)


def numpy_infonce(text: np.ndarray, audio: np.ndarray, temperature: float) -> float:
    logits = text @ audio.T / temperature
    by_text = [-row[i] + np.log(np.exp(row).sum()) for i, row in enumerate(logits)]
    by_audio = [-row[i] + np.log(np.exp(row).sum()) for i, row in enumerate(logits.T)]
    return float(np.mean(by_text) + np.mean(by_audio)) / 2


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**20))
def test_the_contrastive_loss_is_its_formula_and_does_not_mind_which_side_is_which(count, seed):
    generator = torch.Generator().manual_seed(seed)
    text, audio = torch.nn.functional.normalize(torch.randn(2, count, 5, generator=generator).double(), dim=-1)
    temperature = torch.tensor(math.log(0.2), dtype=torch.float64)
    loss = contrastive_loss(text, audio, temperature)
    assert float(loss) == pytest.approx(numpy_infonce(text.numpy(), audio.numpy(), 0.2), abs=1e-9)
    assert torch.allclose(loss, contrastive_loss(audio, text, temperature))


def test_the_contrastive_loss_of_embeddings_that_tell_nothing_is_ln_of_the_batch():
    same = torch.ones(8, 4) / 2
    assert float(contrastive_loss(same, same, torch.tensor(0.0))) == pytest.approx(math.log(8), abs=1e-6)


def test_equal_captions_are_no_mistake():
    text = torch.eye(3)[[0, 0, 1]]
    sharp = torch.tensor(math.log(0.01))
    equal = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert contrastive_loss(text, text, sharp, equal) == pytest.approx(math.log(2) * 2 / 3, abs=1e-4)


def test_the_cosine_term_counts_the_distance_of_pairs():
    text, audio = torch.eye(4)[:2], torch.eye(4)[2:]
    zero = torch.tensor(0.0)
    assert alignment_loss(text, audio, zero) == pytest.approx(float(contrastive_loss(text, audio, zero)) + 4.0)
    assert alignment_loss(text, text, zero) == pytest.approx(float(contrastive_loss(text, text, zero)))
