"""The built manifests: the pinned bytes, the declared rules, and what happens to a file that was changed."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2av_bench.errors import ManifestError, ManifestWarning, PrerequisiteError, UsageError
from t2av_bench.home import home
from t2av_bench.inventory import manifest_state
from t2av_bench.manifests import load_manifest, manifest_names, official
from t2av_bench.manifests.official import BUILDABLE as ALL
from t2av_bench.manifests.official import build_official, built_path, load_official
from t2av_bench.manifests.pins import PINS
from t2av_bench.manifests.recipes import clip_id, file_content, first_by_hash, merge, reader, without_videos
from t2av_bench.manifests.sources import LISTS
from t2av_bench.manifests.upstream import Entry
from t2av_bench.naming import parse_clip_name

BUILDABLE = sorted(set(ALL) - {"vggsound/train", "t2av-bench/train-vggsound"})


@pytest.fixture
def lists(shared: Path) -> Iterator[Path]:
    """A home folder with the published lists that are at hand."""
    shutil.copytree(shared / "upstream", home() / "manifests" / "upstream", copy_function=shutil.copyfile)
    for folder in (home() / "manifests" / "upstream").rglob("*"):
        folder.chmod(0o755 if folder.is_dir() else 0o644)
    return home() / "manifests" / "upstream"


def test_all_manifests_have_the_pinned_bytes_and_are_built_within_ten_seconds(lists: Path):
    read, started_s = reader(), time.process_time()  # of this process, whatever else the machine does
    built = {name: build_official(name, read) for name in BUILDABLE}
    assert time.process_time() - started_s < 10
    assert {name for name, one in built.items() if one.state == "verified"} == set(BUILDABLE) == set(PINS)
    counts = {name: (one.rows_n, one.left_out_n) for name, one in built.items()}
    assert counts["t2av-bench"] == (15_446 + 975 + 1_200 - 1, 1)
    assert counts["t2av-bench/vggsound"] == counts["vggsound/test"] == (15_446, 0)
    assert counts["t2av-bench/audiocaps"] == (975, 0)
    assert counts["t2av-bench/llp"] == (1_200, 0)
    assert counts["t2av-bench-mini"][0] == 256
    assert counts["t2av-bench/train-audiocaps"] == (49_838 - 107, 107)  # 92 videos of LLP test and 15 of VGGSound test
    assert counts["llp/events"] == (4_131 - 24 + 2_495 - 8, 32)
    assert counts["t2av-bench/train-llp"] == (10_000 - 16, 16)


def test_building_twice_gives_the_same_bytes(lists: Path):
    first = build_official("llp/val").path.read_bytes()
    assert build_official("llp/val").path.read_bytes() == first


def test_load_builds_what_is_missing_and_is_official(lists: Path):
    manifest = load_manifest("t2av-bench")
    assert manifest.official
    assert manifest.name == "t2av-bench"
    assert len(manifest) == 17_620
    assert manifest.table["source"].value_counts().to_dict() == {"vggsound": 15_446, "llp": 1_199, "audiocaps": 975}
    assert manifest.licence.count(";") == 2
    assert set(manifest.table["split"]) == {"test"}


def test_the_clip_in_two_lists_keeps_the_caption_of_people_and_all_labels(lists: Path):
    table = load_manifest("t2av-bench").table.set_index("clip_id")
    both = table.loc["5G6b_QWL3nY_000060"]
    assert (both["source"], both["labels"]) == ("audiocaps", "Frying_(food);Speech")
    assert both["caption"] == "An adult female speaks as a pan sizzles"


def test_two_clips_of_one_video_are_two_clips(lists: Path):
    ids = set(load_manifest("t2av-bench").table["clip_id"])
    assert {"EYTz1LPDHsc_000017", "EYTz1LPDHsc_000030"} <= ids


def test_short_names_mean_the_test_lists(lists: Path):
    assert load_manifest("llp").name == "llp/test"
    assert {"audiocaps", "vggsound", "llp", "t2av-bench"} <= set(manifest_names())


def test_no_training_manifest_holds_a_test_video(lists: Path):
    tests = {name[:11] for name in load_manifest("t2av-bench").table["clip_id"]}
    for name in ("t2av-bench/train-audiocaps", "t2av-bench/train-llp"):
        with build_official(name).path.open(encoding="utf-8", newline="") as file:
            assert not tests & {row["clip_id"][:11] for row in csv.DictReader(file)}


def test_a_changed_file_is_said_and_not_official(lists: Path):
    path = built_path("llp/val")
    assert load_manifest("llp/val").official
    path.write_text(path.read_text().replace("person speaking", "somebody speaking", 1))
    with pytest.warns(ManifestWarning, match="is not the manifest llp/val as it was built.*not comparable"):
        changed = load_manifest("llp/val")
    assert not changed.official
    build_official("llp/val")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_manifest("llp/val").official


def test_a_missing_list_is_named_with_command_address_and_path():
    with pytest.raises(
        PrerequisiteError, match=r"list llp/AVVP_test_pd\.csv behind the manifest llp/test is missing"
    ) as e:
        load_manifest("llp")
    for words in ("download manifests --only llp/test", LISTS["llp/test"].url, str(LISTS["llp/test"].path)):
        assert words in str(e.value)


def test_a_changed_list_is_refused(lists: Path):
    path = LISTS["llp/val"].path
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(PrerequisiteError, match=r"AVVP_val_pd\.csv behind the manifest llp/val must have sha256"):
        build_official("llp/val")


def test_a_build_with_other_bytes_than_pinned_is_not_written(lists: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(official.PINS, "llp/val", "0" * 64)
    with pytest.raises(ManifestError, match="must have sha256 0000"):
        build_official("llp/val")
    assert not built_path("llp/val").exists()


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match=r"There is no manifest 'x' to build. Available: audiocaps/test"):
        build_official("x")
    with pytest.raises(UsageError, match="There is no manifest named 't2av-bench/vgsound'. Did you mean"):
        load_manifest("t2av-bench/vgsound")


def test_the_unpinned_training_list_of_vggsound_is_built_from_its_documented_format(
    lists: Path, monkeypatch: pytest.MonkeyPatch
):
    test_video = load_manifest("vggsound").table["clip_id"][0][:11]
    path = LISTS["vggsound/full"].path
    path.write_text(f"7tMPoaU2oL_,30,hail,train\r\n{test_video},500,hail,train\r\n7tMPoaU2oL_,40,hail,test\r\n")
    monkeypatch.setattr(official, "fault_of", lambda file, path: None)
    built = build_official("t2av-bench/train-vggsound")
    assert (built.rows_n, built.left_out_n) == (1, 1)
    assert not load_official("t2av-bench/train-vggsound").official
    sha256 = hashlib.sha256(built.path.read_bytes()).hexdigest()
    assert built.state == f"not pinned: sha256 {sha256} was recorded, and later builds must have it too"
    assert manifest_state("t2av-bench/train-vggsound").detail == f"built; not pinned, it has sha256 {sha256}"
    again = build_official("t2av-bench/train-vggsound")
    assert again.state == f"not pinned: sha256 {sha256}, as when it was built here first"
    path.write_text("7tMPoaU2oL_,31,hail,train\r\n")
    with pytest.raises(ManifestError, match=rf"must have sha256 {sha256}, as when it was built here first"):
        build_official("t2av-bench/train-vggsound")
    built.path.write_text(built.path.read_text().replace("hail", "rain"))
    assert manifest_state("t2av-bench/train-vggsound").condition == "wrong"
    with pytest.warns(ManifestWarning, match=f"it must have sha256 {sha256}"):
        load_official("t2av-bench/train-vggsound")


ids = st.text("abcXYZ019-_", min_size=11, max_size=11)
starts = st.integers(0, 600).map(float) | st.integers(0, 6000).map(lambda n: n / 10)
entries = st.lists(
    st.builds(
        Entry,
        video=ids,
        start_s=starts,
        source=st.sampled_from(["audiocaps", "vggsound", "llp"]),
        split=st.just("test"),
        caption=st.text("ab ,\"'\n;", min_size=1).filter(str.strip),
        labels=st.lists(st.sampled_from("abc"), max_size=2).map(tuple),
        alternatives=st.lists(st.text("ab\",'"), max_size=3).map(tuple),
    ),
    max_size=20,
)


@given(st.lists(entries, max_size=3))
def test_merging_keeps_each_key_once_and_the_first_caption(groups: list[list[Entry]]):
    merged = merge(groups)
    flat = [entry for group in groups for entry in group]
    assert [e.key for e in merged] == list(dict.fromkeys(e.key for e in flat))
    for one in merged:
        same = [e for e in flat if e.key == one.key]
        assert one.caption == same[0].caption
        assert set(one.labels) == {label for e in same for label in e.labels}


@given(entries, entries)
def test_leaving_out_videos_leaves_out_those_and_no_others(train: list[Entry], test: list[Entry]):
    kept = without_videos(train, [test])
    videos = {e.video for e in test}
    assert kept == [e for e in train if e.video not in videos]


@given(entries.map(lambda group: merge([group])), st.integers(0, 20))
def test_the_mini_benchmark_depends_on_the_ids_alone(group: list[Entry], count: int):
    chosen = first_by_hash(group, count)
    assert len(chosen) == min(count, len(group))
    assert first_by_hash(group[::-1], count) == chosen
    assert set(chosen) <= set(first_by_hash(group, count + 1))


@given(ids, starts)
def test_a_clips_name_tells_video_and_start(video: str, start_s: float):
    assert parse_clip_name(clip_id(Entry(video, start_s, "llp", "test", "x"))) == (video, start_s)


@given(entries.map(lambda group: merge([group])).filter(bool))
def test_the_file_reads_back(tmp_path_factory: pytest.TempPathFactory, group: list[Entry]):
    from t2av_bench.manifests import read_manifest

    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_bytes(file_content(group))
    clips = list(read_manifest(path).clips())
    assert [(c.clip_id, c.caption, c.source) for c in clips] == [(clip_id(e), e.caption, e.source) for e in group]
    assert all(c.duration_s == 10.0 for c in clips)


def test_alternative_captions_are_kept_in_the_file(lists: Path):
    with build_official("audiocaps").path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(1 + len(json.loads(row["alternative_captions"])) for row in rows) == 4_875
