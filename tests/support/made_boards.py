"""Submissions and leaderboards of made-up systems: no media, no features, nothing that contradicts itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from made_results import made_result

from t2av_bench.leaderboard import Leaderboard
from t2av_bench.metrics import METRICS
from t2av_bench.metrics.uncertainty import contributions_stderr
from t2av_bench.results import Result, Score

CLIPS_N = 40
INDICES = ("AV-index", "AT-index")
NAMES = ("FAD", "FAVD", "FATD", "FA(VT)D", "FAD-b", "FAVD-b", "FATD-b", "FA(VT)D-b", *INDICES)


def extractor(name: str, unit: str = "window") -> dict[str, Any]:
    """Return an extractor's record whose fingerprint follows from the rest."""
    record: dict[str, Any] = {"name": name, "version": 1, "dim": 64, "options": {"hop_s": 0.96}}
    fingerprint = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return {**record, "unit": unit, "fingerprint": fingerprint, "weights_sha256": None}


def submission(name: str = "a system", seed: int = 0, scored: int = CLIPS_N, **changes: Any) -> Result:
    """Return a result of `lite` features with contributions of clips that give its standard errors.

    ``changes`` are fields of :class:`Result`; ``values`` sets scores by name.
    """
    rng = np.random.default_rng(seed)
    fad = float(rng.gamma(2.0, 2.0))
    video, text = rng.gamma(2.0, 1.0, size=2)
    values = {"FAD": fad, "FAVD": fad + video, "FATD": fad + text, "FA(VT)D": fad + video + text}
    values |= {f"{key}-b": value / 10.0 for key, value in values.items()}
    values |= {index: float(1.0 - rng.gamma(2.0, 0.2)) for index in INDICES}
    values |= changes.pop("values", {})
    columns = {key: rng.normal(scale=0.02, size=scored) for key in values}
    per_clip = {f"clip {i:04d}": {key: float(c[i] - c.mean()) for key, c in columns.items()} for i in range(scored)}
    base = made_result(name, {"FAD": fad}, per_clip)
    scores = {key: made_score(key, value, contributions_stderr(columns[key]), scored) for key, value in values.items()}
    parts = {part: extractor(f"lite-{part}") for part in ("audio", "text", "video")}
    reasons = list(base.not_comparable_because)
    if scored < CLIPS_N:
        reasons.append(f"incomplete: {CLIPS_N - scored} of {CLIPS_N} clips were left out")
    fields = {
        "scores": scores,
        "extractors": parts,
        "manifest": {**base.manifest, "clips": CLIPS_N},
        "counts": {"clips": CLIPS_N, "scored": scored},
        "not_comparable_because": reasons,
    }
    return replace(base, **(fields | changes))


def made_score(name: str, value: float, stderr: float | None, clips_n: int = CLIPS_N) -> Score:
    """Return a score that its metric's declaration allows."""
    spec = METRICS[name]
    return Score(value, stderr, spec.kind, spec.higher_is_better, spec.version, clips_n, 4 * clips_n, 64, 60)


def board_of(count: int) -> Leaderboard:
    """Return a leaderboard of so many systems."""
    made = [submission(f"System {i:04d}", seed=i) for i in range(count)]
    return Leaderboard("Made-up systems").add(made, list_not_comparable=True)
