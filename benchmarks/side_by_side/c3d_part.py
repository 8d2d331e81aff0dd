"""C3D from video files to cached embeddings, against its network alone with the windows ready in memory."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tables import row

BATCH_N = 32


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    from t2av_bench.cache import EmbeddingCache
    from t2av_bench.embedding import EmbeddingJob, embed_missing
    from t2av_bench.manifests.mini import render
    from t2av_bench.models.extractors import ClipSource, get_extractor

    workers_n = min(os.cpu_count() or 1, 8)
    extractor = get_extractor("c3d", weights="random", device="cpu")
    pipeline_s: list[float] = []
    network_s: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = render("val", chosen.clips, 0, folder / "world", num_workers=0, progress=False)
        sources = [ClipSource(folder / "world" / c.media, c.start_s, c.duration_s, c.caption) for c in world.clips()]
        jobs = [EmbeddingJob(f"{i:064x}", extractor, source) for i, source in enumerate(sources)]
        windows = np.concatenate([extractor.load(source) for source in sources])
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
    return {
        "title": f"C3D over {chosen.clips} clips of 4 s ({len(windows)} windows of 16 frames), drawn weights",
        "rows": [
            row("network alone, windows in memory", network_s) | {"base": True},
            row(f"from files to the cache, {workers_n} loader processes", pipeline_s),
        ],
        "notes": ["The loader processes are started within the time."],
    }
