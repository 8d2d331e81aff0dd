"""Errors of companion scores against their spread over simulated sets: of the inception score, and of precision,
recall, density and coverage.

    python benchmarks/companion_errors.py [--runs 200]

Columns, all in units of the score's spread over the runs. Inception score: the mean error that its contributions give.
The others: the mean error from halves and quarters of the clips over those runs that have one, and in brackets the
share of these whose ± 1.96 errors hold the scores' mean; no figures where fewer than seven tenths of the runs have one.
Sets are equal and near (the generated rows follow the reference's) and far normal laws, a spectrum that falls, and a
mixture of six classes of which the generated side prefers one. Then, for the first tenth of the runs, what leaving out
each row of both sides in turn gives. All take about ten minutes on one core.
"""

from __future__ import annotations

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import inception_score, support_scores
from t2av_bench.metrics.classes import inception_contributions
from t2av_bench.metrics.coverage_errors import support_errors
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


def drawn(law: str, clips_n: int, rows_n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both sides' rows and their clips; the rows of a clip share half their variance, or the class."""
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(clips_n), rows_n)
    x, y = rng.normal(size=(2, len(clips), d))
    if rows_n > 1:
        x, y = np.sqrt(0.5) * (np.array([x, y]) + rng.normal(size=(2, clips_n, d))[:, clips])
    if law == "near":
        return x, 0.8 * x + 0.6 * y + 0.1, clips
    if law == "far":
        return x, 1.2 * y + 1.5 / np.sqrt(d), clips
    if law == "spectrum":
        scale = np.arange(1, d + 1) ** -0.5
        return x * scale, (0.8 * x + 0.5 * y) * scale, clips
    if law == "mixture":
        centres = 1.5 * np.random.default_rng(0).normal(size=(6, d))
        real = rng.choice(6, size=clips_n, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
        made = np.where(rng.random(clips_n) < 0.2, 0, real)
        return x + centres[real][clips], 0.9 * y + centres[made][clips], clips
    return x, y, clips


def support(law: str, clips_n: int, rows_n: int, d: int, runs: int) -> str:
    found = []
    for seed in range(runs):
        x, y, clips = drawn(law, clips_n, rows_n, d, seed)
        found.append(support_errors(x, y, clips, clips))
    scores = np.array([of_run[:4] for of_run, _ in found])
    errors = np.array([of_run for _, of_run in found], dtype=float)
    shown = []
    for name, values, estimates in zip(NAMES, scores.T, errors.T, strict=True):
        known = ~np.isnan(estimates)
        if known.mean() < 0.7:
            shown.append(f"{name} {values.mean():.2f} —          ")
            continue
        ratio = estimates[known].mean() / values.std(ddof=1)
        held = np.mean(np.abs(values - values.mean())[known] <= 1.96 * estimates[known])
        shown.append(f"{name} {values.mean():.2f} {ratio:.2f} ({held:.2f})")
    return "  ".join(shown)


def left_out(rows_n: int, d: int, runs: int) -> str:
    sides = [drawn("equal", rows_n, 1, d, seed)[:2] for seed in range(runs)]
    spread = np.std([support_scores(x, y)[:4] for x, y in sides], axis=0, ddof=1)
    ratios = np.mean([jackknife(x, y) for x, y in sides[: max(runs // 10, 1)]], axis=0) / spread
    return "  ".join(f"{name} {ratio:.2f}" for name, ratio in zip(NAMES, ratios, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    with threadpool_limits(limits=1):
        for rows_n, classes_n, splits in ((10, 20, 10), (100, 20, 1), (100, 500, 2), (1000, 20, 1)):
            ratio = inception(rows_n, classes_n, splits, options.runs)
            print(f"inception score, {rows_n:4} rows a part, {classes_n:3} classes   {ratio:.2f}", flush=True)
        for clips_n, rows_n in ((100, 1), (200, 1), (400, 1), (25, 4), (100, 4)):
            for d in (4, 32, 128):
                for law in ("equal", "near", "far", "spectrum", "mixture"):
                    shown = support(law, clips_n, rows_n, d, options.runs)
                    print(f"{clips_n:3} clips of {rows_n}, d = {d:<3} {law:8}  {shown}", flush=True)
        for rows_n, d in ((100, 8), (100, 32), (200, 8)):
            print(f"{rows_n} clips, d = {d:<2} left out  {left_out(rows_n, d, options.runs)}", flush=True)


if __name__ == "__main__":
    main()
