"""What others do to files meanwhile: they share a cache, change, replace and remove files, and set clocks."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_world import Whole, World, listing
from warm_commands import ROOT, WarmCommands

import t2av_bench as tb
from t2av_bench import evaluation
from t2av_bench.cache import EmbeddingCache, file_state, unchanged
from t2av_bench.distributed import shares
from t2av_bench.errors import MediaError, ProblemsError
from t2av_bench.extraction import checking
from t2av_bench.extraction.checking import FileNeed, check_files
from t2av_bench.progress import byte_bar, progress_bar


@pytest.fixture
def own(world: World, tmp_path: Path) -> World:
    """A copy of the world that a test may change."""
    folder = tmp_path / "own"
    shutil.copytree(world.manifest.parent, folder)
    return World(folder / "manifest.csv", folder / "media", folder / "predictions" / world.predictions.name)


def evaluate(world: World, cache: Path, **options: object) -> tb.Result:
    chosen = {"features": "lite", "num_workers": 0, "cache_dir": cache, "uncertainty": "stderr", **options}
    return tb.evaluate(world.predictions, world.manifest, **chosen)


def replaced(path: Path, by: Path) -> None:
    """Put another file's content under a name, as programs do: in place, with the same size if they are equal."""
    path.write_bytes(by.read_bytes())


@pytest.mark.slow
def test_two_runs_share_a_cache(world: World, evaluated: Whole, tmp_path: Path):
    cache = tmp_path / "0" / "cache"
    commands = []
    for number in range(2):
        args = world.evaluate(tmp_path / str(number), "--num-workers", "1")
        args[args.index("--cache-dir") + 1] = cache
        commands.append([sys.executable, "-m", "t2av_bench", *map(str, args)])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(one, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for one in commands
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert evaluated.equals(tmp_path / "0")
    results = [tb.Result.load(tmp_path / str(number) / "out/result.json").scores for number in range(2)]
    assert results[0] == results[1]


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_that_changes_between_check_and_extraction_is_named(
    own: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int
):
    first, second = sorted(own.predictions.iterdir())[:2]
    check = shares.check_files

    def check_then_change(*args: object, **options: object) -> object:
        report = check(*args, **options)
        replaced(first, second)
        return report

    with monkeypatch.context() as patch:
        patch.setattr(shares, "check_files", check_then_change)
        with pytest.raises(ProblemsError, match="1 of 12 clips cannot be scored") as caught:
            evaluate(own, tmp_path / "cache", num_workers=num_workers)
    assert f"{first}: was changed while it was in use; run again" in str(caught.value.problems[0])
    # No entry was made of the new content under the hash of the old one.
    again, afresh = (evaluate(own, tmp_path / name) for name in ("cache", "other"))
    assert again.scores == afresh.scores


def test_a_file_that_changes_while_it_is_checked_is_named(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first, second = sorted(world.predictions.iterdir())[:2]
    path = tmp_path / "clip.wav"
    shutil.copy(first, path)
    cache = EmbeddingCache(tmp_path / "cache")
    need = FileNeed("clip", path, 0.0, 4.0, audio=True, video=False, may_be_silent=False)
    hashed = checking.file_sha256

    def hash_then_change(path: Path) -> str:
        found = hashed(path)
        replaced(path, second)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(checking, "file_sha256", hash_then_change)
        (problem,) = check_files([need], cache, num_workers=0, progress=False).problems
    assert (problem.kind, problem.reason[:33]) == ("unreadable", "was changed while it was in use; ")
    report = check_files([need], cache, num_workers=0, progress=False)
    assert {path: file.sha256 for path, file in report.files.items()} == {str(path): hashed(second)}


class Needs(Iterable[FileNeed]):
    """One file, to which something happens between the look at it and its being read."""

    def __init__(self, path: Path, happens: Callable[[], object]) -> None:
        self.need = FileNeed("clip", path, 0.0, 4.0, audio=True, video=False, may_be_silent=False)
        self.happens, self.looks_n = happens, 0

    def __iter__(self) -> Iterator[FileNeed]:
        self.looks_n += 1
        if self.looks_n == 2:
            self.happens()
        yield self.need


def test_a_file_that_vanishes_after_a_look_is_named(world: World, tmp_path: Path):
    path = tmp_path / "clip.wav"
    shutil.copy(min(world.predictions.iterdir()), path)
    cache = EmbeddingCache(tmp_path / "cache")
    (problem,) = check_files(Needs(path, path.unlink), cache, num_workers=0, progress=False).problems
    assert (problem.kind, problem.reason) == ("unreadable", "cannot be opened (No such file or directory)")


def test_a_file_that_another_run_has_read_meanwhile_is_not_read_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = min(world.predictions.iterdir())
    cache = EmbeddingCache(tmp_path / "cache")
    other = partial(check_files, Needs(path, int), EmbeddingCache(tmp_path / "cache"), num_workers=0, progress=False)

    def then_none() -> None:
        other()
        monkeypatch.setattr(checking, "inspect", None)

    report = check_files(Needs(path, then_none), cache, num_workers=0, progress=False)
    assert report == other()
    assert report.files


@pytest.mark.parametrize("remove", ["prediction", "reference"])
def test_a_file_that_vanishes_is_named(own: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remove: str):
    check = shares.check_files
    victim = sorted((own.predictions if remove == "prediction" else own.media).iterdir())[0]

    def check_then_remove(*args: object, **options: object) -> object:
        report = check(*args, **options)
        victim.unlink()
        return report

    monkeypatch.setattr(shares, "check_files", check_then_remove)
    with pytest.raises(ProblemsError, match="1 of 12 clips") as caught:
        evaluate(own, tmp_path / "cache")
    assert f"{victim}: cannot be opened (No such file or directory)" in map(str, caught.value.problems)


def test_entries_that_vanish_are_made_again(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = evaluate(world, tmp_path / "cache")
    embed = shares.embed_missing

    def embed_then_remove(*args: object, **options: object) -> object:
        failures = embed(*args, **options)
        shutil.rmtree(tmp_path / "cache" / "entries")
        return failures

    monkeypatch.setattr(shares, "embed_missing", embed_then_remove)
    monkeypatch.setattr(evaluation, "EmbeddingCache", lambda folder: EmbeddingCache(folder, memory_bytes=0))
    assert evaluate(world, tmp_path / "cache").scores == first.scores


def test_times_in_the_future_and_the_past_are_times_like_any(
    own: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Times are compared for equality only, so that no clock need be right."""
    files = [*sorted(own.predictions.iterdir()), *sorted(own.media.iterdir())]
    for number, path in enumerate(files):
        stamp_s = (4_000_000_000, 0, -1_000_000_000)[number % 3]
        os.utime(path, (stamp_s, stamp_s))
    first = evaluate(own, tmp_path / "cache")
    asked: list[object] = []
    monkeypatch.setattr(checking, "inspect", asked.append)
    assert evaluate(own, tmp_path / "cache").scores == first.scores
    assert asked == []
    written = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    for path in written:
        os.utime(path, (4_000_000_000, 4_000_000_000))
    assert evaluate(own, tmp_path / "cache").scores == first.scores


@pytest.mark.parametrize("make", [lambda: progress_bar(3, "x", "clip"), lambda: byte_bar(3, 0, "x")])
def test_progress_goes_on_while_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch, make: Callable[[], object]):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    clock_s = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock_s)))
    with make() as bar:
        bar.update()
        assert 0 <= bar.format_dict["elapsed"] < 60


def test_the_state_of_a_file_is_size_and_times(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    state = file_state(path)
    assert file_state(path, fresh=True) == state
    with unchanged(path, state):
        pass
    with unchanged(path, ""):
        path.write_bytes(b"three")
    with pytest.raises(MediaError, match="was changed while it was in use"), unchanged(path, state):
        pytest.fail("the block must not be entered")
    with pytest.raises(MediaError, match="cannot be opened"):
        file_state(tmp_path / "nowhere")
    with pytest.raises(MediaError, match="is no regular file"):
        file_state(tmp_path)


def test_an_entry_that_was_replaced_on_the_server_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key, rows = "ab" * 32, np.arange(6, dtype=np.float32).reshape(2, 3)
    EmbeddingCache(tmp_path).store(key, rows)
    cache = EmbeddingCache(tmp_path, memory_bytes=0)
    refusals = 2

    def stale(*args: object, **options: object) -> object:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise OSError(errno.ESTALE, "Stale file handle")
        return opened(*args, **options)

    opened = open
    monkeypatch.setattr("builtins.open", stale)
    found = cache.load(key, (2, 3))
    assert found is not None
    np.testing.assert_array_equal(found, rows)
    refusals = 3
    assert cache.load(key, (2, 3)) is None  # absent, and made again


@pytest.mark.parametrize("damage", ["truncated", "noise", "nan", "zeros"])
def test_damaged_entries_are_made_again(
    world: World, commands: WarmCommands, evaluated: Whole, tmp_path: Path, damage: str
):
    shutil.copytree(evaluated.folder / "cache", tmp_path / "cache")
    for path in sorted((tmp_path / "cache" / "entries").rglob("*.npy"))[::3]:
        content = path.read_bytes()
        broken = {
            "truncated": content[:-7],
            "noise": np.random.default_rng(0).bytes(len(content)),
            "nan": content[:-4] + np.float32(np.nan).tobytes(),
            "zeros": bytes(len(content)),
        }
        path.write_bytes(broken[damage])
    for path in sorted((tmp_path / "cache" / "files").rglob("*.json"))[::3]:
        path.write_bytes({"truncated": b'{"sha', "noise": b"\xff", "nan": b"[]", "zeros": b"{}"}[damage])
    ended = commands.run(*world.evaluate(tmp_path, "--num-workers", "0"))
    assert ended.code == 0, ended.output
    assert evaluated.equals(tmp_path)
    assert len(listing(tmp_path)) > 50
