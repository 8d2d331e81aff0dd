"""Which clips are read, and how often."""

from __future__ import annotations

from pathlib import Path

from t2av_bench.cache import EmbeddingCache
from t2av_bench.extraction.jobs import EmbeddingJob, Plan
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.planning import AllJobs
from t2av_bench.scoring.distances import ClipJobs


def test_a_caption_between_two_parts_of_a_file_does_not_part_them(tmp_path: Path):
    parts = {"audio": "lite-audio", "text": "lite-text", "onset_strength": "onset-strength"}
    file, caption = ClipSource(tmp_path / "a.wav", 0.0, 2.0), ClipSource(Path(), 0.0, 0.0, "a dog barks")
    jobs = {
        part: EmbeddingJob(part, get_extractor(name), caption if part == "text" else file)
        for part, name in parts.items()
    }
    plan = Plan(AllJobs([ClipJobs("a", jobs, {})]), EmbeddingCache(tmp_path / "cache"))
    assert [clip.source for clip in plan.clips()] == [file, caption]
    assert [sorted(filter(None, sum(clip.keys.values(), []))) for clip in plan.clips()] == [
        ["audio", "onset_strength"],
        ["text"],
    ]
