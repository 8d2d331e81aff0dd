"""A pack is complete or not there, made of the right numbers, and the same bytes every time."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from made_packs import N, World, taken_apart
from safetensors.numpy import load_file
from team import in_team

from t2av_bench.cache import file_sha256, text_sha256
from t2av_bench.errors import PackError, UsageError
from t2av_bench.manifests import event_times
from t2av_bench.models.extractors import get_extractor
from t2av_bench.packs.building import build_pack
from t2av_bench.packs.layout import Content, StoredTensor, whole, write_pack
from t2av_bench.packs.reading import ReferencePack


def test_the_rows_are_those_of_the_extractors(world: World):
    pack = ReferencePack.open(world.packs["float32"])
    for name in ("lite-audio", "lite-video", "onset-strength", "motion-energy"):
        extractor = get_extractor(name)
        for place, clip in enumerate(world.manifest.clips()):
            rows = extractor.embed_file(world.data / clip.media, clip.start_s, clip.duration_s)
            np.testing.assert_array_equal(pack.rows(name, place), rows)
    captions = get_extractor("lite-text").embed_captions([clip.caption for clip in world.manifest.clips()])
    np.testing.assert_array_equal(np.concatenate([pack.rows("lite-text", i) for i in range(N)]), captions)


def test_half_precision_rounds_to_the_nearest(world: World):
    exact, half = (ReferencePack.open(world.packs[dtype]) for dtype in ("float32", "float16"))
    for name, extractor in half.record["extractors"].items():
        for place in range(N):
            expected = exact.rows(name, place)
            if extractor["dtype"] == "float16":
                expected = expected.astype(np.float16).astype(np.float32)
            np.testing.assert_array_equal(half.rows(name, place), expected)
    assert {name for name, e in half.record["extractors"].items() if e["dtype"] == "float32"} == {
        "onset-strength", "motion-energy"
    }  # fmt: skip


def test_a_stranger_reads_the_file_with_safetensors_alone(world: World):
    tensors = load_file(world.packs["float16"])
    rows = list(csv.DictReader(io.StringIO(tensors["clips"].tobytes().decode())))
    offsets = tensors["offsets/lite-video"]
    assert [row["clip_id"] for row in rows] == [clip.clip_id for clip in world.manifest.clips()]
    for place, (row, clip) in enumerate(zip(rows, world.manifest.clips(), strict=True)):
        assert row["media_sha256"] == file_sha256(world.data / clip.media)
        assert row["caption_sha256"] == text_sha256(clip.caption)
        assert (float(row["start_s"]), float(row["duration_s"])) == (clip.start_s, clip.duration_s)
        assert len(tensors["embeddings/lite-video"][offsets[place] : offsets[place + 1]]) == 4


def test_the_events_are_the_manifests(world: World):
    found, expected = ReferencePack.open(world.packs["float16"]).event_times(), event_times(world.manifest)
    assert found is not None
    assert expected is not None
    assert found.keys() == expected.keys()
    for clip_id, times_s in expected.items():
        np.testing.assert_array_equal(found[clip_id], times_s)


def test_the_record_names_everything_that_decides_the_numbers(world: World):
    record, _ = taken_apart(world.packs["float16"])
    assert record["manifest"]["sha256"] == world.manifest.sha256
    assert record["protocol"]["features"] == "lite"
    assert (record["clips"], record["dtype"]) == (N, "float16")
    video = get_extractor("lite-video")
    stored = record["extractors"]["lite-video"]
    assert (stored["fingerprint"], stored["dim"], stored["unit"]) == (video.fingerprint, 64, "window")
    assert 0.0 < stored["rounding"] < 1e-3


def test_the_same_embeddings_make_the_same_bytes(world: World, tmp_path: Path):
    again = build_pack(tmp_path / "again.pack", world.manifest, **world.options)
    elsewhere = build_pack(tmp_path / "else.pack", world.manifest, **world.options | {"cache_dir": tmp_path / "cache"})
    expected = world.packs["float16"].read_bytes()
    assert again.path.read_bytes() == elsewhere.path.read_bytes() == expected
    assert again.sha256 == file_sha256(world.packs["float16"])


def test_a_build_goes_on_from_the_cache(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("t2av_bench.extraction.embedding.run_jobs", None)
    assert build_pack(tmp_path / "again.pack", world.manifest, **world.options).record["clips"] == N


def test_processes_that_share_the_work_make_the_same_bytes(world: World, tmp_path: Path):
    options = world.options | {"cache_dir": tmp_path / "cache"}
    made = in_team(2, lambda team: build_pack(tmp_path / "t.pack", world.manifest, processes=team, **options))
    assert [pack.sha256 for pack in made] == [file_sha256(world.packs["float16"])] * 2


def test_a_failed_write_leaves_nothing_and_an_older_pack_as_it_was(tmp_path: Path):
    def broken():
        yield np.zeros((1, 4), np.float32)
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.pack"
    path.write_bytes(b"older")
    with pytest.raises(PackError, match="x.pack: cannot be written \\(No space left on device\\)"):
        write_pack(path, {}, [Content(StoredTensor("embeddings/x", "F32", (2, 4)), broken())])
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(PackError, match="file/x.pack: cannot be written"):
        write_pack(tmp_path / "file" / "x.pack", {}, [whole("clips", "U8", np.zeros(1, np.uint8))])


def test_rows_are_written_one_clip_at_a_time(tmp_path: Path):
    asked = []

    def rows():
        for place in range(50):
            asked.append(place)
            yield np.full((1, 64), place, np.float16)
            # Nothing is asked for before the last piece is in the file's buffer.
            assert asked[-1] == place

    write_pack(tmp_path / "x.pack", {}, [Content(StoredTensor("embeddings/x", "F16", (50, 64)), rows())])
    tensors = load_file(tmp_path / "x.pack")
    np.testing.assert_array_equal(tensors["embeddings/x"][:, 0], np.arange(50))


def test_wrong_options_are_named(world: World, tmp_path: Path):
    with pytest.raises(UsageError, match="dtype must be 'float16' or 'float32'; got 'int8'"):
        build_pack(tmp_path / "x.pack", world.manifest, dtype="int8", **world.options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs the folder of its media: --data-dir"):
        build_pack(tmp_path / "x.pack", world.list, **world.options)
