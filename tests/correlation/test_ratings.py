"""Tables of ratings as people write them, and what is wrong with them by row and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from t2av_bench.correlation.ratings import read_ratings
from t2av_bench.errors import TableError


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_raters_are_averaged_within_a_clip_and_clips_within_a_system(tmp_path: Path):
    rows = "a,x,r1,1\na,x,r2,3\na,y,r1,5\nb,x,r1,4\n"
    ratings = read_ratings(written(tmp_path, "system,clip_id,rater,rating\n" + rows))
    assert ratings.by_clip == {"a": {"x": 2.0, "y": 5.0}, "b": {"x": 4.0}}
    assert ratings.by_system == {"a": 3.5, "b": 4.0}
    assert ratings.raters_n == 2
    assert ratings.rows["a", "y"] == 4


def test_whole_systems_may_be_rated(tmp_path: Path):
    ratings = read_ratings(written(tmp_path, "system,rating\na,1\nb,2.5\n"))
    assert (ratings.by_system, ratings.by_clip, ratings.has_clips) == ({"a": 1.0, "b": 2.5}, {}, False)
    assert ratings.raters_n is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_spreadsheets_of_all_kinds_are_read(tmp_path: Path, delimiter: str, start: bytes, end: str):
    lines = ["system, rating ,comment", 'a,1,"x, y"' if delimiter == "," else "a,1,x y", "", " b ,2,", ",,"]
    content = end.join(line if '"' in line else line.replace(",", delimiter) for line in lines)
    ratings = read_ratings(written(tmp_path, start + content.encode()))
    assert ratings.by_system == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must have the columns system,rating; 'system' is missing, found an empty file"),
        ("name,rating\na,1\n", "'system' is missing, found name, rating"),
        ("system,score\na,1\n", "'rating' is missing"),
        ("system,rating\n", "at least one row below its header"),
        ("system,rating,rating\na,1,2\n", "the column 'rating' stands there twice"),
        ("system,rating\na,1\nb,good\n", "row 3, column 'rating': must be a number, got 'good'$"),
        ("system,rating\na,\n", "row 2, column 'rating': must be a number, got ''"),
        ("system;rating\na;4,5\n", "row 2, column 'rating': .* got '4,5' .write the decimal point as a point"),
        ("system,rating\na,nan\n", "row 2, column 'rating': must be a finite number, got 'nan'"),
        ("system,rating\na,inf\n", "row 2, column 'rating': must be a finite number"),
        ("system,rating\n ,1\n", "row 2, column 'system': must not be empty"),
        ("system,clip_id,rating\na,,1\n", "row 2, column 'clip_id': must not be empty"),
        ("system,rating,rater\na,1,\n", "row 2, column 'rater': must not be empty"),
        ("system,rating\na,1\nb,2\na,3\n", "row 4, .*'a' is rated in row 2 already; .* column 'rater'"),
        ("system,clip_id,rating\na,x,1\na,x,1\n", "row 3, .*'a' 'x' is rated in row 2 already"),
        ("system,clip_id,rating,rater\na,x,1,r\na,x,2,r\n", "row 3, .*'a' 'x' is rated by 'r' in row 2 already$"),
        ("system,rating\na,1,2\n", "row 2 has 3 cells, the header has 2"),
        ('system,rating\n"a,1\n', "must be a CSV file in UTF-8"),
        (b"system,rating\n\xff,1\n", "must be a CSV file in UTF-8"),
        ("system,rating\n".encode("utf-16"), "must be a CSV file in UTF-8"),
        ("system,rating\n" + "a" * 200_000 + ",1\n", "must be a CSV file in UTF-8 .field larger"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(tmp_path: Path, content: str | bytes, message: str):
    with pytest.raises(TableError, match=message):
        read_ratings(written(tmp_path, content))


def test_a_missing_table_is_named(tmp_path: Path):
    with pytest.raises(TableError, match=r"gone\.csv: cannot be read .No such file"):
        read_ratings(tmp_path / "gone.csv")
    with pytest.raises(TableError, match="cannot be read .Is a directory"):
        read_ratings(tmp_path)
