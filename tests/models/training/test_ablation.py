"""Ablations train what a change touches, take the rest, and end in one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file
from training_support import tiny_recipe

from t2av_bench.cli import main
from t2av_bench.errors import T2AVBenchError, UsageError
from t2av_bench.models.training.ablation import ablate, variants
from t2av_bench.models.training.config import STAGE_GROUPS, load_config
from t2av_bench.models.training.plan import ORDER


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe().to_mapping()))
    return path


def test_every_variant_changes_one_thing_of_a_valid_recipe():
    changes = variants(load_config("mini"))
    assert set(changes) == {
        "full", "operator-addition", "operator-cross_attention", "operator-lstm", "no-visual-clap", "no-controlnet",
        "tuned-unet", "clips-1000", "clips-2000",
    }  # fmt: skip
    full = load_config("mini")
    assert all(load_config("mini", change) != full for name, change in changes.items() if name != "full")


def test_a_recipe_with_a_tuned_unet_is_compared_with_a_frozen_one():
    assert variants(load_config("mini", ["stages.tune.steps=5"]))["frozen-unet"] == ("stages.tune.steps=0",)


def test_variants_share_the_stages_that_a_change_does_not_touch(tmp_path: Path, recipe: Path):
    output = tmp_path / "out"
    rows = ablate(recipe, output, only=["full", "operator-lstm", "no-controlnet"], plot=tmp_path / "own.svg")
    assert [row["variant"] for row in rows] == ["full", "operator-lstm", "no-controlnet"]
    assert all(0 <= float(row["event_f1"]) <= 1 for row in rows)

    def trained(variant: str, stage: str) -> Path:
        return output / variant / stage

    for stage in ("vae", "clap", "unet", "frames", "fusion"):
        assert not (trained("operator-lstm", stage) / "log.csv").exists()
        assert (trained("operator-lstm", stage) / "final").is_dir()
    assert (trained("operator-lstm", "control") / "log.csv").is_file()
    weights = load_file(trained("operator-lstm", "control") / "final" / "control.safetensors")
    assert any("lstm" in name for name in weights)
    assert not trained("no-controlnet", "control").exists()
    assert json.loads((output / "ablation.json").read_text()) == rows
    assert (output / "ablation.md").read_text().startswith("| variant | event_f1 |")
    assert "<!-- operator-lstm -->" in (tmp_path / "own.svg").read_text()
    assert all(float(row["event_f1_stderr"]) >= 0 and 0 <= float(row["chance_f1"]) <= 1 for row in rows)
    ablate(recipe, output, only=["full"])
    assert (output / "ablation.png").stat().st_size > 1000


def test_a_rung_of_data_keeps_the_base_model_and_trains_all_that_sees_the_video(tmp_path: Path, recipe: Path):
    output = tmp_path / "out"
    changes = variants(load_config(recipe))
    assert changes["clips-1"] == ("data.video_clips_n=1",)
    ablate(recipe, output, only=["full", "clips-1"])
    trained = {stage: (output / "clips-1" / stage / "log.csv").is_file() for stage in ORDER}
    assert trained == {stage: stage not in STAGE_GROUPS["base"] for stage in ORDER}
    with pytest.raises(UsageError, match="data.video_clips_n is 5, but there are 4 clips"):
        ablate(recipe, tmp_path / "more", only=["full"], base=output / "full", changes=["data.video_clips_n=5"])


def test_an_unknown_variant_is_named(tmp_path: Path, recipe: Path):
    with pytest.raises(UsageError, match="no variant named 'operator-lsmt'. Did you mean 'operator-lstm'"):
        ablate(recipe, tmp_path / "out", only=["operator-lsmt"])


def test_a_missing_manifest_is_found_before_anything_is_trained(tmp_path: Path, recipe: Path):
    with pytest.raises(T2AVBenchError, match="nope.csv: no such file"):
        ablate(recipe, tmp_path / "out", only=["full", "data-x"], data={"x": str(tmp_path / "nope.csv")})
    assert not (tmp_path / "out" / "full").exists()


def test_the_command_lists_variants_and_checks_its_arguments(tmp_path: Path):
    done = CliRunner().invoke(main, ["ablate", "--list"])
    assert done.exit_code == 0
    assert "operator-lstm                    model.control.operator=lstm" in done.output
    done = CliRunner().invoke(main, ["ablate", "--data", "AC", "-o", str(tmp_path)])
    assert (done.exit_code, "--data takes NAME=MANIFEST" in done.output) == (2, True)
