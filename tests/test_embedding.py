"""The engine: batches of several clips, failures that name their clip, and nothing computed twice or lost."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from t2av_bench.cache import EmbeddingCache, entry_key
from t2av_bench.embedding import EmbeddingJob, embed_missing, read_embeddings
from t2av_bench.errors import CacheError, T2AVBenchError
from t2av_bench.models.extractors import AudioExtractor, ClipSource

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


def test_an_extractor_lets_go_of_its_network_after_its_last_clip(tmp_path: Path, cache: EmbeddingCache):
    class Heavy(Counting):
        def __init__(self, name: str, log: list[str]) -> None:
            super().__init__()
            self.label, self.log = name, log

        def options(self) -> dict[str, Any]:
            return {"label": self.label}

        def embed_batch(self, inputs: np.ndarray) -> np.ndarray:
            self.log.append(f"{self.label} embeds {len(inputs)}")
            return super().embed_batch(inputs)

        def release(self) -> None:
            self.log.append(f"{self.label} released")

    log: list[str] = []
    jobs = make_jobs(tmp_path, Heavy("first", log), [4, 4])
    for i in (0, 1):
        jobs.append(EmbeddingJob(entry_key(str(i), 0, 4, "g"), Heavy("second", log), jobs[i].source))
    embed(jobs, cache, batch_size=5)
    assert log == ["first embeds 5", "first embeds 3", "first released",
                   "second embeds 5", "second embeds 3", "second released"]  # fmt: skip


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
    assert list(kept) == [0]
    np.testing.assert_allclose(kept[0][:, 0], 0)


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


def test_an_entry_that_vanishes_during_the_run_is_said(tmp_path: Path, cache: EmbeddingCache):
    jobs = make_jobs(tmp_path, Counting(), [4])
    with pytest.raises(T2AVBenchError, match="vanished or broke during the run"):
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
