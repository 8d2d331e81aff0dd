"""Configurations are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from t2av_bench.errors import UsageError
from t2av_bench.models.t2av.config import T2AVConfig, full_video_config
from t2av_bench.models.training.config import TrainingConfig, load_config, recipe_names
from t2av_bench.models.training.reading import as_mapping, assign, from_mapping


@pytest.mark.parametrize("name", ["audioldm-l", "audioldm-m", "audioldm-s", "mini"])
def test_every_shipped_recipe_is_read(name: str):
    assert name in recipe_names()
    assert load_config(name).name == name


def test_a_written_configuration_reads_back_equal():
    config = load_config("mini", ["stages.control.steps=7", "model.control.operator=lstm"])
    again = from_mapping(TrainingConfig, yaml.safe_load(yaml.safe_dump(config.to_mapping())))
    assert again == config
    assert as_mapping(again) == config.to_mapping()
    assert from_mapping(T2AVConfig, as_mapping(full_video_config())) == full_video_config()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stages.contrl.steps=1", "no setting 'stages.contrl'. Did you mean 'control'"),
        ("stages.control.step=1", "no setting 'stages.control.step'. Did you mean 'steps'"),
        ("stages.control.steps=many", "'stages.control.steps' must be a whole number, given: 'many' .text."),
        ("stages.control.steps=1.5", "'stages.control.steps' must be a whole number, given: 1.5 .a number."),
        ("stages.control.gradient_checkpointing=1", "must be true or false, given: 1"),
        ("stages.control.learning_rate=true", "must be a number, given: True"),
        ("stages.control=3", "must be a group of settings, given: 3"),
        ("precision=fp8", "'precision' cannot be 'fp8'. .*Available: no, bf16, fp16"),
        ("model.control.operater=lstm", "no setting 'model.control.operater'. Did you mean 'operator'"),
        ("model.unet.channels=8", "'model.unet.channels' must be a list, given: 8"),
        ("model.unet.channels=[32, wide]", "'model.unet.channels.1' must be a whole number"),
        ("stages.control.batch_size=0", "batches must hold a clip"),
        ("seed=-1", "seed must not be negative"),
        ("model.duration_s=0", "duration_s and frame_rate_hz must be above 0"),
        ("model.frame_rate_hz=-25", "duration_s and frame_rate_hz must be above 0"),
        ("validation.steps=0", "validation must have steps"),
        ("stages.control.ema_decay=1.0", "must be in .0, 1."),
        ("seed", "--set takes KEY=VALUE"),
        ("seed=[1", "cannot be read as YAML"),
        ("name.first=1", "'name' holds a value"),
    ],
)
def test_a_wrong_setting_is_named(change: str, message: str):
    with pytest.raises(UsageError, match=message):
        load_config("mini", [change])


def test_numbers_may_be_written_as_people_write_them():
    assert load_config("mini", ["stages.control.learning_rate=1e-4"]).stages.control.learning_rate == 1e-4


def test_an_unknown_recipe_says_what_there_is():
    with pytest.raises(UsageError, match="no recipe named 'minni'. Did you mean 'mini'"):
        load_config("minni")


def test_a_file_may_extend_a_recipe(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: mini\nstages:\n  control: {steps: 5}\n")
    config, parent = load_config(path), load_config("mini")
    assert (config.stages.control.steps, config.stages.unet) == (5, parent.stages.unet)
    assert config.stages.control.batch_size == parent.stages.control.batch_size


@pytest.mark.parametrize(("text", "message"), [("- 1\n", "must hold settings"), ("a: [\n", "cannot be read as YAML")])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_config(path)


def test_a_missing_setting_is_named():
    with pytest.raises(UsageError, match="'name' must be given: text"):
        from_mapping(TrainingConfig, {})


def test_assignments_make_the_groups_they_need():
    values: dict[str, object] = {}
    assign(values, "a.b=[1, 2]")
    assert values == {"a": {"b": [1, 2]}}
