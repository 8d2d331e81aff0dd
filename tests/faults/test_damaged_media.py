"""Damaged media cost their own clip, by name and in time: never the run, and never another clip."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from damage import KINDS, Reading, damaged, read_damaged, small_sources, sound_sources
from small_world import World

from t2av_bench import datacheck
from t2av_bench.cache import EmbeddingCache
from t2av_bench.cli import main
from t2av_bench.datacheck import check_data
from t2av_bench.extraction import checking
from t2av_bench.extraction.checking import FileNeed, check_files
from t2av_bench.manifests import load_manifest
from t2av_bench.workers import JobFailure, run_jobs

LONGEST_S = 10.0
LENGTH_S = 1.0


def read_all_damaged(sources: Sequence[Path], count: int, folder: Path) -> Counter[str]:
    """Read ``count`` damaged files in loader processes; return how often what became of them."""
    jobs = [(sources[seed // len(KINDS) % len(sources)], seed, folder, LENGTH_S) for seed in range(count)]
    found: Counter[str] = Counter()
    for index, outcome in run_jobs(read_damaged, jobs, num_workers=2, timeout_s=LONGEST_S):
        name = f"{jobs[index][0].name}, seed {index}"
        if isinstance(outcome, JobFailure):
            assert outcome.reason.startswith("the decoder crashed (signal"), (name, outcome.reason)
            found["crashed"] += 1
            continue
        assert isinstance(outcome, Reading)
        assert outcome.took_s < LONGEST_S, name
        assert outcome.reasons or outcome.rows_n == 2, name
        assert all(reason.isprintable() and len(reason) < 300 for reason in outcome.reasons), name
        found["refused" if outcome.reasons else "read"] += 1
    assert sum(found.values()) == count
    return found


def test_damage_is_seeded_and_of_every_kind():
    data = bytes(range(256)) * 64
    kinds = [damaged(data, seed) for seed in range(20)]
    assert [kind for kind, _ in kinds] == [*KINDS, *KINDS]
    assert kinds == [damaged(data, seed) for seed in range(20)]
    assert all(changed != data for _, changed in kinds)


def test_eighty_damaged_files(world: World, tmp_path: Path):
    sources = small_sources(tmp_path, sorted(world.media.iterdir())[:2], 1.2) + sound_sources(tmp_path)
    found = read_all_damaged(sources, 80, tmp_path)
    assert found["refused"] > 20
    assert found["crashed"] <= 2


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_thousand_damaged_files(world: World, shared: Path, tmp_path: Path):
    clips = sorted(world.media.iterdir())[:3] + sorted((shared / "media").rglob("*.mp4"))[::3]
    sources = small_sources(tmp_path, clips, 1.2) + sound_sources(tmp_path)
    found = read_all_damaged(sources, 2000, tmp_path)
    print(dict(found))
    assert found["refused"] > 500
    assert found["crashed"] <= 10


CULPRITS = """
import os, signal, time
from t2av_bench import datacheck
from t2av_bench.extraction import checking
from t2av_bench.models.t2av import reading

def misbehave(path):
    if "000003" in str(path): os.kill(os.getpid(), signal.SIGSEGV)
    if "000005" in str(path): time.sleep(60)

def inspect(need):
    misbehave(need.path)
    return checking.inspect(need)

def look(need):
    misbehave(need.path)
    return datacheck._look(need)
"""
CRASHED, HUNG = "the decoder crashed (signal 11, SIGSEGV)", "the decoder did not finish within 2 s"


@pytest.fixture
def culprits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Functions for loader processes that crash on one clip and hang on another, and a short limit of time."""
    (tmp_path / "t2av_test_culprits.py").write_text(CULPRITS)
    monkeypatch.syspath_prepend(tmp_path)
    import t2av_test_culprits

    for module in (checking, datacheck):
        monkeypatch.setattr(module, "run_jobs", lambda *a, **options: run_jobs(*a, **{**options, "timeout_s": 2.0}))
    yield t2av_test_culprits
    del sys.modules["t2av_test_culprits"]


def test_the_check_before_an_evaluation_names_what_crashed_and_what_hung(
    world: World, culprits: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = sorted(world.predictions.iterdir())
    needs = [FileNeed(path.stem, path, 0.0, 4.0, audio=True, video=False, may_be_silent=False) for path in files]
    monkeypatch.setattr(checking, "inspect", culprits.inspect)
    began_s = time.monotonic()
    report = check_files(needs, EmbeddingCache(tmp_path / "cache"), num_workers=2, progress=False)
    assert time.monotonic() - began_s < 30
    assert [(p.clip_id[-6:], p.reason) for p in report.problems] == [("000003", CRASHED), ("000005", HUNG)]
    assert len(report.files) == len(files) - 2


def test_a_check_of_a_manifest_names_what_crashed_and_what_hung(
    world: World, culprits: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clips = list(load_manifest(world.manifest).clips())
    monkeypatch.setattr(datacheck, "_look", culprits.look)
    cache = EmbeddingCache(tmp_path / "cache")
    states = check_data(clips, world.manifest.parent, cache=cache, num_workers=2)
    assert [(s.clip_id[-6:], s.state, s.reason) for s in states if s.state != "ok"] == [
        ("000003", "unreadable", CRASHED),
        ("000005", "unreadable", HUNG),
    ]
    # What a crash or a stalled disk has kept from being looked at is looked at the next time.
    monkeypatch.undo()
    assert {s.state for s in check_data(clips, world.manifest.parent, cache=cache)} == {"ok"}


@pytest.mark.parametrize("command", ["evaluate", "manifest check"])
def test_without_loader_processes_damage_is_named_too(world: World, tmp_path: Path, command: str):
    """There, only a crash of the decoder itself ends the run."""
    media = tmp_path / "data" / "media"
    media.mkdir(parents=True)
    for number, path in enumerate(sorted(world.media.iterdir())):
        content = path.read_bytes()
        (media / path.name).write_bytes(content[: len(content) // 2] if number == 1 else content)
    (tmp_path / "data" / "manifest.csv").write_bytes(world.manifest.read_bytes())
    there = world._replace(manifest=tmp_path / "data" / "manifest.csv")
    args = there.evaluate(tmp_path)
    if command == "manifest check":
        args = ["manifest", "check", there.manifest, "--data-dir", media.parent, "--cache-dir", tmp_path / "cache"]
    done = CliRunner().invoke(main, [*map(str, args), "--num-workers", "0"])
    assert done.exit_code == 1
    assert re.search(r"000001\.mp4: .*is a damaged or truncated MP4 file", done.output)
