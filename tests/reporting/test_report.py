"""Making a report: what lies in the folder, what is told of what went wrong, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image
from report_world import SYSTEMS, World

import t2av_bench as tb
from t2av_bench.cli import main
from t2av_bench.errors import ComparisonError, ReportError, UsageError
from t2av_bench.manifests import read_manifest
from t2av_bench.media import probe, read_audio
from t2av_bench.workers import JobFailure

OPTIONS: dict[str, Any] = {"num_workers": 0, "progress": False}


def make(world: World, output: Path, **changes: Any) -> Path:
    given = {"results": world.results, "pred_dirs": world.pred_dirs, "manifest": world.manifest, **OPTIONS, **changes}
    return tb.report(given.pop("results"), given.pop("pred_dirs"), output, **given)


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="Data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.fixture(scope="module")
def page(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(world, tmp_path_factory.mktemp("made") / "report", clips=6)


def test_every_clip_has_playable_files_of_the_clips_length(page: Path, world: World):
    clips = data_of(page)["clips"]
    assert len(clips) == 6
    for clip in clips:
        assert probe(page.parent / clip["video"]).video_duration_s == pytest.approx(4.0, abs=0.05)
        assert len(clip["sounds"]) == 1 + len(SYSTEMS)
        for sound in clip["sounds"]:
            samples, sr_hz = read_audio(page.parent / sound["file"])
            assert (len(samples), sr_hz) == (64_000, 16_000)
            with Image.open(page.parent / sound["picture"]) as picture:
                assert picture.size == (480, 104)


def test_the_original_is_the_references_sound_sample_for_sample(page: Path, world: World):
    clip = data_of(page)["clips"][0]
    media = {c.clip_id: c.media for c in world.manifest.clips()}[clip["id"]]
    original, _ = read_audio(world.data_dir / media)
    np.testing.assert_array_equal(read_audio(page.parent / clip["sounds"][0]["file"])[0], original)
    for folder, sound in zip(world.pred_dirs, clip["sounds"][1:], strict=True):
        expected, _ = read_audio(folder / f"{clip['id']}.wav")
        np.testing.assert_array_equal(read_audio(page.parent / sound["file"])[0], expected)


def test_numbers_of_clips_are_those_of_the_results(page: Path, world: World):
    data = data_of(page)
    names = [score["name"] for score in data["scores"]]
    for system, path in enumerate(world.results):
        result = tb.Result.load(path, per_clip=True)
        for clip in data["clips"]:
            added, value = clip["numbers"][system][names.index("AV-Align")]
            assert added == pytest.approx(result.per_clip[clip["id"]]["AV-Align"], rel=1e-3, abs=1e-9)
            assert value == pytest.approx(result.clip_values[clip["id"]]["AV-Align"], rel=1e-3)
            added, value = clip["numbers"][system][names.index("FAVD")]
            assert added == pytest.approx(result.per_clip[clip["id"]]["FAVD"], rel=1e-3, abs=1e-9)
            assert value is None


def test_known_events_and_found_onsets_are_shown_and_counted(page: Path):
    data = data_of(page)
    for clip in data["clips"]:
        assert clip["events"] is not None
        original, _, late = clip["sounds"]
        if clip["events"] and len(original["onsets"]) == len(late["onsets"]):
            assert np.subtract(late["onsets"], original["onsets"]).mean() == pytest.approx(0.5, abs=0.05)
    original, other_noise, late = data["timing"]["rows"]
    # Of all scored clips, not of the gallery's alone.
    assert original["events"] == other_noise["events"] == late["events"] > sum(len(c["events"]) for c in data["clips"])
    assert other_noise["hits"] > 0.9 * other_noise["events"] > late["hits"]


def test_the_page_tells_scores_with_their_errors_and_what_speaks_against_them(page: Path, world: World):
    text = page.read_text("utf-8")
    for path in world.results:
        result = tb.Result.load(path)
        assert f"{result.scores['FAVD'].value:.4g}".rstrip("0") in text
    assert text.count("Not comparable") == 1, "once for all, as the reasons are the same"
    assert "the features are lite, not paper" in text
    assert "<script src" not in text


def test_links_lead_to_files_that_browsers_play_and_the_rest_is_copied(world: World, tmp_path: Path):
    page = make(world, tmp_path / "linked", clips=2, media="link")
    clip = data_of(page)["clips"][0]
    sound = page.parent / clip["sounds"][1]["file"]
    assert sound.is_symlink()
    assert sound.resolve() == (world.pred_dirs[0] / f"{clip['id']}.wav").resolve()
    assert not (page.parent / clip["video"]).is_symlink(), "lossless RGB, which few browsers play"


def test_a_clip_is_its_range_of_a_longer_file(world: World, tmp_path: Path):
    table = world.manifest.table.copy()
    table["start_s"], table["duration_s"] = 1.0, 2.0
    manifest = replace(world.manifest, table=table, data_dir=None)  # its events are not all inside the range
    short = tmp_path / "preds"
    short.mkdir()
    for clip in manifest.clips():
        samples, sr_hz = read_audio(world.pred_dirs[0] / f"{clip.clip_id}.wav", start_s=1.0, duration_s=2.0)
        soundfile.write(short / f"{clip.clip_id}.wav", samples, sr_hz)
    data_dir = world.data_dir
    result = tb.evaluate(short, manifest, data_dir, features="lite", metrics=["FAD", "onset-acc"], num_workers=0)
    page = make(
        world, tmp_path / "report", results=result, pred_dirs=short, manifest=manifest, data_dir=data_dir, clips=2
    )
    clip = data_of(page)["clips"][0]
    media = {c.clip_id: c.media for c in manifest.clips()}[clip["id"]]
    expected, _ = read_audio(world.data_dir / media, start_s=1.0, duration_s=2.0)
    np.testing.assert_array_equal(read_audio(page.parent / clip["sounds"][0]["file"])[0], expected)
    assert probe(page.parent / clip["video"]).video_duration_s == pytest.approx(2.0, abs=0.05)


def test_what_cannot_be_read_is_named_in_its_place_and_the_rest_is_shown(world: World, tmp_path: Path):
    data, preds = (
        shutil.copytree(world.data_dir, tmp_path / "data"),
        shutil.copytree(world.pred_dirs[0], tmp_path / "p"),
    )
    first, second, third, *_ = world.manifest.clips()
    (data / first.media).write_bytes(b"no film")
    (preds / f"{second.clip_id}.wav").write_bytes(b"RIFF")
    (preds / f"{third.clip_id}.wav").unlink()
    given = {"results": world.results[0], "pred_dirs": preds, "manifest": read_manifest(data / "manifest.csv")}
    page = make(world, tmp_path / "report", clips=None, **given)
    clips = {clip["id"]: clip for clip in data_of(page)["clips"]}
    assert len(clips) == len(world.manifest)
    assert "not a media file" in clips[first.clip_id]["unseen"]
    assert clips[first.clip_id]["sounds"][0]["file"] == ""
    assert clips[first.clip_id]["sounds"][1]["file"] != ""
    assert clips[second.clip_id]["sounds"][1]["problem"] != ""
    assert clips[second.clip_id]["video"] != ""
    assert "there is no prediction named" in clips[third.clip_id]["sounds"][1]["problem"]
    assert "4 things of clips cannot be shown" in page.read_text("utf-8")


def test_a_clip_whose_decoder_crashed_keeps_its_place(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def crashing(function: Any, jobs: Any, **_: Any) -> Iterator[tuple[int, Any]]:
        yield 0, JobFailure("the decoder crashed (signal 11, SIGSEGV)")
        yield from ((i, function(job)) for i, job in enumerate(jobs) if i > 0)

    monkeypatch.setattr("t2av_bench.reporting.making.run_jobs", crashing)
    page = make(world, tmp_path / "report", clips=None)
    first, second, *_ = data_of(page)["clips"]
    assert first["id"] == world.manifest.clips()[0].clip_id
    assert first["unseen"] == "the decoder crashed (signal 11, SIGSEGV)"
    assert [sound["file"] for sound in first["sounds"]] == ["", "", ""]
    assert second["video"] != ""
    assert "SIGSEGV" in page.read_text("utf-8").split('id="Data"')[0]


def test_a_sound_that_was_changed_since_is_told(world: World, tmp_path: Path):
    preds = shutil.copytree(world.pred_dirs[0], tmp_path / "p")
    changed = next(clip for clip in world.manifest.clips() if "onset-acc" in values_of(world, 0).get(clip.clip_id, {}))
    soundfile.write(preds / f"{changed.clip_id}.wav", np.full(64_000, 1e-3), 16_000)
    page = make(world, tmp_path / "report", results=world.results[0], pred_dirs=preds, clips=None)
    remarks = {clip["id"]: clip["sounds"][1]["remark"] for clip in data_of(page)["clips"]}
    assert "not the sound that was scored? onset-acc is 0, and 1 in the result" in remarks.pop(changed.clip_id)
    assert set(remarks.values()) == {""}


def values_of(world: World, system: int) -> dict[str, dict[str, float]]:
    return tb.Result.load(world.results[system], per_clip=True).clip_values


def test_folders_in_the_wrong_order_are_noticed(world: World, tmp_path: Path):
    with pytest.raises(ReportError, match="the sounds given for .* are not those that were scored: onset-acc differs"):
        make(world, tmp_path / "report", pred_dirs=world.pred_dirs[::-1])
    assert list(tmp_path.iterdir()) == [], "nothing half-made is left"


def test_what_does_not_belong_together_is_refused(world: World, tmp_path: Path):
    with pytest.raises(UsageError, match="got 2 results and 1 times --pred-dir"):
        make(world, tmp_path / "r", pred_dirs=world.pred_dirs[:1])
    with pytest.raises(UsageError, match="1 to 8 systems; got 9"):
        make(world, tmp_path / "r", results=world.results[:1] * 9, pred_dirs=world.pred_dirs[:1] * 9)
    other = replace(world.manifest, table=world.manifest.table.assign(caption="another"))
    with pytest.raises(ReportError, match="give the one it was evaluated on"):
        make(world, tmp_path / "r", manifest=other)
    first, second = (tb.Result.load(path, per_clip=True) for path in world.results)
    named = replace(first, manifest={**first.manifest, "name": "mine"})
    with pytest.raises(UsageError, match="'mine', which is no built-in manifest: give its file with --manifest"):
        make(world, tmp_path / "r", results=named, pred_dirs=world.pred_dirs[0], manifest=None)
    strange = replace(second, protocol={**second.protocol, "pooling": "clip"})
    with pytest.raises(ComparisonError, match="the pooling is window and clip"):
        make(world, tmp_path / "r", results=[first, strange])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReportError, match="the sounds of other-noise: .* must hold one media file per clip"):
        make(world, tmp_path / "r", pred_dirs=[tmp_path / "empty", world.pred_dirs[1]])
    with pytest.raises(ReportError, match="holds the media of no scored clip"):
        make(world, tmp_path / "r", data_dir=tmp_path / "empty")
    with pytest.raises(UsageError, match="media must be 'copy' or 'link'"):
        make(world, tmp_path / "r", media="move")
    assert not (tmp_path / "r").exists()


def test_only_a_report_is_ever_replaced(world: World, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my page")
    with pytest.raises(UsageError, match="must be empty or hold an earlier report"):
        make(world, tmp_path / "mine")
    assert (tmp_path / "mine" / "index.html").read_text() == "my page"
    page = make(world, tmp_path / "report", clips=1)
    (page.parent / "clips" / "0009").mkdir()
    make(world, tmp_path / "report", clips=1)
    assert [path.name for path in (page.parent / "clips").iterdir()] == ["0000"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "report"]


def test_the_command_makes_the_same_report(world: World, tmp_path: Path):
    arguments = ["report", *map(str, world.results), *(f"--pred-dir={path}" for path in world.pred_dirs)]
    arguments += ["--manifest", str(world.manifest_file), "--clips", "3", "--num-workers", "0"]
    done = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert f"Report written to {tmp_path / 'report' / 'index.html'}" in done.stderr
    assert [clip["id"] for clip in data_of(tmp_path / "report" / "index.html")["clips"]]
    again = make(world, tmp_path / "again", clips=3)
    assert data_of(again) == data_of(tmp_path / "report" / "index.html")


def test_wrong_usage_of_the_command_ends_with_2_and_a_failure_with_1(world: World, tmp_path: Path):
    wrong = ["report", str(world.results[0]), "--pred-dir", str(world.pred_dirs[0]), "--clips", "few"]
    done = CliRunner().invoke(main, wrong)
    assert (done.exit_code, "must be a number from 1 on, or 'all'" in done.output) == (2, True)
    missing = ["report", str(tmp_path / "none.json"), "--pred-dir", str(world.pred_dirs[0])]
    done = CliRunner().invoke(main, missing)
    assert done.exit_code == 1
    assert "none.json" in done.output
    assert done.output.count("\n") == 1
