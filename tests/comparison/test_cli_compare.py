"""``t2av-bench compare`` and ``t2av-bench correlate`` as commands: output, files, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_results import result_of_values

from t2av_bench.cli import main


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for i in range(4):
        values = rng.normal(size=(2, 30)) + i
        result_of_values(f"s{i}", FAD=values[0], AV_index=-values[1]).save(tmp_path / f"s{i}.json")
    return [str(tmp_path / f"s{i}.json") for i in range(4)]


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def test_compare_prints_a_table_and_writes_a_file(files: list[str], tmp_path: Path):
    code, out, err = run("compare", *files, "--baseline", "s0", "--metrics", "FAD", "-o", str(tmp_path / "c.json"))
    assert code == 0
    assert "4 systems, all against s0" in out
    assert out.count("FAD ↓") == 3
    assert err == f"Comparison written to {tmp_path / 'c.json'}\n"
    assert json.loads((tmp_path / "c.json").read_text())["baseline"] == "s0"


def test_what_a_program_reads_from_stdout_is_json_alone(files: list[str]):
    code, out, _ = run("compare", *files, "--format", "json")
    assert code == 0
    assert len(json.loads(out)["tests"]) == 12


def test_correlate_prints_a_table_and_writes_a_file(files: list[str], tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("system,rating\ns0,4\ns1,3\ns2,2\ns3,1\n")
    code, out, err = run(
        "correlate", *files, "--ratings", str(tmp_path / "ratings.csv"), "-o", str(tmp_path / "k.json")
    )
    assert code == 0
    assert "system  FAD" in out
    assert "+1.00" in out
    assert err == f"Correlation written to {tmp_path / 'k.json'}\n"
    assert len(json.loads((tmp_path / "k.json").read_text())["agreements"]) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["compare"], 2, "Missing argument"),
        (["compare", "{0}"], 2, "at least two results; got 1"),
        (["compare", "{0}", "gone.json"], 1, "gone.json: cannot be read"),
        (["compare", "{0}", "{table}"], 1, "must be a JSON file"),
        (["compare", "{0}", "{1}", "--metrics", "FVD"], 2, "no score named 'FVD'"),
        (["compare", "{0}", "{1}", "--confidence", "95"], 2, "confidence must be from 0.5 to below 1; got 95"),
        (["compare", "{0}", "{1}", "--baseline", "s9"], 2, "no result named 's9'"),
        (["compare", "{0}", "{1}", "-o", "{0}/c.json"], 1, "cannot be written"),
        (["correlate", "{0}"], 2, "Missing option '--ratings'"),
        (["correlate", "{0}", "--ratings", "gone.csv"], 1, "gone.csv: cannot be read"),
        (["correlate", "{0}", "--ratings", "{0}"], 1, "must have the columns system,rating"),
    ],
)
def test_mistakes_end_in_one_line(files: list[str], tmp_path: Path, arguments: list[str], code: int, message: str):
    table = str(tmp_path / "s0.per_clip.csv")
    given = [argument.format(*files, table=table) for argument in arguments]
    exit_code, _, err = run(*given)
    assert exit_code == code
    assert message in err
    assert "Traceback" not in err


def test_a_result_whose_table_is_of_another_run_is_refused(files: list[str], tmp_path: Path):
    (tmp_path / "s0.per_clip.csv").write_bytes((tmp_path / "s1.per_clip.csv").read_bytes())
    code, _, err = run("compare", files[0], files[1])
    assert code == 1
    assert "does not belong to" in err
