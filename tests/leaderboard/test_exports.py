"""Tables of a leaderboard hold its numbers, and other programs read them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hostile_results import ATTACKS, with_everywhere
from made_boards import board_of, made_score, submission
from tex import compile_latex

import t2av_bench as tb
from t2av_bench.comparison.tables import format_comparison
from t2av_bench.errors import UsageError
from t2av_bench.grids import latex_grid
from t2av_bench.leaderboard.exports import format_board
from t2av_bench.leaderboard.model_index import model_index
from t2av_bench.results.tables import format_results


def board_with(stderr: float | None = 0.1, **values: float) -> tb.Leaderboard:
    """Return a board of systems whose FAD is given."""
    made = [
        replace(
            submission(name, i),
            scores={
                "FAD": made_score("FAD", value, stderr),
                "AV-index": made_score("AV-index", -value - 1e-12 * i, stderr),
            },
            per_clip={},
        )
        for i, (name, value) in enumerate(values.items())
    ]
    return tb.Leaderboard().add(made, list_not_comparable=True)


def test_csv_holds_the_table_of_the_board_with_every_digit():
    board = board_of(6).add(submission("apart", 99, scored=20), list_not_comparable=True)
    read = pd.DataFrame(list(csv.DictReader(io.StringIO(format_board(board, "csv")))))
    expected = board.to_dataframe()
    assert list(read.columns) == list(expected.columns)
    for column, kind in expected.dtypes.items():
        present = expected[column].notna()
        assert (read[column][~present] == "").all(), column
        as_text = (lambda value: repr(float(value))) if kind == "float64" else str
        assert list(read[column][present]) == [as_text(value) for value in expected[column][present]], column


def test_the_best_is_bold_and_the_second_underlined_by_exact_values():
    latex = format_board(board_with(a=2.0, b=1.0, c=3.0), "latex").splitlines()
    rows = {line.split(" & ")[0]: line for line in latex if "&" in line}
    assert rows["b"] == r"b & \textbf{1 $\pm$ 0.1} & \textbf{-1 $\pm$ 0.1} \\"
    assert rows["a"] == r"a & \underline{2 $\pm$ 0.1} & \underline{-2 $\pm$ 0.1} \\"
    assert rows["c"] == r"c & 3 $\pm$ 0.1 & -3 $\pm$ 0.1 \\"
    assert [line[0] for line in latex if line[1:2] == " " and "&" in line] == ["b", "a", "c"]
    markdown = format_board(board_with(a=2.0, b=1.0, c=3.0), "markdown")
    assert "| b | **1 ± 0.1** | **-1 ± 0.1** |" in markdown
    assert "| a | *2 ± 0.1* |" in markdown


def test_what_cannot_be_told_from_the_best_is_marked():
    text = format_board(board_with(a=1.0, b=1.1, c=1.2, d=9.0), "markdown")
    assert "| a | **1 ± 0.1** |" in text
    assert "| b | *1.1 ± 0.1* |" in text
    assert "| c | 1.2 ± 0.1 † |" in text
    assert "| d | 9 ± 0.1 |" in text
    assert "† not told apart from the best at 95 %" in text
    assert "†" not in format_board(board_with(a=1.0, b=9.0), "plain")


def test_equal_bests_are_all_bold_and_a_single_system_is_not():
    text = format_board(board_with(None, a=1.0, b=1.0, c=2.0), "markdown")
    assert text.count("**1**") == 2
    assert text.count("*2*") == 1
    assert "**" not in format_board(board_with(a=1.0), "markdown")


def test_rows_can_be_sorted_by_any_score_and_columns_chosen():
    board = board_of(8)
    text = format_board(board, "plain", ["AV-index", "FAD"], order="AV-index")
    assert text.splitlines()[0].split() == ["system", "AV-index", "↑", "FAD", "↓"]
    names = [line[:11] for line in text.splitlines()[2:10]]
    assert names == [entry.name for entry, _ in board.ranked("AV-index")]
    with pytest.raises(UsageError, match="no score named 'FADD'. Did you mean 'FAD'"):
        format_board(board, "plain", ["FADD"])
    with pytest.raises(UsageError, match="no score named 'x'"):
        format_board(board, "plain", order="x")


def test_an_incomplete_system_is_last_and_says_so():
    board = board_with(a=1.0, b=2.0).add(submission("part", 5, scored=30), list_not_comparable=True)
    lines = format_board(board, "markdown", ["FAD"]).splitlines()
    assert lines[4].startswith("| part (incomplete) | ")
    assert "*" not in lines[4]


def test_a_missing_score_is_a_dash():
    board = tb.Leaderboard().add([submission("a", 1), submission("b", 2)], list_not_comparable=True)
    entry = submission("c", 3)
    entry = replace(entry, scores={"FAD": entry.scores["FAD"]}, absent={"FAVD": "no video"})
    text = format_board(board.add(entry, list_not_comparable=True), "markdown", ["FAD", "FAVD"])
    assert re.search(r"\| c \| [^|]+ \| — \|", text)


def test_the_model_index_is_what_hugging_faces_own_parser_reads():
    from huggingface_hub import ModelCard, ModelCardData

    board = board_of(3)
    entry = board.entries[1]
    text = model_index(board, entry)
    read = ModelCardData(**yaml.safe_load(text))
    assert read.model_name == entry.name
    assert read.eval_results is not None
    assert [result.metric_value for result in read.eval_results] == [s.value for s in entry.result.scores.values()]
    assert read.eval_results[0].metric_type == "fad"
    assert read.eval_results[0].task_type == "text-to-audio"
    assert read.eval_results[0].dataset_revision == board.manifest["sha256"]
    assert read.eval_results[0].metric_args["standard_error"] == entry.result.scores["FAD"].stderr
    card = ModelCard(f"---\nlicense: mit\n{text}---\n# A card\n")
    assert card.data.eval_results == read.eval_results
    assert len(model_index(board, entry, ["FAD"])) < len(text)


NAMES = [
    *(
        "[1]",
        "*star",
        "--a---b",
        "Größe",
        "Řeka",
        "音声",
        "αβ-VAE Ω",
        "5′",
        "“quoted”",
        "x–y",
        "e\u0301",
        "עברית",
        "☃ ≤ 1",
    ),
    *("a_b & 50% #1 {x} ~^", "^^5cfoo", "a\x00b\n\nc", "\\end{tabular}", "\\\\[1ex]", "%", "<<x>>", "\\verb|x|"),
]


@pytest.mark.slow
def test_the_latex_of_a_board_compiles_with_any_name(tmp_path: Path):
    made = [submission(name[:150], 100 + i) for i, name in enumerate([*NAMES, *dict.fromkeys(ATTACKS)])]
    board = board_of(5).add(made, list_not_comparable=True)
    compile_latex(format_board(board, "latex"), tmp_path)
    everywhere = with_everywhere("音 $x$ \\input{/etc/passwd} ^^M \\end{document} %")
    compile_latex(format_board(tb.Leaderboard().add(everywhere, list_not_comparable=True), "latex"), tmp_path)


def test_without_tex_ci_fails_where_others_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install texlive-latex-base"):
        compile_latex("", tmp_path)
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install texlive-latex-base"):
        compile_latex("", tmp_path)


@pytest.mark.slow
def test_the_latex_of_results_and_comparisons_compiles(tmp_path: Path):
    made = [submission(name, i) for i, name in enumerate(NAMES)]
    compared = tb.compare(made[:4], metrics=["FAD", "AV-index"])
    text = format_results(made, "latex") + "\n\n" + format_comparison(compared, "latex")
    compile_latex(text, tmp_path)


@pytest.mark.slow
def test_tex_takes_nothing_at_the_start_of_a_row_for_a_command(tmp_path: Path):
    text = latex_grid(["a"], [["[1ex]"], ["*"], ["--"]], left=1)
    trace = r"\pagestyle{empty}\tracingoutput=1 \showboxdepth=99 \showboxbreadth=999 "
    log = compile_latex(trace + text, tmp_path)
    shown = "".join(re.findall(r"\\OT1/cmr/m/n/10 (\S)", log))
    assert shown == "a[1ex]*--"


def test_names_beyond_pdftex_are_numbers_to_it_and_characters_to_other_engines():
    text = latex_grid(["x"], [["é音"], ["β"]], left=1)
    assert r"é\ifdefined\Umathcode 音\else U+97F3\fi{} \\" in text
    assert r"$\beta$ \\" in text
