"""The whole walk of a clip, on a few rendered clips with lite features: what users do and what goes wrong for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import t2av_bench as tb
from t2av_bench.comparison import compare
from t2av_bench.errors import ComparisonError, LeaderboardError, ProblemsError, UsageError
from t2av_bench.manifests import Manifest, read_manifest
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.metrics import METRICS
from t2av_bench.models.extractors.lite_video import LiteVideoExtractor
from t2av_bench.protocol import make_protocol

N = 8


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, dict[str, Path]]:
    out = tmp_path_factory.mktemp("world")
    manifest = render("val", N, 0, out / "data", num_workers=0, progress=False)
    return manifest, write_prediction_sets(manifest, out / "preds")


@pytest.fixture
def preds(world: tuple[Manifest, dict[str, Path]], tmp_path: Path) -> Path:
    """A copy of the other-noise set that a test may damage."""
    return Path(shutil.copytree(world[1]["other-noise"], tmp_path / "my-system"))


def run(world: tuple[Manifest, dict[str, Path]], pred_dir: Path, **options: object) -> tb.Result:
    options = {"features": "lite", "num_workers": 0, **options}
    return tb.evaluate(pred_dir, world[0], **options)  # type: ignore[arg-type]


def ids(manifest: Manifest) -> list[str]:
    return [clip.clip_id for clip in manifest.clips()]


def test_the_reference_sound_scores_zero_on_every_distance(world: tuple[Manifest, dict[str, Path]]):
    result = run(world, world[1]["reference"])
    assert set(result.scores) | set(result.absent) == set(make_protocol(features="lite", known=["events"]).metrics)
    for name, score in result.scores.items():
        if score.kind == "sync":
            continue  # the real sound is no reference for its picture; see test_synchrony.py
        assert score.n_clips == N
        if score.kind == "support":
            assert score.value == 1.0 or name == "density", name
        else:
            assert score.value == pytest.approx(1.0 if score.kind == "index" else 0.0, abs=1e-9), name
        assert score.n_windows == (N if "clip_audio" in METRICS[name].blocks else 4 * N)


def test_the_result_says_what_was_scored_and_by_what(world: tuple[Manifest, dict[str, Path]], preds: Path):
    result = run(world, preds, metrics=["FAVD", "FAD"], seed=3, description="a test")
    assert list(result.scores) == ["FAD", "FAVD"]
    assert result.system == {"name": "my-system", "description": "a test"}
    assert result.manifest["sha256"] == world[0].sha256
    assert result.seed == 3
    assert set(result.extractors) == {"audio", "video"}
    assert result.counts["scored"] == N
    assert any("lite" in reason for reason in result.not_comparable_because)
    assert any("Fewer than 2 d samples" in note for note in result.notes)
    result.save(preds / "r.json")
    assert tb.Result.load(preds / "r.json") == result


def values(result: tb.Result) -> dict[str, float]:
    return {name: score.value for name, score in result.scores.items()}


def test_scores_do_not_depend_on_workers_batches_or_the_order_of_files(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path
):
    first = run(world, preds, cache_dir=tmp_path / "a", num_workers=0, batch_size=32)
    second = run(world, preds, cache_dir=tmp_path / "b", num_workers=2, batch_size=3)
    assert values(first) == values(second)


def test_a_second_run_reads_the_cache_and_gives_the_same_bits(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = run(world, preds, cache_dir=tmp_path / "cache")

    def unexpected(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to compute")

    monkeypatch.setattr("t2av_bench.extraction.embedding.run_jobs", unexpected)
    assert values(run(world, preds, cache_dir=tmp_path / "cache")) == values(first)


def test_each_distinct_video_is_embedded_once_however_many_systems_are_scored(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The cache goes by content: neither the system nor the name of the file matters."""
    described: list[int] = []
    windows = LiteVideoExtractor.windows

    def counting(self: LiteVideoExtractor, frames: np.ndarray) -> np.ndarray:
        described.append(len(frames))
        return windows(self, frames)

    monkeypatch.setattr(LiteVideoExtractor, "windows", counting)
    other = tmp_path / "other"
    shutil.copytree(preds, other)
    for path in other.glob("*.wav"):
        sound, sr_hz = soundfile.read(path)
        soundfile.write(path, 0.5 * sound, sr_hz)
    assert world[0].data_dir is not None
    copy = tmp_path / "copied"
    shutil.copytree(world[0].data_dir, copy)
    results = [run(world, system, cache_dir=tmp_path / "cache", data_dir=data)
               for system, data in ((preds, None), (other, None), (other, copy))]  # fmt: skip
    assert len(described) == N
    assert values(results[0]) != values(results[1])
    assert values(results[1]) == values(results[2])


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path
):
    whole = run(world, preds, cache_dir=tmp_path / "whole")
    entries = sorted((tmp_path / "whole" / "entries").rglob("*.npy"))
    assert len(entries) > 3 * N
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    for i, path in enumerate(sorted((tmp_path / "killed" / "entries").rglob("*.npy"))):
        if i % 3 == 0:
            path.unlink()
        elif i % 3 == 1:
            path.write_bytes(path.read_bytes()[:40])  # half-written by something that does not rename
    again = run(world, preds, cache_dir=tmp_path / "killed")
    assert values(again) == values(whole)
    for path in entries:
        twin = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
        assert twin.read_bytes() == path.read_bytes()


def test_a_changed_prediction_changes_the_score(world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path):
    before = values(run(world, preds, cache_dir=tmp_path / "cache"))
    path = preds / f"{ids(world[0])[0]}.wav"
    sound, sr_hz = soundfile.read(path)
    soundfile.write(path, sound[::-1], sr_hz)
    assert values(run(world, preds, cache_dir=tmp_path / "cache"))["FAD"] != before["FAD"]


def damage(path: Path, how: str) -> None:
    sound, sr_hz = soundfile.read(path)
    if how == "zero bytes":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("this is no sound\n" * 50)
    elif how == "one sample":
        soundfile.write(path, sound[:1], sr_hz)
    elif how == "too short":
        soundfile.write(path, sound[: 3 * sr_hz], sr_hz)
    elif how == "all zero":
        soundfile.write(path, 0 * sound, sr_hz)
    elif how == "NaN":
        soundfile.write(path, np.where(np.arange(len(sound)) == 100, np.nan, sound), sr_hz, subtype="FLOAT")
    elif how == "infinite":
        soundfile.write(path, np.where(np.arange(len(sound)) < 7, np.inf, sound), sr_hz, subtype="FLOAT")
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ("zero bytes", "unreadable", "empty"),
        ("text", "unreadable", ""),
        ("one sample", "too_short", "must hold the manifest's 4 s; the sound there lasts 0.000 s"),
        ("too short", "too_short", "must hold the manifest's 4 s; the sound there lasts 3.000 s"),
        ("all zero", "silent", "must hold a sound"),
        ("NaN", "non_finite", "1 are NaN or infinite"),
        ("infinite", "non_finite", "7 are NaN or infinite"),
        ("missing", "missing", "there is no prediction named"),
    ],
)
def test_a_bad_prediction_stops_the_run_and_is_named(
    world: tuple[Manifest, dict[str, Path]], preds: Path, how: str, kind: str, reason: str
):
    clip_id = ids(world[0])[2]
    damage(preds / f"{clip_id}.wav", how)
    with pytest.raises(ProblemsError, match=f"1 of {N} clips cannot be scored") as caught:
        run(world, preds)
    (problem,) = caught.value.problems
    assert (problem.clip_id, problem.kind) == (clip_id, kind)
    assert reason in problem.reason
    assert how == "missing" or problem.path == str(preds / f"{clip_id}.wav")


def test_all_problems_are_listed_at_once_and_skip_leaves_them_out_on_both_sides(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path
):
    bad = dict(zip(ids(world[0]), ("text", "all zero", "missing"), strict=False))
    for clip_id, how in bad.items():
        damage(preds / f"{clip_id}.wav", how)
    with pytest.raises(ProblemsError, match=f"3 of {N} clips") as caught:
        run(world, preds)
    assert {p.clip_id for p in caught.value.problems} == set(bad)

    skipped = run(world, preds, on_error="skip")
    assert skipped.counts["scored"] == N - 3
    assert {p["clip_id"] for p in skipped.problems} == set(bad)
    assert any("incomplete: 3 of 8" in reason for reason in skipped.not_comparable_because)

    # The same as if the manifest had never held those clips.
    rest = Manifest("rest", world[0].table[~world[0].table["clip_id"].isin(bad)], data_dir=world[0].data_dir)
    assert values(tb.evaluate(preds, rest, features="lite", num_workers=0)) == values(skipped)


def test_fewer_than_two_clips_are_refused_even_with_skip(world: tuple[Manifest, dict[str, Path]], preds: Path):
    for clip_id in ids(world[0])[1:]:
        damage(preds / f"{clip_id}.wav", "missing")
    with pytest.raises(ProblemsError, match="needs at least 2 clips; 1 can be scored"):
        run(world, preds, on_error="skip")


def test_a_broken_reference_is_named(world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path):
    data = tmp_path / "data"
    assert world[0].data_dir is not None
    shutil.copytree(world[0].data_dir, data)
    first, second, third = ids(world[0])[:3]
    cut = (data / "media" / f"{first}.mp4").read_bytes()
    (data / "media" / f"{first}.mp4").write_bytes(cut[: len(cut) // 2])
    (data / "media" / f"{second}.mp4").unlink()
    shutil.copy(preds / f"{third}.wav", data / "media" / f"{third}.mp4")  # sound without pictures
    with pytest.raises(ProblemsError, match=f"3 of {N} clips") as caught:
        run(world, preds, data_dir=data)
    kinds = {p.clip_id: p.kind for p in caught.value.problems}
    assert kinds == {first: "unreadable", second: "missing_reference", third: "no_video"}
    # FAD needs no pictures, so only the sound counts.
    assert run(world, preds, data_dir=data, metrics=["FAD"], on_error="skip").counts["scored"] == N - 2


def test_a_clip_range_past_the_end_of_its_file_is_a_problem(world: tuple[Manifest, dict[str, Path]], preds: Path):
    table = world[0].table.copy()
    table.loc[0, "start_s"] = 3.5
    table.loc[1, "start_s"] = 100.0
    moved = Manifest("moved", table, data_dir=world[0].data_dir)
    with pytest.raises(ProblemsError, match="2 of 8 clips") as caught:
        tb.evaluate(preds, moved, features="lite", num_workers=0)
    assert [p.clip_id for p in caught.value.problems] == ids(world[0])[:2]
    assert all(p.path.endswith(".mp4") for p in caught.value.problems)


def test_extra_files_are_noted_and_not_scored(world: tuple[Manifest, dict[str, Path]], preds: Path):
    shutil.copy(preds / f"{ids(world[0])[0]}.wav", preds / "extra.wav")
    result = run(world, preds, metrics=["FAD"])
    assert result.counts["unknown_files"] == 1
    assert any("extra.wav" in note for note in result.notes)


def test_pooling_over_clips_uses_one_sample_per_clip(world: tuple[Manifest, dict[str, Path]], preds: Path):
    result = run(world, preds, pooling="clip")
    assert {score.n_windows + score.n_undefined for score in result.scores.values()} == {N}
    assert "the pooling is clip, not window" in result.not_comparable_because


def test_a_manifest_file_next_to_its_media_needs_no_data_dir(world: tuple[Manifest, dict[str, Path]], preds: Path):
    assert world[0].data_dir is not None
    own = read_manifest(world[0].data_dir / "manifest.csv")
    result = tb.evaluate(preds, own, features="lite", metrics=["FAD"], num_workers=0)
    assert values(result) == values(run(world, preds, metrics=["FAD"]))
    assert any("the user's own" in reason for reason in result.not_comparable_because)


def test_a_precision_is_recorded_and_makes_the_result_not_comparable(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path
):
    options = {"features": "vggish", "metrics": ["FAD"], "weights": "random", "device": "cpu", "uncertainty": "none"}
    plain = run(world, preds, cache_dir=tmp_path, **options)
    short = run(world, preds, cache_dir=tmp_path, precision="bf16", **options)
    assert short.extractors["audio"]["options"]["precision"] == "bf16"
    assert "precision" not in plain.extractors["audio"]["options"]
    assert short.extractors["audio"]["fingerprint"] != plain.extractors["audio"]["fingerprint"]
    assert any("ran in bf16, not fp32" in reason for reason in short.not_comparable_because)
    assert not any("fp32" in reason for reason in plain.not_comparable_because)
    assert values(short)["FAD"] == pytest.approx(values(plain)["FAD"], rel=0.1)
    assert values(short)["FAD"] != values(plain)["FAD"]
    short.save(tmp_path / "short.json")
    with pytest.raises(ComparisonError, match="the audio features are of vggish version 1 .*with other options"):
        compare([replace(plain, system={"name": "plain", "description": ""}), short])


@pytest.mark.gpu
def test_scores_on_cuda_are_those_on_the_cpu(world: tuple[Manifest, dict[str, Path]], preds: Path):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    options = {"features": "vggish,c3d,word2vec,panns", "metrics": ["FD", "FAD", "FAVD", "FATD", "FA(VT)D"]}
    cpu, cuda = (
        values(
            run(
                world, preds, weights="random", device=device, num_workers=2, cache_dir=preds.parent / device, **options
            )
        )
        for device in ("cpu", "cuda")
    )
    assert cuda == pytest.approx(cpu, rel=1e-5)


def test_a_precision_without_a_network_is_refused(world: tuple[Manifest, dict[str, Path]], preds: Path):
    with pytest.raises(
        UsageError, match="precision and compile are about networks, and the extractors .*lite-audio.* have none"
    ):
        run(world, preds, precision="bf16", compile=True)
    with pytest.raises(UsageError, match="There is no precision 'half'"):
        run(world, preds, precision="half")


def test_torch_is_imported_beside_the_checks_only_if_a_network_needs_it(
    world: tuple[Manifest, dict[str, Path]], preds: Path, tmp_path: Path
):
    code = (
        "import sys, t2av_bench as tb\n"
        "from t2av_bench.manifests import read_manifest\n"
        f"manifest = read_manifest({str(world[0].data_dir) + '/manifest.csv'!r})\n"
        f"tb.evaluate({str(preds)!r}, manifest, features='lite', metrics=['FAD'], cache_dir={str(tmp_path)!r})\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_wrong_options_are_said_before_any_work(world: tuple[Manifest, dict[str, Path]], preds: Path):
    for options, message in (
        ({"on_error": "ignore"}, "on_error must be 'fail' or 'skip'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"num_workers": -1}, "num_workers must be at least 0"),
        ({"metrics": ["FVD"]}, "no metric named 'FVD'"),
        ({"metrics": "FAVD"}, "`metrics` must be a list of names, such as ..FAVD..; got 'FAVD'"),
        ({"seed": "a"}, "seed must be a whole number from 0 on; got 'a'"),
    ):
        with pytest.raises(UsageError, match=message):
            run(world, preds, **options)


def test_the_default_features_depend_on_the_manifest_and_nothing_else(world: tuple[Manifest, dict[str, Path]]):
    from t2av_bench.extraction.choice import default_features

    assert default_features(world[0]) == ("lite" if world[0].name == "t2av-mini" else "paper")
    assert default_features(Manifest("mine", world[0].table)) == "paper"


@pytest.mark.parametrize("uncertainty", ["none", "stderr"])
def test_an_index_follows_from_the_distances_that_stand_in_the_result(
    world: tuple[Manifest, dict[str, Path]], preds: Path, uncertainty: str
):
    names = ["FAD-b", "FAVD-b", "FATD-b", "AV-index", "AT-index"]
    for pooling in ("window", "clip"):
        scores = run(world, preds, metrics=names, uncertainty=uncertainty, pooling=pooling).scores
        for index, joint in (("AV-index", "FAVD-b"), ("AT-index", "FATD-b")):
            zero = scores[index].settings["random_pairing"]
            audio_only = scores["FAD-b"].value
            assert zero > audio_only
            recomputed = 1.0 - (scores[joint].value - audio_only) / (zero - audio_only)
            assert scores[index].value == pytest.approx(recomputed, rel=1e-12)


def test_a_leaderboard_takes_every_set_that_was_evaluated(world: tuple[Manifest, dict[str, Path]], tmp_path: Path):
    for name, folder in world[1].items():
        result = run(world, folder)
        assert {"event-F1", "onset-acc", "AV-Align", "precision"} <= result.scores.keys()
        result.save(tmp_path / f"{name}.json")
    board = tb.Leaderboard().add(sorted(tmp_path.glob("*.json")), list_not_comparable=True)
    assert all(entry.clips_checked for entry in board.entries)
    assert len(board.entries) == len(world[1])


def test_a_leaderboard_refuses_a_pooled_score_that_the_clips_do_not_give(
    world: tuple[Manifest, dict[str, Path]], preds: Path
):
    result = run(world, preds, metrics=["event-F1", "onset-acc"])
    tb.Leaderboard().add(result, list_not_comparable=True)
    for value in (result.scores["event-F1"].value - 0.05, 0.1, 0.0):
        forged = {**result.scores, "event-F1": replace(result.scores["event-F1"], value=value)}
        with pytest.raises(LeaderboardError, match="event-F1 is .*, which its table of clips does not give"):
            tb.Leaderboard().add(replace(result, scores=forged), list_not_comparable=True)
