"""The table beside a result: written with it, read with it, and never taken for that of another run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_results import result_of_values

from t2av_bench.errors import ResultError
from t2av_bench.results import Result


def saved(tmp_path: Path) -> tuple[Result, Path]:
    rng = np.random.default_rng(0)
    result = result_of_values("mine", FAD=rng.normal(size=5), AV_index=rng.normal(size=5))
    result.save(tmp_path / "r.json")
    return result, tmp_path / "r.json"


def test_a_saved_result_brings_its_contributions_along(tmp_path: Path):
    result, path = saved(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json", "r.per_clip.csv"]
    assert Result.load(path).per_clip == {}
    loaded = Result.load(path, per_clip=True)
    assert loaded == result
    assert loaded.per_clip == result.per_clip


def test_a_result_without_contributions_writes_no_table(tmp_path: Path):
    result = replace(result_of_values("a", FAD=np.arange(3.0)), per_clip={})
    result.save(tmp_path / "r.json")
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]
    with pytest.raises(ResultError, match=r"r\.json: holds no contributions of clips.*evaluate the system again"):
        Result.load(tmp_path / "r.json", per_clip=True)


@pytest.mark.parametrize("table", ["r.per_clip.csv", "final.per_clip.csv"])
def test_both_files_may_be_moved_and_the_table_renamed(tmp_path: Path, table: str):
    result, path = saved(tmp_path)
    there = tmp_path / "there"
    there.mkdir()
    shutil.move(path, there / "final.json")
    shutil.move(tmp_path / "r.per_clip.csv", there / table)
    assert Result.load(there / "final.json", per_clip=True).per_clip == result.per_clip


def test_a_missing_table_is_named_with_every_place_it_may_lie(tmp_path: Path):
    _, path = saved(tmp_path)
    path.rename(tmp_path / "final.json")
    (tmp_path / "r.per_clip.csv").unlink()
    with pytest.raises(ResultError, match=r"r\.per_clip\.csv and .*final\.per_clip\.csv: no such file; .* must lie"):
        Result.load(tmp_path / "final.json", per_clip=True)


def test_the_table_of_another_run_is_noticed(tmp_path: Path):
    _, path = saved(tmp_path)
    other = result_of_values("other", FAD=np.arange(5.0), AV_index=np.arange(5.0))
    other.save(tmp_path / "other" / "r.json")
    shutil.copy(tmp_path / "other" / "r.per_clip.csv", tmp_path)
    with pytest.raises(ResultError, match=r"r\.per_clip\.csv: does not belong to .*r\.json: its sha256 must be"):
        Result.load(path, per_clip=True)


@pytest.mark.parametrize("name", ["../r.per_clip.csv", "/etc/r.per_clip.csv", "..\\r.per_clip.csv", "passwd", ""])
def test_a_result_names_no_table_in_another_folder(tmp_path: Path, name: str):
    _, path = saved(tmp_path)
    record = json.loads(path.read_text())
    record["per_clip_file"]["name"] = name
    path.write_text(json.dumps(record))
    with pytest.raises(ResultError, match="at per_clip_file/name"):
        Result.load(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "'clip_id' is missing, found an empty file"),
        ("FAD\n1\n", "'clip_id' is missing, found FAD"),
        ("clip_id,FAD\n", "at least one row"),
        ("clip_id,FAD\na,nan\n", "row 2, column 'FAD': must be a finite number, got 'nan'"),
        ("clip_id,FAD\na,1e999\n", "row 2, column 'FAD': must be a finite number"),
        ("clip_id,FAD\na,x\n", "row 2, column 'FAD': must be a number, got 'x'"),
        ("clip_id,FAD\na,1\na,2\n", "row 3, column 'clip_id': 'a' stands there twice"),
        ("clip_id,FAD\na,1,2\n", "row 2 has 3 cells, the header has 2"),
        ("clip_id,FAD,FAD\na,1,2\n", "the column 'FAD' stands there twice"),
        ("clip_id,FVD\na,1\n", "the result has no score 'FVD'"),
        ("clip_id,FAD\n\x00", "must be a CSV file in UTF-8|at least one row|1 cells"),
        ('clip_id,FAD\n"a,1\n', "must be a CSV file in UTF-8"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused_by_place(tmp_path: Path, table: str, message: str):
    import hashlib

    _, path = saved(tmp_path)
    (tmp_path / "r.per_clip.csv").write_bytes(table.encode())
    record = json.loads(path.read_text())
    record["per_clip_file"]["sha256"] = hashlib.sha256(table.encode()).hexdigest()
    path.write_text(json.dumps(record))
    with pytest.raises(ResultError, match=message):
        Result.load(path, per_clip=True)


def test_scores_without_contributions_have_no_column(tmp_path: Path):
    result = result_of_values("a", FAD=np.arange(3.0))
    result = replace(result, scores={**result.scores, "IS": replace(result.scores["FAD"], stderr=None)})
    result.save(tmp_path / "r.json")
    assert (tmp_path / "r.per_clip.csv").read_text().splitlines()[0] == "clip_id,FAD"
    assert Result.load(tmp_path / "r.json", per_clip=True).per_clip == result.per_clip


def test_contributions_by_halves_are_kept_where_there_are_any(tmp_path: Path):
    result = result_of_values("a", FAD=np.arange(3.0), KL=np.arange(3.0))
    halves = {clip_id: {"FAD": 1 / 7} for clip_id in result.per_clip}
    replace(result, clip_halves=halves).save(tmp_path / "r.json")
    assert (tmp_path / "r.per_clip.csv").read_text().splitlines()[0] == "clip_id,FAD,KL,FAD half"
    loaded = Result.load(tmp_path / "r.json", per_clip=True)
    assert (loaded.per_clip, loaded.clip_halves, loaded.clip_values) == (result.per_clip, halves, {})


def test_own_values_of_clips_are_kept_and_undefined_ones_stay_so(tmp_path: Path):
    result = result_of_values("a", FAD=np.arange(3.0), KL=np.arange(3.0))
    result = replace(result, clip_values={"clip 0000": {"KL": 1 / 3}, "clip 0002": {"KL": -2.0}})
    result.save(tmp_path / "r.json")
    lines = (tmp_path / "r.per_clip.csv").read_text().splitlines()
    assert lines[0] == "clip_id,FAD,KL,KL value"
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["0.3333333333333333", "", "-2.0"]
    loaded = Result.load(tmp_path / "r.json", per_clip=True)
    assert loaded.per_clip == result.per_clip
    assert loaded.clip_values == result.clip_values
