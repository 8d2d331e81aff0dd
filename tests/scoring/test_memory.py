"""How much memory the scores of one more clip take: what it adds to each score, and not its embeddings."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from t2av_bench.cache import EmbeddingCache, entry_key, text_sha256
from t2av_bench.companions import synchrony
from t2av_bench.extraction import checking
from t2av_bench.extraction.checking import FileNeed, check_files
from t2av_bench.extraction.choice import MODALITIES, make_extractors, protocol_for
from t2av_bench.extraction.jobs import EmbeddingJob, Plan
from t2av_bench.manifests import Clip, Manifest
from t2av_bench.metrics import coverage, distances, kernel_bandwidth, kernel_means
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.planning import FileNeeds, MediaReferences, planned_clips
from t2av_bench.predictions import match_predictions
from t2av_bench.scoring import alignment, contributions, uncertainty
from t2av_bench.scoring.distances import ClipJobs
from t2av_bench.scoring.scorecard import score_clips

# The balanced rows of a lite clip of 2 s are 4 KB for KAVD, and 1 KB for the re-pairings of an index.
MOST_BYTES = 1000
# Nearest neighbours are looked for in 80 draws of parts: 0.3 KB for the reference's radii, as much for what is found.
MOST_SUPPORT_BYTES = 1500
# Two files: their names, hashes, sizes and times.
MOST_FILE_BYTES = 500
# Two keys, while it is found out what is missing; held, the clip itself would take 1.5 KB.
MOST_PLANNED_BYTES = 600


def peak_bytes(metrics: list[str], clips_n: int, folder: Path) -> int:
    """Score so many clips whose embeddings are random, and return the most memory that this took."""
    table = pd.DataFrame([{"clip_id": f"c{i}", "media": "m.mp4", "caption": f"{i}"} for i in range(clips_n)])
    manifest = Manifest("random", table.assign(duration_s=2.0))
    choices = protocol_for(
        manifest, name="t2av-bench/1", features="lite", metrics=metrics, pooling="window", weights="published", seed=0,
        has_events=False,
    )  # fmt: skip
    extractors = make_extractors(choices, "cpu", MODALITIES, precision="fp32", compile=False)
    cache = EmbeddingCache(folder, memory_bytes=0)

    def jobs(clip: Clip, side: str) -> dict[str, EmbeddingJob]:
        source = ClipSource(Path(side), 0.0, clip.duration_s)
        return {
            part: EmbeddingJob(entry_key(side + clip.clip_id, 0.0, 2.0, extractor.fingerprint), extractor, source)
            for part, extractor in extractors.items()
            if side == "reference" or extractor.modality == "audio"
        }

    def plan(clip: Clip) -> ClipJobs:
        return ClipJobs(clip.clip_id, jobs(clip, "reference"), jobs(clip, "generated"))

    clips = list(manifest.clips())
    rng = np.random.default_rng(0)
    for clip in clips:
        for job in [*plan(clip).reference.values(), *plan(clip).generated.values()]:
            cache.store(job.key, rng.random(job.shape).astype(np.float32))
    gc.collect()
    tracemalloc.start()
    try:
        found = score_clips(
            clips, planned_clips(clips, plan), cache, choices, extractors, events=None, uncertainty="stderr", seed=0
        )
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert list(found.scores) == metrics


@pytest.mark.parametrize(
    ("metrics", "most_bytes"),
    [(["FAVD-b", "AV-index"], MOST_BYTES), (["KAVD", "AV-offset"], MOST_BYTES), (["precision"], MOST_SUPPORT_BYTES)],
)
def test_a_clip_takes_memory_for_its_contributions_and_not_for_its_rows(
    metrics: list[str], most_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Small, so that few clips fill whole blocks; these are what many clips take, too.
    for module, name in (
        (alignment, "BATCH_CLIPS"),
        (coverage, "_BLOCK_VALUES"),
        (contributions, "BATCH_CLIPS"),
        (distances, "_BLOCK_ROWS"),
        (kernel_bandwidth, "_BLOCK_ROWS"),
        (kernel_bandwidth, "_PAIRED_ROWS"),
        (kernel_bandwidth, "MEDIAN_ROWS"),
        (kernel_means, "_BLOCK"),
        (kernel_means, "_CLIPS"),
        (synchrony, "_BLOCK_CLIPS"),
    ):
        monkeypatch.setattr(module, name, 32)
    monkeypatch.setattr(uncertainty, "GROUPS_N", 2)  # statistics of fewer rows than dimensions are the rows themselves
    peak_bytes(metrics, 50, tmp_path)  # what is computed once and kept
    few_n, many_n = 330, 660  # balanced conditions have 64 axes from 640 windows on
    few, many = peak_bytes(metrics, few_n, tmp_path), peak_bytes(metrics, many_n, tmp_path)
    assert (many - few) / (many_n - few_n) < most_bytes, (many - few) / (many_n - few_n)


def test_a_clip_to_be_embedded_takes_memory_for_its_keys(tmp_path: Path):
    extractor = get_extractor("lite-audio")
    cache = EmbeddingCache(tmp_path)

    class Jobs(Iterable[EmbeddingJob]):
        """Two jobs of each file, made when they are asked for."""

        def __init__(self, clips_n: int) -> None:
            self.clips_n = clips_n

        def __iter__(self) -> Iterator[EmbeddingJob]:
            for i in range(self.clips_n):
                source = ClipSource(tmp_path / f"{i}.wav", 0.0, 2.0)
                yield from (EmbeddingJob(f"{i:062x}-{j}", extractor, source) for j in range(2))

    def planned(clips_n: int) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            plan = Plan(Jobs(clips_n), cache)
            assert plan.clips_n == plan.clips_of_passes[0] == sum(1 for _ in plan.clips()) == clips_n
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    planned(2500)  # lets the table of interned names grow, which stays
    few, many = planned(500), planned(2500)
    assert (many - few) / 2000 < MOST_PLANNED_BYTES, (many - few) / 2000


@pytest.mark.parametrize("known", [True, False])
def test_a_checked_clip_takes_memory_for_two_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    clips = [Clip(f"clip-{i:04}", "", f"{i:04}.mp4", 0.0, 2.0, "a dog barks", "", "") for i in range(300)]
    for clip in clips:
        (tmp_path / clip.media).write_bytes(b"")
        (predictions / f"{clip.clip_id}.wav").write_bytes(b"")

    def read(need: FileNeed) -> dict[str, object]:
        return {"sha256": text_sha256(need.clip_id), "padded": False, "silent": False}

    def checked(some: list[Clip], cache: EmbeddingCache) -> int:
        """Match and check these clips, and return the most memory that it took."""
        gc.collect()
        tracemalloc.start()
        try:
            matching = match_predictions(some, predictions)
            needs = FileNeeds(some, MediaReferences(some, tmp_path), matching, {})
            report = check_files(needs, cache, num_workers=0, progress=False)
            assert len(report.files) == 2 * len(some)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr(checking, "inspect", read)
    few_n, many_n, grown = 100, 300, []
    for attempt in range(3):  # the table of interned names grows now and then, which is no clip's memory
        caches = [EmbeddingCache(tmp_path / f"{name}{attempt}", memory_bytes=0) for name in ("few", "many")]
        for _ in range(1 + known):
            few, many = checked(clips[:few_n], caches[0]), checked(clips, caches[1])
        grown.append((many - few) / (many_n - few_n))
    assert min(grown) < MOST_FILE_BYTES, grown
