"""A leaderboard takes what belongs together, ranks it with ties inside the error, and survives its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_boards import board_of, extractor, made_score, submission

import t2av_bench as tb
from t2av_bench.errors import LeaderboardError, ResultError
from t2av_bench.leaderboard.consistency import _fingerprint
from t2av_bench.leaderboard.places import places
from t2av_bench.leaderboard.submissions import read_submission, system_id
from t2av_bench.metrics.intervals import corrected_interval
from t2av_bench.metrics.uncertainty import second_order
from t2av_bench.models.extractors import get_extractor


def listed(*results: tb.Result, board: tb.Leaderboard | None = None) -> tb.Leaderboard:
    return (board or tb.Leaderboard()).add(results, list_not_comparable=True)


def test_a_board_survives_its_file_and_the_file_is_canonical(tmp_path: Path):
    board = listed(submission("B", 1), submission("A", 2))
    board.save(tmp_path / "board.json")
    again = tb.Leaderboard.load(tmp_path / "board.json")
    assert again == board
    assert [entry.id for entry in again.entries] == ["a", "b"]
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "board.json").read_bytes()
    listed(submission("A", 2), submission("B", 1)).save(tmp_path / "other order.json")
    assert (tmp_path / "other order.json").read_bytes() == (tmp_path / "board.json").read_bytes()


def test_another_system_adds_lines_and_changes_none(tmp_path: Path):
    board = listed(submission("A", 1), submission("C", 2))
    board.save(tmp_path / "a.json")
    listed(submission("B", 3), board=board).save(tmp_path / "b.json")
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("a.json", "b.json"))
    start = next(i for i, (x, y) in enumerate(zip(before, after, strict=False)) if x != y)
    end = start + len(after) - len(before)
    assert before[start:] == after[end:]
    assert len([line for line in after if line.lstrip().startswith('"FAVD": {')]) == 3


def test_results_from_files_are_checked_against_their_tables_of_clips(tmp_path: Path):
    submission("with", 1).save(tmp_path / "with.json")
    submission("without", 2).save(tmp_path / "without.json")
    (tmp_path / "without.per_clip.csv").unlink()
    board = tb.Leaderboard().add([tmp_path / "with.json", tmp_path / "without.json"], list_not_comparable=True)
    assert {entry.id: entry.clips_checked for entry in board.entries} == {"with": True, "without": False}
    table = tmp_path / "with.per_clip.csv"
    table.write_text(table.read_text().replace("clip 0001", "clip 9999"))
    with pytest.raises(ResultError, match="does not belong to .*with.json: its sha256 must be"):
        read_submission(tmp_path / "with.json")


def test_errors_of_second_order_are_held_to_the_table_of_clips():
    honest = submission()
    own = {clip: {"FAVD": 1.2 * values["FAVD"]} for clip, values in honest.per_clip.items()}
    column = np.array([values["FAVD"] for values in honest.per_clip.values()])
    errors = second_order(column, 1.2 * column)
    assert errors.stderr < errors.corrected < honest.scores["FAVD"].stderr
    low, high = corrected_interval(honest.scores["FAVD"].value, 0.1, errors)
    right = replace(
        honest.scores["FAVD"], stderr=errors.stderr, corrected=0.1, corrected_stderr=errors.corrected,
        corrected_low=low, corrected_high=high,
    )  # fmt: skip
    submitted = replace(honest, scores={**honest.scores, "FAVD": right}, clip_halves=own)
    assert read_submission(submitted).clips_checked
    for wrong, what in (
        ({"stderr": honest.scores["FAVD"].stderr}, "standard error of"),
        ({"corrected_stderr": errors.stderr}, "standard error of"),
        ({"corrected_low": low + 0.01}, "lower end of the interval of"),
        ({"corrected_high": high - 0.01}, "upper end of the interval of"),
    ):
        scores = {**honest.scores, "FAVD": replace(right, **wrong)}
        with pytest.raises(LeaderboardError, match=f"the {what} .*FAVD is .*from its table of clips it is"):
            read_submission(replace(submitted, scores=scores))
    before = replace(right, corrected_stderr=errors.first, corrected_low=None, corrected_high=None)
    assert read_submission(replace(submitted, scores={**honest.scores, "FAVD": before})).clips_checked


def test_an_error_that_the_table_of_clips_does_not_give_is_refused():
    honest = submission()
    small = replace(honest.scores["FAVD"], stderr=honest.scores["FAVD"].stderr / 2)
    with pytest.raises(LeaderboardError, match="the standard error of FAVD is .*from its table of clips it is"):
        read_submission(replace(honest, scores={**honest.scores, "FAVD": small}))
    means = {clip: {"KL-softmax": 0.5} for clip in honest.per_clip}
    scores = {**honest.scores, "KL-softmax": made_score("KL-softmax", 0.25, None)}
    parts = {**honest.extractors, "logits": extractor("panns-logits")}
    with pytest.raises(LeaderboardError, match="KL-softmax is 0.25, but from its table of clips it is 0.5"):
        read_submission(replace(honest, scores=scores, extractors=parts, clip_values=means))


def test_what_is_not_comparable_is_refused_unless_it_is_listed():
    with pytest.raises(LeaderboardError, match="is not comparable .the features are lite.*--list-not-comparable"):
        tb.Leaderboard().add(submission())
    board = listed(submission("whole"), submission("part", 1, scored=30))
    assert board.not_comparable_because == ["the features are lite, not paper"]
    assert {entry.id: entry.incomplete for entry in board.entries} == {
        "part": "incomplete: 10 of 40 clips were left out", "whole": "",
    }  # fmt: skip
    assert [entry.id for entry, _ in board.ranked("FAD")] == ["whole"]
    table = board.to_dataframe(["FAD"])
    assert list(table["id"]) == ["whole", "part"]
    assert table["place"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest": {"sha256": "f" * 64}}, "was not evaluated as the others: .*the manifests are"),
        ({"protocol": {"name": "other/1"}}, "the protocols are t2av-bench/1 and other/1"),
        ({"protocol": {"pooling": "clip"}}, "the pooling is window and clip"),
        ({"extractors": {"audio": extractor("another")}}, "the audio features are of lite-audio .* and another"),
    ],
)
def test_what_was_made_in_another_way_is_refused(changes: dict, message: str):
    odd = submission("odd", 1)
    changed = {key: {**getattr(odd, key), **value} for key, value in changes.items()}
    with pytest.raises(LeaderboardError, match=message):
        listed(submission("first"), replace(odd, **changed))


def test_an_extractor_that_the_first_entry_lacks_is_still_held_to_the_others():
    first = submission("first", values={})
    sounds = replace(first, scores={"FAD": first.scores["FAD"]}, extractors={"audio": first.extractors["audio"]})
    odd = submission("third", 2)
    odd = replace(odd, extractors={**odd.extractors, "video": extractor("another")})
    with pytest.raises(LeaderboardError, match="the video features are"):
        listed(sounds, submission("second", 1), odd)


def test_one_system_is_listed_once():
    board = listed(submission("A", 1))
    with pytest.raises(LeaderboardError, match="A: is on the board already; --replace"):
        listed(submission("A", 2), board=board)
    with pytest.raises(LeaderboardError, match="B: has exactly the scores of A: submitted twice"):
        listed(submission("B", 1), board=board)
    newer = board.add(submission("A", 2), list_not_comparable=True, replace_same_name=True)
    assert len(newer.entries) == 1
    assert newer.entries[0].result.scores == submission("A", 2).scores
    assert board.entries[0].result.scores == submission("A", 1).scores


def test_names_that_make_the_same_id_are_told_apart_and_keep_their_links():
    board = listed(submission("My System", 1))
    more = listed(submission("my-system", 2), board=board)
    ids = [entry.id for entry in more.entries]
    assert ids[0] == "my-system"
    assert ids[1].startswith("my-system-")
    assert next(entry.name for entry in more.entries if entry.id == "my-system") == "My System"


def test_merging_counts_the_same_once_and_refuses_contradictions():
    a, b, c = submission("A", 1), submission("B", 2), submission("C", 3)
    joined = listed(a, b).merge(listed(b, c))
    assert [entry.name for entry in joined.entries] == ["A", "B", "C"]
    assert joined.entries == listed(b, c).merge(listed(a, b)).entries
    with pytest.raises(LeaderboardError, match="B: there are two different results of this name"):
        listed(a, b).merge(listed(submission("B", 9)))


def test_a_place_counts_those_that_are_better_beyond_the_error():
    values, stderrs = np.array([1.0, 1.1, 2.0, 2.05, 9.0]), np.array([0.1, 0.1, 0.1, 0.1, np.nan])
    assert places(values, stderrs, higher_is_better=False).tolist() == [1, 1, 3, 3, 5]
    assert places(values, stderrs, higher_is_better=True).tolist() == [4, 4, 2, 2, 1]
    # 1.96 * sqrt(0.3^2 + 0.4^2) = 0.98
    pair = np.array([0.3, 0.4])
    assert places(np.array([0.0, 0.97]), pair, higher_is_better=False).tolist() == [1, 1]
    assert places(np.array([0.0, 0.99]), pair, higher_is_better=False).tolist() == [1, 2]


scored = st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 10)), min_size=1, max_size=12)


@given(scored, st.booleans())
def test_places_are_from_one_and_a_better_score_of_equal_error_is_never_behind(pairs, high: bool):
    values, stderrs = np.array(pairs).T
    found = places(values, stderrs, higher_is_better=high)
    assert found.min() == 1
    assert found.max() <= len(values)
    best = values.argmax() if high else values.argmin()
    assert found[best] == 1
    same = places(values, np.full(len(values), stderrs[0]), higher_is_better=high)
    order = np.argsort(-values if high else values)
    assert (np.diff(same[order]) >= 0).all()


def test_equal_sets_tie_in_spite_of_rounding():
    a = submission("a", 1, values={"FAD": 0.0})
    b = submission("b", 2, values={"FAD": 3e-15})
    exact = [replace(r, per_clip={}, scores={**r.scores, "FAD": replace(r.scores["FAD"], stderr=0.0)}) for r in (a, b)]
    assert [place for _, place in listed(*exact).ranked("FAD")] == [1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {"FVD": made_score("FAD", 1.0, None)}}, "knows no score 'FVD'"),
        ({"scores": {"FAD": replace(made_score("FAD", 1.0, None), higher_is_better=True)}}, "FAD is raw and better"),
        ({"scores": {"FAD": replace(made_score("FAD", 1.0, None), version=99)}}, "FAD is of version 99; .*upgrade it"),
        ({"scores": {"FAD": made_score("FAD", -1.0, None)}}, "FAD must be from 0 to inf, is -1"),
        ({"scores": {"AV-index": made_score("AV-index", 1.5, None)}}, "AV-index must be from -inf to 1, is 1.5"),
        ({"scores": {"FAVD": made_score("FAVD", 1e-3, None)}}, "FAVD must be at least FAD"),
        ({"scores": {"FAD": made_score("FAD", 1.0, None, clips_n=41)}}, "FAD is over more clips than the 40"),
        ({"scores": {"FAD": replace(made_score("FAD", 1.0, None), rank=65)}}, "the rank of FAD is 65"),
        ({"scores": {"CLAP": made_score("CLAP", 0.1, None)}}, "CLAP needs clap_audio and clap_text features"),
        ({"counts": {"scored": 41}}, "41 of 40 clips cannot have been scored"),
        ({"counts": {"clips": 50}}, "it counts 50 clips, its manifest has 40"),
        ({"extractors": {"audio": {**extractor("lite-audio"), "version": 2}}}, "the fingerprint of the audio"),
        ({"extractors": {"audio": {**extractor("lite-audio"), "weights_sha256": "0" * 64, "options": {"weights_sha256":
          "1" * 64}}}}, "names two different hashes"),
        ({"not_comparable_because": []}, "says that it is comparable, but its features are lite, not paper"),
    ],
)  # fmt: skip
def test_a_result_that_contradicts_itself_is_refused(change: dict, message: str):
    honest = submission(values={"FAD": 2.0, "FAVD": 3.0, "FATD": 3.0, "FA(VT)D": 4.0})
    ((key, value),) = change.items()
    value = {**getattr(honest, key), **value} if isinstance(value, dict) else value
    with pytest.raises(LeaderboardError, match=message):
        read_submission(replace(honest, **{key: value}))


def with_zero_point(index: float, zero: object, fad: float = 0.1, favd: float = 0.3) -> tb.Result:
    result = submission(values={"FAD-b": fad, "FAVD-b": favd, "FATD-b": favd, "FA(VT)D-b": favd, "AV-index": index})
    scores = {"AV-index": replace(result.scores["AV-index"], settings={"random_pairing": zero})}
    return replace(result, scores=result.scores | scores)


@settings(deadline=None)
@given(st.floats(0.0, 10.0), st.floats(0.0, 10.0), st.floats(1e-3, 10.0))
def test_an_index_is_recomputed_from_its_zero_point(fad: float, loss: float, possible: float):
    index = 1.0 - loss / possible
    read_submission(with_zero_point(index, fad + possible, fad, fad + loss))
    with pytest.raises(LeaderboardError, match="AV-index is .*, but from its zero point, FAD-b and FAVD-b it is"):
        read_submission(with_zero_point(index - 0.01 - abs(index) * 1e-3, fad + possible, fad, fad + loss))


@pytest.mark.parametrize("zero", [0.1, 0.05, -1, True, "0.5", None, [0.5]])
def test_the_zero_point_of_an_index_is_a_distance_above_that_of_the_sounds(zero: object):
    with pytest.raises(LeaderboardError, match="the zero point of AV-index must be a distance above FAD-b, 0.1; is"):
        read_submission(with_zero_point(0.5, zero))


def test_a_fingerprint_is_recomputed_as_extractors_make_it():
    for name in ("lite-audio", "lite-text"):
        made = get_extractor(name)
        record = {"name": made.name, "version": made.version, "dim": made.dim, "options": made.options()}
        assert _fingerprint(record) == made.fingerprint


@pytest.mark.parametrize(
    ("name", "expected"),
    [("My System (v2)", "my-system-v2"), ("../../etc/passwd", "etc-passwd"), ("Ünïcode", "unicode"),
     ("<script>", "script"), ("x" * 200, "x" * 60)],
)  # fmt: skip
def test_an_id_is_made_of_letters_digits_and_hyphens(name: str, expected: str):
    assert system_id(name) == expected


def test_a_name_without_latin_letters_has_an_id_of_its_own():
    assert system_id("音") != system_id("声")
    assert system_id("音").startswith("system-")


def test_a_result_as_a_table_has_a_row_per_score_and_plain_types():
    table = submission().to_dataframe()
    assert table.loc["FAVD", "value"] == submission().scores["FAVD"].value
    assert dict(table.dtypes.astype(str)) | {"kind": "object"} == {
        **dict.fromkeys(("value", "stderr", "corrected", "corrected_stderr"), "float64"),
        **dict.fromkeys(("corrected_low", "corrected_high", "fd_infinity"), "float64"),
        **dict.fromkeys(("floor", "floor_spread", "floor_score"), "float64"),
        **dict.fromkeys(("version", "n_clips", "n_windows", "d", "rank", "n_undefined"), "Int64"),
        "kind": "object", "higher_is_better": "bool",
    }  # fmt: skip
    assert table["corrected"].isna().all()


def test_a_board_as_a_table_has_a_row_per_system_and_score_best_first():
    board = board_of(5)
    table = board.to_dataframe()
    assert len(table) == 5 * len(board.scores)
    assert table[table.score == "FAD"].value.is_monotonic_increasing
    assert table[table.score == "AV-index"].value.is_monotonic_decreasing
    assert tb.Leaderboard().to_dataframe().empty


def test_an_empty_board_is_not_written(tmp_path: Path):
    with pytest.raises(LeaderboardError, match="must have an entry; add a result first"):
        tb.Leaderboard().save(tmp_path / "board.json")


def test_a_result_changed_by_hand_is_noticed(tmp_path: Path):
    path = tmp_path / "board.json"
    listed(submission("A")).save(path)
    record = json.loads(path.read_text())
    record["entries"][0]["result"]["scores"]["FAD"]["value"] = 0.001
    path.write_text(json.dumps(record))
    with pytest.raises(LeaderboardError, match="entry a: its result does not have the sha256 that stands beside it"):
        tb.Leaderboard.load(path)


@pytest.mark.slow
def test_a_thousand_results_are_merged_and_rendered_in_five_seconds(tmp_path: Path):
    import time

    from t2av_bench.leaderboard.rendering import render_page

    files = [tmp_path / f"{i}.json" for i in range(1000)]
    for i, path in enumerate(files):
        submission(f"System {i}", i).save(path)
        path.with_suffix(".per_clip.csv").unlink()
    start_s = time.process_time()  # of this process alone: what else the machine does is not measured
    boards = [tb.Leaderboard().add(part, list_not_comparable=True) for part in (files[:500], files[500:])]
    boards[0].merge(boards[1]).save(tmp_path / "board.json")
    assert len(render_page(tb.Leaderboard.load(tmp_path / "board.json"))) < 2_000_000
    assert time.process_time() - start_s <= 5.0
