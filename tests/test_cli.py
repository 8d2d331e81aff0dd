"""The command as a user types it: output, exit codes, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import t2av_bench as tb
from t2av_bench.cli import main
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    write_prediction_sets(render("val", 6, 0, out / "data", num_workers=0, progress=False), out / "preds")
    return out


@pytest.fixture
def base(world: Path, tmp_path: Path) -> list[str]:
    """Options that every call shares; small enough to run in this process."""
    return ["--manifest", str(world / "data" / "manifest.csv"), "--num-workers", "0", "--features", "lite",
            "--cache-dir", str(world / "cache"), "-o", str(tmp_path / "result.json")]  # fmt: skip


def call(*args: str | Path) -> Result:
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_evaluate_prints_a_table_and_writes_the_result(world: Path, base: list[str], tmp_path: Path):
    plot = tmp_path / "plots" / "scores.svg"
    done = call("evaluate", "--pred-dir", world / "preds" / "other-noise", "--system", "ours", "--plot", plot, *base)
    assert done.exit_code == 0, done.output
    assert "ours on manifest (6 of 6 clips), lite features, protocol t2av-bench/1" in done.stdout
    assert "FA(VT)D" in done.stdout
    result = tb.Result.load(tmp_path / "result.json")
    assert result.system["name"] == "ours"
    assert f"Result written to {tmp_path / 'result.json'}" in done.stderr
    assert f"Plot written to {plot}" in done.stderr
    assert "<!-- AV-index -->" in plot.read_text()


@pytest.mark.parametrize(
    ("form", "start"), [("latex", "% needs"), ("markdown", "| system |"), ("csv", "system,score,")]
)
def test_formats_for_papers(world: Path, base: list[str], form: str, start: str):
    done = call(
        "evaluate", "--pred-dir", world / "preds" / "late-0.5s", "--format", form, "--metrics", "FAD,FAVD", *base
    )
    assert done.exit_code == 0
    assert done.stdout.startswith(start)
    assert done.stdout.count("FAVD") == 1


def test_json_on_stdout_can_be_parsed(world: Path, base: list[str]):
    done = call("evaluate", "--pred-dir", world / "preds" / "swapped", "--format", "json", *base)
    assert json.loads(done.stdout)["system"]["name"] == "swapped"


def test_the_worst_clips_are_named_and_all_contributions_written(world: Path, base: list[str], tmp_path: Path):
    args = ["evaluate", "--pred-dir", world / "preds" / "late-0.5s", *base]
    done = call(*args, "--worst", "2", "--per-clip", tmp_path / "per_clip.csv")
    assert done.exit_code == 0, done.output
    table = done.stdout.partition("Clips that draw FAVD up most, and by how much:")[2].split()
    assert table[:2] == ["clip", "FAVD"]
    assert [float(value) > 0 for value in table[4::2]] == [True, True]
    assert (tmp_path / "per_clip.csv").read_text().splitlines()[0].startswith("clip_id,FD,FAD,FAVD")
    assert f"Contributions of clips written to {tmp_path / 'per_clip.csv'}" in done.stderr
    done = call(*args, "--worst", "1", "--worst-by", "AV-index", "--format", "json")
    assert json.loads(done.stdout)["system"]["name"] == "late-0.5s"
    assert "Clips that draw AV-index down most" in done.stderr
    done = call(*args, "--worst", "1", "--metrics", "FAD")
    assert "Clips that draw FAD up most" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["evaluat"], "There is no command 'evaluat'. Did you mean 'evaluate'?"),
        (["evaluate"], "Missing option '--pred-dir'"),
        (["evaluate", "--pred-dir", "x", "--pooling", "frame"], "'frame' is not one of"),
        (["evaluate", "--pred-dir", "x", "--batch-size", "0"], "0 is not in the range"),
        (["evaluate", "--pred-dir", "x", "--seed", "-1"], "-1 is not in the range"),
        (["validate-metrics", "--seed", "-1"], "-1 is not in the range"),
        (["report", "x.json", "--pred-dir", "x", "--seed", "-1"], "-1 is not in the range"),
        (["pack", "verify", "x.pack", "--seed", "-1"], "-1 is not in the range"),
        (["evaluate", "--pred-dir", "x", "--device", "gpu"], "must be auto, cpu, cuda or cuda:<i>; got 'gpu'"),
        (["generate", "-o", "x", "--device", "cuda:"], "must be auto, cpu, cuda or cuda:<i>; got 'cuda:'"),
        (["evaluate", "--pred-dir", "x", "--manifest", "audiocap"], "There is no manifest named 'audiocap'"),
    ],
)
def test_wrong_usage_exits_with_2(args: list[str], message: str):
    done = call(*args)
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize(("options", "message"), [
    (["--metrics", "FVD"], "There is no metric named 'FVD'"),
    (["--protocol", "fad"], "There is no protocol named 'fad'"),
    (["--features", "vgish"], "Did you mean 'vggish'?"),
    (["--worst-by", "FAD"], "--worst-by needs --worst N"),
    (["--worst", "1", "--worst-by", "FVD"], "--worst-by must name one of FD, FAD,"),
    (["--worst", "1", "--worst-by", "FAD", "--metrics", "FAVD"], "--worst-by must name one of FAVD; got 'FAD'"),
])  # fmt: skip
def test_wrong_names_exit_with_2(world: Path, base: list[str], options: list[str], message: str):
    done = call("evaluate", "--pred-dir", world / "preds" / "noise", *base, *options)
    assert done.exit_code == 2, done.output
    assert message in done.output


def test_problems_exit_with_1_and_name_every_file(world: Path, base: list[str], tmp_path: Path):
    preds = shutil.copytree(world / "preds" / "noise", tmp_path / "p")
    wavs = sorted(preds.glob("*.wav"))
    wavs[0].write_bytes(b"")
    wavs[1].write_text("no sound")
    done = call("evaluate", "--pred-dir", preds, *base)
    assert done.exit_code == 1
    assert "2 of 6 clips cannot be scored:" in done.stderr
    assert str(wavs[0]) in done.stderr
    assert str(wavs[1]) in done.stderr
    assert "--on-error skip" in done.stderr
    assert not (tmp_path / "result.json").exists()
    done = call("evaluate", "--pred-dir", preds, *base, "--on-error", "skip")
    assert done.exit_code == 0
    assert "incomplete: 2 of 6 clips were left out" in done.stdout
    assert all(f"  {wav}: " in done.stderr for wav in wavs[:2])


def test_no_file_is_written_twice_or_over_one_that_is_read(world: Path, base: list[str], tmp_path: Path):
    noise, result = ["evaluate", "--pred-dir", world / "preds" / "noise", *base], tmp_path / "a.json"
    for clash in (["--per-clip", result], ["--per-clip", tmp_path / "a.per_clip.csv"]):
        done = call(*noise, "-o", result, *clash)
        assert done.exit_code == 2
        assert f"{clash[1]}: is read or written as something else by this command" in done.output
    assert not result.exists()
    result.write_text("kept")
    for command in (["compare", result, result], ["correlate", result, "--ratings", tmp_path / "ratings.csv"]):
        done = call(*command, "-o", result)
        assert done.exit_code == 2
        assert f"{result}: is read or written" in done.output
    assert result.read_text() == "kept"


def test_a_folder_of_other_names_says_what_they_look_like(base: list[str], tmp_path: Path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "7tMPoaU2oL4_34000_44000.wav").write_bytes(b"x")
    done = call("evaluate", "--pred-dir", tmp_path / "p", *base)
    assert done.exit_code == 1
    assert "The files look like <id>_<start ms>_<end ms>" in done.stderr


@pytest.mark.parametrize("place", ["cache", "result"])
def test_a_place_that_cannot_be_written_is_named(world: Path, base: list[str], tmp_path: Path, place: str):
    (tmp_path / "file").write_text("in the way")
    options = ["--cache-dir", tmp_path / "file" / "c"] if place == "cache" else ["-o", tmp_path / "file" / "r.json"]
    done = call("evaluate", "--pred-dir", world / "preds" / "noise", *base, *options)
    assert done.exit_code == 1
    assert str(tmp_path / "file") in done.stderr
    assert "cannot be written" in done.stderr


def test_a_home_folder_that_cannot_be_written_says_how_to_choose_another(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("T2AV_BENCH_HOME", str(tmp_path / "file"))
    done = call("evaluate", "--pred-dir", world / "preds" / "noise", "--num-workers", "0",
                "--cache-dir", tmp_path / "cache", "-o", tmp_path / "result.json")  # fmt: skip
    assert done.exit_code == 1
    assert f"Error: {tmp_path / 'file' / 'mini'}" in done.stderr
    assert "T2AV_BENCH_HOME chooses another home folder" in done.stderr


def test_a_malformed_manifest_is_named_by_row_and_column(world: Path, base: list[str], tmp_path: Path):
    (tmp_path / "m.csv").write_text("clip_id,media,caption\na,a.mp4,x\n../b,b.mp4,y\n")
    done = call("evaluate", "--pred-dir", world / "preds" / "noise", *base, "--manifest", tmp_path / "m.csv")
    assert done.exit_code == 1
    assert "row 3, column 'clip_id': must be usable as a file name" in done.stderr


def test_missing_weights_say_where_to_get_them(world: Path, base: list[str]):
    done = call("evaluate", "--pred-dir", world / "preds" / "noise", *base, "--features", "vggish,c3d")
    assert done.exit_code == 1
    assert "The weights 'vggish' are missing. " in done.stderr
    assert "vggish-10086976.pth" in done.stderr
    assert "The weights 'c3d' are missing. " in done.stderr
    assert "https://" in done.stderr
    assert "`t2av-bench doctor` shows all that are missing" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_with_one_line_and_keeps_what_is_done(world: Path, tmp_path: Path):
    args = ["evaluate", "--pred-dir", world / "preds" / "noise", "--manifest", world / "data" / "manifest.csv",
            "--features", "vggish,c3d", "--weights", "random", "--num-workers", "1", "--batch-size", "1",
            "--cache-dir", tmp_path / "cache", "-o", tmp_path / "r.json"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "t2av_bench", *map(str, args)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "T2AV_BENCH_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "cache" / "entries").rglob("*.npy")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert "interrupted; what is done so far is kept" in stderr
    assert list((tmp_path / "cache" / "entries").rglob("*.npy"))
    assert not (tmp_path / "r.json").exists()
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.parametrize(
    "command", ["evaluate --pred-dir p", "validate-metrics", "compare a.json", "correlate a.json --ratings r.csv"]
)
def test_a_name_of_another_format_than_json_is_refused(command: str):
    done = call(*command.split(), "-o", "scores.csv")
    assert done.exit_code == 2
    assert "is written as JSON, so name it FILE.json; got scores.csv" in done.stderr
