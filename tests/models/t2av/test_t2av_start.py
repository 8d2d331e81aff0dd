"""At the start T2AV is its base model, and each stage moves what it is meant to."""

from __future__ import annotations

import pytest
import torch
from t2av_support import open_gates, tiny_config

from t2av_bench.errors import UsageError
from t2av_bench.models.t2av.config import OPERATORS
from t2av_bench.models.t2av.denoising import predict
from t2av_bench.models.t2av.fusion import alignment_loss
from t2av_bench.models.t2av.sampling import at_rest, denoise
from t2av_bench.models.t2av.stages import STAGES, parts_of, trainable_parameters


def generated(pipeline, frames=None, **options):
    generator = torch.Generator().manual_seed(3)
    return pipeline(
        ["a drum", "a bell"], frames=frames, audio_length_in_s=1.0, generator=generator, output_type="latent", **options
    ).audios


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 25, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("operator", OPERATORS)
def test_with_closed_gates_a_video_changes_no_bit(make_tiny, frames, operator):
    pipeline = make_tiny(config=tiny_config(operator))
    assert torch.equal(generated(pipeline, frames), generated(pipeline))


@pytest.mark.parametrize("operator", OPERATORS)
def test_with_open_gates_a_video_changes_the_sound(make_tiny, frames, operator):
    pipeline = make_tiny(config=tiny_config(operator))
    open_gates(pipeline)
    shown = generated(pipeline, frames)
    assert not torch.allclose(shown, generated(pipeline), atol=1e-3)
    assert not torch.allclose(shown, generated(pipeline, frames.flip(1)), atol=1e-3), "time matters"
    assert not torch.allclose(shown[0], generated(pipeline, frames.flip(0))[0], atol=1e-3), "each clip has its own"


def test_without_a_video_open_gates_change_nothing(make_tiny):
    pipeline = make_tiny()
    before = generated(pipeline)
    open_gates(pipeline)
    assert torch.equal(generated(pipeline), before)


def test_a_clip_without_video_is_its_base_model_beside_one_that_has_a_video(make_tiny, frames):
    pipeline = make_tiny()
    open_gates(pipeline)
    text = pipeline.encode_prompt(["a drum", "a bell"])
    conditions = pipeline._conditions(["a drum", "a bell"], None, [frames[0], None], 1.0)
    assert torch.equal(conditions.given[1], text[1])
    assert not torch.equal(conditions.given[0], text[0])
    assert conditions.hint is not None
    assert conditions.has_video.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
def test_a_video_in_the_batch_changes_no_other_clip(make_tiny, frames, guidance_scale):
    pipeline = make_tiny()
    open_gates(pipeline)

    def latents(pictures):
        conditions = pipeline._conditions(["a drum", "a bell"], ["", ""], pictures, 1.0)
        noise = torch.randn(2, 4, 25, 16, generator=torch.Generator().manual_seed(0))
        return denoise(pipeline, noise, conditions, steps_n=2, guidance_scale=guidance_scale)

    with at_rest(pipeline.components.values()), torch.no_grad():
        mixed, alone = latents([frames[0], None]), latents([None, None])
    torch.testing.assert_close(mixed[1], alone[1])
    assert not torch.allclose(mixed[0], alone[0], atol=1e-3)


def test_the_copy_of_the_encoder_starts_as_the_unets_own(make_tiny):
    pipeline = make_tiny()
    state = pipeline.unet.state_dict()
    copied = pipeline.control.encoder.state_dict()
    assert len(copied) > 20
    assert all(torch.equal(copied[key], state[key]) for key in copied)
    assert {key for key in state if key not in copied} == {
        key for key in state if key.startswith(("up_blocks", "conv_norm_out", "conv_out"))
    }


def diffusion_loss(pipeline, frames):
    noise = torch.randn(2, 4, 25, 16, generator=torch.Generator().manual_seed(1))
    video = pipeline.encode_video(frames)
    condition = pipeline.fusion(pipeline.encode_prompt(["a drum", "a bell"]), video)
    hint = pipeline.control.make_hint(video, condition, 25)
    out = predict(pipeline.unet, pipeline.control, noise, torch.tensor([10, 500]), condition, hint)
    return (out - noise).square().mean()


def stage_loss(pipeline, frames, stage):
    if stage == "align":
        video = pipeline.encode_video(frames)
        aligned = pipeline.fusion(pipeline.encode_prompt(["a drum", "a bell"]), video)
        audio = pipeline.clap.embed_mel(torch.randn(2, 100, 64, generator=torch.Generator().manual_seed(2)))
        return alignment_loss(aligned, audio, pipeline.fusion.log_temperature)
    loss = diffusion_loss(pipeline, frames)
    if stage == "base":
        mel = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(2))
        loss = loss + pipeline.decode_latents(pipeline.encode_mel(mel)).square().mean()
        text, audio = pipeline.encode_prompt(["a drum", "a bell"]), pipeline.clap.embed_mel(mel)
        loss = loss + alignment_loss(text, audio, pipeline.clap.log_temperature)
    return loss


@pytest.mark.parametrize("stage", STAGES)
def test_gradients_reach_exactly_the_parts_of_the_stage(make_tiny, frames, stage):
    pipeline = make_tiny()
    open_gates(pipeline)
    trained = trainable_parameters(pipeline, stage)
    stage_loss(pipeline, frames, stage).backward()
    reached = {
        f"{part}.{name}"
        for part, module in pipeline.components.items()
        if isinstance(module, torch.nn.Module)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and bool((parameter.grad != 0).any())
    }
    assert {key.split(".")[0] for key in trained} == set(STAGES[stage])
    assert reached <= set(trained)
    # A bias before a group normalisation, or of attention keys, has no effect and so no gradient.
    silent = {key for key in set(trained) - reached if not key.endswith("bias")}
    assert silent == set()


def test_from_closed_gates_the_outputs_learn_first_and_the_hint_from_the_second_step(make_tiny, frames):
    pipeline = make_tiny()
    trained = trainable_parameters(pipeline, "control")
    optimiser = torch.optim.SGD(trained.values(), lr=0.1)
    diffusion_loss(pipeline, frames).backward()
    moved = {key for key, each in trained.items() if each.grad is not None and bool((each.grad != 0).any())}
    assert {key.split(".")[1] for key in moved} == {"skip_outputs", "middle_output"}
    optimiser.step()
    diffusion_loss(pipeline, frames).backward()
    assert all(bool((trained[f"control.{key}"].grad != 0).any()) for key in ("hint.row_gain", "merge.video.weight"))


def test_clip_frames_are_never_trained(make_tiny):
    from t2av_bench.models.t2av.frames import ClipFrameEncoder

    pipeline = make_tiny()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "image_size": 16, "patch_size": 8, "projection_dim": 16}  # fmt: skip
    pipeline.register_modules(frame_encoder=ClipFrameEncoder(sizes))
    assert parts_of(pipeline, "align") == ("temporal", "fusion")


def test_unknown_stages_and_parts_are_named(make_tiny):
    pipeline = make_tiny()
    with pytest.raises(UsageError, match="There is no stage named 'controll'. Did you mean 'control'"):
        parts_of(pipeline, "controll")
    with pytest.raises(UsageError, match="The stage 'base' does not train 'control'. .*vae, clap, unet"):
        trainable_parameters(pipeline, "base", ("control",))
