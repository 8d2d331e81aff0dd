"""Manifests: one table whatever the format, and every broken rule named."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.errors import ManifestError
from t2av_bench.manifests import Clip, Manifest, read_manifest, schema, write_manifest

ROOT = Path(__file__).resolve().parents[2]
GOOD: dict[str, Any] = {"clip_id": "a", "media": "v/a.mp4", "caption": "a dog barks"}


def _table(*changes: dict[str, Any]) -> pd.DataFrame:
    columns = dict.fromkeys(key for change in changes for key in change)
    optional = {key: 0.0 if key == "start_s" else 10.0 if key == "duration_s" else "" for key in columns}
    return pd.DataFrame([optional | GOOD | change for change in changes])


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_absent_columns_get_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("clip_id,media,caption\na,a.mp4,a dog\n")
    manifest = read_manifest(path)
    assert manifest.name == "short"
    assert list(manifest.clips()) == [Clip("a", "", "a.mp4", 0.0, 10.0, "a dog", "", "")]
    assert not manifest.official


def test_empty_numbers_get_their_defaults() -> None:
    manifest = Manifest("m", _table({"start_s": "", "duration_s": ""}))
    assert manifest.clips()[0][3:5] == (0.0, 10.0)


def test_extra_columns_change_nothing() -> None:
    plain, extra = Manifest("m", _table({})), Manifest("m", _table({"note": "x"}))
    assert extra.sha256 == plain.sha256
    assert "note" not in extra.table


def test_hash_is_that_of_the_canonical_text() -> None:
    canonical = (
        "a\x1f\x1fv/a.mp4\x1f1.500000\x1f10.000000\x1fa dog barks\x1fdog;bark\x1f\x1e"
        "b\x1f\x1fv/a.mp4\x1f0.000000\x1f10.000000\x1fé\x1f\x1f\x1e"
    )
    manifest = Manifest("m", _table({"start_s": 1.5, "labels": "dog;bark"}, {"clip_id": "b", "caption": "é"}))
    assert manifest.sha256 == hashlib.sha256(canonical.encode()).hexdigest()


def test_csv_and_jsonl_of_any_line_end_have_the_same_hash(tmp_path: Path) -> None:
    rows = [GOOD | {"start_s": 0.1, "caption": 'says "hi", twice'}, GOOD | {"clip_id": "b", "start_s": 2}]
    hashes = {read_manifest(_jsonl(tmp_path / "m.jsonl", rows)).sha256}
    manifest = Manifest("m", pd.DataFrame(rows))
    write_manifest(manifest, tmp_path / "m.csv")
    text = (tmp_path / "m.csv").read_bytes()
    for name, data in {"lf": text, "crlf": text.replace(b"\n", b"\r\n"), "bom": b"\xef\xbb\xbf" + text}.items():
        (tmp_path / f"{name}.csv").write_bytes(data)
        hashes.add(read_manifest(tmp_path / f"{name}.csv").sha256)
    assert hashes == {manifest.sha256}


def test_every_field_and_the_order_change_the_hash() -> None:
    rows = [{}, {"clip_id": "b"}]
    variants = [rows, rows[::-1], rows[:1]]
    changes: list[dict[str, Any]] = [
        {"source": "s"}, {"media": "w.mp4"}, {"start_s": 1.0}, {"duration_s": 4.0}, {"caption": "c"}, {"labels": "l"},
        {"split": "test"},
    ]  # fmt: skip
    variants += [[change, {"clip_id": "b"}] for change in changes]
    assert len({Manifest("m", _table(*variant)).sha256 for variant in variants}) == len(variants)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip)
ID = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\"), min_size=1, max_size=40
).filter(lambda text: text.strip() and text not in (".", ".."))
SECONDS = st.floats(0, 1e6, allow_nan=False)


@settings(deadline=None)  # it writes files
@given(
    ids=st.lists(ID, min_size=1, max_size=5, unique=True),
    caption=st.one_of(TEXT, st.sampled_from(["a\rb", "a\nb", "a\r\nb", "nan", "NULL", '"', "1", "a,b", "=1+1"])),
    labels=st.sampled_from(["", "dog", "dog;cat", "NA"]),
    start_s=SECONDS,
)
def test_writing_and_reading_is_lossless(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], caption: str, labels: str, start_s: float
) -> None:
    rows = [GOOD | {"clip_id": i, "caption": caption, "labels": labels, "start_s": start_s} for i in ids]
    manifest = Manifest("m", pd.DataFrame(rows))
    folder = tmp_path_factory.mktemp("lossless")
    write_manifest(manifest, folder / "m.csv")
    for path in (folder / "m.csv", _jsonl(folder / "m.jsonl", rows)):
        read = read_manifest(path)
        assert list(read.clips()) == list(manifest.clips())
        assert read.sha256 == manifest.sha256


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("clip_id", "../x", r"row 3, column 'clip_id': must be usable as a file name, without separators, got '../x'"),
        ("clip_id", "a/b", "must be usable as a file name"),
        ("clip_id", "a\\b", "must be usable as a file name"),
        ("clip_id", "..", "must be usable as a file name"),
        ("clip_id", "a\nb", "must be usable as a file name"),
        ("clip_id", "a\x00b", "row 3, column 'clip_id': must hold no control characters"),
        ("clip_id", " ", "row 3, column 'clip_id': must not be empty"),
        ("clip_id", "a", "row 3, column 'clip_id': 'a' stands in row 2 already"),
        ("clip_id", "é" * 101, "must be at most 200 bytes long, got 202"),
        ("clip_id", 7, "row 3, column 'clip_id': must be text, got 7"),
        ("media", "/etc/passwd", "row 3, column 'media': must stay inside the data folder, got '/etc/passwd'"),
        ("media", "v/../../x.mp4", "must stay inside the data folder"),
        ("media", "..\\x.mp4", "must stay inside the data folder"),
        ("media", "\\\\server\\x.mp4", "must stay inside the data folder"),
        ("media", "C:\\x.mp4", "must stay inside the data folder"),
        ("media", "", "row 3, column 'media': must name a file"),
        ("caption", " ", "row 3, column 'caption': must not be empty"),
        ("caption", "a\x1fb", "row 3, column 'caption': must hold no control characters"),
        ("caption", "\ud800", "row 3, column 'caption': must hold no control characters and no half characters"),
        ("caption", math.nan, "row 3, column 'caption': must be text, got nan"),
        ("start_s", "soon", "row 3, column 'start_s': must be a number of seconds, got 'soon'"),
        ("start_s", -1, "row 3, column 'start_s': must be finite and not negative, got -1"),
        ("duration_s", 0, "row 3, column 'duration_s': must be finite and positive, got 0"),
        ("duration_s", math.nan, "row 3, column 'duration_s': must be finite and positive, got nan"),
        ("duration_s", "inf", "row 3, column 'duration_s': must be finite and positive, got 'inf'"),
    ],
)
def test_each_broken_rule_is_named_with_row_and_column(column: str, value: Any, message: str) -> None:
    first = GOOD | {"start_s": 0, "duration_s": 1}
    table = pd.DataFrame([first, first | {"clip_id": "b", column: value}], dtype=object)
    with pytest.raises(ManifestError, match=f"^m: .*{message}"):
        Manifest("m", table)


@pytest.mark.parametrize("column", ["clip_id", "media", "caption"])
def test_needed_columns_are_named(column: str) -> None:
    with pytest.raises(ManifestError, match=f"there must be a column '{column}'; found"):
        Manifest("m", _table({}).drop(columns=column))


def test_empty_table_is_refused() -> None:
    with pytest.raises(ManifestError, match="must be at least one clip"):
        Manifest("m", _table({}).iloc[:0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "clip_id,media,caption\na,a.mp4\n", "row 2 has 2 fields, the header has 3"),
        ("m.csv", "clip_id,media,caption\na,a.mp4,a dog, barking\n", "row 2 has 4 fields, the header has 3"),
        ("m.csv", "clip_id,media,caption,caption\na,a.mp4,a,b\n", "two columns have the same name"),
        ("m.csv", 'clip_id,media,caption\na,a.mp4,"open\n', "cannot be read as a table"),
        ("m.csv", "", "there must be a column 'clip_id'; found none"),
        ("m.csv", b"clip_id,media,caption\na,a.mp4,\xff\n", "must be text in UTF-8"),
        ("m.jsonl", "", "there must be a column 'clip_id'; found none"),
        ("m.jsonl", "[1]\n", "row 2 is not an object"),
        ("m.jsonl", "{\n", "cannot be read as a table"),
        ("m.jsonl", "[" * 100_000, "cannot be read as a table"),
        ("m.jsonl", '{"clip_id": "a", "media": "a", "caption": null}\n', "row 2, column 'caption': must not be empty"),
        ("m.jsonl", '{"clip_id": "a", "media": "a", "caption": "c", "start_s": NaN}\n', "must be finite"),
        ("m.txt", "", r"a manifest ends in \.csv or \.jsonl"),
    ],
)  # fmt: skip
def test_malformed_files_end_in_one_line(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.csv: no such file"):
        read_manifest(tmp_path / "gone.csv")


def test_negative_zero_is_zero() -> None:
    assert Manifest("m", _table({"start_s": "-0.0"})).sha256 == Manifest("m", _table({"start_s": 0})).sha256


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_table_too_long_for_a_list_of_clips_is_refused_without_being_read(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "_MAX_CLIPS_N", 3)
    row = '{"clip_id": "c%d", "media": "c.mp4", "caption": "x"}\n' if suffix == ".jsonl" else "c%d,c.mp4,x\n"
    header = "" if suffix == ".jsonl" else "clip_id,media,caption\n"
    path = tmp_path / f"m{suffix}"
    path.write_text(header + "".join(row % i for i in range(3)))
    assert len(read_manifest(path)) == 3
    with path.open("a") as file:
        file.write(row % 3 + "the reader must not come here")
    with pytest.raises(ManifestError, match="more than 3 clips"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", b"clip_id\tmedia\tcaption\na\ta.mp4\tx\n", "must be separated by commas, and here they are by TAB"),
        ("m.csv", b"clip_id;media;caption\na;a.mp4;x\n", "and here they are by semicolons"),
        ("m.csv", b"clip_id,media,caption\na,a.mp4,caf\xe9\n", "must be text in UTF-8"),
        ("m.jsonl", b'{"clip_id": "a", "media": "a.mp4", "caption": "x"}\n{"clip_id"\n', "row 3 is not JSON"),
    ],
)
def test_another_separator_or_encoding_is_named(tmp_path: Path, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=words):
        read_manifest(tmp_path / name)


def test_a_file_too_large_for_a_list_of_clips_is_not_even_opened(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    with path.open("wb") as file:
        file.truncate(schema._MAX_BYTES_N + 1)  # one endless line, without using the disk
    with pytest.raises(ManifestError, match="has 1,073,741,825 bytes, and a list of clips at most 1,073,741,824"):
        read_manifest(path)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_ten_million_rows_are_refused_in_seconds_and_little_memory(tmp_path: Path, suffix: str):
    """1.6 s and 71 MB on two cores, of which the interpreter with pandas takes 65."""
    path = tmp_path / f"m{suffix}"
    rows_n, at_once = 10_000_000, 10_000
    row = '{"clip_id":"c%d","media":"c.mp4","caption":"x"}' if suffix == ".jsonl" else "c%d,c.mp4,a dog barks"
    with path.open("w") as file:
        file.write("" if suffix == ".jsonl" else "clip_id,media,caption\n")
        for first in range(0, rows_n, at_once):
            file.write("".join(f"{row % i}\n" for i in range(first, first + at_once)))
    code = """
import resource, sys
from t2av_bench.errors import ManifestError
from t2av_bench.manifests import read_manifest
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_manifest(sys.argv[1])
except ManifestError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 30
    grown_kib, _, words = done.stdout.partition(" ")
    assert "more than 1,000,000 clips; divide it into several manifests" in words
    assert int(grown_kib) < 30_000
    path.unlink()
