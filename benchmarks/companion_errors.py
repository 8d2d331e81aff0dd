"""Errors of companion scores against their spread over simulated sets: of the inception score, and what precision,
recall, density and coverage would have.

    python benchmarks/companion_errors.py [--runs 200]

Columns, all in units of the score's spread over the runs. Inception score: the mean error that its contributions give.
The others, for equal normal sets of as many rows on both sides: the error of a mean of independent indicators (no such
thing for density), and that of leaving out each row of both sides in turn, for the first tenth of the runs. All take
about five minutes on one core.
"""

from __future__ import annotations

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import inception_score, support_scores
from t2av_bench.metrics.classes import inception_contributions
from t2av_bench.metrics.uncertainty import contributions_stderr

NAMES = ("precision", "recall", "density", "coverage")


def inception(rows_n: int, classes_n: int, splits: int, runs: int) -> float:
    scores, errors = [], []
    for seed in range(runs):
        logits = 2.0 * np.random.default_rng(seed).normal(size=(rows_n * splits, classes_n))
        scores.append(inception_score(logits, splits=splits).mean)
        errors.append(contributions_stderr(inception_contributions(logits, splits=splits)))
    return float(np.mean(errors) / np.std(scores, ddof=1))


def jackknife(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the error of each score by leaving out each row of either side in turn, shape (4,)."""
    total = np.zeros(len(NAMES))
    for left_out in (0, 1):
        without = []
        for row in range(len((x, y)[left_out])):
            sides = [np.delete(side, row, axis=0) if left_out == i else side for i, side in enumerate((x, y))]
            without.append(support_scores(sides[0], sides[1])[:4])
        total += np.var(without, axis=0) * (len(without) - 1)
    found: np.ndarray = np.sqrt(total)
    return found


def support(rows_n: int, d: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    sides = [np.random.default_rng(seed).normal(size=(2, rows_n, d)) for seed in range(runs)]
    scores = np.array([support_scores(x, y)[:4] for x, y in sides])
    spread = scores.std(axis=0, ddof=1)
    indicators = np.sqrt(np.clip(scores * (1 - scores), 0, None) / rows_n).mean(axis=0)
    left_out = np.mean([jackknife(x, y) for x, y in sides[: max(runs // 10, 1)]], axis=0)
    return indicators / spread, left_out / spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    with threadpool_limits(limits=1):
        for rows_n, classes_n, splits in ((10, 20, 10), (100, 20, 1), (100, 500, 2), (1000, 20, 1)):
            ratio = inception(rows_n, classes_n, splits, options.runs)
            print(f"inception score, {rows_n:4} rows a part, {classes_n:3} classes   {ratio:.2f}", flush=True)
        for rows_n in (100, 200):
            for d in (8, 32):
                for kind, ratios in zip(("indicators", "left out  "), support(rows_n, d, options.runs), strict=True):
                    shown = (
                        f"{name} {ratio:.2f}" if kind != "indicators" or name != "density" else "density —   "
                        for name, ratio in zip(NAMES, ratios, strict=True)
                    )
                    print(f"{rows_n} rows, d = {d:<3} {kind}  " + "  ".join(shown), flush=True)


if __name__ == "__main__":
    main()
