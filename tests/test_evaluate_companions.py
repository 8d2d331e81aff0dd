"""Companions and uncertainties through the ``evaluate`` command, on rendered clips with lite features."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from clap_folder import write_clap_folder
from click.testing import CliRunner

import t2av_bench as tb
from t2av_bench.cli import main
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.metrics import METRICS

N = 16
Record = dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 16 clips in ``data``, prediction sets in ``preds`` and a cache that fills up."""
    out = tmp_path_factory.mktemp("world")
    manifest = render("val", N, 0, out / "data", num_workers=0, progress=False)
    write_prediction_sets(manifest, out / "preds")
    return out


def evaluate(world: Path, out: Path, *options: str, preds: str = "late-0.5s", code: int = 0) -> tuple[Record, str]:
    arguments = ["evaluate", "--pred-dir", world / "preds" / preds, "--manifest", world / "data" / "manifest.csv",
                 "--features", "lite", "--num-workers", "0", "--cache-dir", world / "cache",
                 "-o", out / "result.json", *options]  # fmt: skip
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    if code:
        return {}, done.output
    tb.Result.load(out / "result.json")
    return json.loads((out / "result.json").read_text()), done.output


def first_clips(world: Path, count: int) -> Path:
    """Write a manifest of the first clips."""
    path = world / "data" / f"first-{count}.csv"
    lines = (world / "data" / "manifest.csv").read_text().splitlines()
    path.write_text("\n".join(lines[: count + 1]) + "\n")
    return path


def test_companions_stand_beside_the_distances_in_table_and_file(world: Path, tmp_path: Path) -> None:
    record, output = evaluate(world, tmp_path, "--per-clip", str(tmp_path / "clips.csv"), "--worst", "2",
                              "--worst-by", "KAVD")  # fmt: skip
    assert list(record["scores"]) == [name for name in METRICS if name in record["scores"]]
    for name in ("KAD", "KAVD", "KATD", "KA(VT)D"):
        score = record["scores"][name]
        assert score["kind"] == "kernel"
        assert score["stderr"] > 0
        assert score["settings"]["bandwidth"] > 0
        assert "d" not in score
    assert record["scores"]["coverage"]["settings"] == {"k": 5}
    assert "need at least 24 clips and 96 rows" in record["scores"]["coverage"]["withheld"]["stderr"]
    assert "Clips that draw KAVD up most" in output
    with (tmp_path / "clips.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    contributed = [name for name, score in record["scores"].items() if score["stderr"] is not None]
    of_clips = [f"{name} value" for name, score in record["scores"].items() if score["kind"] == "sync"]
    halves = [
        f"{n} half"
        for n, score in record["scores"].items()
        if score.get("settings", {}).get("stderr") == "second order"
    ]
    assert {"KAD half", "KAVD half"} <= set(halves)
    assert columns == ["clip_id", *contributed, *halves, *of_clips]


def test_each_distance_has_a_correction_a_floor_or_a_reason(world: Path, tmp_path: Path) -> None:
    record, output = evaluate(world, tmp_path)
    for name, score in record["scores"].items():
        if score["kind"] in ("raw", "balanced"):
            assert score["floor"] > 0
            assert score["floor_score"] > 0
            for key in ("corrected", "fd_infinity"):
                assert (key in score) != (key in score["withheld"]), (name, key)
    # 64 windows: balanced conditions have 6 axes, raw blocks 64 dimensions.
    assert record["scores"]["FAVD"]["withheld"]["corrected"] == "needs at least 2 d windows; got 64 with d = 128"
    assert "more windows than dimensions" in record["scores"]["FAVD"]["withheld"]["fd_infinity"]


def test_levels_of_uncertainty_change_what_is_computed_and_no_score(world: Path, tmp_path: Path) -> None:
    records = {
        level: evaluate(
            world, tmp_path, "--uncertainty", level, "--metrics", "FAD,FAVD-b,AV-index", "--pooling", "window"
        )[0]
        for level in ("none", "stderr", "auto", "full")
    }
    values = {level: [score["value"] for score in record["scores"].values()] for level, record in records.items()}
    for level in values:
        assert values[level] == pytest.approx(values["full"], rel=1e-9)
    scores = {level: record["scores"]["FAVD-b"] for level, record in records.items()}
    assert scores["none"]["stderr"] is None
    assert scores["none"]["withheld"] == {"stderr": "not computed with --uncertainty none (uncertainty='none')"}
    assert "floor" not in scores["none"]
    assert scores["stderr"]["floor"] == scores["full"]["floor"]
    assert "corrected" not in scores["stderr"]
    assert scores["auto"] == scores["full"]
    _, said = evaluate(world, tmp_path, "--uncertainty", "some", code=2)
    assert "'some' is not one of" in said


def test_the_seed_changes_the_halves_and_nothing_else(world: Path, tmp_path: Path) -> None:
    one, again, other = (
        evaluate(world, tmp_path, "--metrics", "FAD", "--seed", seed)[0]["scores"]["FAD"] for seed in ("0", "0", "1")
    )
    assert one == again
    assert one["floor"] != other["floor"]
    assert one["value"] == pytest.approx(other["value"], rel=1e-12)


def test_too_few_clips_leave_reasons_and_no_numbers(world: Path, tmp_path: Path) -> None:
    record, output = evaluate(world, tmp_path, "--manifest", str(first_clips(world, 3)))
    assert record["absent"]["precision"] == "`reference` must hold at least 6 rows; got 3"
    assert "precision is absent" in output
    for score in record["scores"].values():
        if score["kind"] in ("raw", "balanced"):
            assert score["withheld"]["floor"] == "halving needs at least 4 clips"
            assert "corrected" in score["withheld"]


def test_the_clap_score_is_computed_when_asked_for_and_needs_its_weights(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, said = evaluate(world, tmp_path, "--metrics", "CLAP", code=1)
    assert "download weights --only clap/model" in said
    from t2av_bench.models.extractors import clap

    folder = write_clap_folder(tmp_path / "clap")
    monkeypatch.setattr(clap, "find_weights", lambda entry: folder / entry.path.name)
    few = first_clips(world, 3)
    record, _ = evaluate(
        world, tmp_path, "--metrics", "CLAP,FAD", "--per-clip", str(tmp_path / "clips.csv"), "--manifest", str(few)
    )
    assert list(record["scores"]) == ["FAD", "CLAP"]
    assert set(record["extractors"]) == {"audio", "clap_audio", "clap_text"}
    score = record["scores"]["CLAP"]
    assert -1 <= score["value"] <= 1
    assert score["stderr"] > 0
    with (tmp_path / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["clip_id", "FAD", "CLAP", "CLAP value"]
    assert sum(float(row["CLAP value"]) for row in rows) / 3 == pytest.approx(score["value"], rel=1e-12)


@pytest.mark.slow
def test_classes_are_compared_with_random_weights(world: Path, tmp_path: Path) -> None:
    record, _ = evaluate(world, tmp_path, "--metrics", "IS,KL-softmax,KL-sigmoid", "--weights", "random")
    assert record["scores"]["IS"]["settings"]["splits"] == 10
    assert record["scores"]["KL-softmax"]["settings"]["direction"] == "KL(reference || generated)"
    assert record["extractors"]["logits"]["name"] == "panns-logits"
    same, _ = evaluate(world, tmp_path, "--metrics", "KL-softmax", "--weights", "random", preds="reference")
    assert same["scores"]["KL-softmax"]["value"] == pytest.approx(0, abs=1e-9)
    assert record["scores"]["KL-softmax"]["value"] > 1e-6
