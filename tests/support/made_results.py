"""Results of made-up systems, for everything that reads results: no media, no features."""

from __future__ import annotations

import numpy as np

from t2av_bench.results import Result, Score


def made_result(name: str, scores: dict[str, float], per_clip: dict[str, dict[str, float]]) -> Result:
    """Return a result whose standard errors follow from its contributions; names with `index` are better when high."""
    clips_n = len(per_clip)

    def score(metric: str, value: float) -> Score:
        values = np.array([clip[metric] for clip in per_clip.values() if metric in clip])
        stderr = float(np.sqrt(len(values)) * values.std(ddof=1)) if len(values) > 1 else None
        index = "index" in metric
        return Score(value, stderr, "index" if index else "raw", index, 1, clips_n, 4 * clips_n, 64, 60)

    return Result(
        scores={metric: score(metric, value) for metric, value in scores.items()},
        absent={},
        system={"name": name, "description": ""},
        manifest={"name": "m", "version": "1", "sha256": "0" * 64, "licence": "", "official": False, "clips": clips_n},
        protocol={"name": "t2av-bench/1", "features": "lite",
                  "extractors": {"audio": "lite-audio", "video": "lite-video"}, "pooling": "window",
                  "weights": "published"},
        extractors={
            part: {"name": f"lite-{part}", "version": 1, "dim": 64, "unit": "window", "fingerprint": digit * 64,
                   "weights_sha256": None, "options": {}}
            for part, digit in (("audio", "1"), ("video", "2"))
        },
        counts={"clips": clips_n, "scored": clips_n},
        problems=[],
        not_comparable_because=["the features are lite, not paper"],
        notes=[],
        environment={},
        seed=0,
        command="t2av-bench evaluate",
        created="2026-01-01T00:00:00+00:00",
        tool_version="0.1.0",
        per_clip=per_clip,
    )  # fmt: skip


def result_of_values(name: str, **values: np.ndarray) -> Result:
    """Return a result whose scores are means of values per clip; ``FAD=...``, ``AV_index=...``."""
    columns = {metric.replace("_", "-"): np.asarray(column, dtype=float) for metric, column in values.items()}
    clips_n = len(next(iter(columns.values())))
    per_clip = {
        f"clip {i:04d}": {metric: float(v[i] - v.mean()) / clips_n for metric, v in columns.items()}
        for i in range(clips_n)
    }
    return made_result(name, {metric: float(v.mean()) for metric, v in columns.items()}, per_clip)
