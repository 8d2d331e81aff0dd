"""Results survive their file, and files that are no results are refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from t2av_bench.errors import ResultError, UsageError
from t2av_bench.results import Result, Score
from t2av_bench.results.tables import format_results, format_worst, number


def make_result(name: str = "my system", value: float = 1.25, stderr: float | None = 0.125) -> Result:
    score = Score(value, stderr, "raw", False, 1, 128, 512, 64, 60, corrected=0.25, withheld={"floor": "too few"})
    index = Score(0.5, None, "index", True, 1, 128, 512, 128, 100)
    return Result(
        scores={"FA(VT)D": score, "AV-index": index},
        absent={"FATD-b": "the text never changes"},
        system={"name": name, "description": ""},
        manifest={"name": "m", "version": "1", "sha256": "0" * 64, "licence": "", "official": False, "clips": 128},
        protocol={"name": "t2av-bench/1", "features": "lite", "extractors": {"audio": "lite-audio"},
                  "pooling": "window", "weights": "published"},
        extractors={"audio": {"name": "lite-audio", "version": 1, "dim": 64, "unit": "window", "fingerprint": "1" * 64,
                              "weights_sha256": None, "options": {}}},
        counts={"clips": 128, "scored": 128},
        problems=[{"clip_id": "a", "kind": "missing", "path": "", "reason": "gone"}],
        not_comparable_because=["the features are lite, not paper"],
        notes=["a note"],
        environment={"python": "3.11"},
        seed=0,
        command="t2av-bench evaluate",
        created="2026-01-01T00:00:00+00:00",
        tool_version="0.1.0",
    )  # fmt: skip


def test_a_result_survives_its_file(tmp_path: Path):
    result = make_result()
    result.save(tmp_path / "deep" / "r.json")
    assert Result.load(tmp_path / "deep" / "r.json") == result
    assert not result.comparable
    assert json.loads((tmp_path / "deep" / "r.json").read_text())["comparable"] is False
    assert oct((tmp_path / "deep" / "r.json").stat().st_mode & 0o777) == "0o644"


def write(tmp_path: Path, **changes: object) -> Path:
    record = make_result().to_json()
    for place, value in changes.items():
        *way, last = place.split("__")
        target = record
        for step in way:
            target = target[step]
        if value is None:
            del target[last]
        else:
            target[last] = value
    path = tmp_path / "r.json"
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": None}, 'at the top level: "scores" is a required property'),
        ({"surprise": 1}, "'surprise' was unexpected"),
        ({"manifest__sha256": "zz"}, "at manifest/sha256"),
        ({"schema_version": 2}, "schema version 2; this t2av-bench reads up to 1"),
        ({"scores__AV-index__value": "0.5"}, 'at scores/AV-index/value: "0.5" is not of type "number"'),
        ({"scores__AV-index__stderr": -1}, "at scores/AV-index/stderr"),
        ({"comparable": True}, "`comparable` contradicts"),
        ({"scores__AV-index__floor": -1}, "at scores/AV-index/floor"),
        ({"scores__AV-index__settings": {"k": {"deep": 1}}}, "at scores/AV-index/settings/k"),
        ({"scores__AV-index__kind": "best"}, 'at scores/AV-index/kind: "best" is not one of'),
        ({"system__name": "x" * 10_000}, "at system/name"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused_by_place(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ResultError, match=message):
        Result.load(write(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[", "NaN", '{"scores": Infinity}', "[" * 100_000, '"text"', "1e999", "\x00"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, text: str):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ResultError, match=r"r\.json: (must be a JSON file|is no t2av-bench result)"):
        Result.load(tmp_path / "r.json")


def test_a_score_as_large_as_infinity_is_refused(tmp_path: Path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("1.25", "1e999"))
    with pytest.raises(ResultError, match=r"the number 1e999 is too large"):
        Result.load(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ResultError, match=r"gone\.json: cannot be read \(No such file"):
        Result.load(tmp_path / "gone.json")


def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_result("old").save(tmp_path / "r.json")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ResultError, match="cannot be written .No space left"):
        make_result("new").save(tmp_path / "r.json")
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert Result.load(tmp_path / "r.json").system["name"] == "old"


def test_the_plain_table_shows_value_error_sizes_and_every_caveat():
    text = format_results([make_result()])
    assert "my system on m (128 of 128 clips), lite features, protocol t2av-bench/1" in text
    assert "FA(VT)D ↓    1.25    0.12       0.25    128      512   64    60" in text
    assert "corrected: the distance of very many clips like these" in text
    lines = text.splitlines()
    assert lines[4] == "Fréchet distances"
    assert lines[6:8] == ["", "Alignment indices"]
    assert "floor" not in text
    with_floor = make_result()
    with_floor.scores["FA(VT)D"] = replace(with_floor.scores["FA(VT)D"], floor=2.5, floor_score=3.5)
    assert "FD∞" not in format_results([with_floor])
    assert "2.5       3.5    128" in format_results([with_floor])
    assert "floor: one half of the reference against the other" in format_results([with_floor])
    assert "FATD-b is absent: the text never changes" in text
    assert "Note: a note" in text
    assert "Not comparable: the features are lite, not paper." in text


def test_the_plain_table_shows_an_interval_and_fits_a_terminal_of_100_columns():
    result, name = make_result(), "FA(VT)D-b"
    score = replace(
        result.scores["FA(VT)D"], value=0.1022, stderr=0.0076, d=115, rank=115, corrected=0.07979, fd_infinity=0.08188,
        corrected_stderr=0.0077, corrected_low=0.06516, corrected_high=0.09566, floor=0.2878, floor_score=0.3533,
    )  # fmt: skip
    lines = format_results([replace(result, scores={name: score})]).splitlines()
    assert "0.0798 [0.0652, 0.0957]" in lines[4]
    assert "FD∞" not in lines[2]
    assert max(map(len, lines[2:5])) <= 100
    lines = format_results([replace(result, scores={name: replace(score, corrected=None)})]).splitlines()
    assert lines[2].split()[:4] == ["score", "value", "±", "s.e."]
    assert "0.08188" in lines[4]
    assert "0.0798" not in lines[4]


def test_the_worst_clips_are_those_that_harm_a_score():
    per_clip = {
        "a": {"FA(VT)D": 0.5, "AV-index": 0.25}, "b": {"FA(VT)D": 1.5, "AV-index": -0.5},
        "c": {"FA(VT)D": -2.0, "AV-index": 0.25},
    }  # fmt: skip
    result = replace(make_result(), per_clip=per_clip)
    assert result.worst_clips("FA(VT)D", 5) == [("b", 1.5), ("a", 0.5)]
    assert result.worst_clips("AV-index", 5) == [("b", -0.5)]
    lines = format_worst(result, 1).splitlines()
    assert lines[0] == "Clips that draw FA(VT)D up most, and by how much:"
    assert lines[-1].split() == ["b", "+1.5"]
    assert format_worst(result, 1, "AV-index").splitlines()[-1].split() == ["b", "-0.5"]
    without = {clip_id: {"AV-index": values["AV-index"]} for clip_id, values in per_clip.items()}
    assert format_worst(replace(result, per_clip=without), 1).startswith("Clips that draw AV-index down most")
    with pytest.raises(UsageError, match=r"what each clip adds to FA\(VT\)D is not known"):
        format_worst(replace(result, per_clip=without), 1, "FA(VT)D")
    with pytest.raises(UsageError, match="no FATD-b to rank clips by: the text never changes"):
        format_worst(result, 1, "FATD-b")
    assert "per_clip" not in result.to_json()


def test_several_systems_share_one_table():
    lines = format_results([make_result("a"), make_result("bb", 10.0)]).splitlines()
    assert lines[0].split() == ["system", "FA(VT)D", "↓", "AV-index", "↑"]
    assert lines[2].split() == ["a", "1.25", "±", "0.12", "0.5"]
    assert lines[3].split() == ["bb", "10", "±", "0.12", "0.5"]


def test_a_table_may_show_some_of_the_scores_in_any_order():
    text = format_results([make_result("a"), make_result("b")], scores=("AV-index", "FAD"))
    assert text.splitlines()[0].split() == ["system", "AV-index", "↑"]
    assert "FA(VT)D" not in format_results([make_result("a")], "latex", scores=("AV-index",))


def test_names_are_inert_in_markdown_and_latex():
    hostile = "a|b_c & 50% \\x"
    assert "| a\\|b_c & 50% \\\\x | 1.25 ± 0.12 | 0.5 |" in format_results([make_result(hostile)], "markdown")
    latex = format_results([make_result(hostile)], "latex")
    assert r"a|b\_c \& 50\% \textbackslash{}x & 1.25 $\pm$ 0.12 & 0.5 \\" in latex
    assert latex.count("{") == latex.count("}")


def test_csv_keeps_every_digit():
    text = format_results([make_result(value=1 / 3)], "csv")
    assert text.splitlines()[1] == "my system,FA(VT)D,0.3333333333333333,0.125,0.25,,,,,,,128,512,64,60,0,False"


def test_json_is_the_result_file():
    result = make_result()
    assert json.loads(format_results([result], "json")) == json.loads(json.dumps(result.to_json()))
    assert len(json.loads(format_results([result, replace(result, seed=1)], "json"))) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1e-12, "0"), (0.12345, "0.1235"), (12.345, "12.35"), (12345.6, "12346"), (2.5e7, "2.50e+07"),
     (-0.05, "-0.05"), (5e-5, "5.00e-05")],
)  # fmt: skip
def test_numbers_have_four_digits(value: float, text: str):
    assert number(value) == text
