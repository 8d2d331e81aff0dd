"""Predictions are found by name, and whatever does not fit is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from t2av_bench.errors import T2AVBenchError
from t2av_bench.manifests import Clip
from t2av_bench.naming import convention_of, locate_media, parse_clip_name
from t2av_bench.predictions import match_predictions


def clips(*ids: str) -> list[Clip]:
    return [Clip(i, "", f"{i}.mp4", 0.0, 10.0, "a sound", "", "test") for i in ids]


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_matches_by_stem_whatever_the_order_and_the_ending(tmp_path: Path):
    folder = touch(tmp_path / "p", "b.FLAC", "a.wav", "v1.0_x.mp4", "notes.txt", "._a.wav")
    matching = match_predictions(clips("v1.0_x", "a", "b"), folder)
    assert {k: v.name for k, v in matching.files.items()} == {"a": "a.wav", "b": "b.FLAC", "v1.0_x": "v1.0_x.mp4"}
    assert matching.problems == ()
    assert matching.unknown == ()


def test_lists_missing_duplicate_and_unknown_at_once(tmp_path: Path):
    folder = touch(tmp_path / "p", "a.wav", "a.flac", "c.wav", "zz.wav")
    matching = match_predictions(clips("a", "b", "c"), folder)
    assert set(matching.files) == {"c"}
    assert [(p.clip_id, p.kind) for p in matching.problems] == [("a", "duplicate"), ("b", "missing")]
    assert "a.flac and a.wav" in matching.problems[0].reason
    assert [path.name for path in matching.unknown] == ["zz.wav"]


def test_a_list_replaces_the_names(tmp_path: Path):
    folder = touch(tmp_path / "p", "1.wav", "sub/2.wav", "a.wav")
    (folder / "predictions.csv").write_text("clip_id,path\na,1.wav\nb,sub/2.wav\n")
    matching = match_predictions(clips("a", "b"), folder)
    assert matching.files == {"a": folder / "1.wav", "b": folder / "sub/2.wav"}
    matching = match_predictions(clips("a", "c"), folder)
    assert [str(problem) for problem in matching.problems] == [
        f"{folder / 'predictions.csv'}: the list has no row for c"
    ]
    with pytest.raises(T2AVBenchError, match=r"predictions\.csv: no row is of a clip.*such as 'a', 'b'.*such as 'c'"):
        match_predictions(clips("c"), folder)


@pytest.mark.parametrize("hostile", ["../1.wav", "/etc/passwd", "sub/../../1.wav", "..\\\\1.wav", ""])
def test_a_list_may_not_name_files_outside_the_folder(tmp_path: Path, hostile: str):
    folder = touch(tmp_path / "p", "1.wav")
    (folder / "predictions.csv").write_text(f"clip_id,path\na,{hostile}\n")
    with pytest.raises(T2AVBenchError, match="row 2: must name a file inside the folder"):
        match_predictions(clips("a", "b"), folder)


@pytest.mark.parametrize(("head", "found"), [("id;file\n", "id;file"), ("id,file\n", "id, file"), ("", "none")])
def test_a_list_needs_its_columns(tmp_path: Path, head: str, found: str):
    folder = touch(tmp_path / "p")
    (folder / "predictions.csv").write_text(head)
    with pytest.raises(T2AVBenchError, match=f"must have the columns clip_id,path; found {found}$"):
        match_predictions(clips("a"), folder)


def test_an_empty_or_absent_folder_is_named(tmp_path: Path):
    with pytest.raises(T2AVBenchError, match="nowhere: the folder of predictions must exist"):
        match_predictions(clips("a"), tmp_path / "nowhere")
    with pytest.raises(T2AVBenchError, match="must hold one media file per clip; found none$"):
        match_predictions(clips("a"), touch(tmp_path / "empty"))
    touch(tmp_path / "outer", "wavs/a.wav")
    with pytest.raises(T2AVBenchError, match=r"did you mean that folder\?"):
        match_predictions(clips("a"), tmp_path / "outer")


@pytest.mark.parametrize(
    ("stem", "convention"),
    [
        ("7tMPoaU2oL4_0_10000", "<id>_<start ms>_<end ms>"),
        ("-1pRmoJIGQc_000010", "<id>_<start s, 6 digits>"),
        ("AP0061o0Nvk_101.8_111.8", "<id>_<start>_<end>"),
        ("a_b-c_d-e_f_30_40", "<id>_<start>_<end>"),
    ],
)
def test_says_which_convention_names_that_do_not_match_look_like(tmp_path: Path, stem: str, convention: str):
    assert convention_of([stem]) == convention
    folder = touch(tmp_path / "p", f"{stem}.wav")
    with pytest.raises(T2AVBenchError, match=f"no file is named after a clip.*The files look like {convention}"):
        match_predictions(clips("something-else"), folder)


def test_names_of_no_known_convention_get_no_guess(tmp_path: Path):
    with pytest.raises(T2AVBenchError, match=r"such as 'a'\. Rename the files, or list them in predictions\.csv"):
        match_predictions(clips("a"), touch(tmp_path / "p", "0001.wav"))
    assert convention_of(["clip_1", "clip_2"]) is None
    assert convention_of([]) is None


@pytest.mark.parametrize(
    ("stem", "parsed"),
    [
        ("7tMPoaU2oL4_34000_44000", ("7tMPoaU2oL4", 34.0)),
        ("7tMPoaU2oL4_000034", ("7tMPoaU2oL4", 34.0)),
        ("7tMPoaU2oL4_34_44", ("7tMPoaU2oL4", 34.0)),
        ("AP0061o0Nvk_101.8_111.8", ("AP0061o0Nvk", 101.8)),
        ("_0_10_20_30_30_40", ("_0_10_20_30", 30.0)),
        ("7tMPoaU2oL4_34", ("7tMPoaU2oL4", 34.0)),
        ("short_0_10", None),
    ],
)
def test_one_clip_has_one_identity_in_every_convention(stem: str, parsed: tuple[str, float] | None):
    assert parse_clip_name(stem) == parsed


def test_reference_media_are_found_by_path_then_by_any_convention(tmp_path: Path):
    folder = touch(tmp_path / "d", "sub/a.mp4", "7tMPoaU2oL4_34000_44000.mp4", "plain.webm")
    wanted = [
        clips("a")[0]._replace(media="sub/a.mp4"),
        *clips("7tMPoaU2oL4_000034", "plain", "gone"),
    ]
    files, problems = locate_media(wanted, folder)
    assert {k: v.name for k, v in files.items()} == {
        "a": "a.mp4", "7tMPoaU2oL4_000034": "7tMPoaU2oL4_34000_44000.mp4", "plain": "plain.webm"
    }  # fmt: skip
    assert [(p.clip_id, p.kind) for p in problems] == [("gone", "missing_reference")]
    with pytest.raises(T2AVBenchError, match="the data folder must exist"):
        locate_media(wanted, tmp_path / "no")


def test_reference_media_are_found_beside_their_path_and_by_their_video_if_that_is_enough(tmp_path: Path):
    folder = touch(
        tmp_path / "d", "audiocaps/YaaaaaaaaaaA.wav", "llp/bbbbbbbbbbB_30_40.mp4", "Yccccccccccc.wav", "ddddddddddD.mp4"
    )
    names = {"aaaaaaaaaaA_000010": "audiocaps", "bbbbbbbbbbB_000030": "llp", "ddddddddddD_000000": "llp",
             "ccccccccccc_000010": "llp", "ccccccccccc_000020": "llp"}  # fmt: skip
    wanted = [clip._replace(media=f"{names[clip.clip_id]}/{clip.clip_id}.mp4") for clip in clips(*names)]
    files, problems = locate_media(wanted, folder)
    assert {k: v.name for k, v in files.items()} == {
        "aaaaaaaaaaA_000010": "YaaaaaaaaaaA.wav", "bbbbbbbbbbB_000030": "bbbbbbbbbbB_30_40.mp4"
    }  # fmt: skip
    assert [p.clip_id for p in problems] == ["ddddddddddD_000000", "ccccccccccc_000010", "ccccccccccc_000020"]
