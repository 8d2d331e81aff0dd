"""Training from checkpoints in AudioLDM's and CLAP's published layouts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from audioldm_support import VIDEO_CONFIG, write_audioldm, write_clap
from training_support import tiny_recipe

from t2av_bench.home import home
from t2av_bench.manifests.mini import render
from t2av_bench.models.t2av.pipeline import T2AVPipeline
from t2av_bench.models.training.config import DataConfig, StageConfig, TrainingConfig
from t2av_bench.models.training.training import train


@pytest.fixture
def recipe(tmp_path: Path) -> TrainingConfig:
    render("train", 4, 0, tmp_path / "clips", num_workers=0)
    recipe = tiny_recipe()
    return dataclasses.replace(
        recipe,
        base_model=str(write_audioldm(tmp_path / "audioldm")),
        clap_model=str(write_clap(tmp_path / "clap")),
        model=dataclasses.replace(VIDEO_CONFIG, duration_s=1.0),
        data=DataConfig(manifest=str(tmp_path / "clips" / "manifest.csv"), validation_clips_n=1),
        stages=dataclasses.replace(
            recipe.stages, control=StageConfig(steps=2, batch_size=2, gradient_checkpointing=True)
        ),
    )


def test_the_published_layout_trains_generates_saves_and_loads(tmp_path: Path, recipe: TrainingConfig):
    path = train(recipe, tmp_path / "run")
    assert path is not None
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"frames", "fusion", "control", "tune", "final"}
    pipeline = T2AVPipeline.from_pretrained(path)
    frames = torch.rand(1, 25, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    options = {"frames": frames, "audio_length_in_s": 1.0, "num_inference_steps": 2}
    sound = pipeline("a dog barks", generator=torch.Generator().manual_seed(1), **options).audios
    assert sound.shape == (1, 16_000)
    assert np.isfinite(sound).all()
    assert sound.any()
    base = T2AVPipeline.from_audioldm(recipe.base_model, clap=recipe.clap_model, config=recipe.model)
    untrained = base("a dog barks", generator=torch.Generator().manual_seed(1), **options).audios
    assert not np.array_equal(sound, untrained)
    # The decoded pictures of the training clips are gone, those of the validation clip may stay.
    kept = list((home() / "training" / "clips").rglob("frames.npy"))
    assert len(kept) == 1


def test_the_base_model_stays_as_published_until_it_is_tuned(tmp_path: Path, recipe: TrainingConfig):
    untuned = dataclasses.replace(recipe, stages=dataclasses.replace(recipe.stages, tune=StageConfig()))
    path = train(untuned, tmp_path / "run")
    assert path is not None
    trained = T2AVPipeline.from_pretrained(path)
    base = T2AVPipeline.from_audioldm(recipe.base_model, clap=recipe.clap_model, config=recipe.model)
    for name in ("unet", "vae", "text_encoder", "vocoder"):
        after, before = getattr(trained, name).state_dict(), getattr(base, name).state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before)
    assert any(
        not torch.equal(after, before)
        for after, before in zip(trained.control.parameters(), base.control.parameters(), strict=True)
    )
