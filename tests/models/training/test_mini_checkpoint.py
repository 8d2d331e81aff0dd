"""The checkpoint that is shipped: small, documented, and it places sounds where the video has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from t2av_bench.manifests.mini.world import Scene
from t2av_bench.models.t2av.loading import find_checkpoint, load_pipeline
from t2av_bench.models.training.config import load_config
from t2av_bench.models.training.validation import event_scores


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_checkpoint("mini")


def sounds_of(folder: Path, clips_n: int, with_video: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Event times and generated sounds of the first clips of the validation split."""
    scenes = [Scene("val", 0, index) for index in range(clips_n)]
    pipeline = load_pipeline(folder, "cpu")
    made = pipeline(
        [scene.caption for scene in scenes],
        frames=np.stack([scene.frames() for scene in scenes]) if with_video else None,
        audio_length_in_s=4.0,
        generator=[torch.Generator().manual_seed(index) for index in range(clips_n)],
    ).audios
    return [np.array([event.time_s for event in scene.events()]) for scene in scenes], list(made)


def test_it_is_small_and_carries_its_recipe_and_scores(folder: Path):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 10_000_000
    assert {path.suffix for path in files} == {".json", ".safetensors", ".yaml"}
    assert load_config(folder / "recipe.yaml") == load_config("mini")
    scores = json.loads((folder / "scores.json").read_text())
    events = scores["event_f1"]
    assert events["full"]["event_f1"] >= 3 * events["caption-only"]["event_f1"]
    assert events["swapped-video"]["event_f1"] < 0.5 * events["full"]["event_f1"]


def test_it_hears_the_video_and_not_only_the_caption(folder: Path):
    events, with_video = sounds_of(folder, 6, True)
    _, without = sounds_of(folder, 6, False)
    assert all(sound.shape == (64_000,) and np.isfinite(sound).all() and sound.any() for sound in with_video)
    assert event_scores(events, with_video)["event_f1"] > 0.6
    assert event_scores(events, without)["event_f1"] < 0.4


@pytest.mark.slow
def test_its_events_are_those_of_the_video_on_more_clips(folder: Path):
    events, with_video = sounds_of(folder, 32, True)
    assert event_scores(events, with_video)["event_f1"] > 0.8
