"""The whole validation on a few rendered clips with lite features, as function and as command."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from team import in_team

import t2av_bench as tb
from t2av_bench.cli import main
from t2av_bench.distributed import Processes
from t2av_bench.errors import ProblemsError, ResultError, UsageError
from t2av_bench.manifests import Manifest, write_manifest
from t2av_bench.manifests.mini import render
from t2av_bench.media import read_audio
from t2av_bench.validation import DISTORTIONS, Validation
from t2av_bench.validation.plot import plot_validation
from t2av_bench.validation.report import cell, format_validation

N = 10
METRICS = ["FAD", "FAVD-b", "FATD-b", "AV-index", "KAD", "recall", "onset-AP"]
LEVELS = {"late": [0.2, 0.5], "swap": [0.05, 0.5, 1.0], "captions": [0.5, 1.0], "silence": [0.5, 1.0]}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return render("val", N, 0, tmp_path_factory.mktemp("world"), num_workers=0, progress=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def validate(manifest: Manifest, cache: Path, **options: Any) -> Validation:
    defaults = {"features": "lite", "metrics": METRICS, "distortions": list(LEVELS), "levels": LEVELS}
    return tb.validate_metrics(manifest, **{**defaults, "num_workers": 0, "cache_dir": cache, **options})


@pytest.fixture(scope="module")
def found(manifest: Manifest, cache: Path) -> Validation:
    return validate(manifest, cache)


def test_the_undistorted_sound_is_the_real_sound(found: Validation):
    for name in ("FAD", "FAVD-b", "FATD-b"):
        assert found.undistorted[name] == pytest.approx(0.0, abs=1e-9)
    assert found.undistorted["AV-index"] == pytest.approx(1.0)
    assert found.undistorted["onset-AP"] == 1.0


def test_every_score_answers_to_every_distortion(found: Validation):
    assert {(r.metric, r.distortion) for r in found.responses} == {(m, d) for m in METRICS for d in LEVELS}
    assert found.n_clips == N


def test_swapped_sounds_and_captions_are_seen_by_what_they_are_bound_to_and_by_nothing_else(found: Validation):
    assert found.of("FAVD-b", "swap").spearman == 1.0
    assert found.of("AV-index", "swap").verdict == "orders"
    assert found.of("FATD-b", "captions").first_detected is not None
    # The same sounds in another order are the same set; other captions change neither sound nor picture.
    for metric, distortion in (("FAD", "swap"), ("FAD", "captions"), ("FAVD-b", "captions"), ("onset-AP", "captions")):
        response = found.of(metric, distortion)
        assert response.verdict == "blind", (metric, distortion)
        assert {point.worsening for point in response.points} == {0.0}


def test_a_late_sound_is_seen_by_scores_of_timing(found: Validation):
    assert found.of("onset-AP", "late").first_detected == 0.2
    assert found.of("FAVD-b", "late").first_detected == 0.2
    # So few clips give the index a wide error: it falls, and is not told from chance yet.
    assert found.of("AV-index", "late").points[0].worsening > 0.1


def test_kernel_distances_of_swapped_real_sounds_are_explained(found: Validation):
    assert found.of("KAD", "swap").verdict == "rewards"
    assert any("Kernel distances compare only different clips" in note for note in found.notes)


def test_other_captions_on_the_generated_side_make_a_result_not_comparable(
    manifest: Manifest, cache: Path, tmp_path: Path
):
    clips = list(manifest.clips())
    for clip in clips:
        sound, sr_hz = read_audio(Path(str(manifest.data_dir)) / clip.media)
        soundfile.write(tmp_path / f"{clip.clip_id}.wav", sound, sr_hz, subtype="FLOAT")
    options: dict[str, Any] = {"features": "lite", "metrics": ["FAVD", "FATD"], "num_workers": 0, "cache_dir": cache}
    own = tb.evaluate(tmp_path, manifest, **options)
    captions = {clips[0].clip_id: "A siren wails"}
    other = tb.evaluate(tmp_path, manifest, captions=captions, **options)
    assert own.scores["FATD"].value == pytest.approx(0.0, abs=1e-9)
    assert other.scores["FATD"].value > 1e-6
    assert other.scores["FAVD"].value == own.scores["FAVD"].value
    reason = "the generated side has other captions"
    assert reason in other.not_comparable_because
    assert reason not in own.not_comparable_because


def test_levels_that_cannot_be_applied_and_scores_without_errors_are_absent_with_a_reason(found: Validation):
    assert found.absent["swap 0.05"] == "a share of 0.05 of 10 clips is fewer than 2"
    assert [point.level for point in found.of("FAD", "swap").points] == [0.5, 1.0]
    assert "does not covary" in found.absent["AV-index at silence 1"]
    assert found.of("recall", "late").verdict == "unknown"
    assert "no standard error" in found.of("recall", "late").withheld["first_detected"]
    assert any("unreliable" in note for note in found.notes)


def test_a_level_scores_as_its_predictions_do_when_a_user_writes_and_evaluates_them(
    found: Validation, manifest: Manifest, cache: Path, tmp_path: Path
):
    from t2av_bench.validation.sounds import Sounds

    clips = list(manifest.clips())
    sounds = Sounds(clips, {clip.clip_id: Path(str(manifest.data_dir)) / clip.media for clip in clips}, 0)
    for place, clip in enumerate(clips):
        sound = DISTORTIONS["late"].apply(sounds, place, 0.5)
        soundfile.write(tmp_path / f"{clip.clip_id}.wav", sound.samples, sound.sr_hz, subtype="FLOAT")
    result = tb.evaluate(tmp_path, manifest, features="lite", metrics=METRICS, num_workers=0, cache_dir=cache)
    for name, score in result.scores.items():
        assert found.of(name, "late").points[1].value == score.value, name


def test_workers_and_a_second_run_from_the_cache_give_the_same_numbers(
    found: Validation, manifest: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    late: dict[str, Any] = {"distortions": ["late"], "levels": {"late": LEVELS["late"]}}
    expected = [response for response in found.responses if response.distortion == "late"]
    assert validate(manifest, cache, num_workers=2, **late).responses == expected

    def unexpected(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to embed")

    monkeypatch.setattr("t2av_bench.extraction.embedding.run_jobs", unexpected)
    assert validate(manifest, cache, **late).responses == expected


def test_no_prediction_is_left_behind_even_after_an_error(
    manifest: Manifest, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    validate(manifest, cache, distortions=["late"], levels={"late": [0.5]})
    assert list(tmp_path.iterdir()) == []

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("t2av_bench.validation.catalogue.waves.shifted", interrupted)
    with pytest.raises(KeyboardInterrupt, match="^$"):
        validate(manifest, cache, distortions=["late"], levels={"late": [0.5]})
    assert list(tmp_path.iterdir()) == []


def test_a_validation_is_read_back_as_written(found: Validation, tmp_path: Path):
    found.save(tmp_path / "v.json")
    assert Validation.load(tmp_path / "v.json") == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("responses"), '"responses" is a required property'),
        (lambda r: r["responses"][0].update(verdict="good"), "at responses/0/verdict"),
        (lambda r: r["responses"][0]["points"][0].update(value="high"), "at responses/0/points/0/value"),
        (lambda r: r.update(n_clips=1), "at n_clips"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused(found: Validation, tmp_path: Path, change: Any, message: str):
    record = found.to_json()
    change(record)
    (tmp_path / "v.json").write_text(json.dumps(record))
    with pytest.raises(ResultError, match=message):
        Validation.load(tmp_path / "v.json")


@pytest.mark.parametrize("text", ["", "[1, 2", '{"responses": NaN}'])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(ResultError, match="must be a JSON file"):
        Validation.load(tmp_path / "v.json")
    with pytest.raises(ResultError, match="cannot be read"):
        Validation.load(tmp_path / "absent.json")


def test_the_table_says_what_each_score_sees(found: Validation):
    table = format_validation(found, "markdown")
    head, rows = table.split("\n\n")[:2]
    assert f"({N} clips), lite features" in head
    assert "| score | late, s | swap | captions | silence |" in rows
    assert f"| FAD | {cell(found.of('FAD', 'late'))} | — | — |" in rows
    seen = next(response for response in found.responses if response.first_detected is not None)
    one_level = replace(seen, points=seen.points[:1], verdict="sees")
    assert "~" in cell(replace(seen, verdict="sees"))
    assert "~" not in cell(one_level), "one level cannot be out of order"
    assert "swap 0.05 is absent: a share of 0.05 of 10 clips is fewer than 2" in table
    assert "FAVD-b" in format_validation(found)
    assert json.loads(format_validation(found, "json")) == found.to_json()


def test_the_csv_has_a_row_per_score_distortion_and_level(found: Validation, tmp_path: Path):
    (tmp_path / "v.csv").write_text(format_validation(found, "csv"))
    table = pd.read_csv(tmp_path / "v.csv")
    assert len(table) == sum(len(response.points) for response in found.responses)
    row = table[(table.score == "FAVD-b") & (table.distortion == "late") & (table.level == 0.5)].iloc[0]
    assert row.value == found.of("FAVD-b", "late").points[1].value
    assert row.unit == "s"


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_plot_has_labelled_axes_with_units(found: Validation, tmp_path: Path, suffix: str):
    path = tmp_path / "sub" / f"plot{suffix}"
    plot_validation(found, path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix == ".svg":
        text = path.read_text()
        assert all(f"<!-- {label} -->" in text for label in ("level (s)", "level (share)", "AV-index"))
        assert "<!-- worsening (standard errors) -->" in text
    else:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_lines_of_a_plot_differ_in_more_than_colour():
    from t2av_bench.validation.plot import MOST_LINES, _styles

    looks = [style for style, _ in zip(_styles(), range(MOST_LINES), strict=False)]
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == MOST_LINES


def test_a_plot_of_another_kind_is_refused_before_any_work(tmp_path: Path):
    done = CliRunner().invoke(main, ["validate-metrics", "--plot", str(tmp_path / "plot.jpg")])
    assert done.exit_code == 2
    assert "must be a file that ends in .png, .svg or .pdf" in done.output


def test_a_file_that_cannot_be_written_is_refused_before_any_work(
    manifest: Manifest, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("t2av_bench.validation.validate_metrics", lambda **options: pytest.fail("there was work"))
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(main, command(manifest, cache, "-o", str(tmp_path / "file" / "found.json")))
    assert done.exit_code == 1
    assert "found.json: cannot be written (a file stands where its folder should be)" in done.output


def command(manifest: Manifest, cache: Path, *options: str) -> list[str]:
    path = Path(str(manifest.data_dir)) / "manifest.csv"
    where = ["--manifest", str(path), "--features", "lite", "--cache-dir", str(cache), "--num-workers", "0"]
    return ["validate-metrics", *where, *options]


def test_the_command_prints_a_table_and_writes_file_and_plot(manifest: Manifest, cache: Path, tmp_path: Path):
    options = ["--metrics", "FAVD-b,onset-AP", "--distortions", "late", "--levels", "late=0.2,0.5", "--max-clips", "6"]
    files = ["-o", str(tmp_path / "v.json"), "--plot", str(tmp_path / "v.svg")]
    done = CliRunner().invoke(main, command(manifest, cache, *options, *files))
    assert done.exit_code == 0, done.output
    assert "(6 clips)" in done.stdout
    assert Validation.load(tmp_path / "v.json").metrics == ["FAVD-b", "onset-AP"]
    assert (tmp_path / "v.svg").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--distortions", "nois"], "There is no distortion named 'nois'. Did you mean 'noise'?"),
        (["--levels", "swapp=0.5"], "There is no distortion named 'swapp'. Did you mean 'swap'?"),
        (["--levels", "late"], "--levels must be like late=0.1,0.5; got 'late'"),
        (["--levels", "late=soon"], "--levels must be like"),
        (["--levels", "late=-1"], "a level of late must lie between 0 and inf s; got -1"),
        (["--distortions", "late", "--levels", "swap=1"], "swap, which is not among the chosen distortions"),
        (["--metrics", "FAVDD"], "There is no metric named 'FAVDD'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(manifest: Manifest, cache: Path, options: list[str], message: str):
    done = CliRunner().invoke(main, command(manifest, cache, *options))
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def smaller(manifest: Manifest, count: int, **changes: object) -> Manifest:
    table = manifest.table.head(count).assign(**changes)
    return Manifest("small", table, data_dir=manifest.data_dir)


def test_one_clip_is_too_few(manifest: Manifest, cache: Path):
    with pytest.raises(ProblemsError, match="at least 2 clips with sound; small has 1"):
        validate(smaller(manifest, 1), cache)


def test_a_manifest_without_media_is_refused_with_all_that_is_missing(manifest: Manifest, cache: Path, tmp_path: Path):
    with pytest.raises(ProblemsError, match=f"the real sound of {N} of {N} clips cannot be distorted") as raised:
        validate(manifest, cache, data_dir=tmp_path)
    assert len(raised.value.problems) == N
    lonely = Manifest("lonely", manifest.table)
    with pytest.raises(UsageError, match="needs the folder of its media: --data-dir"):
        validate(lonely, cache)


def test_silent_and_missing_clips_stop_the_run_or_are_left_out(manifest: Manifest, cache: Path, tmp_path: Path):
    table = manifest.table.copy()
    for clip in manifest.clips():
        (tmp_path / Path(clip.media).name).symlink_to(Path(str(manifest.data_dir)) / clip.media)
    table["media"] = [Path(name).name for name in table["media"]]
    (tmp_path / table["media"][0]).unlink()
    broken = Manifest("broken", table, data_dir=tmp_path)
    options: dict[str, Any] = {"distortions": ["late"], "levels": {"late": [0.5]}, "metrics": ["FAD"]}
    with pytest.raises(ProblemsError, match="the real sound of 1 of 10 clips"):
        validate(broken, cache, **options)
    left = validate(broken, cache, on_error="skip", **options)
    assert left.n_clips == N - 1
    assert any("1 of 10 clips were left out" in note for note in left.notes)


def test_ids_that_are_no_file_names_are_scored(manifest: Manifest, cache: Path, tmp_path: Path):
    odd = smaller(manifest, 3, clip_id=["._a", "b.c", 'd,"e"'])
    write_manifest(odd, tmp_path / "m.csv")
    options: dict[str, Any] = {"distortions": ["late"], "levels": {"late": [0.5]}, "metrics": ["FAD"]}
    assert validate(odd, cache, **options).n_clips == 3


@pytest.mark.slow
def test_on_the_mini_world_the_scores_of_picture_and_sound_follow_swaps_and_shifts(tmp_path: Path):
    options: dict[str, Any] = {"metrics": ["FAVD-b", "AV-index"], "distortions": ["late", "early", "swap"]}
    found = tb.validate_metrics("t2av-mini", cache_dir=tmp_path, **options)
    for metric in ("FAVD-b", "AV-index"):
        swap = found.of(metric, "swap")
        assert swap.spearman == 1.0
        assert swap.verdict == "orders"
        values = [point.worsening for point in swap.points]
        assert (np.diff([0.0, *values]) > 0.0).all()
        for shift in ("late", "early"):
            point = next(point for point in found.of(metric, shift).points if point.level == 0.2)
            assert point.detected


@pytest.mark.parametrize("private", [False, True])
def test_several_processes_share_the_levels_and_find_the_same(
    private: bool, manifest: Manifest, cache: Path, tmp_path: Path
):
    few = {"metrics": ["FAVD-b", "KAD"], "distortions": ["swap", "noise"], "levels": {"swap": [1.0], "noise": [10.0]}}
    expected = validate(manifest, cache, **few)

    def run(team: Processes) -> Validation:
        return validate(manifest, tmp_path / f"cache-{team.rank * private}", processes=team, **few)

    for validation in in_team(2, run):
        assert isinstance(validation, Validation), validation
        assert validation.to_json() | {"created": ""} == expected.to_json() | {"created": ""}
    if private:
        pictures = [{path.name for path in (tmp_path / f"cache-{rank}").rglob("*.npy")} for rank in (0, 1)]
        assert len(pictures[0] & pictures[1]) >= 2 * N, "the real clips are in both"


def test_a_clip_that_cannot_be_distorted_ends_all_processes(manifest: Manifest, tmp_path: Path):
    data = Path(shutil.copytree(str(manifest.data_dir), tmp_path / "data"))
    clips = list(manifest.clips())
    (data / clips[3].media).write_bytes(b"nothing")
    for error in in_team(2, lambda team: validate(manifest, tmp_path / "cache", data_dir=data, processes=team)):
        assert isinstance(error, ProblemsError)
        assert [problem.clip_id for problem in error.problems] == [clips[3].clip_id]
