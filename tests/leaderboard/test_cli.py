"""``t2av-bench leaderboard`` as a command: files, output, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_boards import submission

from t2av_bench.cli import main
from t2av_bench.leaderboard import Leaderboard

LISTED = "--list-not-comparable"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i, name in enumerate("abc"):
        submission(name, i).save(tmp_path / f"{name}.json")
    monkeypatch.chdir(tmp_path)
    assert run("add", "board.json", "a.json", "b.json", LISTED)[0] == 0
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["leaderboard", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stdout, done.stderr


def test_results_are_added_and_counted(folder: Path):
    code, _, err = run("add", "board.json", "c.json", LISTED, "--title", "Ours")
    assert (code, err) == (0, "board.json: 3 systems, 1 of them new\n")
    assert Leaderboard.load(folder / "board.json").title == "Ours"


def test_a_refused_result_leaves_the_board_as_it_was(folder: Path):
    before = (folder / "board.json").read_bytes()
    code, _, err = run("add", "board.json", "c.json", "a.json", LISTED)
    assert code == 1
    assert "a: is on the board already" in err
    assert (folder / "board.json").read_bytes() == before


def test_validate_says_of_each_file_whether_it_would_do(folder: Path):
    (folder / "bad.json").write_text("{")
    code, out, err = run("validate", "a.json", "board.json", "bad.json", "c.json", LISTED)
    assert code == 1
    lines = out.splitlines()
    assert lines[0] == "ok       a.json: a, 10 scores, errors recomputed from the table of clips"
    assert lines[1] == "ok       board.json: 2 systems"
    assert lines[2].startswith("refused  bad.json: must be a JSON file")
    assert lines[3].startswith("ok       c.json")
    assert "1 of 4 files are refused" in err
    assert run("validate", "c.json", "--against", "board.json", LISTED)[0] == 0
    code, out, _ = run("validate", "a.json", "--against", "board.json", LISTED)
    assert code == 1
    assert "on the board already" in out
    assert "is not comparable" in run("validate", "c.json")[1]
    made = json.loads((folder / "a.json").read_text())
    made["scores"]["FAD"]["value"] = -1.0
    (folder / "forged.json").write_text(json.dumps(made))
    assert "refused  forged.json: FAD must be from 0 to inf, is -1\n" in run("validate", "forged.json", LISTED)[1]


def test_boards_are_merged(folder: Path):
    run("add", "other.json", "b.json", "c.json", LISTED)
    assert run("merge", "board.json", "other.json", "-o", "all.json") == (0, "", "all.json: 3 systems\n")
    assert [entry.id for entry in Leaderboard.load(folder / "all.json").entries] == ["a", "b", "c"]


@pytest.mark.parametrize("form", ["plain", "csv", "markdown", "latex"])
def test_a_board_is_exported_to_the_terminal_or_a_file(folder: Path, form: str):
    code, out, _ = run("export", "board.json", "--format", form, "--metrics", "FAD, FAVD", "--order", "FAD")
    assert code == 0
    assert "FAVD" in out
    assert "AV-index" not in out
    code, nothing, _ = run(
        "export", "board.json", "--format", form, "--metrics", "FAD,FAVD", "--order", "FAD", "-o", "t"
    )
    assert (code, nothing, (folder / "t").read_text()) == (0, "", out)


def test_a_model_card_is_of_one_system(folder: Path):
    code, out, _ = run("export", "board.json", "--format", "model-index", "--system", "b")
    assert code == 0
    assert out.startswith("model-index:\n- name: b\n")


def test_a_page_is_rendered(folder: Path):
    assert run("render", "board.json") == (0, "", "leaderboard.html: 2 systems\n")
    assert (folder / "leaderboard.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "board.json"], 2, "Missing argument"),
        (["add", "new.json", "gone.json"], 1, "gone.json: cannot be read"),
        (["add", "new.json", "a.json"], 1, "is not comparable"),
        (["add", "a.json", "b.json"], 1, "a.json: is no leaderboard"),
        (["render", "gone.json"], 1, "gone.json: cannot be read"),
        (["render", "board.json", "-o", "board.json/x"], 1, "cannot be written"),
        (["export", "board.json", "--metrics", "FVD"], 2, "no score named 'FVD'"),
        (["export", "board.json", "--format", "model-index"], 2, "go together"),
        (["export", "board.json", "--system", "a"], 2, "go together"),
        (["export", "board.json", "--format", "model-index", "--system", "z"], 2, "has no system 'z'"),
        (["merge", "board.json"], 2, "Missing option '-o'"),
        (["publish"], 2, "No such command"),
    ],
)
def test_mistakes_end_in_one_line(folder: Path, arguments: list[str], code: int, message: str):
    exit_code, _, err = run(*arguments)
    assert (exit_code, message in err) == (code, True), err
