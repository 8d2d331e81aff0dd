"""Sharing an evaluation out by work, with threads in the place of processes: the same bits, whoever does what."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from team import in_team

import t2av_bench as tb
from t2av_bench.cache import EmbeddingCache, entry_key, file_sha256
from t2av_bench.distributed import Processes, own_caches, shares
from t2av_bench.distributed.shares import embedding_s, embedding_shares, share_out
from t2av_bench.errors import ProblemsError
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import render
from t2av_bench.models.extractors import ClipSource, Extractor, get_extractor

N = 6


@given(st.lists(st.floats(0.0, 100.0), max_size=8), st.integers(1, 3))
def test_every_piece_is_given_out_once_and_no_one_has_a_third_more_than_needed(costs: list[float], n: int):
    parts = share_out(costs, n)
    assert len(parts) == n
    assert sorted(place for part in parts for place in part) == list(range(len(costs)))
    assert all(part == sorted(part) for part in parts)
    loads = [sum(costs[place] for place in part) for part in parts]
    best = min(
        max(sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == one) for one in range(n))
        for owners in product(range(n), repeat=len(costs))
    )
    assert max(loads) <= best * 4 / 3 + 1e-9


def make_jobs(extractor: Extractor, durations_s: list[float], name: str = "a") -> list[EmbeddingJob]:
    return [
        EmbeddingJob(f"{extractor.name} {name}{i}", extractor, ClipSource(Path(f"{name}{i}.mp4"), 0.0, duration_s))
        for i, duration_s in enumerate(durations_s)
    ]


def test_work_is_counted_and_not_clips():
    jobs = make_jobs(get_extractor("lite-video"), [60.0, *[10.0] * 6])
    assert embedding_shares(jobs, [[], []]) == [[0], [1, 2, 3, 4, 5, 6]]
    # A network takes more than a descriptor, pictures take more than sound.
    times_s = [
        embedding_s(make_jobs(get_extractor(name), [1.0])[0]) for name in ("c3d", "vggish", "lite-video", "lite-audio")
    ]
    assert times_s == sorted(times_s, reverse=True)


def test_the_jobs_of_one_file_stay_together_and_captions_need_not():
    jobs = [
        job
        for name in ("lite-audio", "motion-energy", "lite-video")
        for job in make_jobs(get_extractor(name), [4.0] * 5)
    ]
    text = get_extractor("lite-text")
    jobs += [EmbeddingJob(f"caption {i}", text, ClipSource(Path(), 0.0, 0.0, f"{i}")) for i in range(9)]
    parts = embedding_shares(jobs, [[], [], []])
    assert sorted(place for part in parts for place in part) == list(range(len(jobs)))
    owners = [{jobs[place].source.path for place in part} - {Path()} for part in parts]
    assert sum(map(len, owners)) == 5
    assert [len([place for place in part if place >= 15]) for part in parts] != [9, 0, 0]


def test_what_a_process_has_in_its_cache_falls_to_it_at_no_cost():
    jobs = make_jobs(get_extractor("lite-video"), [10.0] * 6)
    parts = embedding_shares(jobs, [[], [0, 1, 2, 3], [3]])
    assert {0, 1, 2, 3} <= set(parts[1])
    assert sorted(len(set(part) - {0, 1, 2, 3}) for part in parts) == [0, 1, 1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    """Clips of the mini world, and noise as predictions for them."""
    out = tmp_path_factory.mktemp("world")
    manifest = render("val", N, 0, out / "data", num_workers=0, progress=False)
    (out / "preds").mkdir()
    for i, clip in enumerate(manifest.clips()):
        noise = np.random.default_rng(i).normal(size=round(clip.duration_s * 16_000))
        soundfile.write(out / "preds" / f"{clip.clip_id}.wav", 0.1 * noise, 16_000)
    return manifest, out / "preds"


def run(world: tuple[Manifest, Path], cache: Path, **options: Any) -> tb.Result:
    options = {"features": "lite", "num_workers": 0, "uncertainty": "stderr", **options}
    return tb.evaluate(options.pop("preds", world[1]), world[0], cache_dir=cache, progress=False, **options)


@pytest.fixture(scope="module")
def alone(world: tuple[Manifest, Path], tmp_path_factory: pytest.TempPathFactory) -> tb.Result:
    return run(world, tmp_path_factory.mktemp("alone"))


def same(found: tb.Result, expected: tb.Result) -> bool:
    """Whether two results agree in all but when they were made."""
    return found.to_json() | {"created": ""} == expected.to_json() | {"created": ""}


def entries(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.rglob("*.npy")}


@pytest.mark.parametrize("private", [False, True])
def test_several_processes_give_every_bit_that_one_gives(
    private: bool,
    world: tuple[Manifest, Path],
    alone: tb.Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(own_caches, "GATHERED_BYTES", 4000)  # a few entries at a time

    def cache(team: Processes) -> Path:
        return tmp_path / (f"cache-{team.rank}" if private else "cache")

    results = in_team(3, lambda team: run(world, cache(team), processes=team))
    for result in results:
        assert isinstance(result, tb.Result), result
        assert same(result, alone)
    assert results[0].per_clip == alone.per_clip
    if private:
        parts = [entries(tmp_path / f"cache-{rank}") for rank in range(3)]
        assert all(parts), "each process has done something"
        assert not parts[1].keys() & parts[2].keys(), "nothing was done twice"
        assert parts[1].keys() | parts[2].keys() < parts[0].keys(), "the first one has it all"
    assert not list(tmp_path.rglob("*.part")), "no stray files"


def test_there_may_be_more_processes_than_clips_and_a_cache_that_is_half_full(
    world: tuple[Manifest, Path], alone: tb.Result, tmp_path: Path
):
    run(world, tmp_path / "full")
    shutil.copytree(tmp_path / "full", tmp_path / "cache")
    for i, path in enumerate(sorted((tmp_path / "cache" / "entries").rglob("*.npy"))):
        if i % 3:
            path.unlink()
    results = in_team(N + 3, lambda team: run(world, tmp_path / "cache", processes=team))
    assert all(same(result, alone) for result in results)
    assert entries(tmp_path / "cache") == entries(tmp_path / "full")


def test_problems_that_any_process_finds_are_listed_once_in_the_manifests_order(
    world: tuple[Manifest, Path], tmp_path: Path
):
    preds = Path(shutil.copytree(world[1], tmp_path / "preds"))
    ids = [clip.clip_id for clip in world[0].clips()]
    (preds / f"{ids[4]}.wav").write_bytes(b"RIFF")
    (preds / f"{ids[1]}.wav").write_bytes(b"nothing")
    soundfile.write(preds / f"{ids[2]}.wav", np.zeros(64_000), 16_000)
    (preds / f"{ids[5]}.wav").unlink()
    with pytest.raises(ProblemsError, match=f"4 of {N} clips") as caught:
        run(world, tmp_path / "one", preds=preds)
    expected = caught.value.problems
    for error in in_team(3, lambda team: run(world, tmp_path / "three", preds=preds, processes=team)):
        assert isinstance(error, ProblemsError)
        assert error.problems == expected
    assert len(entries(tmp_path / "three")) == N, "captions alone: before anything costly"

    kept = run(world, tmp_path / "one", preds=preds, on_error="skip")
    assert kept.counts["scored"] == N - 4
    for result in in_team(2, lambda team: run(world, tmp_path / "two", preds=preds, on_error="skip", processes=team)):
        assert same(result, kept)


def test_pictures_that_break_in_any_process_are_problems_of_their_clips(
    world: tuple[Manifest, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = Path(shutil.copytree(Path(str(world[0].data_dir)), tmp_path / "data"))
    broken = [data / clip.media for clip in world[0].clips()][1:4:2]
    load = type(get_extractor("lite-video")).load

    def loaded(self: Extractor, source: ClipSource) -> Any:
        if source.path in broken:
            raise tb.MediaError(source.path, "breaks off")
        return load(self, source)

    monkeypatch.setattr(type(get_extractor("lite-video")), "load", loaded)
    options: dict[str, Any] = {"data_dir": data, "on_error": "skip"}
    kept = run(world, tmp_path / "one", **options)
    assert kept.counts["scored"] == N - 2
    for result in in_team(2, lambda team: run(world, tmp_path / "two", processes=team, **options)):
        assert same(result, kept)


def test_a_machines_own_copy_of_a_file_is_as_good_as_the_file_if_it_has_the_same_bytes(
    world: tuple[Manifest, Path], tmp_path: Path
):
    clip = world[0].clips()[0]
    path = tmp_path / "copy.mp4"
    shutil.copyfile(Path(str(world[0].data_dir), clip.media), path)
    extractor = get_extractor("lite-audio")
    station = shares.Station(EmbeddingCache(tmp_path / "cache"), [extractor], 32, 0, False)

    def failures(content: str) -> list[str]:
        key = entry_key(content, 0.0, clip.duration_s, extractor.fingerprint)
        order = (key, extractor.fingerprint, ClipSource(path, 0.0, clip.duration_s, state="on another machine"))
        return list(shares._embed_orders(station, [order]).values())

    assert failures(file_sha256(path)) == []
    assert ["was changed" in reason for reason in failures("another content")] == [True]


def test_processes_with_different_extractors_are_told_apart(world: tuple[Manifest, Path], tmp_path: Path):
    def features(team: Processes) -> str:
        return "lite-audio,lite-video" if team.leads else "lite-audio,motion-energy"

    for error in in_team(2, lambda team: run(world, tmp_path / "c", features=features(team), processes=team)):
        assert "different weights, options or versions" in str(error)
