"""Scores from a pack are those from media: the same bits in float32, next to them in float16."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from made_packs import N, World, put_together, taken_apart
from team import in_team

import t2av_bench as tb
from t2av_bench.cache import EmbeddingCache
from t2av_bench.cli import main
from t2av_bench.errors import ComparisonError, PackError, ProblemsError, UsageError
from t2av_bench.extraction.embedding import halved
from t2av_bench.manifests import Manifest, write_manifest
from t2av_bench.models.extractors import get_extractor
from t2av_bench.packs.building import build_pack
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.packs.references import PackCache
from t2av_bench.protocol import make_protocol

# Of a score's standard error, on few clips: a kernel distance of nearly 0 moves by 2 % of its error, others by far
# less. benchmarks/pack_precision.py measures it on more clips.
FLOAT16_TOLERANCE = 0.03


def test_float32_gives_the_same_bits_without_any_media(world: World, monkeypatch: pytest.MonkeyPatch):
    expected = world.evaluated("swapped")

    def unexpected(*_: Any, **__: Any) -> None:
        raise AssertionError("no picture may be read")

    monkeypatch.setattr("t2av_bench.models.extractors.base.VideoExtractor.load", unexpected)
    found = world.evaluated("swapped", "float32", cache_dir=world.folder / "empty")
    assert found.scores == expected.scores
    assert set(found.scores) == set(make_protocol(features="lite", known=["events"]).metrics) - set(expected.absent)
    assert found.absent == expected.absent
    assert found.per_clip == expected.per_clip
    assert found.clip_values == expected.clip_values
    assert found.counts == expected.counts


def test_the_features_of_a_pack_are_the_default(world: World, tmp_path: Path):
    mine = Manifest("mine", world.manifest.table, data_dir=world.data)
    pack = build_pack(tmp_path / "mine.pack", mine, dtype="float32", **world.options).path
    options = {name: value for name, value in world.options.items() if name != "features"}
    found = tb.evaluate(world.preds["noise"], mine, reference_pack=pack, **options)
    assert {"FAD", "FAVD"} <= set(found.scores)
    assert found.scores["FAD"].value == world.evaluated("noise").scores["FAD"].value
    write_manifest(mine, tmp_path / "mine.csv")
    places = {
        "--pred-dir": world.preds["noise"],
        "--manifest": tmp_path / "mine.csv",
        "--reference-pack": pack,
        "--cache-dir": options["cache_dir"],
        "--output": tmp_path / "r.json",
    }
    done = CliRunner().invoke(main, ["evaluate", "--num-workers=0", *(f"{key}={path}" for key, path in places.items())])
    assert done.exit_code == 0, done.output
    assert tb.Result.load(tmp_path / "r.json").scores["FAD"].value == found.scores["FAD"].value


@pytest.mark.parametrize("system", ["other-noise", "late-0.5s", "noise"])
def test_float16_moves_a_score_by_far_less_than_its_error(world: World, system: str):
    exact, found = world.evaluated(system), world.evaluated(system, "float16")
    assert set(found.scores) == set(exact.scores)
    for name, score in exact.scores.items():
        error = FLOAT16_TOLERANCE * (score.stderr or 1e-2 * abs(score.value))
        assert found.scores[name].value == pytest.approx(score.value, abs=error + 1e-12), name


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_real_sound_is_perfect_in_any_number_format(world: World, dtype: str):
    result = world.evaluated("reference", dtype)
    for name, score in result.scores.items():
        if score.kind in ("raw", "balanced", "kernel", "index"):
            assert score.value == pytest.approx(1.0 if score.kind == "index" else 0.0, abs=1e-12), name


def test_the_result_says_which_pack_the_reference_is(world: World, tmp_path: Path):
    result = world.evaluated("noise", "float16")
    pack = ReferencePack.open(world.packs["float16"])
    assert result.reference_pack == {"name": "float16.pack", "sha256": pack.sha256, "dtype": "float16"}
    assert any("pack float16.pack" in note and "rounded by" in note for note in result.notes)
    result.save(tmp_path / "r.json")
    assert tb.Result.load(tmp_path / "r.json").reference_pack == result.reference_pack
    assert world.evaluated("noise").reference_pack is None
    assert "reference_pack" not in world.evaluated("noise").to_json()


def test_a_pack_makes_a_result_neither_more_nor_less_comparable(world: World):
    assert world.evaluated("noise", "float16").not_comparable_because == world.evaluated("noise").not_comparable_because


def test_paired_tests_want_one_reference(world: World):
    exact, single = world.evaluated("reference"), world.evaluated("noise", "float32")
    half, other = world.evaluated("noise", "float16"), world.evaluated("swapped", "float16")
    assert len(tb.compare([exact, single]).systems) == 2
    assert len(tb.compare([half, other]).systems) == 2
    with pytest.raises(ComparisonError, match="the reference is read from exact numbers and the float16 pack"):
        tb.compare([exact, half])


def test_the_pack_wins_over_the_cache(world: World, tmp_path: Path):
    record, tensors = taken_apart(world.packs["float32"])
    tensors["embeddings/lite-video"] = tensors["embeddings/lite-video"][::-1].copy()
    other = put_together(tmp_path / "other.pack", record, tensors)
    # The cache of the world holds the right ones.
    assert world.evaluated("noise", other).scores["FAVD"] != world.evaluated("noise").scores["FAVD"]


def test_predictions_are_never_answered_from_the_pack(world: World, tmp_path: Path):
    record, tensors = taken_apart(world.packs["float32"])
    tensors["embeddings/lite-audio"] = tensors["embeddings/lite-audio"] + np.float32(1.0)
    other = put_together(tmp_path / "other.pack", record, tensors)
    # Copies of the reference's own files: were they read from the pack, the distance would be 0.
    assert world.evaluated("reference", other).scores["FAD"].value == pytest.approx(64.0, rel=1e-3)


def test_networks_that_see_only_the_reference_need_no_weights(world: World, tmp_path: Path):
    class Seen(type(get_extractor("lite-video"))):  # type: ignore[misc]
        def check(self) -> None:
            raise AssertionError("no weights of a video network may be asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("t2av_bench.models.extractors.lite_video.LiteVideoExtractor.check", Seen.check)
        assert world.evaluated("noise", "float16", metrics=["FAVD"]).scores
        with pytest.raises(AssertionError, match="no weights"):
            world.evaluated("noise", metrics=["FAVD"])


def test_other_captions_stand_beside_those_of_the_pack(world: World):
    captions = {clip.clip_id: "a bird sings" for clip in world.manifest.clips()}
    exact = world.evaluated("reference", captions=captions)
    assert exact.scores["FATD"].value > 0.1
    assert world.evaluated("reference", "float32", captions=captions).scores == exact.scores


def test_the_pack_is_hashed_once_for_many_evaluations(world: World, monkeypatch: pytest.MonkeyPatch):
    cache = EmbeddingCache(world.folder / "hashed")
    first = ReferencePack.open(world.packs["float16"], cache).sha256

    def unexpected(path: Path) -> str:
        raise AssertionError(f"{path} is known")

    monkeypatch.setattr("t2av_bench.packs.reading.pack_sha256", unexpected)
    assert ReferencePack.open(world.packs["float16"], cache).sha256 == first


def test_a_cache_that_cannot_be_written_hinders_nobody(world: World, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    assert ReferencePack.open(world.packs["float16"], EmbeddingCache(tmp_path / "file")).clips


def test_media_and_a_pack_contradict_each_other(world: World):
    with pytest.raises(UsageError, match="either media or a pack: leave out --data-dir or --reference-pack"):
        tb.evaluate(
            world.preds["noise"], world.list, world.data, reference_pack=world.packs["float16"], **world.options
        )


def test_without_either_the_message_names_both(world: World):
    with pytest.raises(UsageError, match=r"--data-dir .* or a reference pack: --reference-pack"):
        tb.evaluate(world.preds["noise"], world.list, **world.options)


def test_a_pack_of_another_manifest_is_refused(world: World):
    table = world.manifest.table.copy()
    table.loc[0, "caption"] = "something else"
    with pytest.raises(PackError, match="is a pack of the manifest t2av-mini version 2 .*, not of mine version 1"):
        tb.evaluate(
            world.preds["noise"], Manifest("mine", table), reference_pack=world.packs["float16"], **world.options
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 99}, "its lite-video features are of version 99; this t2av-bench has version"),
        ({"weights_sha256": "a" * 64}, "are of other weights: SHA-256 aaaaaaaa…, here none…"),
        ({"options": {"odd": 1}}, "are of another "),
        ({}, "are of another fingerprint"),
    ],
)
def test_a_pack_of_other_features_is_refused_with_what_differs(
    world: World, tmp_path: Path, change: dict[str, Any], reason: str
):
    record, tensors = taken_apart(world.packs["float16"])
    record["extractors"]["lite-video"] |= {"fingerprint": "b" * 64} | change
    with pytest.raises(PackError, match=reason):
        world.evaluated("noise", put_together(tmp_path / "p.pack", record, tensors))


def test_what_the_pack_has_no_features_for_is_absent_or_refused(world: World, tmp_path: Path):
    options = world.options | {"metrics": ["FAD", "FAVD"]}
    small = build_pack(tmp_path / "small.pack", world.manifest, **options).path
    result = world.evaluated("noise", small)
    assert set(result.scores) >= {"FAD", "FAVD", "FD", "KAD", "AV-index"}
    assert result.absent["FATD"] == "the reference pack holds no lite-text features"
    assert result.absent["onset-acc"] == "the reference pack holds no onset-strength features"
    assert set(result.extractors) == {"audio", "video", "clip_audio"}
    with pytest.raises(PackError, match="FATD cannot be computed: the reference pack holds no lite-text features; it"):
        world.evaluated("noise", small, metrics=["FAD", "FATD"])
    with pytest.raises(PackError, match="cannot be computed: the reference pack holds no"):
        world.evaluated("noise", small, features="vggish,c3d", weights="random")


def test_clips_that_the_pack_lacks_are_named_or_left_out(world: World, tmp_path: Path):
    data = Path(shutil.copytree(world.data, tmp_path / "data"))
    gone = world.manifest.clips()[0]
    (data / gone.media).unlink()
    manifest = replace(world.manifest, data_dir=data)
    with pytest.raises(ProblemsError, match=f"1 of {N} clips cannot be embedded"):
        build_pack(tmp_path / "p.pack", manifest, **world.options)
    pack = ReferencePack.open(build_pack(tmp_path / "p.pack", manifest, on_error="skip", **world.options).path)
    assert [clip.clip_id for clip in pack.clips] == [clip.clip_id for clip in world.manifest.clips()][1:]
    with pytest.raises(ProblemsError, match=f"1 of {N} clips cannot be scored") as caught:
        world.evaluated("noise", pack.path)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{gone.clip_id}: the reference pack holds no such clip"
    ]
    result = world.evaluated("noise", pack.path, on_error="skip")
    assert result.counts["scored"] == N - 1
    assert f"incomplete: 1 of {N} clips were left out" in result.not_comparable_because


def test_a_cache_with_a_pack_serves_both(world: World, tmp_path: Path):
    pack = ReferencePack.open(world.packs["float16"])
    cache = PackCache(tmp_path / "cache", pack)
    rows = pack.rows("lite-audio", 2)
    np.testing.assert_array_equal(cache.load(PackCache.key_of("lite-audio", 2), rows.shape), rows)
    assert cache.load(PackCache.key_of("lite-audio", 2), (1, 64)) is None
    assert cache.holds(PackCache.key_of("lite-audio", 2), rows.shape)
    assert not cache.holds("ab" * 32, rows.shape)
    cache.store("ab" * 32, rows)
    np.testing.assert_array_equal(cache.load("ab" * 32, rows.shape), rows)


def test_rounding_leaves_what_is_beyond_the_range():
    rows = np.array([[1.0, 0.1, 7e4, -1e30]], np.float32)
    np.testing.assert_array_equal(halved(rows), np.array([[1.0, np.float16(0.1), 7e4, -1e30]], np.float32))


def test_processes_share_the_work_with_a_pack_and_give_the_same_bits(world: World, tmp_path: Path):
    alone = world.evaluated("noise", "float16", cache_dir=tmp_path / "alone")
    shared = in_team(2, lambda team: world.evaluated("noise", "float16", cache_dir=tmp_path / "two", processes=team))
    assert [result.scores for result in shared] == [alone.scores] * 2
    assert [result.reference_pack for result in shared] == [alone.reference_pack] * 2
