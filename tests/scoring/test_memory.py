"""How much memory the scores of one more clip take: what it adds to each score, and not its embeddings."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from t2av_bench.cache import EmbeddingCache, entry_key
from t2av_bench.companions import synchrony
from t2av_bench.extraction.choice import MODALITIES, make_extractors, protocol_for
from t2av_bench.extraction.embedding import EmbeddingJob
from t2av_bench.manifests import Clip, Manifest
from t2av_bench.metrics import distances, kernel_bandwidth, kernel_means
from t2av_bench.models.extractors import ClipSource
from t2av_bench.planning import PlannedClips
from t2av_bench.scoring import alignment, contributions, uncertainty
from t2av_bench.scoring.distances import ClipJobs
from t2av_bench.scoring.scorecard import score_clips

# The balanced rows of a lite clip of 2 s are 4 KB for KAVD, and 1 KB for the re-pairings of an index.
MOST_BYTES = 2000


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
            clips, PlannedClips(clips, plan), cache, choices, extractors, events=None, uncertainty="stderr", seed=0
        )
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert list(found.scores) == metrics


@pytest.mark.parametrize("metrics", [["FAVD-b", "AV-index"], ["KAVD", "AV-offset"]])
def test_a_clip_takes_memory_for_its_contributions_and_not_for_its_rows(
    metrics: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Small, so that few clips fill whole blocks; these are what many clips take, too.
    for module, name in (
        (alignment, "BATCH_CLIPS"),
        (contributions, "BATCH_CLIPS"),
        (distances, "_BLOCK_ROWS"),
        (kernel_bandwidth, "_BLOCK_ROWS"),
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
    assert (many - few) / (many_n - few_n) < MOST_BYTES
