"""The tool on real video with its real sound: twelve clips of VGGSound's test split."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import signal

import t2av_bench as tb
from t2av_bench.manifests import Manifest
from t2av_bench.media import read_audio
from t2av_bench.metrics import METRICS
from t2av_bench.naming import parse_clip_name
from t2av_bench.protocol import make_protocol

Sound = tuple[np.ndarray, int]


@pytest.fixture(scope="module")
def manifest(shared: Path) -> Manifest:
    """Ids and labels from the upstream list, media by their own naming convention."""
    media = shared / "media" / "vggsound"
    have = {parse_clip_name(path.stem) for path in media.glob("*.mp4")}
    with (shared / "upstream" / "vggsound" / "test.csv").open(newline="") as file:
        rows = [(Path(name).stem, label) for name, label in csv.reader(file)]
    rows = [(stem, label) for stem, label in rows if parse_clip_name(stem) in have]
    assert len(rows) == 12
    table = pd.DataFrame(rows, columns=["clip_id", "caption"])
    table["media"] = table["clip_id"] + ".mp4"
    return Manifest("vggsound-12", table, data_dir=media)


@pytest.fixture(scope="module")
def sounds(manifest: Manifest) -> dict[str, Sound]:
    media = {parse_clip_name(path.stem): path for path in manifest.data_dir.glob("*.mp4")}
    return {clip.clip_id: read_audio(media[parse_clip_name(clip.clip_id)]) for clip in manifest.clips()}


def low_pass(sound: Sound) -> np.ndarray:
    samples, sr_hz = sound
    return signal.sosfiltfilt(signal.butter(6, 8000, fs=sr_hz, output="sos"), samples, axis=0)


def late(sound: Sound) -> np.ndarray:
    samples, sr_hz = sound
    return np.concatenate([np.zeros((sr_hz, samples.shape[1])), samples[:-sr_hz]])


def noise(sound: Sound) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(sound[0].shape)


@pytest.fixture(scope="module")
def predictions(sounds: dict[str, Sound], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("preds")
    ways: dict[str, Callable[[Sound], np.ndarray]] = {
        "same": lambda sound: sound[0], "low-pass": low_pass, "late": late, "noise": noise
    }  # fmt: skip
    ids = list(sounds)
    for name in (*ways, "other"):
        (out / name).mkdir()
        for i, clip_id in enumerate(ids):
            sound = sounds[ids[(i + 1) % len(ids)] if name == "other" else clip_id]
            made = ways.get(name, ways["same"])(sound)
            soundfile.write(out / name / f"{clip_id}.wav", made, sound[1], subtype="FLOAT")
    return {path.name: path for path in out.iterdir()}


def scores(manifest: Manifest, folder: Path, **options: object) -> dict[str, float]:
    result = tb.evaluate(folder, manifest, num_workers=0, **options)  # type: ignore[arg-type]
    assert result.counts["scored"] == 12
    assert not result.absent
    return {name: score.value for name, score in result.scores.items()}


def test_the_real_sound_scores_zero_and_the_others_order_sensibly(manifest: Manifest, predictions: dict[str, Path]):
    found = {name: scores(manifest, folder, features="lite") for name, folder in predictions.items()}
    for name in (name for name in found["same"] if METRICS[name].is_frechet):
        value = found["same"][name]
        # Float WAV keeps the decoded sound, so this is the same sound and not only nearly.
        if name != "density":  # of a set against itself it is near 1
            expected = 1.0 if tb.metrics.METRICS[name].kind in ("index", "support") else 0.0
            assert value == pytest.approx(expected, abs=1e-9), name
    for name in ("FAVD", "FATD", "FA(VT)D", "FAVD-b", "FATD-b", "FA(VT)D-b"):
        order = ["same", "low-pass", "late", "other", "noise"]
        assert sorted(order, key=lambda way: found[way][name]) == order, (name, {w: found[w][name] for w in order})
    # The sound of another clip is as good a set of sounds as the real one: FAD cannot see the swap.
    assert found["other"]["FAD"] == pytest.approx(0, abs=1e-9)
    assert found["same"]["AV-index"] > found["low-pass"]["AV-index"] > found["late"]["AV-index"]


@pytest.mark.slow
def test_the_paper_features_run_end_to_end_with_random_weights(manifest: Manifest, predictions: dict[str, Path]):
    result = tb.evaluate(predictions["noise"], manifest, features="paper", weights="random", num_workers=0)
    assert set(result.scores) == set(make_protocol(features="paper").metrics)
    assert all(np.isfinite(score.value) and score.value >= 0 for score in result.scores.values() if score.kind == "raw")
    assert result.scores["FAVD"].d == 128 + 4096
    assert result.scores["FD"].d == 2048
    assert result.scores["FAVD"].n_windows == 120
    assert not result.comparable
    assert any("random" in reason for reason in result.not_comparable_because)
    same = scores(manifest, predictions["same"], features="paper", weights="random")
    assert all(same[name] == pytest.approx(0, abs=1e-6) for name in ("FD", "FAD", "FAVD", "FATD", "FA(VT)D"))
