"""Checking a manifest's media: every state, remembering, speed, and the command."""

from __future__ import annotations

import csv
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from t2av_bench import datacheck
from t2av_bench.cache import EmbeddingCache
from t2av_bench.cli import main
from t2av_bench.datacheck import STATES, ClipState, check_data
from t2av_bench.home import home
from t2av_bench.manifests import Clip
from t2av_bench.manifests.mini import render


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    render("val", 4, 0, folder, num_workers=0, progress=False)
    return folder


@pytest.fixture
def data(world: Path, tmp_path: Path) -> Path:
    """A folder with one clip in every state."""
    folder = tmp_path / "data"
    folder.mkdir()
    videos = sorted(world.rglob("*.mp4"))
    for name, video in (("ok", videos[0]), ("other", videos[1]), ("twin", videos[0]), ("long", videos[2])):
        shutil.copy(video, folder / f"{name}.mp4")
    soundfile.write(folder / "deaf.wav", np.full(64_000, 0.1), 16_000)
    (folder / "broken.mp4").write_bytes(b"no video at all" * 100)
    (folder / "empty.mp4").write_bytes(b"")
    return folder


def clips(*names: str, duration_s: float = 4.0) -> list[Clip]:
    return [Clip(name, "", f"{name}.mp4", 0.0, duration_s, "x", "", "test") for name in names]


def states(found: list[ClipState]) -> dict[str, str]:
    return {one.clip_id: one.state for one in found}


WANTED = ["ok", "other", "twin", "deaf", "broken", "empty", "gone"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_clip_gets_its_state(data: Path, tmp_path: Path, num_workers: int):
    wanted = clips(*WANTED) + clips("long", duration_s=60.0)
    found = check_data(wanted, data, cache=EmbeddingCache(tmp_path / "cache"), num_workers=num_workers)
    assert [one.clip_id for one in found] == [clip.clip_id for clip in wanted]
    assert states(found) == {
        "ok": "ok", "other": "ok", "twin": "duplicate", "deaf": "no_video", "broken": "unreadable",
        "empty": "unreadable", "gone": "missing", "long": "too_short",
    }  # fmt: skip
    by_id = {one.clip_id: one for one in found}
    assert by_id["twin"].reason == "the same as ok"
    assert by_id["long"].reason.startswith("its sound ends at 4.0")
    assert by_id["long"].reason.endswith("s, the clip ends at 60 s")
    assert by_id["ok"].sound_s == pytest.approx(4.0, abs=0.1)
    assert {one.state for one in found} <= set(STATES)


def test_silence_is_found_by_decoding_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    soundfile.write(tmp_path / "mute.wav", np.zeros(64_000), 16_000)
    pictures = datacheck.probe(tmp_path / "mute.wav")
    monkeypatch.setattr(
        datacheck, "probe", lambda path: type(pictures)(**{**vars(pictures), "video_width": 4, "video_duration_s": 4.0})
    )
    cache = EmbeddingCache(tmp_path / "cache")
    wanted = [clips("mute")[0]._replace(media="mute.wav")]
    assert states(check_data(wanted, tmp_path, cache=cache)) == {"mute": "ok"}
    assert states(check_data(wanted, tmp_path, cache=cache, decode=True)) == {"mute": "silent"}


def test_a_second_check_reads_changed_files_only(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = EmbeddingCache(tmp_path / "cache")
    first = check_data(clips(*WANTED), data, cache=cache)
    looked: list[str] = []
    look = datacheck._look
    monkeypatch.setattr(datacheck, "_look", lambda need: looked.append(need.path.stem) or look(need))
    assert check_data(clips(*WANTED), data, cache=cache) == first
    # What could not be read is asked again: the disk or the network may have been the cause.
    unreadable = [one.clip_id for one in first if one.state == "unreadable"]
    assert looked == unreadable
    assert unreadable
    usable = next(one.path for one in first if one.state == "ok")
    os.utime(usable, ns=(1, 1))
    looked.clear()
    check_data(clips(*WANTED), data, cache=cache)
    assert sorted(looked) == sorted([*unreadable, Path(usable).stem])


def test_a_stopped_check_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = EmbeddingCache(tmp_path / "cache")
    look, seen = datacheck._look, []

    def stopped(need: object) -> dict[str, object]:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(need)
        return look(need)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(datacheck, "_look", stopped)
        with pytest.raises(KeyboardInterrupt):
            check_data(clips(*WANTED), data, cache=cache)
    rest: list[object] = []
    monkeypatch.setattr(datacheck, "_look", lambda need: rest.append(need) or look(need))
    check_data(clips(*WANTED), data, cache=cache)
    assert len(rest) == len(WANTED) - 1 - 2


@pytest.mark.slow
def test_two_thousand_clips_take_at_most_ten_seconds(world: Path, tmp_path: Path):
    video = next(iter(sorted(world.rglob("*.mp4"))))
    for i in range(2000):
        shutil.copy(video, tmp_path / f"c{i}.mp4")
    started = time.monotonic()
    found = check_data(
        clips(*(f"c{i}" for i in range(2000))), tmp_path, cache=EmbeddingCache(home() / "c"), num_workers=2
    )
    elapsed = time.monotonic() - started
    assert [one.state for one in found].count("duplicate") == 1999
    assert elapsed < 10, f"{2000 / elapsed:.0f} clips/s"


def call(*args: str | Path) -> Result:
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_command_summarises_and_lists(data: Path, tmp_path: Path):
    manifest = tmp_path / "mine.csv"
    manifest.write_text("clip_id,media,caption,duration_s\n" + "".join(f"{n},{n}.mp4,x,4\n" for n in WANTED))
    out = tmp_path / "states.csv"
    done = call("manifest", "check", manifest, "--data-dir", data, "-o", out, "--num-workers", "0")
    assert done.exit_code == 1
    assert "mine: 7 clips" in done.output
    assert "unreadable       2  cannot be read" in done.output
    assert "Error: 4 of 7 clips cannot be used" in done.output
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["clip_id"]: row["state"] for row in rows}["deaf"] == "no_video"
    assert len(rows) == 7
    manifest.write_text("clip_id,media,caption,duration_s\nok,ok.mp4,x,4\n")
    assert call("manifest", "check", manifest, "--data-dir", data, "--num-workers", "0").exit_code == 0


def test_the_command_needs_a_folder_that_exists(tmp_path: Path, data: Path):
    manifest = tmp_path / "mine.csv"
    manifest.write_text("clip_id,media,caption\nok,ok.mp4,x\n")
    done = call("manifest", "check", manifest, "--data-dir", tmp_path / "no")
    assert (done.exit_code, "the data folder must exist" in done.output) == (1, True)
    done = call(
        "manifest", "check", manifest, "--data-dir", data, "--num-workers", "0", "-o", tmp_path / "no" / "x.csv"
    )
    assert (done.exit_code, "cannot be written" in done.output) == (1, True)


def test_the_real_clips_of_the_vggsound_test_list_are_found_by_themselves(shared: Path):
    shutil.copytree(shared / "upstream" / "vggsound", home() / "manifests" / "upstream" / "vggsound")
    done = call("manifest", "check", "vggsound", "--data-dir", shared / "media" / "vggsound", "--num-workers", "0")
    assert done.exit_code == 1
    assert "ok              12" in done.output
    assert "missing      15434" in done.output
