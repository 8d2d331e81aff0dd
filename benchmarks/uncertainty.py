"""What standard error and floor cost beside the score they judge, at the size of FA(VT)D over VGGish, C3D and word2vec.

    python benchmarks/uncertainty.py [--dim 4524] [--windows 10000]

Windows are drawn from a spectrum that falls as 1 / k, in clips of 10, and gathered as an evaluation gathers them: from
float32 rows, clip by clip, in two halves whose statistics unite. Times are CPU seconds of one thread, so that they do
not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.grouped_bias import grouped_floor
from t2av_bench.metrics.groups import GroupedSides, united
from t2av_bench.metrics.influence import InfluenceMap
from t2av_bench.metrics.uncertainty import contributions_stderr

CLIP_ROWS = 10
BATCH_ROWS = 640
Value = TypeVar("Value")


def windows(count: int, dim: int, generated: bool) -> np.ndarray:
    """Draw one side's windows, the generated ones tied to the reference's as those of a good system are."""
    scale = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    rows = np.random.default_rng(0).standard_normal((count, dim), dtype=np.float32) * scale
    if generated:
        noise = np.random.default_rng(1).standard_normal((count, dim), dtype=np.float32) * scale
        rows = 0.8 * rows + 0.6 * noise + 0.01
    return rows


def clips(rows: np.ndarray) -> Iterator[np.ndarray]:
    yield from np.split(rows, range(CLIP_ROWS, len(rows), CLIP_ROWS))


def halves(rows: np.ndarray) -> list[JointStats]:
    sides = [JointStats({"features": rows.shape[1]}) for _ in range(2)]
    for number, clip in enumerate(clips(rows)):
        sides[number % 2].update(features=clip)
    return sides


def stderr(sides: list[np.ndarray], fitted: InfluenceMap) -> float:
    contributions = np.zeros(len(sides[0]) // CLIP_ROWS)
    for rows, influence in zip(sides, (fitted.reference, fitted.generated), strict=True):
        for start in range(0, len(rows), BATCH_ROWS):
            found = influence(rows[start : start + BATCH_ROWS].astype(np.float64))
            found = found.reshape(-1, CLIP_ROWS).sum(axis=1) / len(rows)
            contributions[start // CLIP_ROWS : start // CLIP_ROWS + len(found)] += found
    return contributions_stderr(contributions)


def timed(what: str, function: Callable[[], Value]) -> tuple[Value, float]:
    start_s = time.process_time()
    value = function()
    spent_s = time.process_time() - start_s
    print(f"{what:34}{spent_s:8.1f} s", flush=True)
    return value, spent_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, default=4524)
    parser.add_argument("--windows", type=int, default=10_000)
    options = parser.parse_args()
    sides = [windows(options.windows, options.dim, generated) for generated in (False, True)]
    with threadpool_limits(limits=1):
        groups, gather_s = timed("statistics", lambda: [halves(rows) for rows in sides])
        whole, unite_s = timed("statistics, united", lambda: [united(side) for side in groups])
        value, distance_s = timed("distance", lambda: frechet_distance(*whole))
        _, rank_s = timed("rank", lambda: whole[0].rank)
        fitted, fit_s = timed("distance, influence function", lambda: InfluenceMap.fit(*whole))
        error, pass_s = timed("contributions of clips", lambda: stderr(sides, fitted))
        floor, floor_s = timed("floor", lambda: grouped_floor(GroupedSides(*groups), with_score=False))
    assert fitted.distance is None or abs(fitted.distance - value) < 1e-9 * value
    if fitted.distance is not None:
        fit_s -= distance_s  # the distance comes with the influence function
    score_s, added_s = gather_s + unite_s + distance_s + rank_s, fit_s + pass_s + floor_s
    print(f"score {value:.4f} ± {error:.4f}, floor {floor.value:.4f}; d = {options.dim}, n = {options.windows}")
    print(f"score {score_s:.1f} s; standard error and floor add {added_s:.1f} s, {added_s / score_s:.2f} times as much")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
