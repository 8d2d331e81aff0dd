"""The readers of the published lists: counts, repairs, and words about every malformed row."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2av_bench.download.remote import fault_of
from t2av_bench.errors import ManifestError
from t2av_bench.manifests.llp_events import LOST, RENAMED, Event, read_events
from t2av_bench.manifests.sources import LISTS
from t2av_bench.manifests.upstream import (
    LLP_PHRASES,
    SPELLING,
    Entry,
    read_audiocaps,
    read_llp,
    read_vggsound_full,
    read_vggsound_test,
)

ID = "7tMPoaU2oL4"
ROW = {
    "audiocaps": f"audiocap_id,youtube_id,start_time,caption\r\n9,{ID},20,A dog\r\n",
    "vggsound-test": f"{ID}_000020.mp4,dog barking\r\n",
    "vggsound-full": f'{ID},20,"dog, barking",train\r\n',
    "llp": f"filename\tevent_labels\n{ID}_20_30\tDog,Speech\n",
}


def read(kind: str, path: Path) -> list[Entry]:
    if kind == "audiocaps":
        return read_audiocaps(path, "test")
    if kind == "llp":
        return read_llp(path, "test")
    return read_vggsound_test(path) if kind == "vggsound-test" else read_vggsound_full(path, "train")


@pytest.fixture
def lists(shared: Path) -> Path:
    return shared / "upstream"


def test_the_lists_at_hand_are_the_published_ones(lists: Path):
    at_hand = [file for file in LISTS.values() if (lists / file.file_name).is_file()]
    assert len(at_hand) == 9
    assert [file.name for file in at_hand if fault_of(file, lists / file.file_name, thorough=True)] == []


def test_audiocaps_has_as_many_clips_and_captions_as_published(lists: Path):
    for split, clips_n, captions_n in (("train", 49_838, 1), ("val", 495, 5), ("test", 975, 5)):
        entries = read_audiocaps(lists / "audiocaps" / f"{split}.csv", split)
        assert len(entries) == clips_n
        assert {1 + len(entry.alternatives) for entry in entries} == {captions_n}


def test_vggsound_and_llp_have_as_many_clips_as_published(lists: Path):
    test = read_vggsound_test(lists / "vggsound" / "test.csv")
    assert (len(test), len({e.video for e in test}), len({e.labels for e in test})) == (15_446, 14_851, 309)
    for name, split, clips_n in (("train", "train", 10_000), ("val_pd", "val", 649), ("test_pd", "test", 1_200)):
        entries = read_llp(lists / "llp" / f"AVVP_{name}.csv", split)
        assert len(entries) == clips_n
        assert sum(not e.start_s.is_integer() for e in entries) == (5 if split == "train" else 0)


def test_the_first_caption_is_the_one_of_the_lowest_id_as_a_number(tmp_path: Path):
    path = tmp_path / "test.csv"
    rows = [f"10,{ID},20,ten", f"9,{ID},20,nine", f"9,{ID},30,other start", f'100,{ID},20,"hundred, quoted"']
    path.write_text("\r\n".join(["audiocap_id,youtube_id,start_time,caption", *rows]) + "\r\n")
    first, other = read_audiocaps(path, "test")
    assert (first.caption, first.alternatives) == ("nine", ("ten", "hundred, quoted"))
    assert (other.start_s, other.caption, other.alternatives) == (30.0, "other start", ())


def test_misspelt_labels_are_right_in_the_caption_only(tmp_path: Path):
    path = tmp_path / "test.csv"
    path.write_text("".join(f"{ID}_{i:06d}.mp4,{label}\r\n" for i, label in enumerate(SPELLING)))
    assert [(e.labels[0], e.caption) for e in read_vggsound_test(path)] == list(SPELLING.items())


def test_vggsound_csv_in_its_documented_format(tmp_path: Path):
    path = tmp_path / "vggsound.csv"
    path.write_text(
        f'---g-f_I2yQ,1,people marching,test\r\n{ID},30,"cattle, bovinae cowbell",train\r\n{ID},40,hail,train\r\n'
    )
    assert read_vggsound_full(path, "train") == [
        Entry(ID, 30.0, "vggsound", "train", "cattle, bovinae cowbell", ("cattle, bovinae cowbell",)),
        Entry(ID, 40.0, "vggsound", "train", "hail", ("hail",)),
    ]
    (test,) = read_vggsound_full(path, "test")
    assert test.key == ("---g-f_I2yQ", 1.0)


@pytest.mark.parametrize(
    ("labels", "caption"),
    [
        ("Dog", "dog barking"),
        ("Clapping,Clapping", "people clapping"),
        ("Speech,Dog", "person speaking and dog barking"),
        ("Speech,Dog,Frying_(food)", "person speaking, dog barking and food frying"),
    ],
)
def test_llp_labels_become_a_caption(tmp_path: Path, labels: str, caption: str):
    (tmp_path / "l.csv").write_text(f"filename\tevent_labels\n{ID}_101.8_111.8\t{labels}\n")
    (entry,) = read_llp(tmp_path / "l.csv", "train")
    assert entry.caption == caption
    assert entry.start_s == 101.8
    assert len(set(entry.labels)) == len(entry.labels)


def test_every_llp_label_has_a_phrase(lists: Path):
    entries = read_llp(lists / "llp" / "AVVP_train.csv", "train")
    assert {label for e in entries for label in e.labels} == set(LLP_PHRASES)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("audiocaps", ("youtube_id", "video"), "row 1: the header must be audiocap_id, youtube_id"),
        ("audiocaps", (ID, "short"), r"row 2, column 'youtube_id': must be a YouTube id of 11"),
        ("audiocaps", (ID, "../../../ab"), "column 'youtube_id'"),
        ("audiocaps", (",20,", ",2.5,"), "row 2, column 'start_time': must be a whole number.*'2.5'"),
        ("audiocaps", (",20,", ",-2,"), "column 'start_time'"),
        ("audiocaps", ("A dog", " "), "row 2, column 'caption': must not be empty"),
        ("audiocaps", (",A dog", "\tA dog"), "row 2: must have 4 fields separated by comma, got 3"),
        ("audiocaps", ("A dog", '"A dog'), "cannot be read as a table"),
        ("vggsound-test", ("_000020", "_20"), r"row 1, column 1: must be <11 characters>_<6 digits>\.mp4"),
        ("vggsound-test", ("dog barking", ""), "the label must not be empty"),
        ("vggsound-test", (",", ";"), "row 1: must have 2 fields separated by comma, got 1"),
        ("vggsound-full", ("train", "val"), "row 1, column 4: must be train or test, got 'val'"),
        ("vggsound-full", ("20", "x"), "row 1, column 2"),
        ("llp", ("\t", ","), "must have 2 fields separated by TAB"),
        ("llp", ("_20_30", "_20"), "row 2, column 'filename': must be"),
        ("llp", ("_20_30", "_20_400"), "must last 10 s"),
        ("llp", ("Dog", "Dragon"), "row 2, column 'event_labels': there is no label 'Dragon'"),
        ("llp", ("Dog", "Dog,"), "there is no label ''"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, kind: str, change: tuple[str, str], words: str):
    path = tmp_path / "list.csv"
    path.write_bytes(ROW[kind].encode())
    assert len(read(kind, path)) == 1
    path.write_bytes(ROW[kind].replace(*change).encode())
    with pytest.raises(ManifestError, match=words):
        read(kind, path)


@pytest.mark.parametrize("kind", ["vggsound-test", "vggsound-full", "llp"])
def test_a_clip_may_stand_there_once_only(tmp_path: Path, kind: str):
    path = tmp_path / "list.csv"
    path.write_text(ROW[kind] + ROW[kind].splitlines()[-1])
    with pytest.raises(ManifestError, match=f"the clip of {ID} at 20 s must stand there once only"):
        read(kind, path)


def test_wrong_encodings_and_missing_files_are_named(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_bytes(ROW["audiocaps"].replace("dog", "d\xf6g").encode("latin-1"))
    with pytest.raises(ManifestError, match=r"list\.csv: cannot be read as a table in UTF-8"):
        read("audiocaps", path)
    with pytest.raises(ManifestError, match="cannot be read"):
        read("llp", tmp_path / "absent.csv")


@given(st.sampled_from(sorted(ROW)), st.binary(max_size=200), st.integers(0, 120))
def test_any_bytes_give_entries_or_words(kind: str, junk: bytes, place: int):
    content = ROW[kind].encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_bytes(content[:place] + junk + content[place:])
        try:
            entries = read(kind, path)
        except ManifestError:
            return
    assert all(len(e.video) == 11 and e.start_s >= 0 and e.caption.strip() for e in entries)


def test_llp_time_lines_are_repaired(lists: Path):
    splits = [read_llp(lists / "llp" / f"AVVP_{s}_pd.csv", s) for s in ("val", "test")]
    clips = {entry.key for split in splits for entry in split}
    audio, repairs = read_events(lists / "llp" / "AVVP_eval_audio.csv", clips)
    assert repairs == (3, 11, 5, 8)
    assert len(audio) == 4_131 - 11 - 5 - 8
    visual, repairs = read_events(lists / "llp" / "AVVP_eval_visual.csv", clips)
    assert (len(visual), repairs.reversed_n, repairs.doubled_n) == (2_495 - repairs.lost_n, 0, 0)
    test = {entry.key for entry in splits[1]}
    # Published: 5 and 121. The only event of H5WcJwyjxIg is a reversed one.
    assert len(test - {event[:2] for event in audio}) == 6
    assert len(test - {event[:2] for event in visual}) == 121


def test_each_repair_of_a_time_line(tmp_path: Path):
    path = tmp_path / "events.csv"
    rows = [f"{ID}_20_30\t1\t4\tDog"] * 2 + [f"{ID}_20_30\t4\t4\tDog", f"{ID}_20_30\t9\t0\tDog"]
    rows += [f"{name}\t0\t1\tDog" for name in (*RENAMED, *sorted(LOST))]
    path.write_text("filename\tonset\toffset\tevent_labels\n" + "\n".join(rows) + "\n")
    clips = {(ID, 20.0), ("19jWnmYnlD8", 30.0), ("1-VMTJRpjbE", 150.0)}
    events, repairs = read_events(path, clips)
    assert events[0] == Event(ID, 20.0, 1.0, 4.0, "Dog")
    assert [event[:2] for event in events[1:]] == [("19jWnmYnlD8", 30.0), ("1-VMTJRpjbE", 150.0)]
    assert repairs == (2, 6, 2, 1)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("unknownclip_0_10\t0\t1\tDog", "must name a clip of val or test, got 'unknownclip_0_10'"),
        (f"{ID}_20_30\t0\t11\tDog", "row 2, column 'offset': must be a whole second from 0 to 10, got '11'"),
        (f"{ID}_20_30\t0.5\t1\tDog", "column 'onset'"),
        (f"{ID}_20_30\t0\t1\tDragon", "there is no label 'Dragon'"),
    ],
)
def test_malformed_events_are_named(tmp_path: Path, row: str, words: str):
    path = tmp_path / "events.csv"
    path.write_text(f"filename\tonset\toffset\tevent_labels\n{row}\n")
    with pytest.raises(ManifestError, match=words):
        read_events(path, {(ID, 20.0)})
