"""Clips as files: lossless, resumable, and the official test split."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from t2av_bench.errors import ManifestError, UsageError
from t2av_bench.home import home
from t2av_bench.manifests import load_manifest, read_manifest
from t2av_bench.manifests.mini import load_test_split, make_clip, read_events, render, rendering

TEST_CONTENT_SHA256 = "b6d2392316dc23485f47a952df5b4646d9b5856a46ecfdda7203c90311099164"


def _bytes_by_name(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_pyav_gives_back_every_bit(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    render("train", 2, 5, tmp_path)
    for index in range(2):
        clip = make_clip("train", 5, index)
        with av.open(str(tmp_path / "media" / f"{clip.clip_id}.mp4")) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
            assert container.streams.video[0].average_rate == 25
        with av.open(str(tmp_path / "media" / f"{clip.clip_id}.mp4")) as container:
            pcm = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
            assert container.streams.audio[0].rate == 16_000
        np.testing.assert_array_equal(frames, clip.frames)
        np.testing.assert_array_equal(pcm, clip.pcm)


def test_decord_gives_back_every_bit(tmp_path: Path) -> None:
    decord = pytest.importorskip("decord")
    render("val", 2, 0, tmp_path)
    for index in range(2):
        clip = make_clip("val", 0, index)
        path = str(tmp_path / "media" / f"{clip.clip_id}.mp4")
        reader = decord.VideoReader(path)
        np.testing.assert_array_equal(reader.get_batch(range(len(reader))).asnumpy(), clip.frames)
        sound = decord.AudioReader(path, sample_rate=16_000, mono=True)[:].asnumpy()[0]
        np.testing.assert_array_equal(sound * 32768, clip.pcm)


def test_folder_holds_manifest_events_and_media(tmp_path: Path) -> None:
    manifest = render("val", 6, 2, tmp_path)
    assert manifest.name == "t2av-mini"
    assert manifest.data_dir == tmp_path
    assert manifest.licence == "CC0-1.0"
    assert not manifest.official
    assert read_manifest(tmp_path / "manifest.csv").sha256 == manifest.sha256
    for index, row in enumerate(manifest.clips()):
        clip = make_clip("val", 2, index)
        assert row == (
            clip.clip_id,
            "t2av-mini",
            f"media/{clip.clip_id}.mp4",
            0.0,
            4.0,
            clip.caption,
            ";".join(clip.families),
            "val",
        )
        assert (tmp_path / row.media).is_file()
    assert not list(tmp_path.rglob("*.part*"))


def test_events_on_disk_are_exact(tmp_path: Path) -> None:
    render("test", 8, 1, tmp_path)
    events = read_events(tmp_path)
    expected = [(clip.clip_id, *event) for clip in (make_clip("test", 1, i) for i in range(8)) for event in clip.events]
    assert list(events.columns) == ["clip_id", "time_s", "family", "source", "x_px", "y_px", "strength"]
    assert [tuple(row) for row in events.itertuples(index=False)] == expected


def test_clips_without_events_have_no_rows(tmp_path: Path) -> None:
    index = next(i for i in range(100) if not make_clip("train", 0, i).events)
    rendering._event_table([rendering.Scene("train", 0, index)]).to_csv(tmp_path / "events.csv", index=False)
    events = read_events(tmp_path)
    assert len(events) == 0
    assert events["time_s"].dtype == float


def test_read_events_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"events\.csv: no such file"):
        read_events(tmp_path)


def test_clips_depend_neither_on_their_number_nor_on_workers(tmp_path: Path) -> None:
    render("train", 3, 0, tmp_path / "three")
    render("train", 5, 0, tmp_path / "five", num_workers=2)
    three, five = _bytes_by_name(tmp_path / "three" / "media"), _bytes_by_name(tmp_path / "five" / "media")
    assert len(five) == 5
    assert three.items() <= five.items()


def test_interrupted_render_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = rendering.write_clip

    def failing(clip: object, path: Path) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        write(clip, path)  # type: ignore[arg-type]
        written.append(path.name)

    monkeypatch.setattr(rendering, "write_clip", failing)
    with pytest.raises(KeyboardInterrupt):
        render("train", 4, 0, tmp_path)
    assert sorted(path.name for path in (tmp_path / "media").iterdir()) == written
    assert not (tmp_path / "manifest.csv").exists()
    stamps = {name: (tmp_path / "media" / name).stat().st_mtime_ns for name in written}

    monkeypatch.setattr(rendering, "write_clip", write)
    render("train", 4, 0, tmp_path)
    assert {name: (tmp_path / "media" / name).stat().st_mtime_ns for name in written} == stamps
    render("train", 4, 0, tmp_path / "fresh")
    for name, digest in _bytes_by_name(tmp_path / "fresh").items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        rendering.write_clip(make_clip("train", 0, 0), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world-version.txt").write_text("999\n")
    with pytest.raises(UsageError, match="holds clips of version 999 of t2av-mini, this is version 2"):
        render("train", 1, 0, tmp_path)


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="n must be at least 1, got 0"):
        render("train", 0, 0, tmp_path)
    with pytest.raises(UsageError, match="num_workers must not be negative, got -1"):
        render("train", 1, 0, tmp_path, num_workers=-1)
    with pytest.raises(UsageError, match="split must be one of"):
        render("dev", 1, 0, tmp_path)


def test_no_progress_bar_unless_a_terminal_or_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render("train", 1, 0, tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    render("train", 1, 0, tmp_path / "b", progress=True)
    assert "Rendering t2av-mini train" in capsys.readouterr().err


def test_official_split_is_rendered_once_and_then_only_read(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = load_manifest("t2av-mini")
    assert len(manifest) == 128
    assert manifest.official
    assert manifest.sha256 == rendering.TEST_SHA256
    assert set(manifest.table["split"]) == {"test"}
    assert manifest.data_dir is not None
    assert manifest.data_dir.is_relative_to(home())

    def never(*_: object) -> None:
        raise AssertionError("rendered again")

    with monkeypatch.context() as patch:
        patch.setattr(rendering, "render", never)
        again = load_test_split()
    assert again.official
    assert again.sha256 == manifest.sha256

    changed = manifest.data_dir / "manifest.csv"
    changed.write_text(changed.read_text().replace("drum", "gong"))
    with pytest.raises(
        ManifestError, match=r"must hold the official test split of t2av-mini, SHA-256 .* delete the folder"
    ):
        load_test_split()


def test_changed_world_is_not_taken_for_the_official_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "TEST_CLIPS", 2)
    with pytest.raises(ManifestError, match="must hold the official test split"):
        load_test_split()


def test_missing_clip_is_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "TEST_CLIPS", 3)
    manifest = render("test", 3, 0, home() / "mini" / "test-v2")
    monkeypatch.setattr(rendering, "TEST_SHA256", manifest.sha256)
    lost = home() / "mini" / "test-v2" / manifest.clips()[0].media
    before = lost.read_bytes()
    lost.unlink()
    load_test_split()
    assert lost.read_bytes() == before


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: render("train", 6, 9, tmp_path / "both"), range(2)))
    assert both[0].sha256 == both[1].sha256
    render("train", 6, 9, tmp_path / "alone")
    assert _bytes_by_name(tmp_path / "both") == _bytes_by_name(tmp_path / "alone")


def test_script_without_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from t2av_bench.errors import UsageError\n"
        "from t2av_bench.manifests.mini import render\n"
        "try:\n"
        f"    render('train', 2, 0, {str(tmp_path / 'out')!r}, num_workers=1)\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=60)
    assert "must start under `if __name__" in done.stdout


@pytest.mark.slow
def test_two_processes_at_once_load_the_official_split() -> None:
    code = "from t2av_bench.manifests.mini import load_test_split; print(load_test_split().sha256)"
    root = Path(__file__).resolve().parents[2]
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)
    ]
    assert [process.communicate(timeout=300)[0].strip() for process in both] == [rendering.TEST_SHA256] * 2


def test_whole_test_split_has_its_golden_bits() -> None:
    digest = hashlib.sha256()
    for index in range(rendering.TEST_CLIPS):
        clip = make_clip("test", rendering.TEST_SEED, index)
        digest.update(clip.pcm.astype("<i2").tobytes() + clip.frames.tobytes())
    assert digest.hexdigest() == TEST_CONTENT_SHA256
