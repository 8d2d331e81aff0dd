"""A whole training, tiny: from clips to a pipeline that generates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from training_support import largest_file, tiny_recipe

from t2av_bench.cli import main
from t2av_bench.errors import TrainingError, UsageError
from t2av_bench.home import home
from t2av_bench.manifests.mini import render
from t2av_bench.metrics.onsets import EventScores, event_f1
from t2av_bench.models.t2av.pipeline import T2AVPipeline
from t2av_bench.models.training.clips import ClipStore, ManifestSource, MiniSource
from t2av_bench.models.training.config import DataConfig, load_config
from t2av_bench.models.training.export import export_half
from t2av_bench.models.training.features import Arrays, derive, open_features
from t2av_bench.models.training.logs import read_log
from t2av_bench.models.training.plan import needs, wanted_stages
from t2av_bench.models.training.training import make_pipeline, train
from t2av_bench.models.training.validation import event_scores, f1_stderr, heard_onsets


def generated(folder: Path | None) -> np.ndarray:
    assert folder is not None
    pipe = T2AVPipeline.from_pretrained(folder)
    frames = np.random.default_rng(0).integers(0, 255, (1, 25, 32, 32, 3), dtype=np.uint8)
    sound: np.ndarray = pipe("a ball bounces", frames=frames, generator=torch.Generator().manual_seed(1)).audios
    return sound


def test_all_stages_run_and_leave_a_pipeline_that_generates(tmp_path: Path):
    path = train(tiny_recipe(), tmp_path / "run")
    sound = generated(path)
    assert sound.shape == (1, 16_000)
    assert np.isfinite(sound).all()
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "vae", "clap", "unet", "frames", "fusion", "control", "tune", "final",
    }  # fmt: skip
    validation = read_log(tmp_path / "run" / "control" / "validation.csv")
    assert 0 <= validation[-1]["event_f1"] <= 1
    with pytest.raises(UsageError, match="holds a training; go on with --resume"):
        train(tiny_recipe(), tmp_path / "run")
    # Everything is done: resuming loads it and gives the same pipeline.
    again = generated(train(tiny_recipe(), tmp_path / "run", resume=True))
    assert np.array_equal(sound, again)


def test_half_precision_takes_half_the_space_and_sounds_nearly_the_same(tmp_path: Path):
    recipe = dataclasses.replace(tiny_recipe(), data=DataConfig(clips_n=2, validation_clips_n=0))
    path = train(recipe, tmp_path / "run")
    assert path is not None
    size = export_half(path, tmp_path / "half")
    weights = [sum(f.stat().st_size for f in place.rglob("*.safetensors")) for place in (path, tmp_path / "half")]
    assert weights[1] < 0.7 * weights[0]
    assert size < 0.9 * sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    assert load_config(tmp_path / "half" / "recipe.yaml") == recipe
    assert not any(str(tmp_path) in path.read_text() for path in (tmp_path / "half").rglob("*.json"))
    full, half = generated(path), generated(tmp_path / "half")
    assert np.corrcoef(full[0], half[0])[0, 1] > 0.9


def test_stages_one_by_one_in_another_order_give_the_same_weights(tmp_path: Path):
    recipe = dataclasses.replace(tiny_recipe(), data=DataConfig(clips_n=4, validation_clips_n=0))
    whole = train(recipe, tmp_path / "whole")
    for stage in ("clap", "frames", "fusion", "vae", "unet", "control", "tune"):
        parts = train(recipe, tmp_path / "parts", stage=stage)
        assert (parts is None) == (stage in ("clap", "frames", "fusion", "vae"))
    assert np.array_equal(generated(whole), generated(parts))


def test_a_stage_without_what_it_builds_on_says_what_to_train(tmp_path: Path):
    with pytest.raises(UsageError, match="'control' needs 'vae' in .*; train it first with --stage vae"):
        train(tiny_recipe(), tmp_path, stage="control")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.unet.channels=[20, 48, 64]", "must be divisible by num_groups"),
        ("model.unet.channels=[24, 48, 80000000]", "allocate"),
        ("model.temporal.heads_n=3", "multiple of the number of heads"),
    ],
)
def test_sizes_that_make_no_network_are_wrong_usage(change: str, message: str):
    with pytest.raises(UsageError, match=f"settings under `model`: .*{message}"):
        make_pipeline(load_config("mini", [change]))


def test_stages_are_named_and_ordered():
    assert wanted_stages("align") == ("frames", "fusion")
    assert wanted_stages("all")[-2:] == ("control", "tune")
    assert needs("control") == {"vae", "clap", "unet", "frames", "fusion"}
    with pytest.raises(UsageError, match="no stage named 'controll'. Did you mean 'control'"):
        wanted_stages("controll")


def test_clips_of_a_manifest_are_those_of_the_mini_world_when_it_was_rendered_from_it(tmp_path: Path):
    manifest = render("val", 2, 0, tmp_path, num_workers=0)
    source = ManifestSource(manifest, tmp_path, 0, 2, 4.0, 25.0, 64)
    direct = MiniSource("val", 0, 2)
    assert source.captions == direct.captions
    for index in range(2):
        read, made = source.read(index), direct.read(index)
        assert np.array_equal(read.frames, made.frames)
        np.testing.assert_allclose(read.samples, made.samples, atol=1e-4)


def test_training_learns_from_any_manifest(tmp_path: Path):
    render("train", 5, 0, tmp_path / "clips", num_workers=0)
    data = DataConfig(manifest=str(tmp_path / "clips" / "manifest.csv"), validation_clips_n=1)
    recipe = dataclasses.replace(tiny_recipe(), data=data)
    assert generated(train(recipe, tmp_path / "run")).shape == (1, 16_000)
    with pytest.raises(UsageError, match="has 5 clips, no more than data.validation_clips_n"):
        train(dataclasses.replace(recipe, data=dataclasses.replace(data, validation_clips_n=5)), tmp_path / "other")


def test_clips_that_cannot_be_read_stop_the_training_with_a_reason(tmp_path: Path):
    manifest = render("train", 2, 0, tmp_path, num_workers=0)
    next((tmp_path / "media").iterdir()).write_bytes(b"no video")
    store = ClipStore(ManifestSource(manifest, tmp_path, 0, 2, 4.0, 25.0, 64), tmp_path / "store")
    with pytest.raises(TrainingError, match=r"in 1 of 1 groups; the first are clips 0 to 1: .*media.*mp4: "):
        store.prepare()


def test_clips_that_the_disk_has_no_room_for_are_said_and_leave_nothing_half_written(tmp_path: Path):
    store = ClipStore(MiniSource("train", 0, 1), tmp_path)
    with largest_file(1000), pytest.raises(TrainingError, match="cannot be written .*; free some space and start"):
        store.read_shard(0, 1)
    assert list(store.folder.iterdir()) == []


def test_preparation_goes_on_where_it_stopped(tmp_path: Path):
    store = ClipStore(MiniSource("train", 0, 2), tmp_path)
    store.prepare()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert len(before) == 2
    store.prepare()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == before
    calls: list[slice] = []

    def length(clips: dict[str, np.ndarray], which: slice) -> dict[str, np.ndarray]:
        calls.append(which)
        return {"n": np.array([len(samples) for samples in clips["samples"]])}

    for _ in range(2):
        derive(store, tmp_path / "features", length, what="test")  # type: ignore[arg-type]
    assert calls == [slice(0, 2)]
    rows = open_features(store, tmp_path / "features")
    assert isinstance(rows, Arrays)
    assert rows.take("n", np.array([1])).tolist() == [64_000]


def test_clicks_are_heard_and_scores_count_them():
    sound = np.zeros(64_000, np.float32)
    for at_s in (0.5, 1.7, 3.0):
        sound[round(at_s * 16_000) :][:400] += np.hanning(800)[400:].astype(np.float32)
    np.testing.assert_allclose(heard_onsets(sound), [0.5, 1.7, 3.0], atol=0.03)
    scores = event_scores([[0.5, 1.7, 2.0], []], [sound, np.zeros(64_000, np.float32)])
    assert scores["event_recall"] == pytest.approx(2 / 3)
    assert scores["event_precision"] == pytest.approx(2 / 3)
    assert scores["events_n"] == 3


def test_the_error_of_a_pooled_f1_is_that_of_leaving_clips_out():
    rng = np.random.default_rng(0)
    clips = [event_f1(rng.uniform(0, 4, 3), rng.uniform(0, 4, 3), tolerance=0.3) for _ in range(60)]

    def pooled(kept: list[EventScores]) -> float:
        return 2 * sum(clip.hits for clip in kept) / sum(clip.reference_n + clip.generated_n for clip in kept)

    left_out = np.array([pooled(clips[:i] + clips[i + 1 :]) for i in range(60)])
    jackknife = np.sqrt(59 / 60 * np.square(left_out - left_out.mean()).sum())
    assert f1_stderr(clips) == pytest.approx(jackknife, rel=0.02)
    assert f1_stderr(clips) > 0.01


def test_the_detector_finds_the_events_of_the_mini_world():
    from t2av_bench.manifests.mini.world import Scene

    scenes = [Scene("test", 0, index) for index in range(32)]
    sounds = [scene.pcm().astype(np.float32) / 32768 for scene in scenes]
    scores = event_scores([[event.time_s for event in scene.events()] for scene in scenes], sounds)
    assert scores["event_f1"] > 0.96


def test_the_command_prints_the_configuration_it_would_use():
    done = CliRunner().invoke(main, ["train-reference", "--print-config", "--set", "stages.vae.steps=3"])
    assert done.exit_code == 0
    assert "vae:\n    steps: 3\n" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "mni", "-o", "x"], "Did you mean 'mini'"),
        (["--set", "sed=1", "-o", "x"], "Did you mean 'seed'"),
        ([], "Missing option '--output'"),
        (["--stage", "contrl", "-o", "x"], "is not one of"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str):
    done = CliRunner().invoke(main, ["train-reference", *arguments])
    assert (done.exit_code, message in done.output) == (2, True)


def test_the_home_folder_gets_the_features(tmp_path: Path):
    recipe = dataclasses.replace(tiny_recipe(), data=DataConfig(clips_n=2, validation_clips_n=0))
    train(recipe, tmp_path, stage="clap")
    names = sorted(path.name for path in (home() / "training").iterdir())
    assert names == ["clips", "features"]
    assert pd.read_csv(tmp_path / "clap" / "log.csv")["loss"].notna().all()
