"""DeSync through the whole evaluation, with a small network of random weights in the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import t2av_bench as tb
from t2av_bench.errors import PrerequisiteError, ProblemsError
from t2av_bench.manifests import Manifest, read_manifest
from t2av_bench.manifests.mini.files import write_clip
from t2av_bench.manifests.mini.world import MiniClip
from t2av_bench.models.extractors.networks.synchformer import Synchformer, SynchformerLayout
from t2av_bench.models.extractors.synchformer import (
    SynchformerAudioExtractor,
    SynchformerExtractor,
    SynchformerVideoExtractor,
)

SMALL = SynchformerLayout(dim=48, heads=4, depth=1, side_px=32, joint_depth=1)
FRAMES_N = 130  # 5.2 s: more than one stretch of 4.8 s


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink the network; everything else is as published."""
    monkeypatch.setattr(SynchformerExtractor, "width", SMALL.dim)
    monkeypatch.setattr(SynchformerExtractor, "build_network", lambda self: Synchformer(SMALL))
    monkeypatch.setattr(SynchformerAudioExtractor, "dim", 6 * SMALL.dim)
    monkeypatch.setattr(SynchformerVideoExtractor, "dim", 8 * SMALL.dim)
    monkeypatch.setattr(SynchformerVideoExtractor, "frame_size", (32, 32))
    monkeypatch.setattr(SynchformerVideoExtractor, "row_shape", (16, 32, 32, 3))


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Manifest, Path]:
    """Write three clips of noise, and their own sound as predictions."""
    rng = np.random.default_rng(0)
    (tmp_path / "preds").mkdir()
    lines = ["clip_id,media,caption,duration_s"]
    for i in range(3):
        pcm = rng.integers(-3000, 3000, FRAMES_N * 640).astype(np.int16)
        frames = rng.integers(0, 256, (FRAMES_N, 64, 64, 3), dtype=np.uint8)
        write_clip(MiniClip(f"c{i}", "noise", (), (), (), frames, pcm), tmp_path / f"c{i}.mp4")
        soundfile.write(tmp_path / "preds" / f"c{i}.wav", pcm, 16_000, subtype="PCM_16")
        lines.append(f"c{i},c{i}.mp4,noise,{FRAMES_N / 25}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return read_manifest(tmp_path / "manifest.csv"), tmp_path / "preds"


@pytest.mark.usefixtures("small_network")
def test_desync_is_computed_when_asked_for(clips: tuple[Manifest, Path]) -> None:
    manifest, preds = clips
    options = {"features": "lite", "weights": "random", "device": "cpu", "num_workers": 0, "progress": False}
    result = tb.evaluate(preds, manifest, metrics=["DeSync"], **options)  # type: ignore[arg-type]
    score = result.scores["DeSync"]
    assert 0.0 <= score.value <= 2.0
    assert score.n_clips == 3
    assert score.value == score.settings["reference_value"]
    assert score.settings["shuffled_n_clips"] == 3
    assert {record["unit"] for record in result.extractors.values()} == {"segment"}
    assert any("synchformer weights are random" in reason for reason in result.not_comparable_because)
    assert "DeSync" not in tb.evaluate(preds, manifest, **options).scores  # type: ignore[arg-type]
    result.save(preds / "r.json")
    assert tb.Result.load(preds / "r.json") == result


@pytest.mark.usefixtures("small_network")
def test_a_clip_shorter_than_a_segment_is_a_problem_before_any_work(clips: tuple[Manifest, Path]) -> None:
    manifest, preds = clips
    short = Manifest("short", manifest.table.assign(duration_s=0.5), data_dir=manifest.data_dir)
    with pytest.raises(ProblemsError, match="3 of 3 clips cannot be scored") as caught:
        tb.evaluate(preds, short, features="lite", metrics=["DeSync"], weights="random", num_workers=0)
    assert "a segment needs 0.64 s" in caught.value.problems[0].reason


def test_missing_weights_are_said_at_once(clips: tuple[Manifest, Path]) -> None:
    with pytest.raises(PrerequisiteError, match="download weights --only synchformer"):
        tb.evaluate(clips[1], clips[0], features="lite", metrics=["DeSync"], num_workers=0)
