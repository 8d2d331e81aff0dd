"""Packs come from strangers: each damaged one is refused with one line, and nothing in one is ever executed."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_packs import World, put_together, sealed, taken_apart

from t2av_bench.errors import PackError
from t2av_bench.packs.layout import MAX_HEADER_BYTES
from t2av_bench.packs.reading import ReferencePack

DAMAGED = "is damaged: its bytes do not have the SHA-256 that stands at its end; fetch or build it again"
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(path: Path) -> str:
    with pytest.raises(PackError, match=".") as caught:
        ReferencePack.open(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 1000
    return message


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its first 8 bytes must give the size of a header"),
        (b"RIFF", "its first 8 bytes must give the size of a header"),
        (b"\x80\x04c__builtin__\neval\n", "its first 8 bytes must give the size of a header"),
        (struct.pack("<Q", 2**63) + b"{}", "its first 8 bytes must give the size of a header"),
        (struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{}", "at most 1048576 bytes"),
        (struct.pack("<Q", 100) + b"{}", "is no reference pack that can be used"),
        (struct.pack("<Q", 2) + b"{}", "must name the format 't2av-bench reference pack'"),
    ],
)
def test_what_is_no_pack_is_refused(tmp_path: Path, content: bytes, reason: str):
    assert reason in refused(written(tmp_path / "x.pack", content))


def test_what_is_not_there_is_refused(tmp_path: Path):
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none.pack")
    assert "cannot be read (Is a directory)" in refused(tmp_path)


@FEW
@given(data=st.data())
def test_no_altered_byte_goes_unnoticed(world: World, tmp_path: Path, data: st.DataObject):
    content = bytearray(world.packs["float16"].read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # Half of the places in the header, which is a small part of the file.
        last = data.draw(st.sampled_from([4000, len(content) - 1]))
        place = data.draw(st.integers(0, last))
        content[place] ^= data.draw(st.integers(1, 255))
    if bytes(content) != world.packs["float16"].read_bytes():
        refused(written(tmp_path / "x.pack", bytes(content)))


@FEW
@given(data=st.data())
def test_no_truncated_or_longer_file_goes_unnoticed(world: World, tmp_path: Path, data: st.DataObject):
    content = world.packs["float16"].read_bytes()
    kept = data.draw(st.integers(0, len(content)))
    tail = data.draw(st.binary(min_size=1 if kept == len(content) else 0, max_size=40))
    if content[:kept] + tail != content:
        refused(written(tmp_path / "x.pack", content[:kept] + tail))


@FEW
@given(data=st.data())
def test_an_altered_file_that_was_sealed_again_is_read_or_refused_but_never_a_crash(
    world: World, tmp_path: Path, data: st.DataObject
):
    content = bytearray(world.packs["float16"].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, data.draw(st.sampled_from([8, 4000, len(content) - 33]))))
        content[place] = data.draw(st.one_of(st.integers(0, 255), st.sampled_from(list(b'{}[]",:0918'))))
    # Any other exception fails the test.
    with suppress(PackError):
        pack = ReferencePack.open(written(tmp_path / "x.pack", sealed(bytes(content))))
        for name in pack.record["extractors"]:
            for place in range(len(pack.clips)):
                assert np.isfinite(pack.rows(name, place)).all()


def test_a_damaged_pack_says_so(world: World, tmp_path: Path):
    content = bytearray(world.packs["float32"].read_bytes())
    content[-1000] ^= 1
    assert DAMAGED in refused(written(tmp_path / "x.pack", bytes(content)))


def record_with(place: str, value: Any) -> Any:
    def edit(record: dict[str, Any], tensors: dict[str, Any]) -> None:
        *way, last = place.split("/")
        target = record
        for step in way:
            target = target[step]
        target[last] = value

    return edit


def tensor_with(name: str, array: Any) -> Any:
    def edit(record: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors[name] = array(tensors.get(name)) if callable(array) else array

    return edit


def with_table(old: str, new: str) -> Any:
    def edit(table: Any) -> Any:
        return np.frombuffer(bytes(table).decode().replace(old, new).encode("utf-8", "surrogateescape"), np.uint8)

    return tensor_with("clips", edit)


def first_nan(rows: Any) -> Any:
    rows = rows.copy()
    rows[0, 0] = np.nan
    return rows


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (record_with("schema_version", 2), "has schema version 2; this t2av-bench reads up to 1: upgrade it"),
        (record_with("schema_version", "1"), "its record is wrong at schema_version"),
        (record_with("clips", 7), "must be I64 of shape 8"),
        (record_with("clips", 10**6), "must be I64 of shape 1000001"),
        (record_with("clips", 10**12), "its record is wrong at clips"),
        (record_with("extractors", {}), "its record is wrong at extractors"),
        (record_with("extractors/lite-audio/dim", 32), "the tensor embeddings/lite-audio must be F16 of shape n×32"),
        (record_with("extractors/lite-audio/dtype", "float32"), "must be F32 of shape n×64"),
        (record_with("extractors/lite-audio/dtype", "object"), "its record is wrong at extractors/lite-audio/dtype"),
        (lambda record, tensors: record["extractors"].update({"../x": {}}), "its record is wrong at extractors"),
        (record_with("licence", "\x1b[2J" * 9000), "its record is wrong at licence"),
        (record_with("more", 1), "its record is wrong at the top level"),
        (tensor_with("more", np.zeros(3)), "has some that its record does not speak of: more"),
        (tensor_with("embeddings/lite-audio", lambda x: x[:-1]), "must rise from 0 to the number of rows"),
        (tensor_with("embeddings/lite-audio", lambda x: x[None]), "must be F16 of shape n×64"),
        (tensor_with("offsets/lite-audio", lambda x: x[::-1].copy()), "must rise from 0 to the number of rows"),
        (tensor_with("offsets/lite-audio", lambda x: x - 1), "must rise from 0 to the number of rows"),
        (tensor_with("offsets/lite-audio", lambda x: np.r_[x[:3], 10**15, x[4:]]), "must rise from 0"),
        (tensor_with("events/times_s", lambda x: x - 100.0), "must rise within its"),
        (tensor_with("events/times_s", lambda x: x[::-1].copy()), "must rise within its"),
        (tensor_with("events/times_s", lambda x: x * np.nan), "must rise within its"),
        (tensor_with("clips", lambda x: x[:40]), "its table of clips cannot be read"),
        (tensor_with("clips", lambda x: x[: len(x) // 2]), "its table of clips cannot be read"),
        (tensor_with("clips", lambda x: np.r_[x, np.uint8([255, 254])]), "its table of clips cannot be read"),
        (with_table("clip_id", "clip"), "it must have the columns clip_id,"),
        (with_table(",0,0", ",2,0"), "padded and silent must be 0 or 1"),
        (with_table(",0.000000,", ",nan,"), "a time is not finite"),
        (with_table(",0.000000,", ",0x1,"), "could not convert string to float"),
    ],
)
def test_a_sealed_pack_that_makes_no_sense_is_refused(world: World, tmp_path: Path, edit: Any, reason: str):
    record, tensors = taken_apart(world.packs["float16"])
    edit(record, tensors)
    assert reason in refused(put_together(tmp_path / "x.pack", record, tensors))


def test_a_clip_named_twice_is_refused(world: World, tmp_path: Path):
    first, second = [clip.clip_id for clip in world.manifest.clips()][:2]
    record, tensors = taken_apart(world.packs["float16"])
    with_table(f"{second},", f"{first},")(record, tensors)
    assert "names a clip twice" in refused(put_together(tmp_path / "x.pack", record, tensors))


def test_numbers_that_are_not_finite_stop_an_evaluation(world: World, tmp_path: Path):
    record, tensors = taken_apart(world.packs["float16"])
    tensor_with("embeddings/lite-video", first_nan)(record, tensors)
    path = put_together(tmp_path / "x.pack", record, tensors)
    with pytest.raises(PackError, match="must hold finite embeddings; those of lite-video of the clip .* are not"):
        world.evaluated("noise", path)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (with_table(",4.000000,", ",5.000000,"), "its clip .* is not the manifest's at this place"),
        (with_table("val-s0-", "val-s1-"), "its clip .* is not the manifest's at this place"),
        (
            tensor_with("offsets/lite-text", lambda x: np.r_[x[:1], x[2:3], x[2:]]),
            "it has 2 rows of lite-text for the clip .* asks for 1",
        ),
    ],
)
def test_clips_that_are_not_the_manifests_stop_an_evaluation(world: World, tmp_path: Path, edit: Any, reason: str):
    record, tensors = taken_apart(world.packs["float16"])
    before = bytes(tensors["clips"]), tensors["offsets/lite-text"].tolist()
    edit(record, tensors)
    assert (bytes(tensors["clips"]), tensors["offsets/lite-text"].tolist()) != before, "the test alters something"
    with pytest.raises(PackError, match=reason):
        world.evaluated("noise", put_together(tmp_path / "x.pack", record, tensors))


def test_a_record_must_be_json_that_all_parsers_read_alike(world: World, tmp_path: Path):
    content = world.packs["float16"].read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    for text, reason in (
        ("{", "its record must be JSON"),
        ('{"clips": 1, "clips": 2}', "the key 'clips' stands there twice"),
        ("[" * 100 + "]" * 100, "nested more than"),
        ('{"schema_version": NaN}', "NaN is no JSON number"),
    ):
        header["__metadata__"]["record"] = text
        encoded = json.dumps(header).encode()
        whole = struct.pack("<Q", len(encoded)) + encoded + content[8 + size :]
        assert reason in refused(written(tmp_path / "x.pack", sealed(whole)))
