"""Standard errors and contributions of clips: rendered clips end to end, synthetic features against a jackknife."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

import t2av_bench as tb
from t2av_bench.cache import EmbeddingCache
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.metrics import METRICS, joint_score, pairing
from t2av_bench.metrics.groups import clip_number, grouped_by_number
from t2av_bench.metrics.halves import frechet_contributions, frechet_errors
from t2av_bench.metrics.intervals import corrected_interval
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order
from t2av_bench.protocol import Protocol
from t2av_bench.scoring import alignment, contributions
from t2av_bench.scoring import distances as scoring
from t2av_bench.scoring.alignment import with_indices
from t2av_bench.scoring.contributions import ClipContributions, clip_contributions, with_stderr
from t2av_bench.scoring.distances import ClipJobs, Scored, gather, score_all
from t2av_bench.scoring.uncertainty import half_maps

Array = npt.NDArray[np.float64]
Rows = dict[str, Array]
NOWHERE = EmbeddingCache("/nowhere")
N = 12
FRECHET = tuple(name for name, spec in METRICS.items() if spec.is_frechet)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, dict[str, Path]]:
    out = tmp_path_factory.mktemp("world")
    manifest = render("val", N, 0, out / "data", num_workers=0, progress=False)
    return manifest, write_prediction_sets(manifest, out / "preds")


def run(world: tuple[Manifest, dict[str, Path]], pred_dir: Path, **options: Any) -> tb.Result:
    return tb.evaluate(pred_dir, world[0], **{"features": "lite", "num_workers": 0, **options})


def column(result: tb.Result, name: str) -> Array:
    return np.array([values[name] for values in result.per_clip.values()])


@pytest.mark.parametrize("pooling", ["window", "clip"])
def test_every_score_has_an_error_that_follows_from_its_contributions(
    world: tuple[Manifest, dict[str, Path]], pooling: str
):
    result = run(world, world[1]["late-0.5s"], pooling=pooling)
    assert list(result.per_clip) == [clip.clip_id for clip in world[0].clips()]
    for name, score in result.scores.items():
        if METRICS[name].kind == "support":
            assert score.stderr is None
            continue
        values = column(result, name)
        if score.n_undefined:
            values = values[np.array([name in own for own in result.clip_values.values()])]
        own = np.array([halves[name] for halves in result.clip_halves.values() if name in halves])
        assert (len(own) > 0) == (score.settings.get("stderr") == "second order")
        expected = second_order(values, own).stderr if len(own) else contributions_stderr(values)
        assert score.stderr == pytest.approx(expected), name
        assert 0 < score.stderr < math.inf, name
        assert values.sum() == pytest.approx(0, abs=1e-9 * np.abs(values).sum()), name


def test_neither_workers_nor_the_state_of_the_cache_change_a_bit(
    world: tuple[Manifest, dict[str, Path]], tmp_path: Path
):
    first = run(world, world[1]["swapped"], cache_dir=tmp_path / "a")
    second = run(world, world[1]["swapped"], cache_dir=tmp_path / "b", num_workers=2, batch_size=3)
    again = run(world, world[1]["swapped"], cache_dir=tmp_path / "b")
    assert first.scores == second.scores == again.scores
    assert first.per_clip == second.per_clip == again.per_clip


def test_the_reference_against_itself_has_no_error_to_first_order(world: tuple[Manifest, dict[str, Path]]):
    result = run(world, world[1]["reference"])
    assert {result.scores[name].stderr for name in FRECHET} == {0.0}
    assert all(score.stderr < 1e-12 for score in result.scores.values() if score.kind == "kernel")
    assert all(result.worst_clips(name, 3) == [] for name in FRECHET)


def test_a_ruined_clip_is_the_worst(world: tuple[Manifest, dict[str, Path]], tmp_path: Path):
    preds = shutil.copytree(world[1]["other-noise"], tmp_path / "p")
    ruined = [clip.clip_id for clip in world[0].clips()][5]
    sound, sr_hz = soundfile.read(preds / f"{ruined}.wav")
    level = 10 * np.sqrt(np.square(sound).mean())
    noise = level * np.random.default_rng(0).standard_normal(len(sound))
    soundfile.write(preds / f"{ruined}.wav", noise, sr_hz, subtype="FLOAT")
    result = run(world, preds)
    for name, score in result.scores.items():
        if score.kind in ("raw", "balanced"):  # a kernel saturates: how far out a sound lies makes no difference
            assert result.worst_clips(name, 1)[0][0] == ruined, name
    assert result.worst_clips("AV-index", 1)[0][1] < 0


def test_contributions_are_written_as_csv_and_not_into_the_result(
    world: tuple[Manifest, dict[str, Path]], tmp_path: Path
):
    result = run(world, world[1]["late-0.5s"], metrics=["FAD", "FAVD"])
    result.save(tmp_path / "r.json")
    result.save_per_clip(tmp_path / "deep" / "per_clip.csv")
    assert not {"per_clip", "clip_values"} & set(json.loads((tmp_path / "r.json").read_text()))
    assert (tmp_path / "r.per_clip.csv").read_bytes() == (tmp_path / "deep" / "per_clip.csv").read_bytes()
    with (tmp_path / "deep" / "per_clip.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["clip_id", "FAD", "FAVD"]
    read = {row.pop("clip_id"): {name: float(value) for name, value in row.items()} for row in rows}
    assert read == result.per_clip
    loaded = tb.Result.load(tmp_path / "r.json")
    assert loaded == result
    with pytest.raises(tb.T2AVBenchError, match="loaded without contributions"):
        loaded.save_per_clip(tmp_path / "again.csv")


def test_systems_compare_from_their_files_and_a_table_of_another_run_does_not(
    world: tuple[Manifest, dict[str, Path]], tmp_path: Path
):
    names = ("other-noise", "late-0.5s", "noise")
    for name in names:
        run(world, world[1][name], metrics=["FAD", "FAVD"], pooling="clip").save(tmp_path / f"{name}.json")
    comparison = tb.compare([tmp_path / f"{name}.json" for name in names], "other-noise")
    assert {test.better for test in comparison.tests if test.first == "noise"} == {"other-noise"}
    assert comparison.clips_n == N
    run(world, world[1]["late-0.5s"], metrics=["FAD", "FAVD"]).save(tmp_path / "windows.json")
    with pytest.raises(tb.T2AVBenchError, match="the pooling is clip and window"):
        tb.compare([tmp_path / "noise.json", tmp_path / "windows.json"])


# ---- synthetic features, fewer dimensions than samples: the second pass -----------------------------------------


def synthetic_clips(count: int, seed: int = 0) -> tuple[list[Rows], list[Rows]]:
    """Reference and generated rows of clips with 2 to 5 windows; the text has a direction without variance."""
    rng = np.random.default_rng(seed)
    sides: tuple[list[Rows], list[Rows]] = ([], [])
    for _ in range(count):
        windows = int(rng.integers(2, 6))
        video = rng.normal(size=4) + rng.normal(size=(windows, 4))
        text = np.tile(rng.normal(size=3), (windows, 1))
        text -= text.mean(axis=1, keepdims=True)
        audio = video[:, :3] + 0.5 * text + 0.4 * rng.normal(size=(windows, 3))
        heard = 0.6 * audio + 0.6 * rng.normal(size=(windows, 3)) + 0.3
        for side, sound in zip(sides, (audio, heard), strict=True):
            clip_audio = sound.mean(axis=0, keepdims=True)
            side.append({"audio": sound, "video": video, "text": text, "clip_audio": clip_audio})
    return sides


class Synthetic:
    """Clips whose features are given: stands in for the cache."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sides: tuple[list[Rows], list[Rows]]) -> None:
        self.protocol = Protocol(metrics=FRECHET)
        self.monkeypatch = monkeypatch
        self.partners: list[npt.NDArray[np.intp]] = []
        rows = {f"{which}{i}": clip for which, side in enumerate(sides) for i, clip in enumerate(side)}

        def jobs(which: int, i: int, parts: Mapping[str, Array]) -> dict[str, Any]:
            return {
                part: SimpleNamespace(key=f"{which}{i}", extractor=SimpleNamespace(dim=found.shape[1]))
                for part, found in parts.items()
            }

        def clip_rows(parts: Mapping[str, Any], *_: object) -> Rows:
            return dict(rows[parts["audio"].key])

        monkeypatch.setattr(scoring, "clip_rows", clip_rows)
        monkeypatch.setattr(contributions, "clip_rows", clip_rows)
        monkeypatch.setattr(alignment, "clip_rows", clip_rows)
        self.clips = [
            ClipJobs(f"clip {i}", jobs(0, i, sides[0][i]), jobs(1, i, sides[1][i])) for i in range(len(sides[0]))
        ]

    def score(self) -> tuple[Scored, dict[str, Array]]:
        sides = tuple(gather(self.clips, NOWHERE, self.protocol, generated=side) for side in (False, True))
        scored = score_all(self.protocol, *sides, len(self.clips))
        scored = with_indices(scored, self.protocol, self.clips, NOWHERE, sides, seed=0)  # type: ignore[arg-type]
        return scored, clip_contributions(self.clips, NOWHERE, "window", sides, scored).whole  # type: ignore[arg-type]

    def left_out(self, clip: int, scored: Scored) -> list[float]:
        """Scores without one clip, in the same balance; its partners in every re-pairing are put together."""
        rest = self.clips[:clip] + self.clips[clip + 1 :]
        sides = [gather(rest, NOWHERE, self.protocol, generated=side) for side in (False, True)]
        linked = [without(clip, partners) for partners in self.partners]
        with self.monkeypatch.context() as patch:
            patch.setattr(pairing, "derangements", lambda *_, **__: linked)
            plain = Scored({}, {}, scored.balance, {})
            indices = with_indices(plain, self.protocol, rest, NOWHERE, sides, 0, influence=False)  # type: ignore[arg-type]
        return [
            indices.scores[name].value
            if name in indices.scores
            else joint_score(METRICS[name], *(side.of(METRICS[name]) for side in sides), scored.balance)
            for name in scored.scores
        ]


def without(clip: int, partners: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    linked = np.where(partners == clip, partners[clip], partners)
    return np.delete(linked - (linked > clip), clip)


def test_the_error_is_that_of_a_jackknife_over_clips(monkeypatch: pytest.MonkeyPatch):
    count = 150
    synthetic = Synthetic(monkeypatch, synthetic_clips(count))
    scored, found = synthetic.score()
    synthetic.partners = pairing.RePairing([np.zeros((1, 1))] * count, 1).partners
    assert set(scored.scores) == set(FRECHET)
    left_out = np.array([synthetic.left_out(clip, scored) for clip in range(count)])
    jackknife = np.sqrt((count - 1) / count * np.square(left_out - left_out.mean(axis=0)).sum(axis=0))
    for expected, value_without, (name, score) in zip(
        jackknife, left_out.T, with_stderr(scored.scores, ClipContributions(found, {})).items(), strict=True
    ):
        assert score.stderr == pytest.approx(expected, rel=0.1), name
        # What a pair of the re-pairing has as a pair is lost and won again when its neighbours are put together.
        alike = 0.97 if METRICS[name].kind == "index" else 0.99
        assert np.corrcoef(found[name], score.value - value_without)[0, 1] > alike, name


def test_contributions_by_halves_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch):
    sides = synthetic_clips(40)
    synthetic = Synthetic(monkeypatch, sides)
    ids = [clip.clip_id for clip in synthetic.clips]
    groups = grouped_by_number([clip_number(clip_id) for clip_id in ids], 8, seed=0)
    grouped = tuple(
        scoring.GroupedStats.gather(synthetic.clips, NOWHERE, synthetic.protocol, groups, generated=side)
        for side in (False, True)
    )
    whole = tuple(side.whole for side in grouped)
    scored = score_all(synthetic.protocol, *whole, 40)
    halves = half_maps(scored, grouped, groups, "auto")  # type: ignore[arg-type]
    found = clip_contributions(synthetic.clips, NOWHERE, "window", whole, scored, halves)  # type: ignore[arg-type]
    assert set(found.own_half) == {name for name in FRECHET if METRICS[name].kind != "index"}
    rows = [np.concatenate([clip["audio"] for clip in side]) for side in sides]
    clips = np.repeat(ids, [len(clip["audio"]) for clip in sides[0]])
    expected = frechet_contributions(*rows, clips, clips)
    assert expected.own_half is not None
    places = np.argsort(ids)
    np.testing.assert_allclose(found.whole["FAD"][places], expected.values, atol=1e-12)
    np.testing.assert_allclose(found.own_half["FAD"][places], expected.own_half, atol=1e-12)
    errors = frechet_errors(*rows, clips, clips)
    plain = scored.scores["FAD"]
    assert with_stderr({"FAD": plain}, found)["FAD"].stderr == pytest.approx(errors.stderr)
    right = replace(plain, corrected=0.5, settings={"half_split_corrected": 0.5})
    judged = with_stderr({"FAD": right}, found)["FAD"]
    assert judged.corrected_stderr == pytest.approx(errors.corrected)
    interval = corrected_interval(plain.value, 0.5, errors)
    assert (judged.corrected_low, judged.corrected_high) == pytest.approx(interval)
    biased = with_stderr({"FAD": replace(right, settings={"half_split_corrected": 50.0})}, found)["FAD"]
    assert (biased.corrected_stderr, biased.corrected_low, biased.corrected_high) == (None, None, None)
    assert "a bias larger than it may be left" in biased.withheld["corrected_stderr"]
    few = with_stderr({"FAD": right}, ClipContributions(found.whole, {}))["FAD"]
    assert few.stderr == pytest.approx(contributions_stderr(expected.values))
    assert "fewer than 4 d windows or 8 clips" in few.withheld["corrected_stderr"]


def test_the_size_of_batches_changes_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch):
    synthetic = Synthetic(monkeypatch, synthetic_clips(40))
    _, whole = synthetic.score()
    monkeypatch.setattr(contributions, "BATCH_CLIPS", 7)
    for name, values in synthetic.score()[1].items():
        np.testing.assert_allclose(values, whole[name], atol=1e-12, err_msg=name)


def test_rows_in_memory_and_the_second_pass_agree(monkeypatch: pytest.MonkeyPatch):
    """Features padded with zeros have more dimensions than samples, so that their rows are kept."""
    sides = synthetic_clips(30)
    _, passed = Synthetic(monkeypatch, sides).score()
    padded = tuple(
        [{part: np.pad(x, ((0, 0), (0, 200))) for part, x in clip.items()} for clip in side] for side in sides
    )
    _, kept = Synthetic(monkeypatch, padded).score()  # type: ignore[arg-type]
    for name in FRECHET:
        single = METRICS[name].kind == "raw" and len(METRICS[name].blocks) > 2  # from 600 dimensions on
        atol = (5e-6 if single else 1e-8) * np.abs(passed[name]).max()
        np.testing.assert_allclose(kept[name], passed[name], atol=atol, err_msg=name)
