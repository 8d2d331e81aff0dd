"""The pipeline: seeds, lengths, batches, saving, and what it refuses."""

from __future__ import annotations

import json
import shutil
import threading
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file, save_file
from t2av_support import open_gates, tiny_config

from t2av_bench.errors import MediaError, PrerequisiteError, UsageError
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.t2av import T2AVPipeline, build_mini
from t2av_bench.models.t2av import pipeline as pipeline_module
from t2av_bench.models.t2av.loading import find_checkpoint, load_pipeline
from t2av_bench.models.t2av.sampling import clip_generator


@pytest.fixture
def pipeline(make_tiny) -> T2AVPipeline:
    made = make_tiny()
    open_gates(made)
    return made


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 25, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def generators(*clip_ids: str) -> list[torch.Generator]:
    return [clip_generator(0, clip_id) for clip_id in clip_ids]


def test_a_clips_noise_follows_from_seed_and_id_alone(pipeline, frames):
    together = pipeline(["a", "b"], frames=frames, generator=generators("x", "y")).audios
    assert together.shape == (2, 16_000)
    assert together.dtype == np.float32
    alone = pipeline(["b"], frames=frames[1:], generator=generators("y")).audios
    # Kernels round differently for other batch sizes, and Griffin-Lim amplifies that.
    np.testing.assert_allclose(together[1], alone[0], atol=1e-2 * np.abs(alone).max())
    other = pipeline(["b"], frames=frames[1:], generator=generators("z")).audios
    assert np.abs(other - alone).max() > 0.1 * np.abs(alone).max()
    drawn = {float(torch.randn(1, generator=clip_generator(s, c))) for s in range(3) for c in ("a", "b", "1a")}
    assert len(drawn) == 9


def test_the_same_call_gives_the_same_bits(pipeline, frames):
    first, second = (pipeline(["a", "b"], frames=frames, generator=generators("x", "y")).audios for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("length_s", [0.2, 0.333, 1.0, 1.237])
def test_sounds_have_the_length_asked_for_and_latents_cover_it(pipeline, length_s):
    sound = pipeline("a", audio_length_in_s=length_s, generator=generators("x")).audios
    assert sound.shape == (1, round(length_s * 16_000))
    assert np.isfinite(sound).all()
    steps_n = pipeline.latent_steps_n(length_s)
    assert 0 <= steps_n * 0.04 - length_s < 0.04 + 1e-9
    assert pipeline.video_frames_n(length_s) == steps_n


def test_four_seconds_are_the_grid_of_the_mini_world(make_tiny):
    pipeline = build_mini()
    assert (pipeline.latent_steps_n(4.0), pipeline.mel_rows_n, pipeline.video_frames_n(4.0)) == (100, 16, 100)
    weights = sum(p.numel() for part in pipeline.components.values() if isinstance(part, torch.nn.Module)
                  for p in part.parameters())  # fmt: skip
    assert 2 * weights < 10e6


def test_frames_of_another_rate_are_spread_over_the_clip(pipeline, frames):
    # Each picture five times is the same video, apart from what the network makes of motion.
    slow = frames[:1, ::5]
    sound = pipeline("a", frames=slow, audio_length_in_s=1.0, generator=generators("x")).audios
    assert sound.shape == (1, 16_000)


def test_frames_may_be_bytes_and_numpy(pipeline, frames):
    pixels = (frames * 255).round().to(torch.uint8)
    options = {"output_type": "latent"}
    expected = pipeline(["a", "b"], frames=pixels.float() / 255, generator=generators("x", "y"), **options).audios
    for given in (pixels, pixels.movedim(2, -1).numpy()):
        assert torch.equal(
            pipeline(["a", "b"], frames=given, generator=generators("x", "y"), **options).audios, expected
        )


def test_guidance_leads_away_from_the_null_condition(pipeline, frames):
    def latents(**options):
        return pipeline("a", frames=frames[:1], generator=generators("x"), output_type="latent", **options).audios

    plain = latents(guidance_scale=1)
    assert torch.equal(plain, latents(guidance_scale=1, negative_prompt="b")), "no guidance, no null condition"
    assert not torch.allclose(plain, latents(guidance_scale=3), atol=1e-3)
    assert not torch.allclose(latents(guidance_scale=3), latents(guidance_scale=3, negative_prompt="b"), atol=1e-4)
    assert torch.equal(latents(guidance_scale=3), latents(guidance_scale=3, negative_prompt=""))


def test_of_the_candidates_the_nearest_to_the_caption_is_kept(pipeline, monkeypatch):
    options = {"audio_length_in_s": 0.5, "num_inference_steps": 1}
    best = pipeline(["a", "b"], num_candidates=3, generator=generators("x", "y"), **options).audios
    assert best.shape == (2, 8_000)
    noise = torch.cat([torch.randn(3, 4, 13, 16, generator=each) for each in generators("x", "y")])
    monkeypatch.setattr("t2av_bench.models.t2av.pipeline.draw_noise", lambda *_: noise)
    tried = torch.from_numpy(pipeline(["a"] * 3 + ["b"] * 3, **options).audios)
    near = pipeline.clap.similarity(["a"] * 3 + ["b"] * 3, tried).unflatten(0, (2, 3))
    assert near.std(1).min() > 1e-6, "the candidates differ"
    for number, wanted in enumerate(near.argmax(1)):
        expected = tried[3 * number + int(wanted)].numpy()
        np.testing.assert_allclose(best[number], expected, atol=1e-2 * np.abs(expected).max())


def test_the_callback_sees_every_step_and_may_change_the_latents(pipeline):
    seen = []

    def look(_, number, timestep, tensors):
        seen.append((number, timestep, tuple(tensors["latents"].shape)))
        return {"latents": torch.zeros_like(tensors["latents"])} if number == 3 else None

    options = {
        "num_inference_steps": 4,
        "audio_length_in_s": 1.0,
        "output_type": "latent",
        "callback_on_step_end": look,
    }
    out = pipeline("a", **options).audios
    assert [number for number, *_ in seen] == [0, 1, 2, 3]
    assert sorted((t for _, t, _ in seen), reverse=True) == [t for _, t, _ in seen]
    assert {shape for *_, shape in seen} == {(1, 4, 25, 16)}
    assert out.abs().max() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": []}, "a prompt must be a text or a list of texts"),
        ({"prompt": 3}, "a prompt must be a text or a list of texts"),
        ({"prompt": "a", "audio_length_in_s": 0.1}, "0.2 to 120 s long, got 0.1 s"),
        ({"prompt": "a", "audio_length_in_s": float("nan")}, "0.2 to 120 s long, got nan s"),
        ({"prompt": "a", "audio_length_in_s": 1e9}, "0.2 to 120 s long"),
        ({"prompt": "a", "video": ["x.mp4", "y.mp4"]}, "a video, or None, for each of the 1 prompts; got 2"),
        ({"prompt": "a", "video": "x.mp4", "frames": torch.rand(1, 2, 3, 4, 4)}, "a video or frames, not both"),
        ({"prompt": "a", "frames": torch.rand(2, 5, 3, 4, 4)}, "frames for each of the 1 prompts, got 2 clips"),
        ({"prompt": "a", "frames": torch.rand(5, 4, 4)}, "frames must have the shape"),
        ({"prompt": "a", "frames": 2 * torch.ones(1, 9, 3, 4, 4)}, "bytes, or floats in .0, 1."),
        ({"prompt": "a", "num_inference_steps": 0}, "steps must be from 1 to 1000, got 0"),
        ({"prompt": "a", "num_candidates": 0}, "candidates must be at least 1, got 0"),
        ({"prompt": "a", "num_candidates": 2, "output_type": "mel"}, "must be np or pt, got mel"),
        ({"prompt": "a", "output_type": "latents"}, "no output type named 'latents'. Did you mean 'latent'"),
        ({"prompt": ["a", "b"], "negative_prompt": ["a", "b", "c"]}, "one per prompt .2.; got 3"),
        ({"prompt": ["a", "b"], "generator": [torch.Generator()]}, "one generator, or one per prompt .2.; got 1"),
    ],
)
def test_wrong_calls_say_what_is_wrong(pipeline, options, message):
    with pytest.raises(UsageError, match=message):
        pipeline(**options)


def test_a_pipeline_without_parts_for_video_says_so(pipeline, frames):
    pipeline.register_modules(frame_encoder=None)
    with pytest.raises(UsageError, match="has no frame encoder, so that it can use no video"):
        pipeline("a", frames=frames[:1])


def test_without_fusion_or_control_the_other_still_works(make_tiny, frames):
    for part in ("fusion", "control"):
        pipeline = make_tiny()
        open_gates(pipeline)
        base = pipeline("a", audio_length_in_s=1.0, generator=generators("x"), output_type="latent").audios
        pipeline.register_modules(**{part: None})
        shown = pipeline("a", frames=frames[:1], generator=generators("x"), output_type="latent").audios
        assert not torch.allclose(base, shown, atol=1e-5), part


def test_missing_videos_are_media_errors(pipeline, tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        pipeline("a", video=tmp_path / "absent.mp4")


# Saving ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_pipeline_gives_the_same_bits(pipeline, saved, frames):
    again = T2AVPipeline.from_pretrained(saved)
    before, after = (p(["a", "b"], frames=frames, generator=generators("x", "y")).audios for p in (pipeline, again))
    assert np.array_equal(before, after)
    assert dict(again.config)["mel_std"] == pipeline.config.mel_std


def test_half_precision_files_are_found_and_give_nearly_the_same(pipeline, frames, tmp_path):
    pipeline.save_pretrained(tmp_path / "full")
    pipeline.to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    full, half = (T2AVPipeline.from_pretrained(tmp_path / name) for name in ("full", "half"))
    assert half.unet.dtype == torch.float32
    sizes = [sum(f.stat().st_size for f in (tmp_path / name).rglob("*.safetensors")) for name in ("full", "half")]
    assert sizes[1] < 0.8 * sizes[0]
    a, b = (p(["a"], frames=frames[:1], generator=generators("x"), output_type="latent").audios for p in (full, half))
    assert 0 < (a - b).abs().max() < 0.02 * a.abs().max()


def change(folder, part, edit):
    path = folder / part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def drop_one(tensors):
    del tensors["conv_in.weight"]


def add_one(tensors):
    tensors["of.another.network"] = torch.zeros(2)


def reshape_one(tensors):
    tensors["conv_in.bias"] = torch.zeros(9)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop_one, "unet does not have the layout of UNet2DConditionModel: missing conv_in.weight"),
        (add_one, "unet does not have the layout of UNet2DConditionModel: unknown of.another.network"),
        (reshape_one, r"layout of UNet2DConditionModel: conv_in.bias is \(9,\), not \(8,\)"),
    ],
)
def test_foreign_tensors_are_named(saved, edit, message):
    change(saved, "unet", edit)
    with pytest.raises(PrerequisiteError, match=message):
        T2AVPipeline.from_pretrained(saved)


def truncate(folder):
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def remove(name):
    def act(folder):
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()

    return act


def index(**values):
    def act(folder):
        path = folder / "model_index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return act


def rename_to_pickle(folder):
    path = folder / "fusion" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()


def wrong_config(folder):
    path = folder / "temporal" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"heads_n": 7}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "cannot be read as safetensors; it may be truncated"),
        (remove("model_index.json"), "holds no model_index.json, so it is no checkpoint"),
        (remove("unet"), "unet/config.json is missing"),
        (remove("control/diffusion_pytorch_model.safetensors"), "control holds no weights that can be read"),
        (rename_to_pickle, "fusion holds no weights that can be read"),
        (wrong_config, "no configuration of TemporalTransformer: The width must be a multiple"),
        (index(_class_name="AudioLDMPipeline"), "'AudioLDMPipeline', not a T2AVPipeline; .*from_audioldm"),
        (index(vae=[None, None]), "names no vae, which every pipeline needs"),
        (index(unet=["subprocess", "Popen"]), r"the part 'unet' must not be of the class \['subprocess', 'Popen'\]"),
        (index(extra=["diffusers", "AutoencoderKL"]), "the part 'extra' must not be of the class"),
    ],
)
def test_spoiled_checkpoints_are_refused_with_the_reason(saved, spoil, message):
    spoil(saved)
    with pytest.raises(PrerequisiteError, match=message):
        T2AVPipeline.from_pretrained(saved)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PrerequisiteError, match="there is no checkpoint folder"):
        T2AVPipeline.from_pretrained(tmp_path / "absent")


def test_a_hub_id_is_not_fetched_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("T2AV_BENCH_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="nobody/nothing is no folder and could not be fetched from the Hub"):
        T2AVPipeline.from_pretrained("nobody/nothing")


def test_the_tiny_pipeline_is_really_different_for_each_operator():
    torch.manual_seed(0)
    names = {type(build_mini(tiny_config(name)).control.merge).__name__ for name in ("addition", "lstm")}
    assert names == {"Addition", "LSTM"}


def test_a_pipeline_in_training_samples_as_its_checkpoint_and_goes_on_training(pipeline, saved, frames):
    pipeline.control.train()
    pipeline.unet.requires_grad_(False)
    again = T2AVPipeline.from_pretrained(saved)
    before, after = (p(["a"], frames=frames[:1], generator=generators("x")).audios for p in (pipeline, again))
    assert np.array_equal(before, after)
    assert pipeline.control.training
    assert all(each.requires_grad for each in pipeline.control.parameters())
    assert not any(each.requires_grad for each in pipeline.unet.parameters())


def test_a_network_built_while_another_thread_reads_a_pipeline_keeps_its_weights(monkeypatch: pytest.MonkeyPatch):
    """While diffusers reads a model, every parameter that any thread makes loses its content."""
    entered, go_on = threading.Event(), threading.Event()
    read = pipeline_module.read_checked

    def slowly(*args: Any, **options: Any) -> Any:
        with init_empty_weights():
            entered.set()
            go_on.wait(60)
        return read(*args, **options)

    monkeypatch.setattr(pipeline_module, "read_checked", slowly)
    extractor = get_extractor("vggish", weights="random", device="cpu")
    reading = threading.Thread(target=load_pipeline, args=(find_checkpoint("mini"), "cpu"))
    building = threading.Thread(target=extractor.warm_up)
    reading.start()
    assert entered.wait(60)
    building.start()
    building.join(2.0)
    go_on.set()
    for thread in (reading, building):
        thread.join(60)
    assert not any(parameter.is_meta for parameter in extractor.network.parameters())
