"""The engine: batches of several clips, failures that name their clip, and nothing computed twice or lost."""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
import torch

from t2av_bench.cache import EmbeddingCache, entry_key
from t2av_bench.errors import CacheError, MetricError, OutOfMemoryWarning, T2AVBenchError
from t2av_bench.extraction.embedding import embed_missing, read_embeddings
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.media import audio
from t2av_bench.models.extractors import AudioExtractor, ClipSource, Extractor
from t2av_bench.models.extractors.base import Finish

SR_HZ = 16_000


class Counting(AudioExtractor):
    """Mean and sum of a window, and a record of the batches it was given."""

    name, version, unit, dim = "counting", 1, "window", 2

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def options(self) -> dict[str, Any]:
        return {}

    def windows(self, samples: np.ndarray, duration_s: float) -> np.ndarray:
        rows = self.rows_n(duration_s)
        return samples[: rows * 15_360].reshape(rows, 15_360)

    def embed_batch(self, inputs: np.ndarray) -> np.ndarray:
        self.batches.append(inputs.shape)
        return np.stack([inputs.mean(1), inputs.sum(1)], axis=1).astype(np.float32)


def make_jobs(folder: Path, extractor: AudioExtractor, seconds: list[float]) -> list[EmbeddingJob]:
    jobs = []
    for i, duration_s in enumerate(seconds):
        path = folder / f"{i}.wav"
        soundfile.write(path, np.full(int(duration_s * SR_HZ), i / 100), SR_HZ, subtype="FLOAT")
        jobs.append(EmbeddingJob(entry_key(str(i), 0, duration_s, "f"), extractor, ClipSource(path, 0.0, duration_s)))
    return jobs


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache")


def embed(jobs: list[EmbeddingJob], cache: EmbeddingCache, batch_size: int = 8, num_workers: int = 0) -> dict[str, str]:
    return embed_missing(jobs, cache, batch_size=batch_size, num_workers=num_workers, progress=False)


def test_windows_of_several_clips_share_full_batches(tmp_path: Path, cache: EmbeddingCache):
    extractor = Counting()
    jobs = make_jobs(tmp_path, extractor, [4, 10, 1, 2, 6, 4])  # 4 + 10 + 1 + 2 + 6 + 4 windows
    assert embed(jobs, cache) == {}
    assert [shape[0] for shape in extractor.batches] == [8, 8, 8, 3]
    for i, rows in enumerate(read_embeddings(jobs, cache)):
        assert rows.shape == jobs[i].shape
        np.testing.assert_allclose(rows[:, 0], i / 100, rtol=1e-5)


def test_the_same_clip_is_embedded_once(tmp_path: Path, cache: EmbeddingCache):
    extractor = Counting()
    (job,) = make_jobs(tmp_path, extractor, [4])
    embed([job, job, job], cache)
    embed([job], cache)
    assert extractor.batches == [(4, 15_360)]


class Heavy(Counting):
    """An extractor that says in a log of several when it works and when it is released."""

    def __init__(self, label: str, log: list[str]) -> None:
        super().__init__()
        self.label, self.log = label, log

    def options(self) -> dict[str, Any]:
        return {"label": self.label}

    def embed_batch(self, inputs: np.ndarray) -> np.ndarray:
        self.log.append(f"{self.label} embeds {len(inputs)}")
        return super().embed_batch(inputs)

    def release(self) -> None:
        self.log.append(f"{self.label} released")


def with_other(jobs: list[EmbeddingJob], extractor: AudioExtractor, which: Sequence[int]) -> list[EmbeddingJob]:
    """Return jobs of another extractor on some of the same clips."""
    return [EmbeddingJob(entry_key(str(i), 0, 4, "g"), extractor, jobs[i].source) for i in which]


def test_an_extractor_lets_go_of_its_network_after_its_last_clip(tmp_path: Path, cache: EmbeddingCache):
    log: list[str] = []
    jobs = make_jobs(tmp_path, Heavy("first", log), [4, 4])
    embed([*jobs, *with_other(jobs, Heavy("second", log), [0])], cache, batch_size=5)
    assert log == ["second embeds 4", "second released", "first embeds 5", "first embeds 3", "first released"]


def test_a_clip_is_decoded_once_for_all_extractors_that_miss_it(
    tmp_path: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    read: list[str] = []
    original = audio.read_audio

    def counting(path: Path, **where: float) -> tuple[np.ndarray, int]:
        read.append(path.name)
        return original(path, **where)

    monkeypatch.setattr(audio, "read_audio", counting)
    log: list[str] = []
    jobs = make_jobs(tmp_path, Heavy("first", log), [4, 4, 4])
    both = [*jobs, *with_other(jobs, Heavy("second", log), [2, 0, 1])]
    assert embed(both, cache) == {}
    assert read == ["0.wav", "1.wav", "2.wav"]
    rows = [found.tolist() for found in read_embeddings(both, cache)]
    assert [rows[i] for i in (3, 4, 5)] == [rows[i] for i in (2, 0, 1)]


def test_one_extractor_failing_leaves_the_clips_other_embeddings(tmp_path: Path, cache: EmbeddingCache):
    class Picky(Heavy):
        def windows(self, samples: np.ndarray, duration_s: float) -> np.ndarray:
            raise MetricError("not this one")

    log: list[str] = []
    jobs = make_jobs(tmp_path, Heavy("first", log), [4])
    (picky,) = with_other(jobs, Picky("second", log), [0])
    assert embed([*jobs, picky], cache) == {picky.key: "not this one"}
    assert cache.holds(jobs[0].key, jobs[0].shape)


class Twins(Counting):
    """Two embeddings of one pass: means or sums of a window."""

    passes: ClassVar[list[int]] = []

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def options(self) -> dict[str, Any]:
        return {"what": self.what}

    @property
    def pass_key(self) -> str:
        return "twins"

    def start(self, inputs: np.ndarray, wanted: Sequence[Extractor]) -> Finish:
        Twins.passes.append(len(inputs))
        both = {"mean": inputs.mean(1), "sum": inputs.sum(1)}
        return lambda: [np.stack([both[x.what]] * 2, axis=1) for x in wanted if isinstance(x, Twins)]


def test_one_pass_serves_two_extractors_also_where_a_clip_misses_only_one(tmp_path: Path, cache: EmbeddingCache):
    Twins.passes.clear()
    jobs = make_jobs(tmp_path, Twins("mean"), [4, 4, 4])
    sums = with_other(jobs, Twins("sum"), [0, 1, 2])
    cache.store(jobs[1].key, np.full(jobs[1].shape, 9, np.float32))
    assert embed([*jobs, *sums], cache, batch_size=100) == {}
    assert Twins.passes == [12]
    values = [float(rows[0, 0]) for rows in read_embeddings([*jobs, *sums], cache)]
    np.testing.assert_allclose(values, [0, 9, 0.02, 0, 153.6, 307.2], rtol=1e-5)


class Limited(Counting):
    """An extractor whose device has room for a few rows only."""

    def __init__(self, most_n: int, error: Exception, least_n: int = 1) -> None:
        super().__init__()
        self.most_n, self.error = most_n, error
        self.pass_n = least_n

    def embed_batch(self, inputs: np.ndarray) -> np.ndarray:
        if max(len(inputs), self.pass_n) > self.most_n or inputs.mean() > 0.045:
            raise self.error
        return super().embed_batch(inputs)

    @property
    def pass_rows_n(self) -> int:
        return self.pass_n

    def use_less_memory(self) -> bool:
        smaller = self.pass_n > 1
        self.pass_n = max(1, self.pass_n // 2)
        return smaller


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError("Unable to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "numpy", "cpu"])
def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path: Path, cache: EmbeddingCache, error: Exception):
    extractor = Limited(3, error)
    jobs = make_jobs(tmp_path, extractor, [4, 4, 4, 4])
    with pytest.warns(OutOfMemoryWarning, match="counting: out of memory with [84] rows at once; going on with [42]$"):
        assert embed(jobs, cache) == {}
    assert [shape[0] for shape in extractor.batches] == [2] * 8
    for i, rows in enumerate(read_embeddings(jobs, cache)):
        np.testing.assert_allclose(rows[:, 0], i / 100, rtol=1e-5)


def test_out_of_memory_halves_the_rows_per_pass_too_and_says_so(tmp_path: Path, cache: EmbeddingCache):
    extractor = Limited(2, OUT_OF_MEMORY[0], least_n=8)
    jobs = make_jobs(tmp_path, extractor, [4, 4])
    with pytest.warns(OutOfMemoryWarning, match="embeddings may differ from others by rounding"):
        assert embed(jobs, cache, batch_size=3) == {}  # made 8, a whole pass
    assert (extractor.pass_n, [shape[0] for shape in extractor.batches]) == (2, [2] * 4)


def test_a_row_that_never_fits_fails_its_clip_alone(tmp_path: Path, cache: EmbeddingCache):
    extractor = Limited(99, OUT_OF_MEMORY[0])
    jobs = make_jobs(tmp_path, extractor, [4, 4, 4, 4, 4, 4, 4])  # the last two are above 0.045
    with pytest.warns(OutOfMemoryWarning, match="out of memory with [842] rows at once"):
        failures = embed(jobs, cache)
    assert list(failures) == [jobs[5].key, jobs[6].key]
    reason = (
        r"needs more memory than there is, even one row of shape \(15360,\) at a time \(CUDA out of memory.*counting"
    )
    assert re.match(reason, failures[jobs[5].key])
    for i, rows in enumerate(read_embeddings(jobs[:5], cache)):
        np.testing.assert_allclose(rows[:, 0], i / 100, rtol=1e-5)


def test_other_errors_of_a_network_end_the_run(tmp_path: Path, cache: EmbeddingCache):
    jobs = make_jobs(tmp_path, Limited(3, RuntimeError("a bug")), [4])
    with pytest.raises(RuntimeError, match="a bug"):
        embed(jobs, cache)


def test_an_unreadable_clip_is_reported_and_the_others_are_kept(tmp_path: Path, cache: EmbeddingCache):
    jobs = make_jobs(tmp_path, Counting(), [4, 4, 4])
    jobs[1].source.path.write_bytes(b"")
    failures = embed(jobs, cache)
    assert list(failures) == [jobs[1].key]
    assert "empty" in failures[jobs[1].key]
    assert len(list(read_embeddings([jobs[0], jobs[2]], cache))) == 2


def test_an_extractor_that_breaks_its_promise_is_reported(tmp_path: Path, cache: EmbeddingCache):
    class Short(Counting):
        def windows(self, samples: np.ndarray, duration_s: float) -> np.ndarray:
            return super().windows(samples, duration_s)[:-1]

    jobs = make_jobs(tmp_path, Short(), [4])
    assert embed(jobs, cache) == {jobs[0].key: "gives 3 windows where the clip's duration asks for 4"}


def test_what_was_loaded_before_an_error_is_still_embedded_and_kept(tmp_path: Path, cache: EmbeddingCache):
    class Failing(Counting):
        def windows(self, samples: np.ndarray, duration_s: float) -> np.ndarray:
            if samples[0] > 0.015:
                raise KeyboardInterrupt
            return super().windows(samples, duration_s)

    jobs = make_jobs(tmp_path, Failing(), [4, 4, 4, 4])
    with pytest.raises(KeyboardInterrupt):
        embed(jobs, cache, batch_size=100)
    assert len(list(read_embeddings(jobs[:2], cache))) == 2


class Slow(Counting):
    """Its network is there only once so many clips have been loaded."""

    def __init__(self, clips_n: int) -> None:
        super().__init__()
        self.loaded_n, self.clips_n, self.enough = 0, clips_n, threading.Event()

    def windows(self, samples: np.ndarray, duration_s: float) -> np.ndarray:
        self.loaded_n += 1
        if self.loaded_n == self.clips_n:
            self.enough.set()
        return super().windows(samples, duration_s)

    def warm_up(self) -> None:
        assert self.enough.wait(60.0), "loading waited for the network"


def test_clips_are_loaded_while_the_network_is_built(tmp_path: Path, cache: EmbeddingCache):
    jobs = make_jobs(tmp_path, Slow(3), [4, 4, 4, 4])
    assert embed(jobs, cache) == {}
    for i, rows in enumerate(read_embeddings(jobs, cache)):
        np.testing.assert_allclose(rows[:, 0], i / 100, rtol=1e-5)


def test_only_so_much_is_loaded_while_the_network_is_built(
    tmp_path: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    slow = Slow(3)
    jobs = make_jobs(tmp_path, slow, [4, 4, 4, 4])
    monkeypatch.setattr("t2av_bench.extraction.embedding.EARLY_BYTES", 3 * 4 * 15_360 * 4 - 1)
    plain, seen = slow.embed_batch, []
    monkeypatch.setattr(slow, "embed_batch", lambda inputs: [seen.append(slow.loaded_n), plain(inputs)][1])
    assert embed(jobs, cache) == {}
    assert seen[0] == 3


def test_a_network_that_cannot_be_built_ends_the_run_whenever_that_is_noticed(tmp_path: Path, cache: EmbeddingCache):
    class Broken(Slow):
        def warm_up(self) -> None:
            super().warm_up()
            raise MetricError("no such network")

    for clips_n in (1, 4):
        with pytest.raises(MetricError, match="no such network"):
            embed(make_jobs(tmp_path, Broken(clips_n), [4, 4, 4, 4]), cache)


def test_an_interruption_inside_a_batch_gives_no_clip_the_embeddings_of_another(tmp_path: Path, cache: EmbeddingCache):
    class Interrupted(Counting):
        def embed_batch(self, inputs: np.ndarray) -> np.ndarray:
            if len(self.batches) == 1:
                self.batches.append(())
                raise KeyboardInterrupt
            return super().embed_batch(inputs)

    jobs = make_jobs(tmp_path, Interrupted(), [2, 3, 4, 2, 3])
    with pytest.raises(KeyboardInterrupt, match="^$"):
        embed(jobs, cache, batch_size=4)
    kept = {i: rows for i, job in enumerate(jobs) if (rows := cache.load(job.key, job.shape)) is not None}
    assert 0 in kept
    for i, rows in kept.items():
        np.testing.assert_allclose(rows[:, 0], i / 100, rtol=1e-5)


def test_a_full_disk_stops_the_run_and_keeps_what_is_there(
    tmp_path: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    jobs = make_jobs(tmp_path, Counting(), [4, 4, 4])
    store, stored = EmbeddingCache.store, []

    def fill_up(self: EmbeddingCache, key: str, array: np.ndarray) -> None:
        if stored:
            raise CacheError("no space left on device")
        stored.append(key)
        store(self, key, array)

    monkeypatch.setattr(EmbeddingCache, "store", fill_up)
    with pytest.raises(CacheError, match="no space left"):
        embed(jobs, cache, batch_size=4)
    assert len(list(read_embeddings(jobs[:1], cache))) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, CacheError])
def test_an_error_while_embedding_or_storing_never_puts_rows_under_another_clip(
    tmp_path: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
):
    """What interrupts once and is gone when the rest is flushed: Ctrl-C, or a disk that was full for a moment."""
    original, calls = (Counting.embed_batch if error is KeyboardInterrupt else EmbeddingCache.store), []

    def once(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise error("now")
        return original(*args)

    if error is KeyboardInterrupt:
        monkeypatch.setattr(Counting, "embed_batch", once)
    else:
        monkeypatch.setattr(EmbeddingCache, "store", once)
    jobs = make_jobs(tmp_path, Counting(), [4] * 9)
    with pytest.raises(error, match="now"):
        embed(jobs, cache, batch_size=6)
    found = [(i, cache.load(job.key, job.shape)) for i, job in enumerate(jobs)]
    assert any(rows is not None for _, rows in found)
    for i, rows in found:
        if rows is not None:
            np.testing.assert_allclose(rows[:, 0], i / 100, rtol=1e-5)


@pytest.mark.parametrize("damage", ["gone", "zeros", "nan"])
def test_an_entry_that_vanishes_or_breaks_is_computed_again(tmp_path: Path, cache: EmbeddingCache, damage: str):
    jobs = make_jobs(tmp_path, Counting(), [4, 4])
    embed(jobs, cache)
    path = cache.folder / "entries" / jobs[1].key[:2] / f"{jobs[1].key}.npy"
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "zeros":
        path.write_bytes(bytes(len(whole)))
    else:
        path.write_bytes(whole[:-8] + np.array([np.nan, 1], np.float32).tobytes())
    again = EmbeddingCache(cache.folder)
    assert embed(jobs, again) == {}  # by its size, a damaged entry is there
    for before, after in zip(read_embeddings(jobs, cache), read_embeddings(jobs, again), strict=True):
        assert before.tobytes() == after.tobytes()
    assert path.read_bytes() == whole


def test_an_entry_that_cannot_be_computed_again_is_said(tmp_path: Path, cache: EmbeddingCache):
    jobs = make_jobs(tmp_path, Counting(), [4])
    jobs[0].source.path.unlink()
    with pytest.raises(T2AVBenchError, match="vanished or broke during the run, and cannot be computed again.*no such"):
        list(read_embeddings(jobs, cache))


CRASHING = """
import os, signal
from t2av_bench.models.extractors import AudioExtractor
class Crashing(AudioExtractor):
    name, version, unit, dim = "crashing", 1, "window", 2
    def options(self): return {}
    def windows(self, samples, duration_s):
        if abs(samples[0] - 0.01) < 1e-6:
            os.kill(os.getpid(), signal.SIGSEGV)
        return samples[:61440].reshape(4, -1)
    def embed_batch(self, inputs):
        return inputs[:, :2].astype("float32")
"""


def test_a_decoder_that_kills_its_worker_costs_that_clip_only(
    tmp_path: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "crashing_extractor.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    extractor = importlib.import_module("crashing_extractor").Crashing()
    jobs = make_jobs(tmp_path, extractor, [4, 4, 4, 4, 4])
    failures = embed(jobs, cache, num_workers=2)
    assert list(failures) == [jobs[1].key]
    assert "crashed (signal 11, SIGSEGV" in failures[jobs[1].key]
    assert len(list(read_embeddings([job for job in jobs if job.key not in failures], cache))) == 4
