"""T2AV on checkpoints in AudioLDM's and CLAP's published layouts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from audioldm_support import VIDEO_CONFIG, write_audioldm, write_clap
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from t2av_support import open_gates
from transformers import ClapTextConfig, ClapTextModelWithProjection, SpeechT5HifiGan, SpeechT5HifiGanConfig

from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.models.t2av import T2AVPipeline
from t2av_bench.models.t2av.audioldm import UNET_CHANNELS, unet_config, vae_config, vocoder_config
from t2av_bench.models.t2av.building import video_parts
from t2av_bench.models.t2av.config import OPERATORS
from t2av_bench.models.t2av.control import AudioVisualControlNet
from t2av_bench.models.t2av.denoising import predict
from t2av_bench.models.t2av.stages import trainable_parameters

FRAMES = torch.rand(2, 13, 3, 20, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A tiny AudioLDM and a tiny CLAP."""
    folder = tmp_path_factory.mktemp("published")
    return write_audioldm(folder / "audioldm"), write_clap(folder / "clap")


@pytest.fixture
def copied(tmp_path, published):
    """An AudioLDM of one's own to spoil."""
    import shutil

    return shutil.copytree(published[0], tmp_path / "copied")


@pytest.fixture(scope="module")
def pipeline(published) -> T2AVPipeline:
    made = T2AVPipeline.from_audioldm(published[0], clap=published[1], config=VIDEO_CONFIG)
    made.set_progress_bar_config(disable=True)
    return made


def generated(pipeline, **options):
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    return pipeline(
        ["a dog barks", ""], generator=generators, audio_length_in_s=0.5, num_inference_steps=2, **options
    ).audios


def parameters_n(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_networks_have_the_published_sizes():
    with torch.device("meta"):
        unets = {size: UNet2DConditionModel(**unet_config(size)) for size in UNET_CHANNELS}
        vae = AutoencoderKL(**vae_config())
        text = ClapTextModelWithProjection(ClapTextConfig())
        vocoder = SpeechT5HifiGan(SpeechT5HifiGanConfig(**vocoder_config()))
    assert {size: parameters_n(unet) for size, unet in unets.items() if size != "l"} == {
        "s": 185_036_552,
        "m": 415_954_568,
    }
    # The published file of l has 2.96 GB.
    assert 4 * parameters_n(unets["l"]) == pytest.approx(2.96e9, rel=2e-3)
    assert len(unets["s"].state_dict()) == 690
    assert parameters_n(vae) == 55_376_873
    assert parameters_n(text) == 125_302_016
    assert parameters_n(vocoder) == 55_264_897


def test_the_controlnet_of_audioldm_s_copies_encoder_and_middle():
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config("s"))
        config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
        control = AudioVisualControlNet(config, 512, 512, "temporal_self_attention", 512, 8, 256)
    half = ("conv_in", "time", "class", "down_blocks", "mid_block")
    expected = sum(tensor.numel() for name, tensor in unet.state_dict().items() if name.startswith(half))
    assert parameters_n(control.encoder) == expected
    assert len(control.skip_outputs) == 12


def test_no_other_size_exists():
    with pytest.raises(UsageError, match="no AudioLDM of size 'xl'.*Available: s, m, l"):
        unet_config("xl")


def test_every_part_is_read_as_it_is(pipeline, published):
    for part, file in (
        ("unet", "diffusion_pytorch_model.safetensors"),
        ("vae", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "model.safetensors"),
        ("vocoder", "model.safetensors"),
    ):
        stored = load_file(published[0] / part / file)
        read = getattr(pipeline, part).state_dict()
        assert len(stored) > 10
        assert all(torch.equal(read[key], stored[key]) for key in stored), part
        getattr(pipeline, part).load_state_dict(stored, strict=part != "text_encoder")
    assert pipeline.scheduler.config.prediction_type == "epsilon"
    assert pipeline.scheduler.config.beta_end == 0.0195
    assert (pipeline.config.steps_n, pipeline.config.guidance_scale) == (200, 2.5)
    assert (pipeline.config.mel_mean, pipeline.config.mel_std) == (0.0, 1.0)


def test_at_first_a_video_changes_no_bit(pipeline):
    base, shown = generated(pipeline), generated(pipeline, frames=FRAMES)
    assert base.shape == (2, 8_000)
    assert np.isfinite(base).all()
    assert np.abs(base).max() > 1e-4
    assert np.array_equal(base, shown)


def test_it_learns_generates_saves_and_loads_with_the_same_bits(published, tmp_path):
    pipeline = T2AVPipeline.from_audioldm(published[0], clap=published[1], config=VIDEO_CONFIG)
    pipeline.set_progress_bar_config(disable=True)
    trained = trainable_parameters(pipeline, "control")
    optimiser = torch.optim.AdamW(trained.values(), lr=0.05)
    noise = torch.randn(2, 8, 13, 16, generator=torch.Generator().manual_seed(0))
    video = pipeline.encode_video(FRAMES).detach()
    condition = pipeline.encode_prompt(["a dog barks", ""]).detach()
    losses = []
    for _ in range(3):
        hint = pipeline.control.make_hint(video, condition, 13)
        out = predict(pipeline.unet, pipeline.control, noise, torch.tensor([10, 900]), condition, hint)
        loss = (out - noise).square().mean()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[2] < losses[0]
    pipeline.save_pretrained(tmp_path / "saved")
    again = T2AVPipeline.from_pretrained(tmp_path / "saved")
    before = generated(pipeline, frames=FRAMES, num_candidates=2)
    assert not np.array_equal(before, generated(pipeline, num_candidates=2))
    assert np.array_equal(before, generated(again, frames=FRAMES, num_candidates=2))


def test_captions_are_embedded_as_audioldms_pipeline_does(pipeline):
    captions = ["a dog barks", ""]
    batch = pipeline.tokenizer(captions, padding="max_length", max_length=512, truncation=True, return_tensors="pt")
    assert (batch.attention_mask.sum(1) == torch.tensor([13, 2])).all()
    with torch.no_grad():
        theirs = pipeline.text_encoder(batch.input_ids, attention_mask=batch.attention_mask).text_embeds
        theirs = torch.nn.functional.normalize(theirs, dim=-1)
        assert torch.allclose(pipeline.encode_prompt(captions), theirs, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*deprecated.*:FutureWarning")
def test_without_video_it_is_diffusers_own_audioldm_pipeline(pipeline):
    """The deprecated class serves as an oracle here; nothing but this test uses it."""
    from diffusers import AudioLDMPipeline

    theirs = AudioLDMPipeline(
        **{
            name: getattr(pipeline, name)
            for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler", "vocoder")
        }
    )
    theirs.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = theirs("a dog", latents=noise, audio_length_in_s=0.64, num_inference_steps=3, guidance_scale=2.5).audios
    found = pipeline(
        "a dog", generator=torch.Generator().manual_seed(1), audio_length_in_s=0.64, num_inference_steps=3
    ).audios
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_sounds_and_captions_meet_in_claps_own_space(pipeline):
    sounds = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    encoder = pipeline.joint_encoder
    with torch.no_grad():
        rows = encoder.encode_audio(sounds)
        assert rows.shape == (2, 12)
        assert torch.allclose(rows.norm(dim=-1), torch.ones(2), atol=1e-5)
        near = encoder.similarity(["a", "b"], sounds)
    assert near.shape == (2,)
    assert near.abs().max() <= 1 + 1e-6
    # From 10 s on only the first 10 s count, and the same ones each time.
    long = torch.randn(1, 16_000 * 11, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.no_grad():
        assert torch.equal(encoder.encode_audio(long), encoder.encode_audio(long[:, : 16_000 * 10 + 800]))


def test_without_a_whole_clap_comparing_is_refused(published):
    pipeline = T2AVPipeline.from_audioldm(published[0], config=VIDEO_CONFIG)
    with pytest.raises(PrerequisiteError, match="only CLAP's text half; .*clap='laion/clap-htsat-unfused'"):
        generated(pipeline, num_candidates=2)


@pytest.mark.slow
def test_the_new_parts_follow_from_the_seed(published):
    torch.manual_seed(5)
    states = [
        T2AVPipeline.from_audioldm(published[0], config=VIDEO_CONFIG, seed=seed).temporal.state_dict()
        for seed in (3, 3, 4)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["project.weight"], states[2]["project.weight"])


def edit(folder, file, change):
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file, metadata={"format": "pt"})


def test_old_names_of_the_vaes_attention_are_read(copied, pipeline):
    new_of = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

    def rename(tensors):
        for old, new in new_of.items():
            for name in [name for name in tensors if f".{new}." in name]:
                tensors[name.replace(f".{new}.", f".{old}.")] = tensors.pop(name)

    edit(copied, "vae/diffusion_pytorch_model.safetensors", rename)
    read = T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)
    state = pipeline.vae.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in read.vae.state_dict().items())


def test_constants_that_old_files_hold_are_no_fault(copied):
    key = "text_model.embeddings.position_ids"
    edit(copied, "text_encoder/model.safetensors", lambda t: t.update({key: torch.arange(514)[None]}))
    assert T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG).text_encoder is not None


def test_a_pickle_is_read_where_there_is_no_other_file(copied, pipeline):
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    read = T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)
    assert torch.equal(read.unet.conv_in.weight, pipeline.unet.conv_in.weight)


class Trap:
    """An object whose unpickling would run code."""

    def __reduce__(self):
        return (print, ("code ran",))


def test_a_pickle_with_code_is_refused(copied, capsys):
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    path.unlink()
    torch.save({"conv_in.weight": Trap()}, path.with_suffix(".bin"))
    with pytest.raises(PrerequisiteError, match="hold objects whose loading would run code"):
        T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "name", "message"),
    [
        ("unet/diffusion_pytorch_model", "conv_in.weight", "UNet2DConditionModel: missing conv_in.weight"),
        ("vae/diffusion_pytorch_model", "quant_conv.bias", "AutoencoderKL: missing quant_conv.bias"),
        ("vocoder/model", "conv_post.bias", "SpeechT5HifiGan: missing conv_post.bias"),
        ("text_encoder/model", "text_projection.linear1.bias", "WithProjection: missing text_projection.linear1.bias"),
    ],
)
def test_missing_tensors_are_named(copied, part, name, message):
    edit(copied, f"{part}.safetensors", lambda tensors: tensors.pop(name))
    with pytest.raises(PrerequisiteError, match=message):
        T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)


@pytest.mark.parametrize("part", ["unet", "tokenizer"])
def test_missing_parts_are_named(copied, part):
    import shutil

    shutil.rmtree(copied / part)
    with pytest.raises(PrerequisiteError, match=f"holds no {part}/, which AudioLDM's published layout has"):
        T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)


def test_checkpoints_of_another_kind_are_named(copied):
    (copied / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(PrerequisiteError, match="'StableDiffusionPipeline', not an AudioLDMPipeline"):
        T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)
    (copied / "model_index.json").write_text(json.dumps({"_class_name": "T2AVPipeline"}))
    with pytest.raises(PrerequisiteError, match="read it with T2AVPipeline.from_pretrained"):
        T2AVPipeline.from_audioldm(copied, config=VIDEO_CONFIG)


def test_all_operators_start_as_audioldm(pipeline):
    before, options = pipeline.components, {"output_type": "latent", "guidance_scale": 2.0}
    base = generated(pipeline, **options)
    for operator in OPERATORS:
        config = replace(VIDEO_CONFIG, control=replace(VIDEO_CONFIG.control, operator=operator))
        changed = T2AVPipeline(**(before | video_parts(config, pipeline.unet, 16)))
        changed.set_progress_bar_config(disable=True)
        assert torch.equal(base, generated(changed, frames=FRAMES, **options)), operator
        open_gates(changed)
        assert not torch.allclose(base, generated(changed, frames=FRAMES, **options)), operator
