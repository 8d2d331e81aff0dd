"""Each stage trains what it is meant to train, and its loss falls."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from t2av_support import tiny_config
from torch import nn

from t2av_bench.models.t2av.building import build_mini
from t2av_bench.models.t2av.config import OPERATORS
from t2av_bench.models.training.config import StageConfig
from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages import (
    ClapStage,
    ControlStage,
    FramesStage,
    FusionStage,
    Stage,
    TuneStage,
    UNetStage,
    VAEStage,
)
from t2av_bench.models.training.stages.frames import hearing_targets

CLIPS_N, FRAMES_N = 4, 20
CAPTIONS = ("a dog barks", "a bell rings", "a dog barks", "rain falls")


@cache
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(2, CLIPS_N, 12))
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    shard = {
        "frames": rng.integers(0, 255, (CLIPS_N, FRAMES_N, 16, 16, 3), dtype=np.uint8),
        "log_mel": rng.normal(-6, 1.5, (CLIPS_N, 4 * FRAMES_N, 64)).astype(np.float16),
        "latent": rng.normal(size=(CLIPS_N, 4, FRAMES_N, 16)).astype(np.float16),
        "text": unit[0].astype(np.float16),
        "audio": unit[1].astype(np.float16),
        "video": rng.normal(size=(CLIPS_N, FRAMES_N, 16)).astype(np.float16),
        "vectors": rng.normal(size=(CLIPS_N, FRAMES_N, 16)).astype(np.float16),
    }
    return Arrays(
        [{name: array[:3] for name, array in shard.items()}, {name: array[3:] for name, array in shard.items()}]
    )


class Only(Arrays):
    """Some of the arrays, under their names."""

    def __init__(self, *names: str) -> None:
        super().__init__([{name: shard[name] for name in names} for shard in arrays()._shards])


def make_stage(name: str, operator: str = "temporal_self_attention", hint_dropout: float = 0.0) -> tuple[Stage, Any]:
    torch.manual_seed(0)
    pipe = build_mini(tiny_config(operator))
    settings = StageConfig(condition_dropout=0.0, hint_dropout=hint_dropout)
    parts: dict[str, nn.Module] = {key: getattr(pipe, key) for key in ("unet", "control", "fusion", "temporal")}
    rest = (pipe.scheduler, arrays(), 1.0, arrays(), torch.zeros(12), settings)
    stages: dict[str, Any] = {
        "vae": lambda: VAEStage(pipe.vae, arrays(), -6.0, 1.5),
        "clap": lambda: ClapStage(pipe.clap, arrays(), CAPTIONS),
        "unet": lambda: UNetStage({"unet": pipe.unet}, *rest),
        "frames": lambda: FramesStage(pipe.frame_encoder, pipe.temporal, arrays(), arrays(), arrays(), 12),
        "frames of vectors": lambda: FramesStage(None, pipe.temporal, arrays(), arrays(), arrays(), 12),
        "fusion": lambda: FusionStage(pipe.fusion, pipe.temporal, Only("video"), arrays(), 4.0),
        "fusion of vectors": lambda: FusionStage(pipe.fusion, pipe.temporal, Only("vectors"), arrays(), 4.0),
        "control": lambda: ControlStage(parts, *rest, video=Only("video")),
        "tune": lambda: TuneStage(parts, *rest, video=Only("video")),
    }
    return stages[name](), pipe


def a_batch(stage: Stage) -> dict[str, torch.Tensor]:
    return stage.batch(np.arange(CLIPS_N), np.random.default_rng(0))


TRAINED = {
    "vae": {"vae"},
    "clap": {"clap"},
    "unet": {"unet"},
    "frames": {"frame_encoder", "temporal", "hearing"},
    "frames of vectors": {"temporal", "hearing"},
    "fusion": {"fusion"},
    "fusion of vectors": {"fusion"},
    "control": {"control"},
    "tune": {"unet", "control"},
}


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_reach_exactly_the_parts_that_a_stage_trains(name: str):
    stage, pipe = make_stage(name)
    if name.startswith("fusion"):
        nn.init.constant_(pipe.fusion.gate, 0.1)  # a closed gate lets no gradient into what is behind it
    if name in ("control", "tune"):
        for convolution in (*pipe.control.skip_outputs, pipe.control.middle_output):
            nn.init.constant_(convolution.weight, 0.01)
    stage(a_batch(stage)).backward()
    reached = {
        part for part in stage.parts for p in stage.part(part).parameters() if p.grad is not None and p.grad.any()
    }
    assert reached == TRAINED[name] == set(stage.trained)
    untouched = [key for key, p in stage.trained_parameters().items() if p.grad is None]
    # Of the ControlNet's U-Net copy only the encoder exists, and a padding word never learns; all else does.
    assert untouched == []


def test_frames_are_mirrored_in_half_the_clips_and_nothing_else_changes():
    stage, _ = make_stage("frames")
    everyone = np.arange(CLIPS_N).repeat(50)
    batch = stage.batch(everyone, np.random.default_rng(3))
    plain = arrays().take("frames", everyone)
    same, flipped = ((batch["frames"] == other).flatten(1).all(1) for other in (plain, plain.flip(3)))
    assert torch.equal(same, ~flipped)
    assert 0.35 < flipped.float().mean() < 0.65
    again = stage.batch(everyone, np.random.default_rng(3))
    assert all(torch.equal(batch[key], again[key]) for key in batch)


def test_the_caption_changes_what_is_expected_to_be_heard():
    stage, _ = make_stage("frames of vectors")
    batch = a_batch(stage)
    loss = stage(batch)
    batch["text"] = batch["text"].roll(1, 0)
    assert abs((stage(batch) - loss).item()) > 1e-6


CASES = [(name, "temporal_self_attention") for name in TRAINED if name != "control"]
CASES += [("control", operator) for operator in OPERATORS]


@pytest.mark.parametrize(("name", "operator"), CASES)
def test_the_loss_of_one_batch_falls(name: str, operator: str):
    stage, _ = make_stage(name, operator)
    batch = a_batch(stage)
    optimizer = torch.optim.AdamW(stage.trained_parameters().values(), lr=1e-2)
    losses = []
    for _ in range(40):
        torch.manual_seed(1)  # the same noise and times each time: one batch to learn by heart
        loss = stage(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.93 * losses[0]


def test_the_control_stage_starts_with_the_loss_of_the_base_model():
    stage, _ = make_stage("control")
    batch = a_batch(stage)
    torch.manual_seed(1)
    controlled = stage(batch)
    base, _ = make_stage("unet")
    torch.manual_seed(1)
    torch.rand(CLIPS_N)  # the control stage has drawn the captions to drop by then
    condition = stage.part("fusion")(batch["text"], batch["video"])
    assert torch.equal(controlled, base.diffusion_loss(batch["latent"], condition, None))  # type: ignore[attr-defined]


def test_a_clip_that_loses_its_video_in_tune_is_the_base_models_and_may_lose_its_caption():
    stage, pipe = make_stage("tune", hint_dropout=0.999999)
    for convolution in (*pipe.control.skip_outputs, pipe.control.middle_output):
        nn.init.constant_(convolution.weight, 0.01)
    nn.init.constant_(pipe.fusion.gate, 0.1)
    batch = a_batch(stage)
    torch.manual_seed(1)
    tuned = stage(batch)
    torch.manual_seed(1)
    torch.rand(CLIPS_N)  # the videos to drop
    nameless = torch.rand(CLIPS_N) < 0.5
    assert 0 < nameless.sum() < CLIPS_N
    condition = torch.where(nameless[:, None], 0.0, batch["text"])
    base = stage.diffusion_loss(batch["latent"], condition, None)  # type: ignore[attr-defined]
    torch.testing.assert_close(tuned, base)


def test_dropped_captions_are_replaced_by_the_null_condition():
    stage, pipe = make_stage("unet")
    always = StageConfig(condition_dropout=0.999999)
    null = torch.full((12,), 7.0)
    stage = UNetStage({"unet": pipe.unet}, pipe.scheduler, arrays(), 1.0, arrays(), null, always)
    assert torch.equal(stage.with_dropout(torch.zeros(3, 12)), null.expand(3, 12))


def test_onset_targets_stand_at_the_picture_where_the_sound_starts():
    mel = torch.full((1, 80, 64), -9.0)
    mel[:, 40:] = -1.0
    onsets, bands = hearing_targets(mel, 20)
    assert (onsets.shape, bands.shape) == ((1, 20, 4), (1, 20, 16))
    assert int(onsets.sum(-1).argmax()) == 10
    assert bool((bands[0, 11:] > bands[0, :9].max()).all())


@pytest.mark.parametrize("name", ["unet", "control", "tune"])
def test_gradient_checkpointing_changes_no_gradient(name: str):
    gradients, kept_n = [], []
    for checkpointing in (False, True):
        stage, pipe = make_stage(name)
        for convolution in (*pipe.control.skip_outputs, pipe.control.middle_output):
            nn.init.constant_(convolution.weight, 0.01)
        if checkpointing:
            stage.checkpoint_activations()
        batch, kept = a_batch(stage), 0

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel()
            return tensor

        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = stage(batch)
        kept_n.append(kept)
        loss.backward()
        gradients.append([p.grad for p in stage.trained_parameters().values()])
        assert all(p.grad is None for p in pipe.unet.parameters()) == (name == "control")
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    assert kept_n[1] < 0.6 * kept_n[0]


def test_gradients_pass_through_the_frozen_unets_decoder_without_its_activations():
    stage, pipe = make_stage("control")
    stage.checkpoint_activations()
    assert all(block.gradient_checkpointing for block in pipe.unet.up_blocks)
    assert all(block.gradient_checkpointing for block in pipe.control.encoder.down_blocks)


@pytest.mark.parametrize("name", TRAINED)
def test_every_stage_may_be_asked_to_checkpoint(name: str):
    stage, _ = make_stage(name)
    stage.checkpoint_activations()
    stage(a_batch(stage)).backward()


def test_rows_are_taken_across_shards(tmp_path: Path):
    del tmp_path
    taken = arrays().take("text", np.array([3, 0, 2]))
    together = np.concatenate([shard["text"] for shard in arrays()._shards])
    assert np.array_equal(taken.numpy(), together[[3, 0, 2]])
    assert len(arrays()) == CLIPS_N
