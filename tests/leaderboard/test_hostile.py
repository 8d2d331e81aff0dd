"""Submissions are hostile: each is refused with one clear line, or shown inert."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hostile_results import ATTACKS, with_everywhere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_boards import submission

import t2av_bench as tb
from t2av_bench.errors import T2AVBenchError
from t2av_bench.leaderboard.exports import format_board
from t2av_bench.leaderboard.model_index import model_index
from t2av_bench.leaderboard.rendering import render_page
from t2av_bench.leaderboard.submissions import read_submission


def one_line(error: Exception) -> str:
    message = str(error)
    assert message.isprintable(), message
    assert len(message) < 1500
    return message


def refused(path: Path) -> str:
    with pytest.raises(T2AVBenchError, match=".") as caught:
        read_submission(path)
    return one_line(caught.value)


def file_of(tmp_path: Path, text: str) -> Path:
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    return tmp_path / "r.json"


def record() -> dict[str, Any]:
    made = submission().to_json()
    return json.loads(json.dumps(made))


def edited(tmp_path: Path, place: str, value: Any) -> Path:
    changed = record()
    *way, last = place.split("/")
    target = changed
    for step in way:
        target = target[step]
    target[last] = value
    return file_of(tmp_path, json.dumps(changed))


DEEP: Any = 1
for _ in range(200):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("system/name", "x" * 10**6, "at system/name: .* is longer than 200 characters"),
        ("scores/" + "x" * 10**6, {}, "at scores/xxx"),
        ("surprise" + "y" * 10**6, 1, "Additional properties"),
        ("extractors/audio/options/deep", DEEP, "nested more than 32 levels deep"),
        ("scores/FAD/value", 10**400, "the number 1000.* is too large"),
        ("scores/FAD/value", True, "at scores/FAD/value: true is not of type"),
        ("scores/FAD/value", "1", "at scores/FAD/value"),
        ("scores/FAD/value", None, "at scores/FAD/value"),
        ("scores/FAD/n_clips", -1, "at scores/FAD/n_clips"),
        ("scores/FAD/n_clips", 1.5, "at scores/FAD/n_clips"),
        ("scores", [], "at scores"),
        ("scores", {}, "it must have a score"),
        ("scores", {"\x1b[2J\n\u202e": {}}, "at scores/"),
        ("seed", 10**25, "the number 1000"),
        ("counts", {}, "its counts must hold `clips` and `scored`"),
        ("manifest/sha256", "../" * 20, "at manifest/sha256"),
        ("per_clip_file", {"name": "../../x.per_clip.csv", "sha256": "0" * 64}, "at per_clip_file/name"),
        ("per_clip_file", {"name": "C:\\x.per_clip.csv", "sha256": "0" * 64}, "at per_clip_file/name"),
        ("schema_version", 2, "schema version 2; this t2av-bench reads up to 1: upgrade it"),
        ("schema_version", "1", "at schema_version"),
        ("system/name", "half \ud800", "half a surrogate pair"),
    ],
)
def test_a_malformed_submission_is_refused_in_one_line(tmp_path: Path, place: str, value: Any, message: str):
    assert re.search(message, refused(edited(tmp_path, place, value)))


@pytest.mark.parametrize(
    ("found", "put", "message"),
    [
        ('"seed": 0', '"seed": NaN', "NaN is no JSON number"),
        ('"seed": 0', '"seed": -Infinity', "-Infinity is no JSON number"),
        ('"seed": 0', '"seed": 1e999', "the number 1e999 is too large"),
        ('"seed": 0', '"seed": 0, "seed": 1', "the key 'seed' stands there twice"),
        ('"seed": 0', '"seed": ' + "9" * 10_000, "the number 999.* is too large"),
        ('"seed": 0', '"seed": ' + "[" * 100_000, "nested more than 32 levels deep"),
        ('"seed": 0', '"seed": 0}', "must be a JSON file .Extra data"),
    ],
)
def test_what_json_parsers_read_differently_is_refused(tmp_path: Path, found: str, put: str, message: str):
    text = json.dumps(record())
    assert text.count(found) == 1
    assert re.search(message, refused(file_of(tmp_path, text.replace(found, put))))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{}", b"\x80", b"PK\x03\x04", b"[]", b"null", b"{}", b'"x"'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "r.json").write_bytes(content)
    assert "r.json: " in refused(tmp_path / "r.json")


def test_a_file_of_unreasonable_size_is_not_read(tmp_path: Path):
    with (tmp_path / "r.json").open("wb") as file:
        file.truncate(300 << 20)
    assert "must have at most 256 MiB, has 300" in refused(tmp_path / "r.json")


class Tags(HTMLParser):
    """What an HTML parser finds in a page: tags with their attributes, and the text of the data block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.data = ""
        self._in_data = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attributes))))
        self._in_data = ("id", "Data") in attributes

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data
            self._in_data = False


@pytest.mark.parametrize("attack", ATTACKS)
def test_markup_in_every_field_adds_no_tag_to_the_page_and_breaks_no_table(attack: str, tmp_path: Path):
    board = tb.Leaderboard(attack).add(with_everywhere(attack), list_not_comparable=True)
    board.save(tmp_path / "board.json")
    assert tb.Leaderboard.load(tmp_path / "board.json") == board
    harmless = tb.Leaderboard("x").add(with_everywhere("x"), list_not_comparable=True)
    page, plain = Tags(render_page(board)), Tags(render_page(harmless))
    assert page.found == plain.found
    assert json.loads(page.data)["systems"][0]["name"] == attack[:150]

    table = format_board(board, "plain")
    assert all(line.isprintable() for line in table.splitlines())
    assert len(format_board(board, "markdown").splitlines()) == len(format_board(harmless, "markdown").splitlines())
    assert not re.search(r"(?<!\\)<(script|img|svg|!--)", format_board(board, "markdown").splitlines()[2])
    latex = format_board(board, "latex")
    body = latex.split(r"\midrule")[1]
    assert not re.search(r"\\(input|write)", body)
    assert "^^" not in body
    assert all(line.startswith("%") for line in latex.split(r"\begin{tabular}")[0].splitlines())


@pytest.mark.parametrize("attack", ATTACKS)
def test_markup_in_every_field_stays_text_in_csv_and_yaml(attack: str):
    import csv
    import io

    import yaml

    board = tb.Leaderboard("x").add(with_everywhere(attack), list_not_comparable=True)
    rows = list(csv.DictReader(io.StringIO(format_board(board, "csv"), newline="")))
    assert {row["system"] for row in rows} <= {attack[:150], "'" + attack[:150]}
    assert not any(row["system"].startswith(("=", "+", "-", "@")) for row in rows)
    card = yaml.safe_load(model_index(board, board.entries[0]))
    assert card["model-index"][0]["name"] == attack[:150]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_to_a_submission_is_taken_or_refused_but_never_breaks_anything(tmp_path: Path, data: st.DataObject):
    changed: Any = record()
    target, key = changed, data.draw(st.sampled_from(sorted(changed)))
    while isinstance(target[key], (dict, list)) and target[key] and data.draw(st.booleans()):
        target = target[key]
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ATTACKS)
    value = data.draw(
        st.recursive(leaf, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
    )
    if data.draw(st.booleans()):
        target[key] = value
    else:
        del target[key]
    path = file_of(tmp_path, json.dumps(changed))
    try:
        board = tb.Leaderboard().add(path, list_not_comparable=True)
    except T2AVBenchError as error:
        one_line(error)
        return
    board.save(tmp_path / "board.json")
    assert tb.Leaderboard.load(tmp_path / "board.json") == board
    assert render_page(board)
    for form in ("plain", "csv", "markdown", "latex"):
        assert format_board(board, form)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_to_a_board_is_refused_in_one_line_or_means_the_same(tmp_path: Path, data: st.DataObject):
    path = tmp_path / "board.json"
    board = tb.Leaderboard().add([submission("A", 1), submission("B", 2)], list_not_comparable=True)
    board.save(path)
    text = path.read_text()
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.sampled_from(["", "0", '"', "{", "}", "[", ",", "\\", "-", "e9", "null", "\x00", "é"]))
    path.write_text(text[:at] + put + text[at + data.draw(st.integers(0, 3)) :], encoding="utf-8")
    try:
        again = tb.Leaderboard.load(path)
    except T2AVBenchError as error:
        one_line(error)
        return
    assert [entry.sha256 for entry in again.entries] == [entry.sha256 for entry in board.entries]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema version 2; this t2av-bench reads up to 1"),
        ({"entries": []}, "at entries"),
        ({"title": "x" * 1000}, "at title"),
        ({"more": 1}, "'more' was unexpected"),
        ({"manifest": {}}, "its manifest and protocol must be those of its entries"),
    ],
)
def test_a_malformed_board_is_refused(tmp_path: Path, changes: dict, message: str):
    path = tmp_path / "board.json"
    tb.Leaderboard().add(submission(), list_not_comparable=True).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(T2AVBenchError, match=message):
        tb.Leaderboard.load(path)


@pytest.mark.parametrize("entry_id", ["../x", "A", "", "a--b", "x" * 81, "a\n", "a b", "<b>"])
def test_ids_of_a_board_name_no_path_and_no_markup(tmp_path: Path, entry_id: str):
    path = tmp_path / "board.json"
    tb.Leaderboard().add(submission(), list_not_comparable=True).save(path)
    made = json.loads(path.read_text())
    made["entries"][0]["id"] = entry_id
    path.write_text(json.dumps(made))
    with pytest.raises(T2AVBenchError, match="at entries/0/id"):
        tb.Leaderboard.load(path)


def test_two_entries_may_not_share_an_id_or_a_name(tmp_path: Path):
    path = tmp_path / "board.json"
    tb.Leaderboard().add([submission("A", 1), submission("B", 2)], list_not_comparable=True).save(path)
    made = json.loads(path.read_text())
    path.write_text(json.dumps({**made, "entries": [made["entries"][0], {**made["entries"][1], "id": "a"}]}))
    with pytest.raises(T2AVBenchError, match="two entries have the same id"):
        tb.Leaderboard.load(path)
    path.write_text(json.dumps({**made, "entries": [made["entries"][0], {**made["entries"][0], "id": "c"}]}))
    with pytest.raises(T2AVBenchError, match="A: there are two different results of this name"):
        tb.Leaderboard.load(path)
