"""C3D from video files to cached embeddings, against its network alone with the windows ready in memory.

The files are those of ``benchmarks/c3d_command.py``, which times the whole command with its start instead.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tables import row

sys.path.append(str(Path(__file__).resolve().parent.parent))

BATCH_N = 32


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    from c3d_command import SECONDS, SIZE, make_world

    from t2av_bench.cache import EmbeddingCache
    from t2av_bench.extraction.embedding import embed_missing
    from t2av_bench.extraction.jobs import EmbeddingJob
    from t2av_bench.models.extractors import ClipSource, get_extractor

    workers_n = min(os.cpu_count() or 1, 8)
    extractor = get_extractor("c3d", weights="random", device="cpu")
    pipeline_s: list[float] = []
    network_s: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_world(folder, chosen.clips)
        videos = sorted((folder / "data").iterdir())
        jobs = [EmbeddingJob(f"{i:064x}", extractor, ClipSource(v, 0.0, SECONDS)) for i, v in enumerate(videos)]
        windows = np.concatenate([extractor.load(job.source) for job in jobs])
        extractor.embed_batch(windows[:2])  # draws the weights
        for run in range(chosen.runs):
            start_s = time.perf_counter()
            cache = EmbeddingCache(folder / f"cache-{run}")
            failures = embed_missing(jobs, cache, batch_size=BATCH_N, num_workers=workers_n, progress=False)
            pipeline_s.append(time.perf_counter() - start_s)
            assert not failures, failures
            start_s = time.perf_counter()
            for first in range(0, len(windows), BATCH_N):
                extractor.embed_batch(windows[first : first + BATCH_N])
            network_s.append(time.perf_counter() - start_s)
    what = f"{len(videos)} H.264 videos of {SECONDS} s, {SIZE[1]} x {SIZE[0]} pixels"
    return {
        "title": f"C3D over {what} ({len(windows)} windows of 16 frames), drawn weights",
        "rows": [
            row("network alone, windows in memory", network_s) | {"base": True},
            row(f"from files to the cache, {workers_n} loader processes", pipeline_s),
        ],
        "notes": [
            "The loader processes' start and the decoding of the first file lie within the time, and count for"
            " less with more files."
        ],
    }
